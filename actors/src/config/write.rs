//! Replaces the configuration file: all or nothing, durable, private.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::issue::ConfigError;
use super::load::{LoadSources, ReadError, check, read_text};
use super::redact::{RestoreError, SENTINEL, restore_text};
use super::snapshot::{ConfigSnapshot, sha256_hex};
use crate::clock::EpochMs;

/// Backups kept: `.bak`, `.bak.1` … `.bak.4`, the newest first (OpenClaw: a ring of five).
const BACKUPS: usize = 5;
/// A file below this size may shrink as it likes.
const SMALL: usize = 512;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file is not the one the writer saw.
    #[error("config changed since last load; re-run config.get and retry")]
    Stale,
    /// The new content is refused.
    #[error(transparent)]
    Invalid(#[from] ConfigError),
    /// A hidden secret could not be put back.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The new content loses so much that it looks like an accident.
    #[error("{what}; nothing was changed, the text is kept in {}", kept.display())]
    Clobber {
        /// What would be lost.
        what: &'static str,
        /// Where the refused text lies.
        kept: PathBuf,
    },
    /// The file system refused.
    #[error("{} cannot be written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The owner of the configuration did not answer.
    #[error("the configuration's owner did not answer: {0}")]
    Unavailable(String),
}

/// Checks `raw` and makes it the configuration file. Hidden secrets in it are put back first. `base_hash` is the hash
/// of the text the writer started from; needless only while there is no file.
///
/// The returned snapshot is what the file now says; its revision is 0 until the owner publishes it.
///
/// # Errors
/// When the base is stale, the content is refused, or the file system is; the file is then as before.
pub fn write(
    sources: &LoadSources,
    raw: &str,
    base_hash: Option<&str>,
    now: EpochMs,
) -> Result<ConfigSnapshot, WriteError> {
    // Through a symbolic link, the file it names is replaced.
    let path = fs::canonicalize(&sources.config_path).unwrap_or_else(|_| sources.config_path.clone());
    let fail = |source| WriteError::Io { path: path.clone(), source };
    let old = current(&path)?;
    match (&old, base_hash) {
        (Some(text), Some(base)) if sha256_hex(text.as_bytes()) == base => {}
        (None, None) => {}
        (None, Some(base)) if base.is_empty() || base == sha256_hex(b"") => {}
        (Some(_) | None, Some(_) | None) => return Err(WriteError::Stale),
    }
    let text = restore_text(raw, old.as_deref().unwrap_or(""))?;
    let snapshot = check(sources, text)?;
    if let Some(old) = &old {
        guard(old, &snapshot, sources, &path, now)?;
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_private_dir(folder).map_err(fail)?;
    let temp = write_temp(&path, snapshot.raw.as_bytes()).map_err(fail)?;
    // The last look before the swap: whatever was saved meanwhile wins.
    let unchanged = current(&path).is_ok_and(|now| now == old);
    let swapped = if unchanged { rotate(&path).and_then(|()| fs::rename(&temp, &path)) } else { Ok(()) };
    if !unchanged || swapped.is_err() {
        remove(&temp);
    }
    swapped.map_err(fail)?;
    if !unchanged {
        return Err(WriteError::Stale);
    }
    sync_dir(folder).map_err(fail)?;
    Ok(snapshot)
}

fn current(path: &Path) -> Result<Option<String>, WriteError> {
    let fail = |source| WriteError::Io { path: path.to_path_buf(), source };
    match read_text(path) {
        Ok(text) => Ok(Some(text)),
        Err(ReadError::Missing) => Ok(None),
        Err(ReadError::Io(source)) => Err(fail(source)),
        Err(ReadError::NotAFile { what }) => Err(fail(io::Error::other(what))),
        Err(ReadError::TooLarge { .. }) => Err(fail(io::Error::other("the file there is too large"))),
        Err(ReadError::NotUtf8 { .. }) => Err(fail(io::Error::other("the file there is not UTF-8"))),
    }
}

/// Refuses what looks like an accident, and keeps the refused text beside the file.
fn guard(old: &str, new: &ConfigSnapshot, sources: &LoadSources, path: &Path, now: EpochMs) -> Result<(), WriteError> {
    let mode = |value: &serde_json::Value| value.pointer("/gateway/mode").is_some();
    let had_mode = check(sources, old.to_owned()).is_ok_and(|old| mode(&old.authored));
    let what = if had_mode && !mode(&new.authored) {
        "the new text drops gateway.mode"
    } else if old.len() >= SMALL && new.raw.len() < old.len() / 2 {
        "the new text is less than half as long as the old one"
    } else {
        return Ok(());
    };
    let kept = with_suffix(path, &format!(".rejected.{now}"));
    let saved = write_temp(path, new.raw.as_bytes()).and_then(|temp| fs::rename(temp, &kept));
    saved.map_err(|source| WriteError::Io { path: kept.clone(), source })?;
    Err(WriteError::Clobber { what, kept })
}

/// Moves the backups one on and copies the file to the first place.
fn rotate(path: &Path) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let backup = |n: usize| with_suffix(path, &if n == 0 { ".bak".to_owned() } else { format!(".bak.{n}") });
    for n in (0..BACKUPS - 1).rev() {
        match fs::rename(backup(n), backup(n + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    let bytes = fs::read(path)?;
    fs::rename(write_temp(path, &bytes)?, backup(0))
}

/// Keeps a copy of a configuration the gateway came up with, in `openclawd/` of the state directory. It is never
/// taken back by itself. One that holds placeholders instead of secrets is not kept.
///
/// # Errors
/// When the copy cannot be written.
pub fn keep_last_good(snapshot: &ConfigSnapshot, state_dir: &Path) -> io::Result<()> {
    if !snapshot.exists || ["***", "[redacted]", SENTINEL].iter().any(|mark| snapshot.raw.contains(mark)) {
        return Ok(());
    }
    let path = state_dir.join("openclawd").join("openclaw.json.last-good");
    if fs::read_to_string(&path).is_ok_and(|text| text == snapshot.raw) {
        return Ok(());
    }
    create_private_dir(&state_dir.join("openclawd"))?;
    fs::rename(write_temp(&path, snapshot.raw.as_bytes())?, path)
}

/// Writes a new file beside `path`, only for its owner, and syncs it.
pub(super) fn write_temp(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let temp = with_suffix(path, &format!(".{}.tmp", uuid::Uuid::new_v4().simple()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let written = options.open(&temp).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    match written {
        Ok(()) => Ok(temp),
        Err(error) => {
            remove(&temp);
            Err(error)
        }
    }
}

/// A folder only its owner can enter; one that exists is left as it is.
pub(super) fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)
}

/// Makes a rename in `folder` durable.
pub(super) fn sync_dir(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Removes a temporary file; one that is gone already is as good.
pub(super) fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(%error, "temporary file left behind");
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
