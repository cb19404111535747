//! Actors by key: started by their first message, never two of one key, gone when idle.

mod bring_up;
mod directory;
mod entry;
mod ledger;
mod options;
mod passivate;
mod placement;
mod roster;

pub use directory::Directory;
pub use options::{DirectoryError, DirectoryOptions, DirectoryParent, Undelivered};
pub use placement::{LocalOnly, NodeName, Place, Placement};
