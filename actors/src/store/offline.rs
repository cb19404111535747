//! The store without its actor, for commands on a state directory that no gateway uses. The caller holds the lock of
//! the directory. Opening does what a start does: an older format is migrated, transcripts are completed.

use std::path::Path;

use super::backup::{self, BackedUp};
use super::check::{self, Report};
use super::error::StoreError;
use super::export::{self, Exported};
use super::flush::Disk;
use super::opening::{self, Past, STORE};
use super::stats::{self, Stats};

fn open(state_dir: &Path) -> Result<Disk, StoreError> {
    if !state_dir.join(STORE).join("db").exists() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(StoreError::io("there is no store", state_dir.join(STORE), missing));
    }
    opening::open(state_dir, Past::default()).map(|opened| opened.disk)
}

/// How much the store holds.
///
/// # Errors
/// When there is no store or it can't be read.
pub fn stats(state_dir: &Path) -> Result<Stats, StoreError> {
    stats::stats(&open(state_dir)?)
}

/// Looks for what can't be right.
///
/// # Errors
/// As [`stats()`].
pub fn check(state_dir: &Path) -> Result<Report, StoreError> {
    check::check(&open(state_dir)?)
}

/// Writes all records to a file.
///
/// # Errors
/// As [`stats()`], and when the file is there or can't be written.
pub fn export(state_dir: &Path, path: &Path) -> Result<Exported, StoreError> {
    export::export(&open(state_dir)?, path)
}

/// Keeps everything a start needs in a new folder.
///
/// # Errors
/// As [`export()`].
pub fn backup(state_dir: &Path, target: &Path, created_at: String) -> Result<BackedUp, StoreError> {
    let taken = backup::take(&open(state_dir)?, target)?;
    backup::finish(&taken, created_at)
}
