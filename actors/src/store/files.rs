//! Files of the state directory: private, written whole or not at all, and on disk when said to be.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::error::StoreError;
use crate::failpoint::failpoint;

/// Creates a folder (and its parents) that only the owner can enter. The names it makes survive a loss of power.
///
/// # Errors
/// When it can't be created.
pub fn private_folder(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| StoreError::io("can't create the folder", path, error))?;
    for parent in missing.iter().filter_map(|folder| folder.parent()) {
        sync_folder(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
    }
    Ok(())
}

/// Opens a file of the owner alone for appending; tells whether nothing is in it yet. One that was made and not written
/// to before the daemon died is as good as none.
///
/// # Errors
/// When it can't be opened.
pub fn append_private(path: &Path) -> Result<(File, bool), StoreError> {
    let failed = |error| StoreError::io("can't open", path, error);
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(failed)?;
    let fresh = file.metadata().map_err(failed)?.len() == 0;
    Ok((file, fresh))
}

/// Replaces `path` by `bytes`: whole new content or the old one, also when the power goes.
///
/// # Errors
/// When any step fails; the old content is still there then.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut draft = Draft::new(path)?;
    failpoint!("store.replace.before_write", |error| StoreError::io("can't write", path, error));
    draft.write_all(bytes).map_err(|error| StoreError::io("can't write", path, error))?;
    draft.finish()?.publish()
}

/// The new content of a file while it is written. Gone without a trace unless it is published.
#[derive(Debug)]
pub struct Draft<F = BufWriter<File>> {
    file: F,
    names: Names,
}

#[derive(Debug)]
struct Names {
    temporary: PathBuf,
    path: PathBuf,
    is_published: bool,
}

impl Drop for Names {
    fn drop(&mut self) {
        if !self.is_published {
            // The half-written file is of no use to anybody; that it stays behind is the lesser evil.
            drop(fs::remove_file(&self.temporary));
        }
    }
}

impl Draft {
    /// Begins new content for `path`.
    ///
    /// # Errors
    /// When nothing can be written beside it.
    pub fn new(path: &Path) -> Result<Self, StoreError> {
        let folder = folder_of(path);
        private_folder(folder)?;
        let temporary = folder.join(format!(".{}.{}.tmp", name_of(path), uuid::Uuid::new_v4().simple()));
        let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&temporary);
        let file = file.map_err(|error| StoreError::io("can't write", path, error))?;
        let names = Names { temporary, path: path.to_owned(), is_published: false };
        Ok(Self { file: BufWriter::new(file), names })
    }

    /// All of it is written: brings it to disk, still under its own name.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(self) -> Result<Draft<File>, StoreError> {
        let Self { file, names } = self;
        let failed = |error| StoreError::io("can't write", &names.path, error);
        let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        failpoint!("store.replace.before_sync", failed);
        file.sync_all().map_err(failed)?;
        Ok(Draft { file, names })
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Draft<File> {
    /// Puts it in the place of the old content.
    ///
    /// # Errors
    /// When it can't be renamed, or that can't be brought to disk.
    pub fn publish(mut self) -> Result<(), StoreError> {
        let failed = |error| StoreError::io("can't write", &self.names.path, error);
        failpoint!("store.replace.before_rename", failed);
        fs::rename(&self.names.temporary, &self.names.path).map_err(failed)?;
        failpoint!("store.replace.after_rename");
        self.names.is_published = true;
        sync_folder(folder_of(&self.names.path))
    }

    /// Its length.
    ///
    /// # Errors
    /// When it can't be looked at.
    pub fn length(&self) -> Result<u64, StoreError> {
        let failed = |error| StoreError::io("can't look at", &self.names.path, error);
        self.file.metadata().map(|found| found.len()).map_err(failed)
    }
}

/// Removes drafts in a folder that a crash left behind. Only while nobody writes there.
pub fn remove_drafts(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let unique = name.to_str().and_then(|name| name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.'));
        if unique.is_some_and(|(_, unique)| uuid::Uuid::try_parse(unique).is_ok()) {
            // One that stays is a few bytes that nobody reads.
            drop(fs::remove_file(entry.path()));
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Makes created, renamed and removed names of a folder survive a loss of power.
///
/// # Errors
/// When the disk refuses.
pub fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("can't sync the folder", path, error);
    failpoint!("store.sync_folder.before", failed);
    File::open(path).and_then(|folder| folder.sync_all()).map_err(failed)?;
    failpoint!("store.sync_folder.after");
    Ok(())
}

/// Bytes of a file, or of the files in a folder. What can't be looked at counts as nothing.
#[must_use]
pub fn size_of(path: &Path) -> u64 {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size_of(&entry.path())).sum()
        }
        Ok(found) => found.len(),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_that_was_made_and_never_written_to_is_fresh() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.jsonl");
        assert!(append_private(&path).unwrap().1);
        let (mut file, fresh) = append_private(&path).unwrap();
        assert!(fresh);
        file.write_all(b"x").unwrap();
        assert!(!append_private(&path).unwrap().1);
    }

    #[test]
    fn a_replaced_file_is_private_and_leaves_no_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/file.json");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
