//! Why a file could not be used, in words for a model.

use std::io;

use crate::tools::contract::ToolError;

/// Why not. Paths are as they were given.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It leads out.
    #[error("{0} is outside of the workspace; file tools work inside it only")]
    Outside(String),
    /// It belongs to the gateway.
    #[error("{0} belongs to the gateway and can't be used by tools")]
    Refused(String),
    /// The workspace itself can't be one.
    #[error("the workspace can't be used: {0}")]
    Workspace(String),
    /// There is nothing.
    #[error("{0} does not exist")]
    Missing(String),
    /// There is something already.
    #[error("{0} exists already")]
    Exists(String),
    /// A folder was needed.
    #[error("{0} is not a folder")]
    NotAFolder(String),
    /// A file was needed.
    #[error("{0} is a folder, not a file")]
    IsAFolder(String),
    /// A device, a pipe, a socket.
    #[error("{0} is no regular file")]
    Special(String),
    /// Links lead to links.
    #[error("{0} leads through too many symbolic links")]
    Loop(String),
    /// It is no name of a file.
    #[error("{0:?} is no path")]
    NotAPath(String),
    /// Somebody else wrote it meanwhile.
    #[error("{0} was changed by something else meanwhile; read it again")]
    Changed(String),
    /// The disk says no.
    #[error("{path}: {error}")]
    Io {
        /// What was used.
        path: String,
        /// What it said.
        error: io::Error,
    },
}

impl FileError {
    pub(super) fn io(path: &str, error: impl Into<io::Error>) -> Self {
        Self::Io { path: path.to_owned(), error: error.into() }
    }
}

impl From<FileError> for ToolError {
    fn from(error: FileError) -> Self {
        Self::Failed(error.to_string())
    }
}
