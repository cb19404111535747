//! Files of the state directory: private, written whole or not at all, and on disk when said to be.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::error::StoreError;
use crate::failpoint::failpoint;

/// Creates a folder (and its parents) that only the owner can enter.
///
/// # Errors
/// When it can't be created.
pub fn private_folder(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| StoreError::io("can't create the folder", path, error))
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
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    private_folder(folder)?;
    let temporary = folder.join(format!(".{}.{}.tmp", name_of(path), uuid::Uuid::new_v4().simple()));
    let written = (|| {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&temporary)?;
        failpoint!("store.replace.before_write", |error| error);
        file.write_all(bytes)?;
        failpoint!("store.replace.before_sync", |error| error);
        file.sync_all()?;
        failpoint!("store.replace.before_rename", |error| error);
        fs::rename(&temporary, path)?;
        failpoint!("store.replace.after_rename");
        Ok(())
    })();
    if let Err(error) = written {
        // The half-written file is of no use to anybody; that it stays behind is the lesser evil.
        drop(fs::remove_file(&temporary));
        return Err(StoreError::io("can't write", path, error));
    }
    sync_folder(folder)
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
