//! Coming back: what a session reads when it is activated, and which sessions have something open after a start.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use supervision::{ActorResult, BoxError, Ctx};

use super::conversation::Conversation;
use super::effects::Effects;
use super::journal;
use super::queue::Queue;
use super::runs::{ActiveRun, MAX_ATTEMPTS, Untold, last_event};
use super::session::{SessionArgs, SessionMessage, SessionState};
use super::synthetic::{found_end, nothing};
use super::writer::Writer;
use crate::agents::event::Ending;
use crate::agents::{RunFailure, RunJob, RunOutcome};
use crate::clock::EpochMs;
use crate::ids::{AgentId, RunId, SessionKey};
use crate::store::records::{AcceptRecord, RunEnd, RunRecord, RunState};
use crate::store::rows::{self, SessionRow};
use crate::store::{Commit, StoreError, StoreHandle, keys};

use super::accept::REMEMBERED_MS;

/// Records of one key read at a time.
const PAGE: usize = 4096;
/// Ended runs whose records may stay past their time; bounds what a busy session keeps.
const MAX_REMEMBERED: usize = 512;

/// Records of a run that may be forgotten some day.
#[derive(Debug, Clone)]
pub(super) struct Expiring {
    at: EpochMs,
    keys: [Vec<u8>; 2],
}

impl Expiring {
    pub(super) fn new(session: &SessionKey, run: &RunId, dedupe: Vec<u8>, now: EpochMs) -> Self {
        Self { at: now + REMEMBERED_MS, keys: [journal::run_key(session, run), dedupe] }
    }

    /// Of a run found in the store.
    fn found(session: &SessionKey, run: &RunId, record: &RunRecord) -> Self {
        let source = record.route.as_ref().map_or_else(|| String::from("rpc"), |route| route.source());
        let event = run.as_str().strip_prefix(&format!("{source}:")).unwrap_or(run.as_str());
        let dedupe = keys::named(keys::DEDUPE, &format!("{source}/{event}"));
        let at = record.expires_at.unwrap_or(record.started_at + REMEMBERED_MS);
        Self { at, keys: [journal::run_key(session, run), dedupe] }
    }
}

impl SessionState {
    /// Takes out what may be forgotten now.
    pub(super) fn expired(&mut self, now: EpochMs) -> Vec<[Vec<u8>; 2]> {
        let mut expired = Vec::new();
        while let Some(oldest) = self.forget.front() {
            if oldest.at > now && self.forget.len() <= MAX_REMEMBERED {
                break;
            }
            expired.extend(self.forget.pop_front().map(|oldest| oldest.keys));
        }
        expired
    }
}

/// Builds the state of a session from row, transcript and journal. A run found open is started again.
pub(super) async fn activate(args: SessionArgs, ctx: &Ctx<SessionMessage>) -> Result<SessionState, BoxError> {
    let SessionArgs { key, services } = args;
    let agent = key.agent();
    // Decided on what is read here, so it counts only as long as that holds.
    let store = services.store.bound();
    // What an incarnation before this one handed to the store is in it before it is read: else an answer under way would
    // be made again, and input under way would be forgotten.
    store.commit(Commit::new()).await?;
    let row: Option<SessionRow> = store.get(rows::key(&agent, key.as_str())).await?;
    let conversation = load(&row, &agent, &services, ctx).await?;
    let waiting: Vec<AcceptRecord> = store
        .scan(keys::folder(keys::ACCEPT, key.as_str()), None, PAGE)
        .await?
        .into_iter()
        .map(|(_, record)| record)
        .collect();
    let runs: Vec<(Vec<u8>, RunRecord)> = store.scan(keys::folder(keys::RUN, key.as_str()), None, PAGE).await?;
    if !waiting.is_empty() || runs.iter().any(|(_, run)| run.state == RunState::Open) {
        // Nothing is run without the journal; what can only be read is answered.
        store.check_writable()?;
    }
    let mut state = SessionState {
        writer: Writer::new(store),
        agent,
        row: row.unwrap_or_default(),
        conversation,
        accepting: VecDeque::new(),
        queue: Queue::new(waiting),
        active: None,
        ended: VecDeque::new(),
        forget: VecDeque::new(),
        waiters: HashMap::new(),
        effects: Effects::default(),
        reset_after: None,
        services,
        key,
    };
    let prefix = keys::folder(keys::RUN, state.key.as_str()).len();
    let (mut ended, mut open) = (Vec::new(), Vec::new());
    for (key, record) in runs {
        let run = RunId::parse(&String::from_utf8_lossy(&key[prefix..]))?;
        match record.state.clone() {
            RunState::Ended(end) => {
                state.forget.push_back(Expiring::found(&state.key, &run, &record));
                ended.push((run, *end));
            }
            RunState::Open => open.push((run, record)),
        }
    }
    ended.sort_by_key(|(_, end)| end.ended_at);
    let untold = ctx.checkpoint().get::<Untold>();
    for (run, end) in ended {
        if untold.as_ref().is_some_and(|untold| untold.run == run) {
            state.tell_end(&run, &end, untold.as_deref());
            ctx.checkpoint().clear();
        }
        state.remember_end(run, end);
    }
    if !open.is_empty() {
        state.effects = Effects::read(&state.services.store, &state.key).await?;
    }
    for (run, record) in open {
        let seq = untold.as_ref().filter(|untold| untold.run == run).map(|untold| Arc::clone(&untold.seq));
        state.take_up(run, record, seq.unwrap_or_default(), ctx)?;
    }
    state.forget.make_contiguous().sort_by_key(|expiring| expiring.at);
    Ok(state)
}

