//! The engine on disk: sled 0.34 in a corset.
//!
//! sled's own `flush` stops at `sync_file_range` on Linux, which survives the process but not the power; a commit
//! therefore also calls `fdatasync` on the database file. Its background flusher is off, so an idle daemon writes
//! nothing. Values stay small (see `payload`), so that sled never moves a page to its `blobs` folder, which it would
//! not sync; should it happen all the same, each new blob and that folder are synced before the commit counts.
//!
//! Invariants: the sentinel record holds the number of records and of batches and changes in the same batch as they
//! do. A database that opens with another number of records lost something silently and is refused; so is one with
//! fewer batches than its marker knows of, whose end is missing.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::engine::{Engine, Pair, Size};
use super::error::StoreError;
use super::files;
use super::marker::{self, FORMAT, Marker};
use super::migrations::{self, STEPS};
use super::op::Op;
use crate::failpoint::failpoint;

/// Where the sentinel lives; outside every scanned prefix.
const SENTINEL: &[u8] = b"\0sentinel";
/// sled's default of 1 GiB is not for a home server.
const CACHE_BYTES: u64 = 16 << 20;
/// The database's file.
const DATA: &str = "db";
/// Where sled puts pages that are too large.
const BLOBS: &str = "blobs";

/// What the sentinel says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Noted {
    records: u64,
    batches: u64,
}

impl Noted {
    fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.records.to_be_bytes());
        bytes[8..].copy_from_slice(&self.batches.to_be_bytes());
        bytes
    }

    /// The first format counted records alone.
    fn read(bytes: &[u8]) -> Option<Self> {
        let number = |part: &[u8]| part.try_into().ok().map(u64::from_be_bytes);
        match bytes.len() {
            8 => Some(Self { records: number(bytes)?, batches: 0 }),
            16 => Some(Self { records: number(&bytes[..8])?, batches: number(&bytes[8..])? }),
            _ => None,
        }
    }
}

/// An open database.
pub struct SledEngine {
    /// Taken out when it is dropped, because sled panics there when the disk fails.
    db: Option<sled::Db>,
    data: File,
    path: PathBuf,
    /// Held over a whole batch: two at once would each note their own number of records.
    noted: Mutex<Noted>,
    /// Blobs that are known to be on disk.
    synced_blobs: Mutex<HashSet<OsString>>,
}

impl std::fmt::Debug for SledEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledEngine").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Drop for SledEngine {
    fn drop(&mut self) {
        let db = self.db.take();
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(db))).is_err() {
            tracing::warn!("the database was closed while its disk failed");
        }
    }
}

