//! The engine on disk: sled 0.34 in a corset.
//!
//! sled's own `flush` stops at `sync_file_range` on Linux, which survives the process but not the power; a commit
//! therefore also calls `fdatasync` on the database file. Its background flusher is off, so an idle daemon writes
//! nothing. Values stay small (see `payload`), so that sled never moves a page to its `blobs` folder, which it would
//! not sync; should it happen all the same, that folder is synced before the commit counts.
//!
//! Invariant: the sentinel record holds the number of records and changes in the same batch as they do. A database
//! that opens with another number lost something silently and is refused.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::engine::{Engine, Pair};
use super::error::StoreError;
use super::files;
use super::op::Op;
use crate::failpoint::failpoint;

/// Where the sentinel lives; outside every scanned prefix.
const SENTINEL: &[u8] = b"\0sentinel";
/// File beside the database that says that there is one.
const MADE: &str = "made";
/// sled's default of 1 GiB is not for a home server.
const CACHE_BYTES: u64 = 16 << 20;

/// An open database.
pub struct SledEngine {
    db: sled::Db,
    data: File,
    blobs: PathBuf,
    path: PathBuf,
    /// Held over a whole batch: two at once would each note their own number of records.
    count: Mutex<u64>,
}

impl std::fmt::Debug for SledEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledEngine").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SledEngine {
    /// Opens or creates the database in `folder`.
    ///
    /// # Errors
    /// When the folder can't be used, another process holds it, or what is in it is damaged.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        files::private_folder(folder)?;
        let db = sled::Config::new()
            .path(folder)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .open()
            .map_err(|error| opening(folder, &error))?;
        let data_path = folder.join("db");
        let data = File::options()
            .write(true)
            .open(&data_path)
            .map_err(|error| StoreError::io("can't open the store file", &data_path, error))?;
        let engine = Self { db, data, blobs: folder.join("blobs"), path: folder.to_owned(), count: Mutex::new(0) };
        engine.check_sentinel()?;
        engine.check_made()?;
        Ok(engine)
    }

    /// Notes beside the database that it exists: one that is found empty later has lost everything.
    fn check_made(&self) -> Result<(), StoreError> {
        let (marker, is_empty) =
            (self.path.join(MADE), self.db.get(SENTINEL).map_err(|error| failed(&error))?.is_none());
        match (marker.exists(), is_empty) {
            (true, true) => {
                Err(StoreError::Damaged { path: self.path.clone(), found: String::from("it holds nothing at all") })
            }
            (true, false) => Ok(()),
            (false, _) => {
                if is_empty {
                    self.db.insert(SENTINEL, &0_u64.to_be_bytes()).map_err(|error| failed(&error))?;
                }
                self.commit()?;
                files::replace(&marker, b"1\n")
            }
        }
    }

    fn check_sentinel(&self) -> Result<(), StoreError> {
        let mut found = 0_u64;
        for key in self.db.iter().keys() {
            if key.map_err(|error| failed(&error))? != SENTINEL {
                found += 1;
            }
        }
        let noted = match self.db.get(SENTINEL).map_err(|error| failed(&error))? {
            Some(bytes) => <[u8; 8]>::try_from(bytes.as_ref()).ok().map(u64::from_be_bytes),
            None if found == 0 => Some(0),
            None => None,
        };
        if noted != Some(found) {
            return Err(StoreError::Damaged {
                path: self.path.clone(),
                found: format!("it holds {found} records, and should hold {noted:?}"),
            });
        }
        *self.count() = found;
        Ok(())
    }

    fn count(&self) -> MutexGuard<'_, u64> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Change of the record count that `ops`, applied in order, will make.
    fn growth(&self, ops: &[Op]) -> Result<i64, StoreError> {
        let mut seen = std::collections::HashMap::<&[u8], bool>::new();
        let mut growth = 0;
        for op in ops {
            let (key, present_after) = match op {
                Op::Put { key, .. } => (key.as_slice(), true),
                Op::Delete { key } => (key.as_slice(), false),
            };
            let present_before = match seen.get(key) {
                Some(&present) => present,
                None => self.db.contains_key(key).map_err(|error| failed(&error))?,
            };
            growth += i64::from(present_after) - i64::from(present_before);
            seen.insert(key, present_after);
        }
        Ok(growth)
    }
}

fn failed(error: &sled::Error) -> StoreError {
    StoreError::Engine(Arc::from(error.to_string()))
}

