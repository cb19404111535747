//! Putting a backup back.
//!
//! All of it is checked first, then laid out beside the state it replaces, then put in its place by renames. What was
//! there is kept aside.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::{EXPORT, FILES, Item, KEPT, MANIFEST, Manifest, SCHEMA, item, refused};
use crate::ids::AgentId;
use crate::store::error::StoreError;
use crate::store::export;
use crate::store::files::{self, Draft};
use crate::store::flush::Disk;
use crate::store::marker::FORMAT;
use crate::store::opening::STORE;
use crate::store::projection;
use crate::store::sled_engine::SledEngine;

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// Records.
    pub records: u64,
    /// Files.
    pub files: u64,
    /// Where everything is that was there before; nothing when there was nothing.
    pub kept_aside: Option<PathBuf>,
}

/// Puts the backup in `source` into a state directory that no gateway uses.
///
/// # Errors
/// When the backup is not whole, or of a newer version; nothing was changed then. When something can't be written.
pub fn restore(state_dir: &Path, source: &Path) -> Result<Restored, StoreError> {
    let manifest = checked(source)?;
    let ours = state_dir.join("openclawd");
    let unique = uuid::Uuid::now_v7().simple().to_string();
    let staged = ours.join(format!("restore.{unique}"));
    let aside = ours.join(format!("before-restore.{unique}"));
    files::private_folder(&staged)?;
    let laid_out = lay_out(&manifest, source, &staged);
    if laid_out.is_err() {
        // What was laid out so far is of no use to anybody.
        drop(fs::remove_dir_all(&staged));
    }
    laid_out?;
    let mut parts: Vec<&str> = KEPT.to_vec();
    parts.extend([STORE, "openclawd/payloads"]);
    let mut was_there = false;
    for part in parts {
        let (new, old) = (staged.join(part), state_dir.join(part));
        // Configuration and credentials that the backup lacks stay; conversations and records are one thing with it.
        let is_replaced =
            new.exists() || part == "agents" || part.starts_with("openclawd/store") || part.ends_with("payloads");
        if is_replaced && old.exists() {
            was_there = true;
            rename(&old, &aside.join(part))?;
        }
        if new.exists() {
            rename(&new, &old)?;
        }
    }
    drop(fs::remove_dir_all(&staged));
    let kept_aside = was_there.then_some(aside);
    Ok(Restored { records: manifest.records, files: manifest.items.len() as u64, kept_aside })
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    let folder = to.parent().unwrap_or(to);
    files::private_folder(folder)?;
    fs::rename(from, to).map_err(|error| StoreError::io("can't move", from, error))?;
    files::sync_folder(folder)
}

/// The manifest, once every file is what it says.
fn checked(source: &Path) -> Result<Manifest, StoreError> {
    let path = source.join(MANIFEST);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return refused(source, format!("this is no backup, or one that was not finished: it has no {MANIFEST}"));
        }
        Err(error) => return Err(StoreError::io("can't read", path, error)),
    };
    let manifest: Manifest = match serde_json::from_slice(&text) {
        Ok(manifest) => manifest,
        Err(error) => return refused(&path, error.to_string()),
    };
    if manifest.schema > SCHEMA || manifest.format > FORMAT {
        return Err(StoreError::Newer { found: manifest.format.max(manifest.schema), known: FORMAT });
    }
    let mut seen = BTreeSet::new();
    for named in &manifest.items {
        if !is_ours(&named.path) || !seen.insert(named.path.as_str()) {
            return refused(&path, format!("it names a file that no backup holds: {}", named.path));
        }
        let from = source.join(&named.path);
        if !fs::symlink_metadata(&from).is_ok_and(|found| found.is_file()) {
            return refused(&from, "the backup lacks this file");
        }
        let found = item(&from, named.path.clone(), u64::MAX, &mut std::io::sink())?;
        if found != *named {
            return refused(&from, "the file is not what the manifest says it is");
        }
    }
    if !seen.contains(EXPORT) {
        return refused(&path, "it names no records");
    }
    Ok(manifest)
}

/// Only what [`super::take`] puts there, and nothing that leads elsewhere.
fn is_ours(path: &str) -> bool {
    let parts = Path::new(path);
    let is_plain = parts.components().all(|part| matches!(part, Component::Normal(_)));
    let kept = parts.strip_prefix(FILES).is_ok_and(|path| KEPT.iter().any(|kept| path.starts_with(kept)));
    is_plain && (path == EXPORT || kept)
}

/// Builds the state the backup holds in `staged`.
fn lay_out(manifest: &Manifest, source: &Path, staged: &Path) -> Result<(), StoreError> {
    for Item { path, .. } in &manifest.items {
        let Ok(inside) = Path::new(path).strip_prefix(FILES) else { continue };
        let mut draft = Draft::new(&staged.join(inside))?;
        item(&source.join(path), String::new(), u64::MAX, &mut draft)?;
        draft.finish()?.publish()?;
    }
    let disk = Disk::new(Arc::new(SledEngine::open(&staged.join(STORE))?), staged.to_owned());
    export::import(&source.join(EXPORT), &disk)?;
    let agents = fs::read_dir(staged.join("agents")).into_iter().flatten().flatten();
    for agent in agents {
        let agent = AgentId::normalised(&agent.file_name().to_string_lossy());
        projection::write(disk.engine.as_ref(), &disk.payloads, staged, &agent)?;
    }
    disk.engine.commit()?;
    disk.engine.seal()
}
