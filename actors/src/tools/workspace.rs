//! An agent's folder, and the only way file tools reach anything in it.
//!
//! A path is walked part by part through open folders, from the root of the workspace: symbolic links are read and
//! resolved here, `..` leads to the folder walked through before, and nothing is followed by the kernel. So no path, and no
//! folder or link that is swapped while it is walked, leads out. Beyond that the state directory and the configuration
//! files are refused even where a workspace contains them.
//!
//! All of it blocks; callers do it off the executor.

mod change;
mod error;
mod places;
mod walk;

pub use change::{Stamp, Written};
pub use error::FileError;
pub use places::WorkspacePlaces;
pub use walk::{Found, Kind, Listed, Opened, Workspace};

#[cfg(test)]
mod tests;
