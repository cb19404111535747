//! `sessions.json`: the rows of one agent for people to read, written from the store.
//!
//! The store is the truth while the daemon runs. At start a file whose hash is not the one written last was edited by
//! a person (or written by OpenClaw): its rows win, key by key, and rows it does not name stay.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ring::digest;
use serde::ser::SerializeMap as _;

use super::engine::{self, Engine};
use super::error::StoreError;
use super::files::{self, Draft};
use super::keys;
use super::op::Op;
use super::payload::Payloads;
use super::records::ProjectionRecord;
use super::rows::{self, SessionRow};
use super::transcripts;
use super::value;
use crate::failpoint::failpoint;
use crate::ids::{AgentId, SessionKey};

fn file(state_dir: &Path, agent: &AgentId) -> PathBuf {
    transcripts::folder(state_dir, agent).join("sessions.json")
}

fn record_key(agent: &AgentId) -> Vec<u8> {
    keys::named(keys::META, &format!("projection/{agent}"))
}

fn record(engine: &dyn Engine, agent: &AgentId) -> Result<ProjectionRecord, StoreError> {
    let key = record_key(agent);
    engine.get(&key)?.map_or_else(|| Ok(ProjectionRecord::default()), |stored| value::decode(&key, &stored))
}

fn note(engine: &dyn Engine, agent: &AgentId, record: &ProjectionRecord) -> Result<(), StoreError> {
    engine.put(&record_key(agent), &value::encode(record)?)
}

