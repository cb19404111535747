//! Transcripts: one JSONL file per session generation, appended only, in OpenClaw's layout.
//!
//! Line 1 is the header; each later line has an id and the id of its parent. The last line may be torn after a loss
//! of power: reading cuts it off.

use std::collections::HashMap;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::StoreError;
use super::records::EntryBody;
use crate::clock::{EpochMs, rfc3339};
use crate::ids::AgentId;

/// Version of the layout written in headers (OpenClaw: 3, newer sessions 4).
const VERSION: u32 = 3;

/// One line behind the header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// What it says.
    #[serde(flatten)]
    pub body: EntryBody,
    /// Its id; for accepted input the accept id, so that a replay is seen.
    pub id: String,
    /// The entry it follows.
    #[serde(default)]
    pub parent_id: Option<String>,
    /// RFC 3339.
    pub timestamp: String,
}

impl Entry {
    /// The line, without newline.
    ///
    /// # Errors
    /// When the body can't be expressed in JSON.
    pub fn line(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).map_err(|error| StoreError::Record { key: self.id.clone(), why: error.to_string() })
    }
}

/// What a file holds, or the part of it that was asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transcript {
    /// Entries of the conversation as it stands, in file order: those that lead to the last one, or to the one that a
    /// cursor names. A branch that was left is not among them.
    pub entries: Vec<Entry>,
    /// Number of the first of them, counted from 1 behind the header; 0 when the start was not read.
    pub first_seq: u64,
    /// Bytes of whole lines; what is behind them is torn.
    pub whole_bytes: u64,
}

/// Folder of an agent's sessions.
#[must_use]
pub fn folder(state_dir: &Path, agent: &AgentId) -> PathBuf {
    state_dir.join("agents").join(agent.as_str()).join("sessions")
}

/// File of a session generation.
#[must_use]
pub fn path(state_dir: &Path, agent: &AgentId, session_id: &str) -> PathBuf {
    folder(state_dir, agent).join(format!("{session_id}.jsonl"))
}

/// The header line of a new file.
#[must_use]
pub fn header(session_id: &str, now: EpochMs, cwd: &Path) -> String {
    json!({"type": "session", "version": VERSION, "id": session_id, "timestamp": rfc3339(now), "cwd": cwd}).to_string()
}

/// Reads the whole file. A missing one is empty.
///
/// # Errors
/// When it can't be read.
pub fn read(path: &Path) -> Result<Transcript, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(parse(&bytes, true)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Transcript::default()),
        Err(error) => Err(StoreError::io("can't read the transcript", path, error)),
    }
}

/// Reads about the last `max_bytes`, from the first whole line on.
///
/// # Errors
/// When it can't be read.
pub fn read_tail(path: &Path, max_bytes: u64) -> Result<Transcript, StoreError> {
    let fail = |error| StoreError::io("can't read the transcript", path, error);
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Transcript::default()),
        Err(error) => return Err(fail(error)),
    };
    let length = file.metadata().map_err(fail)?.len();
    if length <= max_bytes {
        return read(path);
    }
    file.seek(SeekFrom::Start(length - max_bytes)).map_err(fail)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(fail)?;
    let start = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |at| at + 1);
    let mut tail = parse(&bytes[start..], false);
    tail.whole_bytes += length - max_bytes + start as u64;
    Ok(tail)
}

/// Cuts a torn last line off the file, so that the next append starts a line of its own.
///
/// # Errors
/// When the file can't be cut.
pub fn repair(path: &Path, transcript: &Transcript) -> Result<bool, StoreError> {
    let fail = |error| StoreError::io("can't repair the transcript", path, error);
    let Ok(metadata) = fs::metadata(path) else { return Ok(false) };
    if metadata.len() <= transcript.whole_bytes {
        return Ok(false);
    }
    let file = fs::File::options().write(true).open(path).map_err(fail)?;
    file.set_len(transcript.whole_bytes).map_err(fail)?;
    file.sync_all().map_err(fail)?;
    Ok(true)
}

fn parse(bytes: &[u8], from_start: bool) -> Transcript {
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let lines = bytes[..whole].split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let entries =
        lines.skip(usize::from(from_start)).filter_map(|line| serde_json::from_slice::<Entry>(line).ok()).collect();
    Transcript { entries: current_branch(entries), first_seq: u64::from(from_start), whole_bytes: whole as u64 }
}

