//! Everything that must be transactional: accepted input, run journal, outgoing deliveries, cursors, session rows.
//!
//! One actor writes; its commits are durable when they are answered. Commits that wait together share one flush.
//! Transcripts are files beside it, completed from the same commits: their lines are stored first and freed when their
//! files are synced, so that a record is never gone before the line that replaces it is on disk.
//!
//! Invariants: `sled` is named in this module only; values above 8 KiB live in files of their own; every value
//! carries a version byte; a store that a newer version wrote is refused untouched.

pub mod actor;
pub mod backup;
pub mod check;
pub mod engine;
pub mod error;
pub mod export;
pub mod files;
mod flush;
pub mod handle;
pub mod keys;
mod lines;
pub mod marker;
pub mod memory;
pub mod migrations;
pub mod offline;
pub mod op;
mod opening;
pub mod payload;
pub mod projection;
pub mod records;
mod retention;
pub mod rows;
pub mod sled_engine;
mod standing;
pub mod stats;
pub mod transcripts;
pub mod value;

pub use actor::{StoreArgs, child_spec};
pub use error::StoreError;
pub use handle::StoreHandle;
pub use op::{Append, Commit, Expect, Op, Outcome};
pub use opening::check_format;