fn hash(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// Passes on what is written and adds it to a hash.
struct Hashing<W> {
    to: W,
    context: digest::Context,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.context.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Writes the file of one agent, unless it says the same already. What it is going to hold is noted before, so that a
/// crash on the way does not make it look edited by a person.
///
/// # Errors
/// When the rows can't be read or the file can't be written.
pub fn write(engine: &dyn Engine, payloads: &Payloads, state_dir: &Path, agent: &AgentId) -> Result<(), StoreError> {
    let path = file(state_dir, agent);
    let mut out = Hashing { to: Draft::new(&path)?, context: digest::Context::new(&digest::SHA256) };
    let failed =
        |error: &dyn std::fmt::Display| StoreError::Record { key: path.display().to_string(), why: error.to_string() };
    {
        let mut json = serde_json::Serializer::pretty(&mut out);
        let mut map = serde::Serializer::serialize_map(&mut json, None).map_err(|error| failed(&error))?;
        engine::for_each(engine, &rows::folder(agent), |key, stored| {
            let Some(session) = rows::session_of(key) else { return Ok(()) };
            let row: SessionRow = value::decode(key, &payloads.resolve(stored.to_vec())?)?;
            map.serialize_entry(session, &row).map_err(|error| failed(&error))
        })?;
        map.end().map_err(|error| failed(&error))?;
    }
    out.write_all(b"\n").map_err(|error| StoreError::io("can't write", &path, error))?;
    let Hashing { to: draft, context } = out;
    let writing = context.finish().as_ref().to_vec();
    let ProjectionRecord { written, .. } = record(engine, agent)?;
    if written == writing && path.exists() {
        return Ok(());
    }
    failpoint!("store.projection.before", |error| StoreError::io("can't write", &path, error));
    let draft = draft.finish()?;
    note(engine, agent, &ProjectionRecord { written, writing: writing.clone() })?;
    engine.commit()?;
    draft.publish()?;
    failpoint!("store.projection.after");
    note(engine, agent, &ProjectionRecord { written: writing.clone(), writing })
}

/// Takes over what people changed in the files since they were written. Returns how many rows were taken.
///
/// # Errors
/// When a file is no JSON object of rows, or the store fails.
pub fn merge_edits(engine: &dyn Engine, payloads: &Payloads, state_dir: &Path) -> Result<usize, StoreError> {
    let Ok(agents) = fs::read_dir(state_dir.join("agents")) else { return Ok(0) };
    let mut taken = 0;
    for entry in agents.flatten() {
        let agent = AgentId::normalised(&entry.file_name().to_string_lossy());
        let path = file(state_dir, &agent);
        files::remove_drafts(&transcripts::folder(state_dir, &agent));
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(StoreError::io("can't read", path, error)),
        };
        let (known, found) = (record(engine, &agent)?, hash(&bytes));
        if found == known.written || found == known.writing {
            // What is there is what the next write may leave behind, when it is cut off before it is published.
            if found != known.written {
                note(engine, &agent, &ProjectionRecord { written: found.clone(), writing: found })?;
            }
            continue;
        }
        let edited: BTreeMap<String, SessionRow> = serde_json::from_slice(&bytes).map_err(|error| {
            StoreError::Record { key: path.display().to_string(), why: format!("not an object of sessions: {error}") }
        })?;
        let mut ops = Vec::new();
        for (raw, row) in edited {
            let Ok(session) = SessionKey::parse(&raw, &agent) else { continue };
            let key = rows::key(&agent, session.as_str());
            let bytes = value::encode(&row)?;
            let known = engine.get(&key)?.map(|stored| payloads.resolve(stored)).transpose()?;
            if known.as_ref() != Some(&bytes) {
                ops.push(Op::Put { key, value: bytes });
                taken += 1;
            }
        }
        let taken_over = ProjectionRecord { written: found.clone(), writing: found };
        ops.push(Op::Put { key: record_key(&agent), value: value::encode(&taken_over)? });
        payloads.spill(&mut ops)?;
        engine.batch(&ops)?;
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryEngine;
    use super::*;

    fn payloads(folder: &tempfile::TempDir) -> Payloads {
        Payloads::new(folder.path().join("payloads"))
    }

    fn put(engine: &MemoryEngine, session: &str, row: &SessionRow) {
        engine.put(&rows::key(&AgentId::normalised("main"), session), &value::encode(row).unwrap()).unwrap();
    }

    #[test]
    fn an_edit_by_hand_wins_and_the_other_rows_stay() {
        let folder = tempfile::tempdir().unwrap();
        let engine = MemoryEngine::default();
        let agent = AgentId::normalised("main");
        put(&engine, "agent:main:a", &SessionRow { session_id: "1".into(), ..SessionRow::default() });
        put(&engine, "agent:main:b", &SessionRow { session_id: "2".into(), ..SessionRow::default() });
        write(&engine, &payloads(&folder), folder.path(), &agent).unwrap();
        assert_eq!(merge_edits(&engine, &payloads(&folder), folder.path()).unwrap(), 0);

        let path = file(folder.path(), &agent);
        let text = fs::read_to_string(&path).unwrap();
        let mut rows_by_key: serde_json::Value = serde_json::from_str(&text).unwrap();
        rows_by_key["agent:main:a"]["label"] = "mine".into();
        rows_by_key.as_object_mut().unwrap().remove("agent:main:b");
        fs::write(&path, rows_by_key.to_string()).unwrap();

        assert_eq!(merge_edits(&engine, &payloads(&folder), folder.path()).unwrap(), 1);
        let a: SessionRow =
            value::decode(b"a", &engine.get(&rows::key(&agent, "agent:main:a")).unwrap().unwrap()).unwrap();
        assert_eq!(a.label.as_deref(), Some("mine"));
        assert!(engine.get(&rows::key(&agent, "agent:main:b")).unwrap().is_some());
    }

    #[test]
    fn a_crash_on_the_way_to_the_file_does_not_look_like_an_edit() {
        let folder = tempfile::tempdir().unwrap();
        let engine = MemoryEngine::default();
        let agent = AgentId::normalised("main");
        let path = file(folder.path(), &agent);
        let row = |id: &str| SessionRow { session_id: id.into(), ..SessionRow::default() };
        put(&engine, "agent:main:a", &row("1"));
        write(&engine, &payloads(&folder), folder.path(), &agent).unwrap();
        let before = fs::read(&path).unwrap();
        put(&engine, "agent:main:a", &row("2"));
        write(&engine, &payloads(&folder), folder.path(), &agent).unwrap();
        let after = fs::read(&path).unwrap();

        // Between the note and the rename the old file is there, after it the new one.
        note(&engine, &agent, &ProjectionRecord { written: hash(&before), writing: hash(&after) }).unwrap();
        for content in [before, after] {
            fs::write(&path, content).unwrap();
            assert_eq!(merge_edits(&engine, &payloads(&folder), folder.path()).unwrap(), 0);
        }

        // And once more: the file that the crash left, and a write that is cut off before it is published.
        let found = hash(&fs::read(&path).unwrap());
        assert_eq!(record(&engine, &agent).unwrap().written, found);
        note(&engine, &agent, &ProjectionRecord { written: found, writing: hash(b"never published") }).unwrap();
        assert_eq!(merge_edits(&engine, &payloads(&folder), folder.path()).unwrap(), 0);
    }

    #[test]
    fn the_file_of_an_agent_without_rows_is_an_empty_object() {
        let folder = tempfile::tempdir().unwrap();
        let agent = AgentId::normalised("main");
        write(&MemoryEngine::default(), &payloads(&folder), folder.path(), &agent).unwrap();
        assert_eq!(fs::read_to_string(file(folder.path(), &agent)).unwrap(), "{}\n");
    }

    #[test]
    fn a_row_too_large_for_the_engine_is_shown_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let engine = MemoryEngine::default();
        let (agent, payloads) = (AgentId::normalised("main"), payloads(&folder));
        let row = SessionRow { label: Some("x".repeat(10_000)), ..SessionRow::default() };
        let key = rows::key(&agent, "agent:main:a");
        let mut ops = [Op::Put { key, value: value::encode(&row).unwrap() }];
        payloads.spill(&mut ops).unwrap();
        engine.batch(&ops).unwrap();
        write(&engine, &payloads, folder.path(), &agent).unwrap();
        assert!(fs::read_to_string(file(folder.path(), &agent)).unwrap().contains("xxxx"));
        fs::write(file(folder.path(), &agent), "{}").unwrap();
        assert_eq!(merge_edits(&engine, &payloads, folder.path()).unwrap(), 0);
    }

    #[test]
    fn what_a_crash_left_half_written_is_removed_by_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = transcripts::folder(folder.path(), &AgentId::normalised("main"));
        fs::create_dir_all(&sessions).unwrap();
        for name in [".sessions.json.0123456789abcdef0123456789abcdef.tmp", ".mine.tmp", "s.jsonl"] {
            fs::write(sessions.join(name), "").unwrap();
        }
        merge_edits(&MemoryEngine::default(), &payloads(&folder), folder.path()).unwrap();
        let mut names: Vec<_> = fs::read_dir(&sessions).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".mine.tmp", "s.jsonl"]);
    }
}
