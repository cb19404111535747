//! Carries out the machine's effects on the actor runtime and turns the runtime's events into its inputs.
//!
//! The only part that knows the runtime. A supervisor's handler never waits for a child: starts and stops run as tasks
//! that report through a queue which is also read while the supervisor itself is ending.

pub(crate) mod actor;
mod admin;
mod brood;
mod effects;
pub(crate) mod exits;
mod ids;
pub(crate) mod messages;
pub(crate) mod nursery;
pub(crate) mod pulse;
pub(crate) mod seat;
pub(crate) mod spawns;
mod starts;
mod stops;
pub(crate) mod supervised;
mod timers;
pub(crate) mod tree_link;

pub use supervised::HandlerTimeout;