async fn load(
    row: &Option<SessionRow>,
    agent: &AgentId,
    services: &super::SessionServices,
    ctx: &Ctx<SessionMessage>,
) -> Result<Conversation, BoxError> {
    let (state_dir, clock) = (services.state_dir.clone(), services.run.clock.clone());
    let Some(session_id) = row.as_ref().map(|row| row.session_id.clone()).filter(|id| !id.is_empty()) else {
        return Ok(Conversation::fresh(&state_dir, agent, &clock));
    };
    let agent = agent.clone();
    let read = ctx.blocking(move || Conversation::load(&state_dir, &agent, &session_id, &clock)).await;
    Ok(read.unwrap_or(Err(StoreError::Unavailable))?)
}

impl SessionState {
    /// An open run without an actor: its answer may be in the transcript already; else it is started again.
    fn take_up(
        &mut self,
        run: RunId,
        mut record: RunRecord,
        seq: Arc<AtomicU64>,
        ctx: &Ctx<SessionMessage>,
    ) -> ActorResult {
        if self.active.is_some() {
            return Err(format!("two runs are open in {}", self.key).into());
        }
        record.attempts += 1;
        self.forget.push_back(Expiring::found(&self.key, &run, &record));
        self.queue.take_up(run.as_str(), record.route.clone(), record.owner, record.joined.clone());
        // A run that shortens the history ends with an answer of its own, not with the one that stands there.
        let end = found_end(self.conversation.messages(), record.streamed.as_ref());
        if let Some(result) = end.filter(|_| record.compact.is_none()) {
            self.occupy(run, record, seq);
            return self.finish(result);
        }
        if record.attempts > MAX_ATTEMPTS {
            self.occupy(run, record, seq);
            let text = String::from("the run was interrupted three times and is not tried again");
            return self.finish(nothing(RunOutcome::Failed(RunFailure { text, kind: "unknown" })));
        }
        tracing::info!(run_id = %run, session_key = %self.key, attempt = record.attempts, "resuming an open run");
        self.resume(run, record, "the daemon or the session was restarted", seq, ctx)
    }

    /// The end of a run was stored and the session died before it told anybody.
    fn tell_end(&self, run: &RunId, end: &RunEnd, untold: Option<&Untold>) {
        let mut job = self.job_of(run, end.started_at);
        if let Some(untold) = untold {
            job.seq = Arc::clone(&untold.seq);
        }
        let ending = Ending { end: end.clone() };
        job.publish(&self.services.run, last_event(&ending, "unknown", "stop"));
        if let Some(channel) = &self.row.last_channel {
            self.services.deliveries.wake(channel, self.row.last_account_id.as_deref().unwrap_or_default());
        }
    }

    /// Puts a run into the slot that has no actor: only its end is still to be stored.
    pub(super) fn occupy(&mut self, run: RunId, record: RunRecord, seq: Arc<AtomicU64>) {
        let job = RunJob {
            run,
            session: self.key.clone(),
            session_id: Arc::clone(&self.conversation.session_id),
            agent: self.agent.clone(),
            history: Vec::new(),
            seq,
            attempt: record.attempts,
            started_at: record.started_at,
            model: record.model.clone(),
            owner: record.owner,
            channel: None,
            streamed: None,
            compact: None,
            notes: Vec::new(),
            unsettled: Vec::new(),
        };
        self.active = Some(ActiveRun::new(record, job, supervision::Slot::new().address()));
    }
}

/// Sessions that have accepted input waiting or a run open.
///
/// # Errors
/// When the store can't be read.
pub async fn unfinished(store: &StoreHandle) -> Result<BTreeSet<SessionKey>, StoreError> {
    let fallback = AgentId::normalised("main");
    let mut found = BTreeSet::new();
    let mut after = None;
    loop {
        let page: Vec<(Vec<u8>, AcceptRecord)> = store.scan(keys::ACCEPT.into(), after, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        found.extend(page.iter().filter_map(|(_, record)| SessionKey::parse(&record.session, &fallback).ok()));
    }
    let mut after = None;
    loop {
        let page: Vec<(Vec<u8>, RunRecord)> = store.scan(keys::RUN.into(), after, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        found.extend(
            page.iter()
                .filter(|(_, record)| record.state == RunState::Open)
                .filter_map(|(_, record)| SessionKey::parse(&record.session, &fallback).ok()),
        );
    }
    Ok(found)
}
