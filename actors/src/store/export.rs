//! All records in one file that any later version can read: for backups, and for looking at them elsewhere.
//!
//! A line that says what it is, then for each record two lengths (four bytes each, the highest first), key and value,
//! then the SHA-256 of all that. Values are whole, also large ones.

use std::fs::File;
use std::io::{BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use ring::digest;
use serde::Serialize;

use super::engine;
use super::error::StoreError;
use super::files::Draft;
use super::flush::Disk;
use super::marker::FORMAT;
use super::migrations;
use super::op::Op;

/// Begins the first line; the format of the state follows.
const MAGIC: &str = "openclawd store export 1, format ";
/// Length that stands for the end.
const END: u32 = u32::MAX;
/// Longest key or value that is believed.
const MAX_PART: u32 = 256 << 20;
/// Operations of one batch when records are read back.
const READ_AT_ONCE: usize = 256;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// The file.
    pub path: PathBuf,
    /// Records in it.
    pub records: u64,
    /// Its length.
    pub bytes: u64,
}

/// Writes all records to `path`, which must not be there.
///
/// # Errors
/// When the file is there or can't be written, or the engine fails.
pub(super) fn export(disk: &Disk, path: &Path) -> Result<Exported, StoreError> {
    if path.exists() {
        let there = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        return Err(StoreError::io("can't write", path, there));
    }
    let failed = |error| StoreError::io("can't write", path, error);
    let mut draft = Draft::new(path)?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut put = |part: &[u8]| {
        context.update(part);
        draft.write_all(part).map_err(failed)
    };
    put(format!("{MAGIC}{FORMAT}\n").as_bytes())?;
    let mut records = 0;
    engine::for_each(disk.engine.as_ref(), b"", |key, stored| {
        let value = disk.payloads.resolve(stored.to_vec())?;
        for part in [key, &value] {
            put(&length(part).to_be_bytes())?;
        }
        records += 1;
        put(key)?;
        put(&value)
    })?;
    put(&END.to_be_bytes())?;
    let sum = context.finish();
    draft.write_all(sum.as_ref()).map_err(failed)?;
    let draft = draft.finish()?;
    let bytes = draft.length()?;
    draft.publish()?;
    Ok(Exported { path: path.to_owned(), records, bytes })
}

fn length(part: &[u8]) -> u32 {
    u32::try_from(part.len()).unwrap_or(MAX_PART)
}

/// Reads a file back into an empty disk; all of it is checked before any of it counts.
///
/// # Errors
/// When the file is none of ours, of a newer version or damaged, or the engine fails.
pub(super) fn import(path: &Path, disk: &Disk) -> Result<u64, StoreError> {
    let (_, format) = read(path, |_, _| Ok(()))?;
    let mut ops = Vec::new();
    let (records, _) = read(path, |key, value| {
        ops.push(Op::Put { key, value });
        if ops.len() == READ_AT_ONCE {
            let mut batch = std::mem::take(&mut ops);
            disk.payloads.spill(&mut batch)?;
            disk.engine.batch(&batch)?;
        }
        Ok(())
    })?;
    disk.payloads.spill(&mut ops)?;
    disk.engine.batch(&ops)?;
    migrations::run(disk.engine.as_ref(), format, migrations::STEPS, |_| Ok(()))?;
    disk.engine.commit()?;
    Ok(records)
}

/// Shows each record; fails at the first thing that is wrong. How many there are, and of which format.
fn read(
    path: &Path,
    mut look: impl FnMut(Vec<u8>, Vec<u8>) -> Result<(), StoreError>,
) -> Result<(u64, u32), StoreError> {
    let failed = |error| StoreError::io("can't read", path, error);
    let damaged = |found: &str| StoreError::Damaged { path: path.to_owned(), found: found.to_owned() };
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let mut context = digest::Context::new(&digest::SHA256);
    let mut head = Vec::new();
    std::io::BufRead::read_until(&mut (&mut file).take(200), b'\n', &mut head).map_err(failed)?;
    context.update(&head);
    let format = std::str::from_utf8(&head).ok().and_then(|head| head.strip_prefix(MAGIC)?.trim_end().parse().ok());
    let format = match format {
        Some(format) if format <= FORMAT => format,
        Some(found) => return Err(StoreError::Newer { found, known: FORMAT }),
        None => return Err(damaged("it is no export of a store")),
    };
    let mut records = 0;
    loop {
        let mut take = |length: u32| -> Result<Vec<u8>, StoreError> {
            if length > MAX_PART {
                return Err(damaged("a length makes no sense"));
            }
            let mut part = Vec::new();
            let read = (&mut file).take(u64::from(length)).read_to_end(&mut part).map_err(failed)?;
            if read != length as usize {
                return Err(damaged("its end is missing"));
            }
            context.update(&part);
            Ok(part)
        };
        let mut number = || take(4).map(|part| part.try_into().map_or(END, u32::from_be_bytes));
        let key = number()?;
        if key == END {
            break;
        }
        let value = number()?;
        let (key, value) = (take(key)?, take(value)?);
        look(key, value)?;
        records += 1;
    }
    let mut sum = Vec::new();
    file.read_to_end(&mut sum).map_err(failed)?;
    if context.finish().as_ref() == sum { Ok((records, format)) } else { Err(damaged("its sum is wrong")) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::memory::MemoryEngine;
    use super::super::op::Commit;
    use super::super::payload::MAX_INLINE;
    use super::*;

    fn disk(folder: &Path) -> Disk {
        Disk::new(Arc::new(MemoryEngine::default()), folder.to_owned())
    }

    fn exported() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk(&folder.path().join("state"));
        let puts = (0..600_u32).map(|n| Commit::new().put(n.to_be_bytes().to_vec(), vec![1; n as usize]));
        disk.write(puts.collect());
        disk.write(vec![Commit::new().put(b"large".to_vec(), vec![7; MAX_INLINE * 3])]);
        let path = folder.path().join("all.export");
        let told = export(&disk, &path).unwrap();
        assert_eq!((told.records, told.bytes), (601, std::fs::metadata(&path).unwrap().len()));
        (folder, path)
    }

    #[test]
    fn what_was_exported_comes_back() {
        let (folder, path) = exported();
        let again = disk(&folder.path().join("again"));
        assert_eq!(import(&path, &again).unwrap(), 601);
        let large = again.engine.get(b"large").unwrap().unwrap();
        assert_eq!(again.payloads.resolve(large).unwrap(), vec![7; MAX_INLINE * 3]);
        assert_eq!(again.engine.get(&599_u32.to_be_bytes()).unwrap().unwrap().len(), 599);
    }

    #[test]
    fn a_file_that_is_there_is_not_replaced() {
        let (folder, path) = exported();
        export(&disk(&folder.path().join("other")), &path).unwrap_err();
        assert!(import(&path, &disk(&folder.path().join("again"))).is_ok());
    }

    #[test]
    fn a_damaged_export_is_refused_before_anything_of_it_counts() {
        let (folder, path) = exported();
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for bytes in [&whole[..whole.len() - 1], &whole[..40], &whole[..10], &flipped, b""] {
            std::fs::write(&path, bytes).unwrap();
            let again = disk(&folder.path().join("again"));
            assert!(matches!(import(&path, &again), Err(StoreError::Damaged { .. })), "{} bytes", bytes.len());
            assert_eq!(again.engine.size().unwrap().records, 0);
        }
        std::fs::write(&path, format!("{MAGIC}{}\n", FORMAT + 1)).unwrap();
        assert!(matches!(import(&path, &disk(folder.path())), Err(StoreError::Newer { .. })));
    }
}
