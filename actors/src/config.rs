//! The configuration: OpenClaw's `openclaw.json`, read, checked, typed, watched and written.
//!
//! * [`load()`] goes from bytes to a [`ConfigSnapshot`]: JSON5, `$include`, `${VAR}`, names and types, defaults. All
//!   issues come at once, each with file, line, column, path and what was expected.
//! * Every key of OpenClaw is known. Sections used here are strict, others are kept and named in one warning; a key
//!   nobody knows is refused.
//! * [`write()`] replaces the file, or leaves it as it was. [`edit`] changes its text and keeps comments.
//! * [`diff()`] says what a change takes. [`redact`] hides secrets and puts them back.
//!
//! **Invariant**: nobody but this module reads the file. What was authored is kept apart from defaults, so that a
//! write never makes a default or an environment value permanent.

mod actor;
pub mod diff;
mod document;
pub mod edit;
mod handle;
mod include;
mod issue;
mod known;
pub mod load;
pub mod redact;
pub mod schema;
mod snapshot;
mod substitute;
pub mod token;
mod validate;
mod watch;
pub mod write;

#[cfg(test)]
mod tests;

pub use actor::{ConfigArgs, ReloadError, SETTLE, child_spec};
pub use diff::{Change, ReloadClass, diff};
pub use handle::ConfigHandle;
pub use issue::{ConfigError, ConfigIssue};
pub use load::{LoadSources, StateDirs, check, load};
pub use schema::*;
pub use snapshot::ConfigSnapshot;
pub use substitute::EnvVars;
pub use write::{WriteError, write};
