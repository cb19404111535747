//! Looks for what can't be right: records that can't be read or lead nowhere, transcripts that don't hold together.
//!
//! Changes nothing. On a running gateway records come and go meanwhile: what looks wrong is looked at a second time.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::engine;
use super::error::StoreError;
use super::flush::Disk;
use super::keys;
use super::records::{
    AcceptRecord, DedupeRecord, IntentRecord, LineRecord, OutboxRecord, ProjectionRecord, RunRecord, RunState,
};
use super::rows::{self, SessionRow};
use super::stats::session_folders;
use super::transcripts;
use super::value;
use crate::ids::{AgentId, SessionKey};

mod transcript;

/// Findings told; more are only counted.
const MAX_FINDINGS: usize = 200;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The record's key or the file.
    pub place: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What was looked at, and what is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Records looked at.
    pub records: u64,
    /// Transcripts looked at.
    pub transcripts: u64,
    /// Everything wrong that was found, also what is not told.
    pub problems: u64,
    /// The first ones.
    pub findings: Vec<Finding>,
}

impl Report {
    fn add(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        self.problems += 1;
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { place: place.into(), problem: problem.into() });
        }
    }
}

/// Sessions that are at work, whose transcripts may end in the middle of a turn.
#[derive(Default)]
struct Known {
    sessions: BTreeSet<String>,
    at_work: BTreeSet<String>,
    needed: Vec<(String, String)>,
    intents: Vec<(Vec<u8>, IntentRecord)>,
    transcripts: Vec<(String, AgentId, String)>,
}

/// Looks at everything.
///
/// # Errors
/// When the engine fails.
pub(super) fn check(disk: &Disk) -> Result<Report, StoreError> {
    let (mut report, mut known) = (Report::default(), Known::default());
    engine::for_each(disk.engine.as_ref(), b"", |key, stored| {
        report.records += 1;
        let read = disk.payloads.resolve(stored.to_vec()).and_then(|value| read(key, &value, &mut known));
        if let Err(error) = read
            && disk.engine.get(key)?.as_deref() == Some(stored)
        {
            report.add(keys::printable(key), error.words());
        }
        Ok(())
    })?;
    for (place, session) in &known.needed {
        if !known.sessions.contains(session) {
            report.add(place.as_str(), format!("its session {session} has no row"));
        }
    }
    for (key, intent) in &known.intents {
        if disk.engine.get(key)?.is_some() && !has_open_run(disk, intent)? {
            report.add(keys::printable(key), format!("its run {} is over", intent.run_id));
        }
    }
    let pending = pending_files(disk)?;
    for (session, agent, id) in &known.transcripts {
        let path = transcripts::path(&disk.state_dir, agent, id);
        let is_used = path.exists() || pending.contains(&path) || known.at_work.contains(session);
        if !is_used && has_history(disk, agent, session)? {
            report.add(format!("session {session}"), format!("its transcript {} is missing", path.display()));
        }
    }
    let busy: BTreeSet<_> = known
        .transcripts
        .iter()
        .filter(|(session, ..)| known.at_work.contains(session))
        .map(|(_, agent, id)| transcripts::path(&disk.state_dir, agent, id))
        .collect();
    for folder in session_folders(&disk.state_dir) {
        check_folder(&folder, &busy, &mut report);
    }
    Ok(report)
}

fn check_folder(folder: &Path, busy: &BTreeSet<std::path::PathBuf>, report: &mut Report) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")) {
        report.transcripts += 1;
        for problem in transcript::problems(path, busy.contains(path)) {
            report.add(path.display().to_string(), problem);
        }
    }
}

/// Transcripts with lines that are stored and may not be written yet.
fn pending_files(disk: &Disk) -> Result<BTreeSet<std::path::PathBuf>, StoreError> {
    let mut pending = BTreeSet::new();
    engine::for_each(disk.engine.as_ref(), keys::LINES.as_bytes(), |key, _| {
        pending.extend(disk.lines.place_of(key).map(|(path, _)| path));
        Ok(())
    })?;
    Ok(pending)
}

/// True when the run that noted a call is still open.
fn has_open_run(disk: &Disk, intent: &IntentRecord) -> Result<bool, StoreError> {
    let key = [keys::folder(keys::RUN, &intent.session), intent.run_id.as_bytes().to_vec()].concat();
    let Some(stored) = disk.engine.get(&key)? else { return Ok(false) };
    let run: RunRecord = value::decode(&key, &disk.payloads.resolve(stored)?)?;
    Ok(run.state == RunState::Open)
}

/// True when something was said in the session, so that there must be a transcript.
fn has_history(disk: &Disk, agent: &AgentId, session: &str) -> Result<bool, StoreError> {
    let key = rows::key(agent, session);
    let Some(stored) = disk.engine.get(&key)? else { return Ok(false) };
    let row: SessionRow = value::decode(&key, &disk.payloads.resolve(stored)?)?;
    Ok(row.input_tokens + row.output_tokens > 0)
}

/// Reads a record as what its key says it is.
fn read(key: &[u8], value: &[u8], known: &mut Known) -> Result<(), StoreError> {
    let is = |prefix: &str| key.starts_with(prefix.as_bytes());
    let place = || keys::printable(key);
    if is(keys::ACCEPT) {
        let record: AcceptRecord = value::decode(key, value)?;
        known.at_work.insert(record.session);
    } else if is(keys::RUN) {
        let record: RunRecord = value::decode(key, value)?;
        if record.state == RunState::Open {
            known.needed.push((place(), record.session.clone()));
            known.at_work.insert(record.session);
        }
    } else if is(keys::ROW) {
        let row: SessionRow = value::decode(key, value)?;
        let session = rows::session_of(key).unwrap_or_default().to_owned();
        let agent = SessionKey::parse(&session, &AgentId::normalised("main")).map(|session| session.agent());
        match agent {
            Ok(agent) if !row.session_id.is_empty() => {
                known.transcripts.push((session.clone(), agent, row.session_id));
            }
            Ok(_) => {}
            Err(error) => return Err(StoreError::Record { key: place(), why: error.to_string() }),
        }
        known.sessions.insert(session);
    } else if is(keys::DEDUPE) {
        decodes::<DedupeRecord>(key, value)?;
    } else if is(keys::OUTBOX) {
        decodes::<OutboxRecord>(key, value)?;
    } else if is(keys::INTENT) {
        known.intents.push((key.to_vec(), value::decode(key, value)?));
    } else if is(keys::LINES) {
        decodes::<LineRecord>(key, value)?;
    } else if is("meta/projection/") {
        decodes::<ProjectionRecord>(key, value)?;
    } else {
        decodes::<IgnoredAny>(key, value)?;
    }
    Ok(())
}

fn decodes<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    value::decode::<T>(key, value).map(drop)
}

#[cfg(test)]
mod tests;
