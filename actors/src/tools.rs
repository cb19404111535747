//! Tools a model may call. Each run sees them through a registry; a call is a child actor of its run.

pub mod clock;
pub mod contract;
pub mod registry;

pub use contract::{Tool, ToolContext, ToolError, ToolOutput};
pub use registry::ToolRegistry;
