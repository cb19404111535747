//! Carries out a group of commits with one flush. Blocking; runs off the executor.
//!
//! Order: conditions; then all operations of the group, the lines of its transcripts among them, in one batch; the
//! engine's commit; then lines are written to their files and files renamed. What follows the engine's commit is made
//! up for by the next start, so a commit that was answered holds, and one that failed left no trace.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::engine::Engine;
use super::error::StoreError;
use super::files;
use super::lines::{Lines, Planned};
use super::op::{Commit, Expect, Op, Outcome};
use super::payload::Payloads;
use crate::failpoint::failpoint;

/// Result of a group.
#[derive(Debug)]
pub(super) struct Flushed {
    /// One result per commit, in order.
    pub results: Vec<Result<Outcome, StoreError>>,
    /// Set when durability can't be promised any more.
    pub broken: Option<StoreError>,
}

/// Everything the store writes to.
pub(super) struct Disk {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) payloads: Payloads,
    pub(super) lines: Lines,
    pub(super) state_dir: PathBuf,
}

/// What the commits of a group come to.
#[derive(Default)]
struct Group {
    /// Values as they will be; the conditions of later commits see those of earlier ones.
    overlay: HashMap<Vec<u8>, Option<Vec<u8>>>,
    ops: Vec<Op>,
    lines: Vec<Planned>,
    renames: Vec<(PathBuf, PathBuf)>,
}

impl Disk {
    pub(super) fn new(engine: Arc<dyn Engine>, state_dir: PathBuf) -> Self {
        let payloads = Payloads::new(state_dir.join("openclawd").join("payloads"));
        Self { engine, payloads, lines: Lines::new(state_dir.clone()), state_dir }
    }

    /// See the module.
    pub(super) fn write(&self, commits: Vec<Commit>) -> Flushed {
        let mut group = Group::default();
        let results: Vec<_> = commits.into_iter().map(|commit| self.take(&mut group, commit)).collect();
        match self.make_durable(group) {
            Ok(()) => Flushed { results, broken: None },
            Err(error) => {
                Flushed { results: results.iter().map(|_| Err(error.clone())).collect(), broken: Some(error) }
            }
        }
    }

    /// Adds a commit to the group, or finds that it can't be done. What fails here fails alone.
    fn take(&self, group: &mut Group, mut commit: Commit) -> Result<Outcome, StoreError> {
        for expect in &commit.expects {
            if let Some(conflict) = self.conflict(group, expect)? {
                return Ok(conflict);
            }
        }
        self.payloads.spill(&mut commit.ops)?;
        let mut stored = Vec::new();
        let mut planned = self.lines.plan(&commit.appends, &mut stored)?;
        if let Err(error) = self.payloads.spill(&mut stored) {
            self.lines.forget(&planned);
            return Err(error);
        }
        for op in &commit.ops {
            match op {
                Op::Put { key, value } => group.overlay.insert(key.clone(), Some(value.clone())),
                Op::Delete { key } => group.overlay.insert(key.clone(), None),
            };
        }
        group.ops.append(&mut commit.ops);
        group.ops.append(&mut stored);
        group.lines.append(&mut planned);
        group.renames.append(&mut commit.renames);
        Ok(Outcome::Committed)
    }

    fn conflict(&self, group: &Group, expect: &Expect) -> Result<Option<Outcome>, StoreError> {
        let (Expect::Absent(key) | Expect::Equals { key, .. }) = expect;
        let found = match group.overlay.get(key) {
            Some(value) => value.clone(),
            None => self.engine.get(key)?,
        };
        let found = found.map(|stored| self.payloads.resolve(stored)).transpose()?;
        let holds = match expect {
            Expect::Absent(_) => found.is_none(),
            Expect::Equals { value, .. } => found.as_ref() == Some(value),
        };
        Ok((!holds).then(|| Outcome::Conflict { key: key.clone(), value: found.unwrap_or_default() }))
    }

    fn make_durable(&self, group: Group) -> Result<(), StoreError> {
        if !group.ops.is_empty() {
            self.engine.check_place()?;
            self.apply(&group.ops)?;
        }
        self.lines.write(group.lines)?;
        for (from, to) in &group.renames {
            self.rename(from, to)?;
        }
        Ok(())
    }

    /// Applies operations durably, and removes the files of large values they replaced.
    pub(super) fn apply(&self, ops: &[Op]) -> Result<(), StoreError> {
        let stale = self.replaced_payloads(ops)?;
        failpoint!("store.batch.before", |error| StoreError::Engine(error.to_string().into()));
        self.engine.batch(ops)?;
        failpoint!("store.batch.after");
        self.engine.commit()?;
        failpoint!("store.commit.after");
        for path in stale {
            // Nothing points to it any more; the sweep at start removes what stays behind here.
            drop(std::fs::remove_file(path));
        }
        Ok(())
    }

    /// Files of large values that `ops` overwrite or delete.
    fn replaced_payloads(&self, ops: &[Op]) -> Result<Vec<PathBuf>, StoreError> {
        let mut stale = Vec::new();
        for op in ops {
            let (Op::Put { key, .. } | Op::Delete { key }) = op;
            if let Some(path) = self.engine.get(key)?.and_then(|stored| self.payloads.file_of(&stored)) {
                stale.push(path);
            }
        }
        Ok(stale)
    }

    /// Gives a file another name once nothing of it is under way, so that no start looks for it under the old one.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        self.sync_lines(Some(from), true)?;
        let failed = |error| StoreError::io("can't rename", from, error);
        failpoint!("store.rename.before", failed);
        // Those that are synced in the background right now may not be there yet.
        match File::open(from).and_then(|file| file.sync_data()).and_then(|()| std::fs::rename(from, to)) {
            Ok(()) => {
                failpoint!("store.rename.after");
                to.parent().map_or(Ok(()), files::sync_folder)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => {
                // What was committed holds; the file is found under its old name.
                tracing::warn!(error = failed(error).words(), "a transcript keeps its name");
                Ok(())
            }
        }
    }

    /// Syncs transcripts and frees their stored lines: of one file, or of all. That they are freed may get lost with the
    /// power unless it is to be `durable`: lines that are in their file already are only looked at then.
    pub(super) fn sync_lines(&self, only: Option<&Path>, durable: bool) -> Result<(), StoreError> {
        let due = self.lines.due(only);
        if due.is_empty() {
            return Ok(());
        }
        due.sync()?;
        let ops: Vec<Op> = due.keys().map(|key| Op::Delete { key: key.clone() }).collect();
        if durable || !self.replaced_payloads(&ops)?.is_empty() { self.apply(&ops) } else { self.engine.batch(&ops) }
    }
}

#[cfg(test)]
mod tests;
