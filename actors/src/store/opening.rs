//! From a folder to a store that can be trusted: database, epoch, transcripts completed, edits by hand taken over.

use std::path::Path;
use std::sync::Arc;

use super::engine::{self, Engine};
use super::error::StoreError;
use super::files;
use super::flush::Disk;
use super::keys;
use super::marker;
use super::op::Op;
use super::projection;
use super::sled_engine::SledEngine;
use super::value;

/// Folder of the database in the state directory.
pub(super) const STORE: &str = "openclawd/store";
/// Where it is written anew.
const REBUILT: &str = "openclawd/store.rebuilt";
/// Where the one is kept that could not be believed.
const SUSPECT: &str = "openclawd/store.suspect";
/// Operations of one batch when a database is copied.
const COPIED_AT_ONCE: usize = 256;

/// What is known when the store is opened again in the same process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Past {
    /// It was open before: a folder without a database is one that lost it.
    pub(super) was_open: bool,
    /// A write or sync failed. What the system shows of the files since may not be what is on disk, and would not be
    /// written again, so everything is copied to new files.
    pub(super) distrust: bool,
}

/// An opened store.
pub(super) struct Opened {
    pub(super) disk: Disk,
    /// Its number; those of writers before it are lower.
    pub(super) epoch: u64,
}

/// Refuses a state directory that a newer version wrote. Looks only.
///
/// # Errors
/// [`StoreError::Newer`], or when the marker can't be read.
pub fn check_format(state_dir: &Path) -> Result<(), StoreError> {
    marker::read(&state_dir.join(STORE)).map(drop)
}

/// Opens the store of a state directory and makes it consistent with the files beside it.
///
/// # Errors
/// When it can't be opened or written, or is damaged.
pub(super) fn open(state_dir: &Path, past: Past) -> Result<Opened, StoreError> {
    let folder = state_dir.join(STORE);
    finish_rebuild(state_dir)?;
    if past.was_open && !folder.join("db").exists() {
        return Err(StoreError::Gone { path: folder });
    }
    if past.distrust {
        rebuild(state_dir)?;
    }
    let is_new = marker::read(&folder)?.is_none();
    let disk = Disk::new(Arc::new(SledEngine::open(&folder)?), state_dir.to_owned());
    if is_new {
        // The state directory may be as new, and made by somebody who did not care for the power.
        for made_in in folder.ancestors().skip(2).take(2).filter(|made_in| made_in.is_dir()) {
            files::sync_folder(made_in)?;
        }
    }
    let engine = disk.engine.as_ref();
    let completed = disk.lines.redo(engine, &disk.payloads, past.distrust)?;
    if completed > 0 {
        tracing::warn!(files = completed, "completed transcripts that lacked lines");
    }
    let taken = projection::merge_edits(engine, &disk.payloads, state_dir)?;
    if taken > 0 {
        tracing::info!(rows = taken, "took over sessions edited by hand");
    }
    disk.payloads.sweep(engine)?;
    files::remove_drafts(&folder);
    let epoch = next_epoch(engine)?;
    engine.commit()?;
    engine.seal()?;
    Ok(Opened { disk, epoch })
}

fn next_epoch(engine: &dyn Engine) -> Result<u64, StoreError> {
    let key = keys::named(keys::META, "epoch");
    let last: Option<u64> = engine.get(&key)?.map(|stored| value::decode(&key, &stored)).transpose()?;
    let epoch = last.unwrap_or(0) + 1;
    engine.put(&key, &value::encode(&epoch)?)?;
    Ok(epoch)
}

/// One that was interrupted between taking the old folder away and putting the new one, which is whole, in its place.
fn finish_rebuild(state_dir: &Path) -> Result<(), StoreError> {
    let [folder, rebuilt] = [STORE, REBUILT].map(|name| state_dir.join(name));
    if folder.exists() || marker::read(&rebuilt)?.is_none() {
        return Ok(());
    }
    std::fs::rename(&rebuilt, &folder).map_err(|error| StoreError::io("can't replace", &folder, error))?;
    files::sync_folder(&state_dir.join("openclawd"))
}

