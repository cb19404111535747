//! One gateway per state directory: an advisory lock on a file that says who holds it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Who holds the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Since when, RFC 3339.
    pub since: String,
    /// Port of its control plane.
    pub port: u16,
    /// Its version.
    pub version: String,
}

/// Why the lock was not given.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another gateway runs on this state directory.
    #[error(
        "another gateway runs on this state directory: pid {pid}, port {port}, since {since} ({path})",
        path = path.display(), pid = holder.pid, port = holder.port, since = holder.since
    )]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Who holds it.
        holder: Holder,
    },
    /// Another gateway is just starting.
    #[error("another gateway is just starting on this state directory ({path})", path = path.display())]
    Starting {
        /// The lock file.
        path: PathBuf,
    },
    /// The file can't be used.
    #[error("can't use the state directory: {what} {path}", path = path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// The lock; released when dropped, or when the process ends in any way.
#[derive(Debug)]
pub struct StateLock {
    file: File,
    path: PathBuf,
}

impl StateLock {
    /// Takes the lock of a state directory, which is created if needed.
    ///
    /// # Errors
    /// When another process has it, or the directory can't be used.
    pub fn take(state_dir: &Path, since: &str) -> Result<Self, LockError> {
        let folder = state_dir.join("openclawd");
        let made = if folder.is_dir() { Ok(()) } else { DirBuilder::new().recursive(true).mode(0o700).create(&folder) };
        made.map_err(|source| LockError::Io { what: "can't create", path: folder.clone(), source })?;
        let path = folder.join("gateway.lock");
        let io = |what| {
            let path = path.clone();
            move |source| LockError::Io { what, path, source }
        };
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(io("can't write"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text).map_err(io("can't read"))?;
                return Err(match serde_json::from_str(&text) {
                    Ok(holder) => LockError::Held { path, holder },
                    Err(_) => LockError::Starting { path },
                });
            }
            Err(TryLockError::Error(source)) => return Err(io("can't lock")(source)),
        }
        let mut lock = Self { file, path: path.clone() };
        lock.announce(0, since).map_err(io("can't write"))?;
        Ok(lock)
    }

    /// Writes down who holds it, for a second start to read.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn announce(&mut self, port: u16, since: &str) -> std::io::Result<()> {
        let holder =
            Holder { pid: std::process::id(), since: since.to_owned(), port, version: super::VERSION.to_owned() };
        let text = serde_json::to_string(&holder)?;
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(text.as_bytes())
    }

    /// The lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// An error and its sources in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = StateLock::take(folder.path(), "2026-01-01T00:00:00Z").unwrap();
        first.announce(18789, "2026-01-01T00:00:00Z").unwrap();
        let error = StateLock::take(folder.path(), "later").unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()) && error.contains("18789"), "{error}");
        drop(first);
        StateLock::take(folder.path(), "later").unwrap();
    }
}
