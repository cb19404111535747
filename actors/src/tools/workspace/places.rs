//! Where an agent's folder is, and what is out of bounds in it.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::FileError;

/// Folders of the state directory that are no workspace and hold none.
const PRIVATE: &[&str] = &["agents", "credentials", "logs", "openclawd"];

/// Where an agent's folder is, and what is out of bounds in it.
#[derive(Debug, Clone)]
pub struct WorkspacePlaces {
    /// The folder.
    pub root: PathBuf,
    /// The state directory of the gateway; only workspaces in it may be used.
    pub state_dir: PathBuf,
    /// The configuration: the file and what it includes.
    pub config_files: Arc<[PathBuf]>,
}

/// A file or folder, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    number: u64,
}

impl Identity {
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        Self { device: metadata.dev(), number: metadata.ino() }
    }

    fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }
}

/// What is out of bounds, by identity and, for files that may not exist yet, by their place.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusals {
    things: Vec<Identity>,
    names: Vec<(Identity, std::ffi::OsString)>,
}

impl Refusals {
    pub(super) fn of(places: &WorkspacePlaces) -> Self {
        let mut refusals = Self::default();
        refusals.things.extend(Identity::at(&places.state_dir));
        for file in places.config_files.iter() {
            refusals.things.extend(Identity::at(file));
            if let (Some(folder), Some(name)) = (file.parent().and_then(Identity::at), file.file_name()) {
                refusals.names.push((folder, name.to_owned()));
            }
        }
        refusals
    }

    pub(super) fn has(&self, thing: Identity) -> bool {
        self.things.contains(&thing)
    }

    pub(super) fn has_name(&self, folder: Identity, name: &std::ffi::OsStr) -> bool {
        self.names.iter().any(|(of, refused)| *of == folder && refused.eq_ignore_ascii_case(name))
    }
}

/// The folder itself, made if it is missing, without symbolic links in its path.
pub(super) fn real_root(places: &WorkspacePlaces) -> Result<PathBuf, FileError> {
    let root = &places.root;
    let failed = |error: std::io::Error| FileError::Workspace(format!("{}: {error}", root.display()));
    if !root.is_dir() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(failed)?;
    }
    let real = root.canonicalize().map_err(failed)?;
    let Ok(state) = places.state_dir.canonicalize() else { return Ok(real) };
    let Ok(inside) = real.strip_prefix(&state) else { return Ok(real) };
    let first = inside.components().next().map(|part| part.as_os_str().to_owned());
    match first {
        Some(first) if !PRIVATE.iter().any(|private| first.eq_ignore_ascii_case(private)) => Ok(real),
        Some(_) | None => {
            Err(FileError::Workspace(format!("{} belongs to the gateway; configure another folder", root.display())))
        }
    }
}