/// Entries form a tree, in which one without a known parent follows the line before it. Cursors are followed and left out.
fn current_branch(entries: Vec<Entry>) -> Vec<Entry> {
    let is_before = |entry: &Entry, before: &Entry| entry.parent_id.as_ref().is_none_or(|parent| *parent == before.id);
    let is_straight = entries.windows(2).all(|pair| is_before(&pair[1], &pair[0]));
    if is_straight && !entries.iter().any(|entry| matches!(entry.body, EntryBody::Leaf { .. })) {
        return entries;
    }
    let mut places = HashMap::new();
    let mut parents = Vec::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        let named = entry.parent_id.as_deref().and_then(|parent| places.get(parent).copied());
        let cursor = match &entry.body {
            EntryBody::Leaf { target_id } => places.get(target_id.as_str()).copied(),
            EntryBody::Message { .. }
            | EntryBody::Reset { .. }
            | EntryBody::Compaction { .. }
            | EntryBody::Custom { .. }
            | EntryBody::CustomMessage { .. }
            | EntryBody::BranchSummary { .. }
            | EntryBody::Other => None,
        };
        parents.push(cursor.or(named).or(at.checked_sub(1)));
        places.insert(entry.id.as_str(), at);
    }
    let mut is_current = vec![false; entries.len()];
    let mut at = entries.len().checked_sub(1);
    while let Some(current) = at {
        is_current[current] = true;
        at = parents[current];
    }
    let is_shown = |entry: &Entry| !matches!(entry.body, EntryBody::Leaf { .. });
    let entries = entries.into_iter().zip(is_current);
    entries.filter_map(|(entry, is_current)| (is_current && is_shown(&entry)).then_some(entry)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    fn entry(id: &str) -> Entry {
        Entry {
            body: EntryBody::Message { message: Message::user(format!("text of {id}"), 1) },
            id: id.to_owned(),
            parent_id: None,
            timestamp: rfc3339(0),
        }
    }

    fn file_of(entries: &[Entry], rest: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.jsonl");
        let mut text = header("s", 0, Path::new("/tmp")) + "\n";
        for entry in entries {
            text += &(entry.line().unwrap() + "\n");
        }
        fs::write(&path, text + rest).unwrap();
        (folder, path)
    }

    #[test]
    fn entries_come_back_as_written() {
        let (_folder, path) = file_of(&[entry("a"), entry("b")], "");
        assert_eq!(read(&path).unwrap().entries, [entry("a"), entry("b")]);
    }

    #[test]
    fn a_torn_line_is_ignored_and_cut() {
        let (_folder, path) = file_of(&[entry("a")], r#"{"type":"mess"#);
        let transcript = read(&path).unwrap();
        assert_eq!(transcript.entries.len(), 1);
        assert!(repair(&path, &transcript).unwrap());
        assert!(fs::read_to_string(&path).unwrap().ends_with("}\n"));
        assert!(!repair(&path, &transcript).unwrap());
    }

    #[test]
    fn kinds_of_others_are_read_over() {
        let (_folder, path) =
            file_of(&[], "{\"type\":\"label\",\"targetId\":\"x\",\"id\":\"l\",\"timestamp\":\"t\"}\n");
        assert_eq!(read(&path).unwrap().entries[0].body, EntryBody::Other);
    }

    fn follows(id: &str, parent: &str) -> Entry {
        Entry { parent_id: Some(parent.to_owned()), ..entry(id) }
    }

    fn ids(path: &Path) -> Vec<String> {
        read(path).unwrap().entries.into_iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn a_branch_that_was_left_is_read_over() {
        let tree = [entry("a"), follows("b", "a"), follows("c", "b"), follows("d", "a"), follows("e", "d")];
        let (_folder, path) = file_of(&tree, "");
        assert_eq!(ids(&path), ["a", "d", "e"]);
    }

    #[test]
    fn a_cursor_says_where_the_conversation_goes_on() {
        let cursor = "{\"type\":\"leaf\",\"targetId\":\"a\",\"id\":\"l\",\"timestamp\":\"t\"}\n";
        let (_folder, path) = file_of(&[entry("a"), follows("b", "a"), follows("c", "b")], cursor);
        assert_eq!(ids(&path), ["a"]);
        let next = follows("d", "l").line().unwrap() + "\n";
        let (_folder, path) = file_of(&[entry("a"), follows("b", "a")], &(cursor.to_owned() + &next));
        assert_eq!(ids(&path), ["a", "d"]);
    }

    #[test]
    fn one_whose_parent_is_not_known_follows_the_line_before_it() {
        let (_folder, path) = file_of(&[entry("a"), follows("b", "gone"), entry("c")], "");
        assert_eq!(ids(&path), ["a", "b", "c"]);
    }

    #[test]
    fn the_tail_starts_at_a_whole_line() {
        let all: Vec<Entry> = (0..50).map(|n| entry(&format!("e{n}"))).collect();
        let (_folder, path) = file_of(&all, "");
        let tail = read_tail(&path, 1000).unwrap();
        assert!(!tail.entries.is_empty() && tail.entries.len() < 50);
        assert_eq!(tail.entries.last(), all.last());
        assert_eq!(tail.whole_bytes, fs::metadata(&path).unwrap().len());
    }

    #[test]
    fn a_missing_file_is_an_empty_transcript() {
        assert!(read(Path::new("/nonexistent/s.jsonl")).unwrap().entries.is_empty());
    }
}
