//! What can go wrong in the store.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A refusal or failure of the store. Cheap to clone: one failed flush answers everybody who waited for it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The store's actor is not there, or did not answer in time. Nothing is known of the commit.
    #[error("the store does not answer")]
    Unavailable,
    /// A file operation failed.
    #[error("{what} {path}", path = path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: Arc<io::Error>,
    },
    /// The engine failed.
    #[error("the store engine failed: {0}")]
    Engine(Arc<str>),
    /// What is on disk can't be what was written.
    #[error("the store at {path} is damaged: {found}; move the folder away and start again", path = path.display())]
    Damaged {
        /// Where.
        path: PathBuf,
        /// What does not fit.
        found: String,
    },
    /// A newer version wrote this state.
    #[error("the state was written by a newer version (format {found}, known up to {known}); it was not touched")]
    Newer {
        /// Format found on disk.
        found: u32,
        /// Highest format this version knows.
        known: u32,
    },
    /// Too little room on the disk to accept anything more.
    #[error("the disk of {path} is nearly full ({free_mb} MiB left); free some space", path = path.display())]
    Full {
        /// The state directory.
        path: PathBuf,
        /// What is left.
        free_mb: u64,
    },
    /// A commit of somebody who was started before the store was opened again.
    #[error("this was decided before the store was opened again (epoch {writer}, now {current}) and is not written")]
    Fenced {
        /// Epoch of the writer.
        writer: u64,
        /// Epoch of the store.
        current: u64,
    },
    /// The disk failed, and nothing is written until it works again.
    #[error("nothing can be stored: {why}; it is tried again until it works")]
    Failing {
        /// What failed.
        why: Arc<str>,
    },
    /// A backup can't be made there, or put back.
    #[error("{path}: {why}", path = path.display())]
    Backup {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The files are not where they were opened.
    #[error("{path} was removed or replaced while the gateway ran; put it back or stop the gateway", path = path.display())]
    Gone {
        /// What is missed.
        path: PathBuf,
    },
    /// A record can't be read as what it should be.
    #[error("record {key} can't be read: {why}")]
    Record {
        /// Its key, printable.
        key: String,
        /// Why.
        why: String,
    },
}

impl StoreError {
    /// The error with what the system said, on one line.
    #[must_use]
    pub fn words(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }

    /// True for what another try won't change: an operator has to act.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Newer { .. } | Self::Gone { .. } => true,
            Self::Unavailable
            | Self::Io { .. }
            | Self::Engine(_)
            | Self::Full { .. }
            | Self::Fenced { .. }
            | Self::Failing { .. }
            | Self::Backup { .. }
            | Self::Record { .. } => false,
        }
    }

    /// Wraps a failed file operation.
    pub fn io(what: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { what, path: path.into(), source: Arc::new(source) }
    }
}
