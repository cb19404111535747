//! Tools a model may call. Each run sees them through a registry; a call is a child actor of its run.

pub mod clock;
pub mod contract;
pub mod exec;
pub mod files;
pub mod process;
pub mod registry;
pub mod schema;
pub mod sessions;
pub mod sessions_port;
pub mod workspace;

#[cfg(test)]
mod support;

pub use contract::{Effect, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput};
pub use registry::ToolRegistry;