fn opening(folder: &Path, error: &sled::Error) -> StoreError {
    match error {
        sled::Error::Corruption { .. } => {
            StoreError::Damaged { path: folder.to_owned(), found: String::from("its log does not read back") }
        }
        sled::Error::Io(source) => {
            StoreError::io("can't open the store", folder, std::io::Error::new(source.kind(), source.to_string()))
        }
        sled::Error::CollectionNotFound(_) | sled::Error::Unsupported(_) | sled::Error::ReportableBug(_) => {
            failed(error)
        }
    }
}

impl Engine for SledEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.db.get(key).map_err(|error| failed(&error))?.map(|value| value.to_vec()))
    }

    fn scan_prefix(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, StoreError> {
        let start = match after {
            Some(key) => std::ops::Bound::Excluded(key.to_vec()),
            None => std::ops::Bound::Included(prefix.to_vec()),
        };
        self.db
            .range::<Vec<u8>, _>((start, std::ops::Bound::Unbounded))
            .take_while(|pair| pair.as_ref().map_or(true, |(key, _)| key.starts_with(prefix)))
            .take(limit)
            .map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(|error| failed(&error)))
            .collect()
    }

    fn batch(&self, ops: &[Op]) -> Result<(), StoreError> {
        let mut noted = self.count();
        let count = noted.saturating_add_signed(self.growth(ops)?);
        let mut batch = sled::Batch::default();
        for op in ops {
            match op {
                Op::Put { key, value } => batch.insert(key.as_slice(), value.as_slice()),
                Op::Delete { key } => batch.remove(key.as_slice()),
            }
        }
        batch.insert(SENTINEL, &count.to_be_bytes());
        self.db.apply_batch(batch).map_err(|error| failed(&error))?;
        *noted = count;
        Ok(())
    }

    fn commit(&self) -> Result<(), StoreError> {
        failpoint!("store.flush.before", |error| StoreError::io("can't flush", &self.path, error));
        self.db.flush().map_err(|error| failed(&error))?;
        failpoint!("store.flush.after");
        for entry in fs::read_dir(&self.blobs).into_iter().flatten().flatten() {
            File::open(entry.path())
                .and_then(|blob| blob.sync_all())
                .map_err(|error| StoreError::io("can't sync", entry.path(), error))?;
            files::sync_folder(&self.blobs)?;
        }
        let unsynced = |error| StoreError::io("can't sync", self.path.join("db"), error);
        failpoint!("store.sync.before", unsynced);
        self.data.sync_data().map_err(unsynced)?;
        failpoint!("store.sync.after");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sled_engine_conforms() {
        let folder = tempfile::tempdir().unwrap();
        super::super::engine::conformance::all(&SledEngine::open(folder.path()).unwrap());
    }

    #[test]
    fn records_are_there_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        {
            let engine = SledEngine::open(folder.path()).unwrap();
            engine.put(b"a", b"1").unwrap();
            engine.put(b"a", b"2").unwrap();
            engine.put(b"b", b"3").unwrap();
            engine.delete(b"b").unwrap();
            engine.commit().unwrap();
        }
        let engine = SledEngine::open(folder.path()).unwrap();
        assert_eq!(engine.get(b"a").unwrap().as_deref(), Some(&b"2"[..]));
        assert_eq!(*engine.count(), 1);
    }

    #[test]
    fn batches_of_several_threads_leave_the_right_count() {
        let folder = tempfile::tempdir().unwrap();
        {
            let engine = SledEngine::open(folder.path()).unwrap();
            std::thread::scope(|scope| {
                for thread in 0..4_u8 {
                    let engine = &engine;
                    scope.spawn(move || (0..200_u8).for_each(|n| engine.put(&[thread, n], b"1").unwrap()));
                }
            });
            engine.commit().unwrap();
        }
        assert_eq!(*SledEngine::open(folder.path()).unwrap().count(), 800);
    }

    #[test]
    fn a_lost_record_is_noticed_when_opening() {
        let folder = tempfile::tempdir().unwrap();
        {
            let engine = SledEngine::open(folder.path()).unwrap();
            engine.put(b"a", b"1").unwrap();
            engine.db.remove(b"a").unwrap();
            engine.commit().unwrap();
        }
        assert!(matches!(SledEngine::open(folder.path()), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn values_at_the_limit_stay_out_of_the_blobs_folder() {
        let folder = tempfile::tempdir().unwrap();
        let engine = SledEngine::open(folder.path()).unwrap();
        for n in 0..200_u32 {
            engine.put(&n.to_be_bytes(), &[7; super::super::payload::MAX_INLINE]).unwrap();
        }
        engine.commit().unwrap();
        assert_eq!(fs::read_dir(folder.path().join("blobs")).unwrap().count(), 0);
    }
}
