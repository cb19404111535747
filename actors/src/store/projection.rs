//! `sessions.json`: the rows of one agent for people to read, written from the store.
//!
//! The store is the truth while the daemon runs. At start a file whose hash is not the one written last was edited by
//! a person (or written by OpenClaw): its rows win, key by key, and rows it does not name stay.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ring::digest;

use super::engine::Engine;
use super::error::StoreError;
use super::files;
use super::keys;
use super::op::Op;
use super::rows::{self, SessionRow};
use super::transcripts;
use super::value;
use crate::failpoint::failpoint;
use crate::ids::{AgentId, SessionKey};

/// Rows read at a time.
const PAGE: usize = 1000;

fn file(state_dir: &Path, agent: &AgentId) -> PathBuf {
    transcripts::folder(state_dir, agent).join("sessions.json")
}

fn hash_key(agent: &AgentId) -> Vec<u8> {
    keys::named(keys::META, &format!("projection/{agent}"))
}

fn hash(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// Writes the file of one agent, unless it says the same already.
///
/// # Errors
/// When the rows can't be read or the file can't be written.
pub fn write(engine: &dyn Engine, state_dir: &Path, agent: &AgentId) -> Result<(), StoreError> {
    let mut all = BTreeMap::<String, SessionRow>::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = engine.scan_prefix(&rows::folder(agent), after.as_deref(), PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        for (key, bytes) in &page {
            if let Some(session) = rows::session_of(key) {
                all.insert(session.to_owned(), value::decode(key, bytes)?);
            }
        }
    }
    let path = file(state_dir, agent);
    let mut bytes = serde_json::to_vec_pretty(&all)
        .map_err(|error| StoreError::Record { key: String::from("sessions.json"), why: error.to_string() })?;
    bytes.push(b'\n');
    let new_hash = hash(&bytes);
    if engine.get(&hash_key(agent))?.as_deref() == Some(&new_hash) && path.exists() {
        return Ok(());
    }
    failpoint!("store.projection.before", |error| StoreError::io("can't write", &path, error));
    files::replace(&path, &bytes)?;
    failpoint!("store.projection.after");
    engine.put(&hash_key(agent), &new_hash)
}

/// Takes over what people changed in the files since they were written. Returns how many rows were taken.
///
/// # Errors
/// When a file is no JSON object of rows, or the store fails.
pub fn merge_edits(engine: &dyn Engine, state_dir: &Path) -> Result<usize, StoreError> {
    let Ok(agents) = fs::read_dir(state_dir.join("agents")) else { return Ok(0) };
    let mut taken = 0;
    for entry in agents.flatten() {
        let agent = AgentId::normalised(&entry.file_name().to_string_lossy());
        let path = file(state_dir, &agent);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(StoreError::io("can't read", path, error)),
        };
        if engine.get(&hash_key(&agent))?.as_deref() == Some(&hash(&bytes)) {
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
            if engine.get(&key)?.as_deref() != Some(&bytes) {
                ops.push(Op::Put { key, value: bytes });
                taken += 1;
            }
        }
        ops.push(Op::Put { key: hash_key(&agent), value: hash(&bytes) });
        engine.batch(&ops)?;
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryEngine;
    use super::*;

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
        write(&engine, folder.path(), &agent).unwrap();
        assert_eq!(merge_edits(&engine, folder.path()).unwrap(), 0);

        let path = file(folder.path(), &agent);
        let text = fs::read_to_string(&path).unwrap();
        let mut rows_by_key: serde_json::Value = serde_json::from_str(&text).unwrap();
        rows_by_key["agent:main:a"]["label"] = "mine".into();
        rows_by_key.as_object_mut().unwrap().remove("agent:main:b");
        fs::write(&path, rows_by_key.to_string()).unwrap();

        assert_eq!(merge_edits(&engine, folder.path()).unwrap(), 1);
        let a: SessionRow =
            value::decode(b"a", &engine.get(&rows::key(&agent, "agent:main:a")).unwrap().unwrap()).unwrap();
        assert_eq!(a.label.as_deref(), Some("mine"));
        assert!(engine.get(&rows::key(&agent, "agent:main:b")).unwrap().is_some());
    }
}
