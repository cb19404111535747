//! Actors by key: started by their first message, never two of one key, gone when idle.

mod directory;
mod entry;
mod options;
mod passivate;

pub use directory::Directory;
pub use options::{DirectoryError, DirectoryOptions, DirectoryParent, Undelivered};
