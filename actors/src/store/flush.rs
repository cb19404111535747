//! Carries out a group of commits with one flush. Blocking; runs off the executor.
//!
//! Order: conditions, transcript lines, their `fsync`, then all operations in one batch, then the engine's commit.
//! A record is thus never gone before the line that replaces it is on disk.

use std::collections::{BTreeSet, HashMap};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::engine::Engine;
use super::error::StoreError;
use super::files;
use super::op::{Append, Commit, Expect, Op, Outcome};
use super::payload::Payloads;
use crate::failpoint::failpoint;

/// Result of a group.
#[derive(Debug)]
pub(super) struct Flushed {
    /// One result per commit, in order.
    pub results: Vec<Result<Outcome, StoreError>>,
    /// Set when durability can't be promised any more: the actor has to go.
    pub broken: Option<StoreError>,
}

/// See the module.
pub(super) fn run(engine: &dyn Engine, payloads: &Payloads, commits: Vec<Commit>) -> Flushed {
    let mut overlay: HashMap<Vec<u8>, Option<Vec<u8>>> = HashMap::new();
    let mut all_ops = Vec::new();
    let mut touched = BTreeSet::new();
    let mut results = Vec::with_capacity(commits.len());
    for mut commit in commits {
        let step = prepare(engine, payloads, &overlay, &mut commit).and_then(|conflict| match conflict {
            Some(conflict) => Ok(conflict),
            None => {
                append_all(&commit.appends, &mut touched)?;
                rename_all(&commit.renames, &mut touched)?;
                for op in &commit.ops {
                    match op {
                        Op::Put { key, value } => overlay.insert(key.clone(), Some(value.clone())),
                        Op::Delete { key } => overlay.insert(key.clone(), None),
                    };
                }
                all_ops.append(&mut commit.ops);
                Ok(Outcome::Committed)
            }
        });
        results.push(step);
    }
    match make_durable(engine, payloads, &touched, &all_ops) {
        Ok(()) => Flushed { results, broken: None },
        Err(error) => {
            let count = results.len();
            Flushed { results: (0..count).map(|_| Err(error.clone())).collect(), broken: Some(error) }
        }
    }
}

/// Checks conditions and moves large values out. `Some` is the conflict found.
fn prepare(
    engine: &dyn Engine,
    payloads: &Payloads,
    overlay: &HashMap<Vec<u8>, Option<Vec<u8>>>,
    commit: &mut Commit,
) -> Result<Option<Outcome>, StoreError> {
    for Expect::Absent(key) in &commit.expects {
        let found = match overlay.get(key) {
            Some(value) => value.clone(),
            None => engine.get(key)?,
        };
        if let Some(stored) = found {
            return Ok(Some(Outcome::Conflict { key: key.clone(), value: payloads.resolve(stored)? }));
        }
    }
    payloads.spill(&mut commit.ops)?;
    Ok(None)
}

fn append_all(appends: &[Append], touched: &mut BTreeSet<PathBuf>) -> Result<(), StoreError> {
    for append in appends {
        if let Some(folder) = append.path.parent() {
            files::private_folder(folder)?;
        }
        let (mut file, fresh) = files::append_private(&append.path)?;
        let mut text = String::new();
        if fresh {
            text.push_str(&append.header);
            text.push('\n');
        }
        for line in &append.lines {
            text.push_str(line);
            text.push('\n');
        }
        // A line that was written in part is cut off, or the next one would be glued to it.
        let before = file.metadata().map(|metadata| metadata.len()).unwrap_or(0);
        failpoint!("store.append.before", |error| StoreError::io("can't write the transcript", &append.path, error));
        if let Err(error) = file.write_all(text.as_bytes()) {
            drop(file.set_len(before));
            return Err(StoreError::io("can't write the transcript", &append.path, error));
        }
        failpoint!("store.append.after");
        if fresh && let Some(folder) = append.path.parent() {
            files::sync_folder(folder)?;
        }
        touched.insert(append.path.clone());
    }
    Ok(())
}

