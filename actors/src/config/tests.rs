//! The module as its callers see it.

mod accepted;
mod includes;
mod owner;
mod refused;
mod writing;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// A state directory for one test.
struct Place(tempfile::TempDir, BTreeMap<String, String>);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap(), BTreeMap::new())
    }

    fn with(text: &str) -> Self {
        let place = Self::new();
        place.write("openclaw.json", text);
        place
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.1.insert(name.into(), value.into());
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        private(&path);
    }

    fn sources(&self) -> LoadSources {
        LoadSources {
            config_path: self.path("openclaw.json"),
            state_dir: self.0.path().to_path_buf(),
            env: self.1.clone(),
        }
    }

    #[track_caller]
    fn load(&self) -> ConfigSnapshot {
        load(&self.sources()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[track_caller]
    fn issues(&self) -> Vec<ConfigIssue> {
        match load(&self.sources()) {
            Ok(snapshot) => panic!("accepted: {}", snapshot.raw),
            Err(error) => error.issues().to_vec(),
        }
    }
}

#[cfg(unix)]
fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(not(unix))]
fn private(_: &Path) {}

/// What `text` means, in a state directory of its own.
#[track_caller]
fn config(text: &str) -> Config {
    Config::clone(&Place::with(text).load().config)
}