impl SledEngine {
    /// Opens or creates the database in `folder`, and brings an older format up to this one.
    ///
    /// # Errors
    /// When the folder can't be used, another process holds it, a newer version wrote it, or it is damaged.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_with(folder, STEPS)
    }

    fn open_with(folder: &Path, steps: &[migrations::Migration]) -> Result<Self, StoreError> {
        let found = marker::read(folder)?;
        files::private_folder(folder)?;
        let db = sled::Config::new()
            .path(folder)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .open()
            .map_err(|error| opening(folder, &error))?;
        let data_path = folder.join(DATA);
        let data = File::options()
            .write(true)
            .open(&data_path)
            .map_err(|error| StoreError::io("can't open the store file", &data_path, error))?;
        let engine = Self {
            db: Some(db),
            data,
            path: folder.to_owned(),
            noted: Mutex::new(Noted::default()),
            synced_blobs: Mutex::default(),
        };
        let is_empty = engine.check_sentinel()?;
        engine.check_marker(found, is_empty)?;
        let format = match found {
            Some(marker) => marker.format,
            None if is_empty => engine.make()?,
            // Made before there was a marker, or its folder lost it.
            None => 1,
        };
        migrations::run(&engine, format, steps, |format| engine.mark(format))?;
        Ok(engine)
    }

    fn db(&self) -> Result<&sled::Db, StoreError> {
        self.db.as_ref().ok_or(StoreError::Unavailable)
    }

    /// A new database: its files have names that survive, and it says that it exists.
    fn make(&self) -> Result<u32, StoreError> {
        self.batch(&[])?;
        self.commit()?;
        files::sync_folder(&self.path)?;
        if let Some(parent) = self.path.parent() {
            files::sync_folder(parent)?;
        }
        self.mark(FORMAT)?;
        Ok(FORMAT)
    }

    fn mark(&self, format: u32) -> Result<(), StoreError> {
        let batches = self.noted().batches;
        marker::write(&self.path, Marker { format, batches })
    }

    /// One that is found without what was surely in it has lost it.
    fn check_marker(&self, found: Option<Marker>, is_empty: bool) -> Result<(), StoreError> {
        let damaged = |found: String| Err(StoreError::Damaged { path: self.path.clone(), found });
        let batches = self.noted().batches;
        match found {
            Some(_) if is_empty => damaged(String::from("it holds nothing at all")),
            Some(marker) if batches < marker.batches => {
                damaged(format!("it ends at batch {batches}, and went on to {} at least", marker.batches))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Counts the records. True when there is nothing, not even a sentinel.
    fn check_sentinel(&self) -> Result<bool, StoreError> {
        let db = self.db()?;
        let mut found = 0_u64;
        for key in db.iter().keys() {
            if key.map_err(|error| failed(&error))? != SENTINEL {
                found += 1;
            }
        }
        let sentinel = db.get(SENTINEL).map_err(|error| failed(&error))?;
        let noted = match &sentinel {
            Some(bytes) => Noted::read(bytes),
            None if found == 0 => Some(Noted::default()),
            None => None,
        };
        let Some(noted) = noted.filter(|noted| noted.records == found) else {
            let should = noted.map_or_else(|| String::from("say how many"), |noted| noted.records.to_string());
            return Err(StoreError::Damaged {
                path: self.path.clone(),
                found: format!("it holds {found} records, and should hold {should}"),
            });
        };
        *self.noted() = noted;
        Ok(sentinel.is_none())
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Change of the record count that `ops`, applied in order, will make.
    fn growth(&self, ops: &[Op]) -> Result<i64, StoreError> {
        let db = self.db()?;
        let mut seen = std::collections::HashMap::<&[u8], bool>::new();
        let mut growth = 0;
        for op in ops {
            let (key, present_after) = match op {
                Op::Put { key, .. } => (key.as_slice(), true),
                Op::Delete { key } => (key.as_slice(), false),
            };
            let present_before = match seen.get(key) {
                Some(&present) => present,
                None => db.contains_key(key).map_err(|error| failed(&error))?,
            };
            growth += i64::from(present_after) - i64::from(present_before);
            seen.insert(key, present_after);
        }
        Ok(growth)
    }

    /// Syncs what sled moved out of its file since the last time. Empty in the common case.
    fn sync_blobs(&self) -> Result<(), StoreError> {
        let folder = self.path.join(BLOBS);
        let mut synced = self.synced_blobs.lock().unwrap_or_else(PoisonError::into_inner);
        let present: HashSet<OsString> =
            fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
        if present == *synced {
            return Ok(());
        }
        for name in present.difference(&synced) {
            let path = folder.join(name);
            match File::open(&path).and_then(|blob| blob.sync_all()) {
                Ok(()) => {}
                // Its page was written anew meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("can't sync", path, error)),
            }
        }
        files::sync_folder(&folder)?;
        *synced = present;
        Ok(())
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
        Ok(self.db()?.get(key).map_err(|error| failed(&error))?.map(|value| value.to_vec()))
    }

    fn scan_prefix(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, StoreError> {
        let start = match after {
            Some(key) => std::ops::Bound::Excluded(key.to_vec()),
            None => std::ops::Bound::Included(prefix.to_vec()),
        };
        self.db()?
            .range::<Vec<u8>, _>((start, std::ops::Bound::Unbounded))
            .filter(|pair| pair.as_ref().map_or(true, |(key, _)| key != SENTINEL))
            .take_while(|pair| pair.as_ref().map_or(true, |(key, _)| key.starts_with(prefix)))
            .take(limit)
            .map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(|error| failed(&error)))
            .collect()
    }

    fn batch(&self, ops: &[Op]) -> Result<(), StoreError> {
        let mut noted = self.noted();
        let next =
            Noted { records: noted.records.saturating_add_signed(self.growth(ops)?), batches: noted.batches + 1 };
        let mut batch = sled::Batch::default();
        for op in ops {
            match op {
                Op::Put { key, value } => batch.insert(key.as_slice(), value.as_slice()),
                Op::Delete { key } => batch.remove(key.as_slice()),
            }
        }
        batch.insert(SENTINEL, &next.bytes());
        self.db()?.apply_batch(batch).map_err(|error| failed(&error))?;
        *noted = next;
        Ok(())
    }

    fn commit(&self) -> Result<(), StoreError> {
        failpoint!("store.flush.before", |error| StoreError::io("can't flush", &self.path, error));
        self.db()?.flush().map_err(|error| failed(&error))?;
        failpoint!("store.flush.after");
        self.sync_blobs()?;
        let unsynced = |error| StoreError::io("can't sync", self.path.join(DATA), error);
        failpoint!("store.sync.before", unsynced);
        self.data.sync_data().map_err(unsynced)?;
        failpoint!("store.sync.after");
        Ok(())
    }

    fn check_place(&self) -> Result<(), StoreError> {
        let path = self.path.join(DATA);
        let opened = self.data.metadata().map_err(|error| StoreError::io("can't look at", &path, error))?;
        match fs::metadata(&path) {
            Ok(found) if (found.dev(), found.ino()) == (opened.dev(), opened.ino()) => Ok(()),
            Ok(_) => Err(StoreError::Gone { path }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(StoreError::Gone { path }),
            Err(error) => Err(StoreError::io("can't look at", path, error)),
        }
    }

    fn seal(&self) -> Result<(), StoreError> {
        self.mark(FORMAT)
    }

    fn size(&self) -> Result<Size, StoreError> {
        let noted = *self.noted();
        let files = [DATA, BLOBS].map(|name| self.path.join(name));
        let bytes_on_disk = files.iter().map(|path| files::size_of(path)).sum();
        Ok(Size { records: noted.records, batches: noted.batches, bytes_on_disk })
    }
}

#[cfg(test)]
mod tests;
