//! The tree: which actors there are, under whom, in which order, and how their ports are filled.

pub mod deliveries;
pub mod domain;
pub mod inbound;
pub mod lifecycle;
pub mod outbox;
pub mod profiles;
pub mod reconcile;
pub mod root;
mod tool_sessions;

pub use domain::Domain;
pub use root::{Plan, build};
