//! A copy of everything a start needs, and its way back.
//!
//! A backup is a folder: `store.export` with all records, `files/` with transcripts, configuration and credentials as
//! they lie in the state directory, and `manifest.json`, written last, which names every file with its length and sum.
//! On a running gateway the records are exported and the files linked while nothing is written, so that they fit
//! together; the links are copied afterwards, up to the length they had. `sessions.json` is left out: it is written
//! from the records.

mod restore;

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use ring::digest;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::export;
use super::files::{self, Draft};
use super::flush::Disk;
use super::marker::FORMAT;

pub use restore::{Restored, restore};

/// What is kept, relative to the state directory. Credentials are among it.
const KEPT: &[&str] =
    &["openclaw.json", "agents", "credentials", "cron", "identity", "openclawd/token", "openclawd/gateway.env"];
/// Written from the records, see the module.
const PROJECTION: &str = "sessions.json";
/// Version of the manifest.
const SCHEMA: u32 = 1;
const MANIFEST: &str = "manifest.json";
const EXPORT: &str = "store.export";
const FILES: &str = "files";

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Item {
    path: String,
    bytes: u64,
    sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema: u32,
    format: u32,
    created_at: String,
    records: u64,
    items: Vec<Item>,
}

/// What was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackedUp {
    /// The folder.
    pub path: PathBuf,
    /// Records in it.
    pub records: u64,
    /// Files in it.
    pub files: u64,
    /// Bytes of all.
    pub bytes: u64,
}

/// What was taken while nothing was written; to be copied.
#[derive(Debug)]
pub(super) struct Taken {
    target: PathBuf,
    links: PathBuf,
    /// Paths relative to the state directory, with the lengths that count.
    files: Vec<(PathBuf, u64)>,
    records: u64,
}

impl Drop for Taken {
    fn drop(&mut self) {
        // Links that stay behind cost names, not space; the next backup makes its own.
        drop(fs::remove_dir_all(&self.links));
    }
}

fn refused<T>(path: &Path, why: impl Into<String>) -> Result<T, StoreError> {
    Err(StoreError::Backup { path: path.to_owned(), why: why.into() })
}

/// Exports the records and links the files. Nothing may be written meanwhile.
///
/// # Errors
/// When `target` is there and not empty, or anything can't be read or written.
pub(super) fn take(disk: &Disk, target: &Path) -> Result<Taken, StoreError> {
    if !target.is_absolute() {
        return refused(target, "the folder of a backup is named by its whole path");
    }
    if fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_some()) {
        return refused(target, "a backup is made in a new or empty folder, and this one holds something");
    }
    files::private_folder(target)?;
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let links = disk.state_dir.join("openclawd").join(format!("backup.{unique}"));
    let mut taken = Taken { target: target.to_owned(), links, files: Vec::new(), records: 0 };
    taken.records = export::export(disk, &target.join(EXPORT))?.records;
    for kept in KEPT {
        link(&disk.state_dir, Path::new(kept), &mut taken)?;
    }
    Ok(taken)
}

/// Links a file, or all files of a folder.
fn link(state_dir: &Path, path: &Path, taken: &mut Taken) -> Result<(), StoreError> {
    let from = state_dir.join(path);
    let failed = |error| StoreError::io("can't look at", &from, error);
    let found = match fs::symlink_metadata(&from) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if found.is_dir() {
        for entry in fs::read_dir(&from).map_err(failed)? {
            link(state_dir, &path.join(entry.map_err(failed)?.file_name()), taken)?;
        }
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_draft = name.starts_with('.') && name.ends_with(".tmp");
    if !found.is_file() || is_draft || name == PROJECTION {
        return Ok(());
    }
    let to = taken.links.join(path);
    files::private_folder(to.parent().unwrap_or(&taken.links))?;
    match fs::hard_link(&from, &to) {
        Ok(()) => {}
        // Some file systems have no links; then the file itself is copied, now.
        Err(_) => drop(fs::copy(&from, &to).map_err(|error| StoreError::io("can't copy", &from, error))?),
    }
    taken.files.push((path.to_owned(), found.len()));
    Ok(())
}

/// Copies what was taken, and says that the backup is whole.
///
/// # Errors
/// When anything can't be read or written.
pub(super) fn finish(taken: &Taken, created_at: String) -> Result<BackedUp, StoreError> {
    let export = taken.target.join(EXPORT);
    let mut items = vec![item(&export, EXPORT.to_owned(), u64::MAX, &mut std::io::sink())?];
    for (path, length) in &taken.files {
        let to = taken.target.join(FILES).join(path);
        let mut draft = Draft::new(&to)?;
        let name = Path::new(FILES).join(path).to_string_lossy().into_owned();
        items.push(item(&taken.links.join(path), name, *length, &mut draft)?);
        draft.finish()?.publish()?;
    }
    let manifest = Manifest { schema: SCHEMA, format: FORMAT, created_at, records: taken.records, items };
    let path = taken.target.join(MANIFEST);
    let text = serde_json::to_vec_pretty(&manifest)
        .map_err(|error| StoreError::Backup { path: path.clone(), why: error.to_string() })?;
    files::replace(&path, &text)?;
    Ok(BackedUp {
        path: taken.target.clone(),
        records: manifest.records,
        files: manifest.items.len() as u64,
        bytes: manifest.items.iter().map(|item| item.bytes).sum(),
    })
}

/// Copies up to `length` bytes of a file and sums them up.
fn item(from: &Path, path: String, length: u64, to: &mut impl std::io::Write) -> Result<Item, StoreError> {
    let failed = |error| StoreError::io("can't copy", from, error);
    let mut file = File::open(from).map_err(failed)?.take(length);
    let mut context = digest::Context::new(&digest::SHA256);
    let (mut part, mut bytes) = (vec![0; 64 * 1024], 0);
    loop {
        let read = file.read(&mut part).map_err(failed)?;
        if read == 0 {
            break;
        }
        context.update(&part[..read]);
        to.write_all(&part[..read]).map_err(failed)?;
        bytes += read as u64;
    }
    let sum = context.finish();
    let sha256 = sum.as_ref().iter().fold(String::with_capacity(64), |hex, byte| hex + &format!("{byte:02x}"));
    Ok(Item { path, bytes, sha256 })
}

#[cfg(test)]
mod tests;
