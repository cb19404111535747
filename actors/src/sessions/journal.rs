//! The commits of a session, as values: what is written together, and under which keys.

use crate::clock::EpochMs;
use crate::ids::{RunId, SessionKey};
use crate::message::Usage;
use crate::store::records::{AcceptRecord, OutboxRecord, OutboxState, Route, RunEnd, RunRecord, RunState};
use crate::store::rows::{self, SessionRow};
use crate::store::{Append, Commit, StoreError, keys, value};

use super::accept::{REMEMBERED_MS, Submission};

/// Key of a waiting input.
#[must_use]
pub(super) fn accept_key(session: &SessionKey, seq: u64) -> Vec<u8> {
    keys::numbered(keys::ACCEPT, session.as_str(), seq)
}

/// Key of a run.
#[must_use]
pub(super) fn run_key(session: &SessionKey, run: &RunId) -> Vec<u8> {
    named_run_key(session, run.as_str())
}

fn named_run_key(session: &SessionKey, run: &str) -> Vec<u8> {
    let mut key = keys::folder(keys::RUN, session.as_str());
    key.extend_from_slice(run.as_bytes());
    key
}

/// The end of a run that was part of another one: its text is the other one's.
#[must_use]
pub(super) fn part_of(end: &RunEnd) -> RunEnd {
    RunEnd { text: String::new(), usage: Usage::default(), tools: Vec::new(), ..end.clone() }
}

/// Key of a delivery. Numbers are times with a tail, so that they grow over restarts without a counter.
fn outbox_key(route: &Route, seq: u64) -> Vec<u8> {
    keys::numbered(keys::OUTBOX, &format!("{}/{}", route.channel, route.account), seq)
}

/// Input is accepted: the record itself and the memory of it, together or not at all.
///
/// # Errors
/// When a record can't be encoded.
pub(super) fn accept(
    session: &SessionKey,
    submission: &Submission,
    seq: u64,
    now: EpochMs,
    epoch: u64,
) -> Result<(AcceptRecord, Commit), StoreError> {
    let dedupe = submission.dedupe_key();
    let record = AcceptRecord {
        seq,
        session: session.to_string(),
        run_id: submission.run.to_string(),
        dedupe: String::from_utf8_lossy(&dedupe).into_owned(),
        text: submission.text.clone(),
        route: submission.route.clone(),
        model: submission.model.clone(),
        owner: submission.owner,
        sender: submission.sender.clone(),
        queue_mode: submission.queue_mode.map(|mode| mode.as_str().to_owned()),
        priority: submission.priority,
        literal: submission.literal,
        overflow: Vec::new(),
        at: now,
        epoch,
    };
    let commit = Commit::new()
        .expect_absent(dedupe.clone())
        .put(dedupe, value::encode(&submission.dedupe_record(session, now))?)
        .put(accept_key(session, seq), value::encode(&record)?);
    Ok((record, commit))
}

/// Input goes into the transcript and a run opens, or takes it in; the accept records are freed by the same commit.
///
/// # Errors
/// When a record can't be encoded.
pub(super) fn consume(
    session: &SessionKey,
    inputs: &[AcceptRecord],
    run: &RunId,
    record: &RunRecord,
    appends: Vec<Append>,
) -> Result<Commit, StoreError> {
    let mut commit = Commit::new().put(run_key(session, run), value::encode(record)?);
    for input in inputs {
        commit = commit.delete(accept_key(session, input.seq));
    }
    commit.appends = appends;
    Ok(commit)
}

/// Input that waits is stored again, with the lines of what gave way.
///
/// # Errors
/// When the record can't be encoded.
pub(super) fn rewrite(session: &SessionKey, input: &AcceptRecord) -> Result<Commit, StoreError> {
    Ok(Commit::new().put(accept_key(session, input.seq), value::encode(input)?))
}

/// A run ends: its last message, its answer for repeats, its delivery and the row, together. The runs of messages that
/// it took in end with it, without a text of their own.
///
/// # Errors
/// When a record can't be encoded.
pub(super) fn finish(
    session: &SessionKey,
    run: &RunId,
    open: &RunRecord,
    end: &RunEnd,
    appends: Vec<Append>,
    delivery: Option<&OutboxRecord>,
) -> Result<Commit, StoreError> {
    let record = RunRecord {
        state: RunState::Ended(Box::new(end.clone())),
        expires_at: Some(end.ended_at + REMEMBERED_MS),
        ..open.clone()
    };
    let mut commit = Commit::new().put(run_key(session, run), value::encode(&record)?);
    let part = RunRecord { state: RunState::Ended(Box::new(part_of(end))), joined: Vec::new(), ..record };
    for joined in &open.joined {
        commit = commit.put(named_run_key(session, joined), value::encode(&part)?);
    }
    commit.appends = appends;
    if let Some(delivery) = delivery {
        commit = commit.put(outbox_key(&delivery.route, delivery.seq), value::encode(delivery)?);
    }
    Ok(commit)
}

/// A part of an answer goes out while its run is open: the delivery and the run's memory of it, together.
///
/// # Errors
/// When a record can't be encoded.
pub(super) fn block(
    session: &SessionKey,
    run: &RunId,
    record: &RunRecord,
    delivery: Option<&OutboxRecord>,
) -> Result<Commit, StoreError> {
    let commit = Commit::new().put(run_key(session, run), value::encode(record)?);
    Ok(match delivery {
        Some(delivery) => commit.put(outbox_key(&delivery.route, delivery.seq), value::encode(delivery)?),
        None => commit,
    })
}

/// A delivery that is ready to go.
#[must_use]
pub(super) fn delivery(
    session: &SessionKey,
    run: &RunId,
    route: &Route,
    text: &str,
    seq: u64,
    now: EpochMs,
) -> OutboxRecord {
    OutboxRecord {
        seq,
        route: route.clone(),
        text: text.to_owned(),
        session: session.to_string(),
        run_id: run.to_string(),
        state: OutboxState::Queued,
        sent: Vec::new(),
        attempts: 0,
        not_before: 0,
        error: None,
        at: now,
    }
}

/// Adds the row to a commit.
///
/// # Errors
/// When the row can't be encoded.
pub(super) fn with_row(commit: Commit, session: &SessionKey, row: &SessionRow) -> Result<Commit, StoreError> {
    let agent = session.agent();
    Ok(commit.put(rows::key(&agent, session.as_str()), value::encode(row)?).dirty(agent.as_str()))
}