fn rename_all(renames: &[(PathBuf, PathBuf)], touched: &mut BTreeSet<PathBuf>) -> Result<(), StoreError> {
    for (from, to) in renames {
        failpoint!("store.rename.before", |error| StoreError::io("can't rename", from, error));
        match std::fs::rename(from, to) {
            Ok(()) => {
                failpoint!("store.rename.after");
                if touched.remove(from) {
                    touched.insert(to.clone());
                }
                if let Some(folder) = to.parent() {
                    files::sync_folder(folder)?;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("can't rename", from, error)),
        }
    }
    Ok(())
}

fn make_durable(
    engine: &dyn Engine,
    payloads: &Payloads,
    touched: &BTreeSet<PathBuf>,
    ops: &[Op],
) -> Result<(), StoreError> {
    for path in touched {
        sync_file(path)?;
    }
    if ops.is_empty() {
        return Ok(());
    }
    let stale = replaced_payloads(engine, payloads, ops)?;
    failpoint!("store.batch.before", |error| StoreError::Engine(error.to_string().into()));
    engine.batch(ops)?;
    failpoint!("store.batch.after");
    engine.commit()?;
    failpoint!("store.commit.after");
    for path in stale {
        // Nothing points to it any more; the sweep at start removes what stays behind here.
        drop(std::fs::remove_file(path));
    }
    Ok(())
}

/// Files of large values that `ops` overwrite or delete.
fn replaced_payloads(engine: &dyn Engine, payloads: &Payloads, ops: &[Op]) -> Result<Vec<PathBuf>, StoreError> {
    let mut stale = Vec::new();
    for op in ops {
        let (Op::Put { key, .. } | Op::Delete { key }) = op;
        if let Some(path) = engine.get(key)?.and_then(|stored| payloads.file_of(&stored)) {
            stale.push(path);
        }
    }
    Ok(stale)
}

fn sync_file(path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("can't sync the transcript", path, error);
    failpoint!("store.sync_transcript.before", failed);
    std::fs::File::open(path).and_then(|file| file.sync_data()).map_err(failed)?;
    failpoint!("store.sync_transcript.after");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryEngine;
    use super::*;

    fn setup() -> (tempfile::TempDir, MemoryEngine, Payloads) {
        let folder = tempfile::tempdir().unwrap();
        let payloads = Payloads::new(folder.path().join("payloads"));
        (folder, MemoryEngine::default(), payloads)
    }

    fn put(key: &str) -> Commit {
        Commit::new().expect_absent(key.into()).put(key.into(), vec![1])
    }

    #[test]
    fn the_second_of_two_equal_keys_in_one_group_conflicts() {
        let (_folder, engine, payloads) = setup();
        let flushed = run(&engine, &payloads, vec![put("a"), put("a"), put("b")]);
        assert!(matches!(flushed.results[0], Ok(Outcome::Committed)));
        assert!(matches!(flushed.results[1], Ok(Outcome::Conflict { .. })));
        assert!(matches!(flushed.results[2], Ok(Outcome::Committed)));
    }

    #[test]
    fn a_failed_append_fails_its_commit_alone() {
        let (folder, engine, payloads) = setup();
        let blocked = folder.path().join("blocked.jsonl");
        std::fs::create_dir(&blocked).unwrap();
        let bad = put("a").append(Append { path: blocked, lines: vec!["x".into()], header: "h".into() });
        let flushed = run(&engine, &payloads, vec![bad, put("b")]);
        assert!(flushed.results[0].is_err());
        assert!(flushed.results[1].is_ok());
        assert!(flushed.broken.is_none());
        assert_eq!(engine.get(b"a").unwrap(), None);
    }

    #[test]
    fn a_new_transcript_starts_with_its_header() {
        let (folder, engine, payloads) = setup();
        let path = folder.path().join("agents/main/sessions/s.jsonl");
        let append = |line: &str| {
            Commit::new().append(Append { path: path.clone(), lines: vec![line.into()], header: "HEAD".into() })
        };
        run(&engine, &payloads, vec![append("one"), append("two")]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "HEAD\none\ntwo\n");
    }

    #[test]
    fn the_file_of_a_replaced_large_value_goes() {
        let (_folder, engine, payloads) = setup();
        let large = Commit::new().put(b"a".to_vec(), vec![1; super::super::payload::MAX_INLINE + 1]);
        run(&engine, &payloads, vec![large]);
        assert_eq!(std::fs::read_dir(payloads.folder()).unwrap().count(), 1);
        run(&engine, &payloads, vec![Commit::new().delete(b"a".to_vec())]);
        assert_eq!(std::fs::read_dir(payloads.folder()).unwrap().count(), 0);
    }
}
