//! The whole tree as one can see it: what runs, what waits to be restarted, what failed and why.
//!
//! The store outlives the actors. Supervisors write to it directly, so no life-cycle change is ever lost; counters are
//! read only when somebody takes a snapshot. Each batch of changes carries a number one higher than the one before:
//! a snapshot and the batches after it give the next snapshot, for the whole tree as for any part of it, and for whoever
//! looks.

mod act;
mod batch;
mod delta;
mod facts;
mod follow;
mod kinds;
mod node;
mod publish;
mod query;
mod read;
mod redact;
mod sample;
mod snapshot;
mod soft;
mod store;
mod summary;
#[cfg(test)]
mod tests;
mod view;
mod waits;
mod watch;
mod write;

pub use act::{ActError, Action};
pub use delta::{NodeField, TreeDelta, TreeOp, TreeUpdate, apply};
pub use facts::{NodeFacts, NodeView, ShownName};
pub use follow::TreeSubscription;
pub use kinds::KindStats;
pub(crate) use node::{ChildState, NewNode, NodeId};
pub use query::{ChildrenSummary, Query, Snapshot, Summarise, TopBy, View};
pub use read::TreeReader;
pub use redact::{Viewer, WITHHELD};
pub use sample::{MetricColumns, Sampler};
pub(crate) use soft::Soft;
pub use store::TreeStore;
pub use view::{
    Alerts, BusyView, Detail, ExitRecord, IntensityView, MailboxLevel, MailboxView, NodeFlags, NodeMetrics, NodeState,
};
pub use waits::WaitView;
pub(crate) use watch::Watch;
