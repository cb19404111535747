//! The daemon: from arguments to a running tree, and back to an exit code.

pub mod args;
pub mod boot;
pub mod lock;
pub mod log_file;
pub mod logging;
pub mod ports;
pub mod run;
pub mod shutdown;
pub mod signals;
pub mod store_command;

/// Version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
