//! The whole tree as one can see it: what runs, what waits to be restarted, what failed and why.
//!
//! The store outlives the actors. Supervisors write to it directly, so no life-cycle change is ever lost; counters are
//! read only when somebody takes a snapshot. Each batch of changes carries a number one higher than the one before:
//! a snapshot and the batches after it give the next snapshot.

mod act;
mod delta;
mod node;
mod publish;
mod soft;
mod store;
mod view;

pub use act::{ActError, Action};
pub use delta::{NodeField, TreeDelta, TreeOp, TreeSubscription, TreeUpdate, apply};
pub(crate) use node::{ChildState, NewNode, NodeId};
pub(crate) use soft::Soft;
pub use store::TreeStore;
pub use view::{
    BusyView, ExitRecord, IntensityView, MailboxView, NodeFlags, NodeMetrics, NodeState, NodeView, Query, Snapshot,
};
