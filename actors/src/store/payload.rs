//! Values too large for the engine, in files of their own.
//!
//! A stored value starts with a version byte; the byte `POINTER` says instead that the rest is the name of a file in
//! the payload folder. The file is on disk before the commit that names it.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::engine::{self, Engine};
use super::error::StoreError;
use super::files;
use super::op::Op;
use crate::failpoint::failpoint;

/// Largest value kept in the engine; above a quarter of its segment (128 KiB) per page it would use unsynced files.
pub const MAX_INLINE: usize = 8 * 1024;
/// First byte of a pointer to a file.
const POINTER: u8 = 0xFF;

/// The folder of large values.
#[derive(Debug, Clone)]
pub struct Payloads {
    folder: PathBuf,
}

impl Payloads {
    /// Uses `folder`, which is created when first needed.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Moves large values of `ops` out to files, synced. Small ones stay as they are.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn spill(&self, ops: &mut [Op]) -> Result<(), StoreError> {
        for op in ops {
            if let Op::Put { value, .. } = op
                && value.len() > MAX_INLINE
            {
                let name = uuid::Uuid::new_v4().simple().to_string();
                failpoint!("store.payload.before", |error| StoreError::io("can't write", &self.folder, error));
                files::replace(&self.folder.join(&name), value)?;
                failpoint!("store.payload.after");
                *value = std::iter::once(POINTER).chain(name.into_bytes()).collect();
            }
        }
        Ok(())
    }

    /// The value itself, read from its file when `stored` is a pointer.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn resolve(&self, stored: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        match self.file_of(&stored) {
            Some(path) => fs::read(&path).map_err(|error| StoreError::io("can't read", path, error)),
            None => Ok(stored),
        }
    }

    /// The file a stored value points to.
    #[must_use]
    pub fn file_of(&self, stored: &[u8]) -> Option<PathBuf> {
        let (&POINTER, name) = stored.split_first()? else { return None };
        std::str::from_utf8(name).ok().map(|name| self.folder.join(name))
    }

    /// Removes files that no record points to: left over from a commit that did not happen.
    ///
    /// # Errors
    /// When the engine can't be read.
    pub fn sweep(&self, engine: &dyn Engine) -> Result<usize, StoreError> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Ok(0) };
        let present: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        if present.is_empty() {
            return Ok(0);
        }
        let mut referenced = HashSet::new();
        engine::for_each(engine, b"", |_, stored| {
            referenced.extend(self.file_of(stored));
            Ok(())
        })?;
        Ok(present
            .iter()
            .filter(|path| !referenced.contains(*path))
            .filter(|path| fs::remove_file(path).is_ok())
            .count())
    }

    /// Where the files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryEngine;
    use super::*;

    #[test]
    fn large_values_go_to_files_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let payloads = Payloads::new(folder.path().join("payloads"));
        let large = vec![1_u8; MAX_INLINE + 1];
        let mut ops = [
            Op::Put { key: b"a".to_vec(), value: large.clone() },
            Op::Put { key: b"b".to_vec(), value: vec![1; MAX_INLINE] },
        ];
        payloads.spill(&mut ops).unwrap();
        let Op::Put { value: stored, .. } = &ops[0] else { panic!("a put stays a put") };
        assert!(stored.len() < 64);
        assert_eq!(payloads.resolve(stored.clone()).unwrap(), large);
        assert!(matches!(&ops[1], Op::Put { value, .. } if value.len() == MAX_INLINE));
    }

    #[test]
    fn a_sweep_removes_only_what_nothing_points_to() {
        let folder = tempfile::tempdir().unwrap();
        let payloads = Payloads::new(folder.path().to_owned());
        let engine = MemoryEngine::default();
        let mut kept = [Op::Put { key: b"a".to_vec(), value: vec![1; MAX_INLINE + 1] }];
        payloads.spill(&mut kept).unwrap();
        engine.batch(&kept).unwrap();
        let mut lost = [Op::Put { key: b"b".to_vec(), value: vec![1; MAX_INLINE + 1] }];
        payloads.spill(&mut lost).unwrap();
        assert_eq!(payloads.sweep(&engine).unwrap(), 1);
        assert_eq!(payloads.sweep(&engine).unwrap(), 0);
    }
}
