//! Pictures of the page: taken by every run, kept where `SCREENSHOTS` says.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::browser::Browser;

/// A folder for pictures.
pub(crate) struct Shots {
    folder: PathBuf,
    _own: Option<TempDir>,
}

impl Shots {
    /// The folder `SCREENSHOTS` names, or one that is gone with this.
    pub(crate) fn new() -> Self {
        if let Some(folder) = std::env::var_os("SCREENSHOTS").map(PathBuf::from) {
            std::fs::create_dir_all(&folder).unwrap();
            return Self { folder, _own: None };
        }
        let own = tempfile::tempdir().unwrap();
        Self { folder: own.path().to_owned(), _own: Some(own) }
    }

    /// Takes `<name>.png`; gives its size in bytes.
    pub(crate) async fn take(&self, page: &mut Browser, name: &str) -> usize {
        page.screenshot(&self.folder.join(format!("{name}.png"))).await
    }
}