/// Copies the database to new files; the old ones are kept aside.
fn rebuild(state_dir: &Path) -> Result<(), StoreError> {
    let [folder, rebuilt, suspect] = [STORE, REBUILT, SUSPECT].map(|name| state_dir.join(name));
    remove_folder(&rebuilt)?;
    {
        let (old, new) = (SledEngine::open(&folder)?, SledEngine::open(&rebuilt)?);
        copy(&old, &new)?;
        new.commit()?;
        new.seal()?;
    }
    remove_folder(&suspect)?;
    let renamed = std::fs::rename(&folder, &suspect).and_then(|()| std::fs::rename(&rebuilt, &folder));
    renamed.map_err(|error| StoreError::io("can't replace", &folder, error))?;
    files::sync_folder(&state_dir.join("openclawd"))?;
    tracing::warn!(old = %suspect.display(), "the store was written anew after a failed write");
    Ok(())
}

fn remove_folder(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::io("can't remove", path, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Puts every record of one engine into another.
pub(super) fn copy(from: &dyn Engine, to: &dyn Engine) -> Result<u64, StoreError> {
    let (mut ops, mut copied) = (Vec::new(), 0);
    engine::for_each(from, b"", |key, value| {
        ops.push(Op::Put { key: key.to_vec(), value: value.to_vec() });
        copied += 1;
        if ops.len() == COPIED_AT_ONCE {
            to.batch(&std::mem::take(&mut ops))?;
        }
        Ok(())
    })?;
    to.batch(&ops)?;
    Ok(copied)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reopened(folder: &tempfile::TempDir, past: Past) -> Result<Opened, StoreError> {
        open(folder.path(), past)
    }

    #[test]
    fn every_opening_has_a_higher_epoch() {
        let folder = tempfile::tempdir().unwrap();
        for expected in 1..=3 {
            assert_eq!(reopened(&folder, Past::default()).unwrap().epoch, expected);
        }
    }

    #[test]
    fn a_store_that_vanished_is_not_replaced_by_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        drop(reopened(&folder, Past::default()).unwrap());
        std::fs::remove_dir_all(folder.path().join("openclawd")).unwrap();
        let past = Past { was_open: true, distrust: false };
        assert!(matches!(reopened(&folder, past), Err(StoreError::Gone { .. })));
        assert!(!folder.path().join("openclawd").exists());
    }

    #[test]
    fn what_can_not_be_believed_is_copied_to_new_files_and_kept_aside() {
        let folder = tempfile::tempdir().unwrap();
        let first = reopened(&folder, Past::default()).unwrap();
        for n in 0..COPIED_AT_ONCE * 2 + 1 {
            first.disk.engine.put(format!("row/{n}").as_bytes(), b"1").unwrap();
        }
        first.disk.engine.commit().unwrap();
        drop(first);
        let again = reopened(&folder, Past { was_open: true, distrust: true }).unwrap();
        let rows = again.disk.engine.scan_prefix(b"row/", None, usize::MAX).unwrap();
        assert_eq!(rows.len(), COPIED_AT_ONCE * 2 + 1);
        assert_eq!(again.epoch, 2);
        drop(again);
        assert!(SledEngine::open(&folder.path().join(SUSPECT)).is_ok());
        assert!(!folder.path().join(REBUILT).exists());
        reopened(&folder, Past { was_open: true, distrust: true }).unwrap();
    }

    #[test]
    fn an_interrupted_copy_is_finished_by_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        drop(reopened(&folder, Past::default()).unwrap());
        std::fs::rename(folder.path().join(STORE), folder.path().join(REBUILT)).unwrap();
        assert_eq!(reopened(&folder, Past::default()).unwrap().epoch, 2);
    }

    #[test]
    fn a_newer_state_is_recognised_without_opening_it() {
        let folder = tempfile::tempdir().unwrap();
        check_format(folder.path()).unwrap();
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
        std::fs::create_dir_all(folder.path().join(STORE)).unwrap();
        std::fs::write(folder.path().join(STORE).join("made"), "77 1\n").unwrap();
        assert!(matches!(check_format(folder.path()), Err(StoreError::Newer { found: 77, .. })));
    }
}
