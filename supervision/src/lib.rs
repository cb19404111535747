//! OTP for our actors: supervisors that start, watch, restart and stop their children in order.
//!
//! The contract is the list of guarantees at the end of this page, each with the test that holds it. In short:
//!
//! - Children start in order and stop in reverse, each with its deadline; nothing outlives its supervisor.
//! - What follows an exit is OTP's table, then the child's own backoff; never more restarts than the intensity allows.
//! - An [`Address`] survives restarts. A message is opened by one incarnation, or comes back, or its caller is told.
//! - Panics are caught wherever they happen and recorded with their place.
//! - Every change shows in the [`TreeStore`], in numbered batches, and no change is lost.
//!
//! It knows nothing of chat, HTTP, JSON or disk. The actor runtime below is an implementation detail: none of its types
//! is public here.
//!
//! Start with [`Actor`], [`ChildSpec`] and [`Supervisor::start_root`]; `examples/supervised_counter.rs` shows all three, and
//! `examples/reconnecting_client.rs` a task that backs off, gives up and is restarted by hand.
//!
#![doc = include_str!("../GUARANTEES.md")]

#[cfg(panic = "abort")]
compile_error!("supervision needs panic = \"unwind\": a panic is how a fault reaches its supervisor");

mod actor;
mod address;
mod backoff;
mod call;
mod cancel;
pub mod chaos;
mod checkpoint;
mod child_spec;
mod clock;
mod context;
mod deadlines;
mod dynamic;
mod exit;
mod gate;
mod incarnation;
mod machine;
pub mod mailbox;
mod panics;
mod partition;
mod path;
mod registry;
mod scope;
mod shell;
mod supervisor;
mod sync;
mod task_child;
mod telemetry;
mod template;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;
pub mod trace;
pub mod tree;

pub use actor::{Actor, ChildExit};
pub use address::{Address, CastError, Slot};
pub use backoff::{BackoffError, BackoffPolicy, Budget, Exhausted, Jitter, ResetRule};
pub use call::{CallError, Reply};
pub use checkpoint::Checkpoint;
pub use child_spec::{
    AutoShutdown, ChildKind, ChildSpec, Intensity, Redaction, Restart, Shutdown, SpecError, SpecView, StartCtx,
    StartMode, StopMode, Strategy, SupervisorSpec, check_specs,
};
pub use context::{Ctx, Reporter, Timer};
pub use dynamic::DynamicOptions;
pub use exit::{ActorResult, BoxError, Exit, ExitClass, ExitReason, Failure, PanicInfo};
pub use incarnation::{ActorId, Incarnation, NotLinked, StartInfo, Started};
pub use machine::Handling;
pub use mailbox::{Feeder, Mailbox, Overflow, StableQueue};
pub use partition::PartitionSlot;
pub use path::{ActorPath, ChildId};
pub use registry::{
    Directory, DirectoryError, DirectoryOptions, DirectoryParent, LocalOnly, NodeName, Place, Placement, Undelivered,
};
pub use shell::HandlerTimeout;
pub use supervisor::{
    AdminError, ChildCount, ChildInfo, Init, ReconfigureOptions, ReconfigureReport, ShutdownReport, StartError,
    Supervisor, SupervisorHandle, SupervisorSlot,
};
pub use task_child::TaskCtx;
pub use telemetry::event::{Ending, TelemetryEvent, Whom};
pub use telemetry::latency::KindLatency;
pub use telemetry::watchdog::WatchdogOptions;
pub use template::{TemplateHandle, TemplateSlot};
pub use tokio_util::sync::CancellationToken;
pub use trace::TraceId;
pub use tree::TreeStore;

/// What most actor files need.
pub mod prelude {
    pub use crate::{
        Actor, ActorPath, ActorResult, Address, BackoffPolicy, BoxError, Budget, CallError, CancellationToken,
        CastError, Checkpoint, ChildExit, ChildId, ChildSpec, Ctx, Directory, DirectoryOptions, DynamicOptions,
        Exhausted, Exit, ExitReason, Feeder, Intensity, Jitter, Mailbox, PartitionSlot, Reply, Reporter, ResetRule,
        Restart, Shutdown, Slot, StableQueue, StartCtx, StopMode, Strategy, Supervisor, SupervisorHandle,
        SupervisorSlot, SupervisorSpec, TaskCtx, Timer, TreeStore,
    };
}
