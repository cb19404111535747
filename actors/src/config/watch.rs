//! Notices that a configuration file may have changed.
//!
//! The folders are watched, not the files: editors replace a file by renaming another one over it. What is noticed is
//! only a hint; the owner reads and compares.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// Watches the folders of some files until it is dropped.
pub(super) struct FileWatch {
    /// Kept for its thread, which ends with it.
    _watcher: RecommendedWatcher,
    files: BTreeSet<PathBuf>,
    /// True from the first event until the owner has taken it: however many come, one hint is on its way.
    pending: Arc<AtomicBool>,
}

impl FileWatch {
    /// Watches `files`; `hint` is called on the watcher's own thread, at most once until [`FileWatch::taken`].
    pub(super) fn start(files: &[PathBuf], hint: impl Fn() + Send + 'static) -> notify::Result<Self> {
        let files = with_targets(files);
        let names = files.clone();
        let pending = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&pending);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let relevant = event.as_ref().map_or(true, |event| concerns(event, &names));
            if relevant && !flag.swap(true, Ordering::AcqRel) {
                hint();
            }
        })?;
        let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
        for folder in folders {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        Ok(Self { _watcher: watcher, files, pending })
    }

    /// The owner has the hint; the next event makes a new one.
    pub(super) fn taken(&self) {
        self.pending.store(false, Ordering::Release);
    }

    /// True when it watches just these files.
    pub(super) fn covers(&self, files: &[PathBuf]) -> bool {
        self.files == with_targets(files)
    }
}

/// The files, and what they are links to.
fn with_targets(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    files.iter().flat_map(|file| [Some(file.clone()), std::fs::canonicalize(file).ok()]).flatten().collect()
}

/// True when the event may mean new content. Reading is none: the owner's own reads would wake it for ever.
fn concerns(event: &notify::Event, files: &BTreeSet<PathBuf>) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => {}
        EventKind::Access(_) => return false,
    }
    // Mounted volumes swap a link called `..data` instead of the file.
    let swapped = |path: &PathBuf| path.file_name().is_some_and(|name| name == "..data");
    event.need_rescan()
        || event.paths.is_empty()
        || event.paths.iter().any(|path| files.contains(path) || swapped(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_news_about_the_files_concerns() {
        use notify::event::{CreateKind, DataChange, ModifyKind, RenameMode};
        let files = with_targets(&["/x/openclaw.json".into()]);
        for (kind, path, want) in [
            (EventKind::Modify(ModifyKind::Data(DataChange::Any)), "/x/openclaw.json", true),
            (EventKind::Modify(ModifyKind::Name(RenameMode::To)), "/x/openclaw.json", true),
            (EventKind::Create(CreateKind::File), "/x/..data", true),
            (EventKind::Create(CreateKind::File), "/x/openclaw.json.swp", false),
            (EventKind::Access(AccessKind::Open(AccessMode::Read)), "/x/openclaw.json", false),
            (EventKind::Access(AccessKind::Close(AccessMode::Write)), "/x/openclaw.json", true),
        ] {
            let event = notify::Event::new(kind).add_path(path.into());
            assert_eq!(concerns(&event, &files), want, "{kind:?} {path}");
        }
    }
}
