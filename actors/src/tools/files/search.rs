//! Going through a part of the workspace, folder by folder, in order.
//!
//! Links are not followed, `.git` is left out, and what the `.gitignore` files on the way ignore is left out too.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use tokio_util::sync::CancellationToken;

use super::aborted;
use crate::tools::contract::ToolError;
use crate::tools::workspace::{Kind, Listed, Opened, Workspace};

/// Names looked at in one search.
const MOST: usize = 500_000;
/// Names of one folder.
const MOST_IN_FOLDER: usize = 100_000;
/// Folders in each other.
const MAX_DEPTH: usize = 128;
/// Largest `.gitignore` that is read.
const MAX_IGNORE: u64 = 256 * 1024;

/// What a search met.
pub(super) struct Met<'w> {
    workspace: &'w Workspace,
    folder: &'w File,
    entry: &'w Listed,
    /// Its path below the root of the workspace.
    pub(super) path: PathBuf,
}

impl Met<'_> {
    pub(super) fn kind(&self) -> Kind {
        self.entry.kind
    }

    /// Opens it, when it is a file that may be read.
    pub(super) fn open(&self) -> Option<Opened> {
        self.workspace.file_in(self.folder, &self.entry.name, self.path.clone())
    }
}

/// Whether a search goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Go {
    On,
    Stop,
}

struct Level {
    folder: File,
    path: PathBuf,
    entries: std::vec::IntoIter<Listed>,
    ignored: Option<Gitignore>,
}

/// Shows `see` everything below `start` (itself, when it is a file), in order. True when there was too much to see all.
pub(super) fn walk(
    workspace: &Workspace,
    start: &str,
    cancel: &CancellationToken,
    mut see: impl FnMut(&Met<'_>) -> Result<Go, ToolError>,
) -> Result<bool, ToolError> {
    let found = workspace.open_folder(start)?;
    let folder = found.folder().try_clone().map_err(|error| ToolError::Failed(format!("{start}: {error}")))?;
    let Some((first, mut is_cut)) = level(workspace, folder, found.path.clone()) else {
        return Err(ToolError::Failed(format!("{start} can't be read")));
    };
    let mut levels = vec![first];
    let mut seen = 0;
    while let Some(top) = levels.last_mut() {
        let Some(entry) = top.entries.next() else {
            levels.pop();
            continue;
        };
        if cancel.is_cancelled() {
            return Err(aborted());
        }
        seen += 1;
        if seen > MOST {
            return Ok(true);
        }
        let path = top.path.join(&entry.name);
        let is_folder = entry.kind == Kind::Folder;
        if (is_folder && entry.name == ".git") || is_ignored(&levels, &path, is_folder) {
            continue;
        }
        let Some(top) = levels.last() else { break };
        let met = Met { workspace, folder: &top.folder, entry: &entry, path: path.clone() };
        if see(&met)? == Go::Stop {
            return Ok(is_cut);
        }
        if !is_folder {
            continue;
        }
        let deeper = workspace.subfolder(&top.folder, &entry.name);
        match deeper.and_then(|folder| level(workspace, folder, path)) {
            Some(_) if levels.len() == MAX_DEPTH => is_cut = true,
            Some((level, cut)) => {
                is_cut |= cut;
                levels.push(level);
            }
            // One that can't be read is passed by, as by any other search.
            None => {}
        }
    }
    Ok(is_cut)
}

fn level(workspace: &Workspace, folder: File, path: PathBuf) -> Option<(Level, bool)> {
    let (entries, is_cut) = Workspace::list(&folder, MOST_IN_FOLDER).ok()?;
    let ignored = entries
        .iter()
        .find(|entry| entry.name == ".gitignore" && entry.kind == Kind::File)
        .and_then(|entry| workspace.file_in(&folder, &entry.name, path.join(&entry.name)))
        .and_then(|opened| rules(&path, opened));
    Some((Level { folder, path, entries: entries.into_iter(), ignored }, is_cut))
}

fn rules(folder: &Path, opened: Opened) -> Option<Gitignore> {
    let mut text = String::new();
    opened.file.take(MAX_IGNORE).read_to_string(&mut text).ok()?;
    let mut builder = GitignoreBuilder::new(folder);
    for line in text.lines() {
        // A line that is no pattern ignores nothing.
        builder.add_line(None, line).ok();
    }
    builder.build().ok()
}

/// The rules nearest to the path decide.
fn is_ignored(levels: &[Level], path: &Path, is_folder: bool) -> bool {
    for rules in levels.iter().rev().filter_map(|level| level.ignored.as_ref()) {
        match rules.matched(path, is_folder) {
            Match::Ignore(_) => return true,
            Match::Whitelist(_) => return false,
            Match::None => {}
        }
    }
    false
}

/// Matches paths below `folder` against a pattern as `.gitignore` has them: without a slash it is a name at any depth.
pub(super) fn pattern(folder: &Path, pattern: &str) -> Result<Gitignore, ToolError> {
    let bad = |error: ignore::Error| ToolError::Arguments(format!("{pattern:?} is no file pattern: {error}"));
    let escaped = match pattern.chars().next() {
        Some('!' | '#') => format!("\\{pattern}"),
        Some(_) => pattern.to_owned(),
        None => return Err(ToolError::Arguments(String::from("a file pattern can't be empty"))),
    };
    let mut builder = GitignoreBuilder::new(folder);
    builder.add_line(None, &escaped).map_err(bad)?;
    builder.build().map_err(bad)
}
