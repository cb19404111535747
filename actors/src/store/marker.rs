//! The file beside the database that says in which format the state is and how far the database went at least.
//!
//! It is read before the database is opened, which by itself may write: a state of a newer version is refused untouched.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::files;

/// The format this version writes. A higher one is refused, a lower one is brought up step by step.
pub const FORMAT: u32 = 2;
/// Its name in the folder of the database.
const NAME: &str = "made";

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Format of the state.
    pub format: u32,
    /// Batches that the database holds at least.
    pub batches: u64,
}

fn path_in(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// Reads it; nothing when there is none.
///
/// # Errors
/// When it can't be read, does not make sense, or names a format above [`FORMAT`].
pub fn read(folder: &Path) -> Result<Option<Marker>, StoreError> {
    let path = path_in(folder);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("can't read", path, error)),
    };
    let mut numbers = text.split_whitespace();
    let format = numbers.next().and_then(|format| format.parse().ok());
    let Some(format) = format else {
        let found = format!("{} names no format", path.display());
        return Err(StoreError::Damaged { path: folder.to_owned(), found });
    };
    if format > FORMAT {
        return Err(StoreError::Newer { found: format, known: FORMAT });
    }
    // The first format had the number alone.
    let batches = numbers.next().and_then(|batches| batches.parse().ok()).unwrap_or(0);
    Ok(Some(Marker { format, batches }))
}

/// Replaces it.
///
/// # Errors
/// When it can't be written; the old one is still there then.
pub fn write(folder: &Path, marker: Marker) -> Result<(), StoreError> {
    files::replace(&path_in(folder), format!("{} {}\n", marker.format, marker.batches).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        let marker = Marker { format: FORMAT, batches: 7 };
        write(folder.path(), marker).unwrap();
        assert_eq!(read(folder.path()).unwrap(), Some(marker));
    }

    #[test]
    fn the_first_format_counted_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(path_in(folder.path()), "1\n").unwrap();
        assert_eq!(read(folder.path()).unwrap(), Some(Marker { format: 1, batches: 0 }));
    }

    #[test]
    fn a_newer_format_and_nonsense_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(path_in(folder.path()), "99 1 more\n").unwrap();
        assert!(matches!(read(folder.path()), Err(StoreError::Newer { found: 99, known: FORMAT })));
        fs::write(path_in(folder.path()), "").unwrap();
        assert!(matches!(read(folder.path()), Err(StoreError::Damaged { .. })));
    }
}
