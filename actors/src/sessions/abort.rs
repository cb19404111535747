//! Aborting, waiting for an end, starting a new conversation.

use std::time::Duration;

use supervision::{ActorResult, BoxError, Ctx, Reply};

use super::accept::{SubmitAck, SubmitError};
use super::accounts;
use super::conversation::Conversation;
use super::journal;
use super::recovery::Expiring;
use super::session::{SessionMessage, SessionState, Stored};
use crate::agents::event::Ending;
use crate::agents::run::{self, RunMessage};
use crate::agents::{RunEventKind, RunJob};
use crate::clock::rfc3339;
use crate::ids::RunId;
use crate::message::Usage;
use crate::store::Commit;
use crate::store::records::{AcceptRecord, RunEnd, RunRecord, RunState, RunStatus};
use crate::store::rows::SessionRow;

/// How long an aborted run may take to keep what it has; then it is stopped.
const ABORT_PATIENCE: Duration = Duration::from_secs(5);

/// Who asked for an abort, and what was aborted for them so far. Answered behind the events of everything aborted.
pub(super) struct AbortAnswer {
    runs: Vec<RunId>,
    asker: Asker,
}

/// How an abort was asked for.
enum Asker {
    /// By a call.
    Call(Reply<Vec<RunId>>),
    /// By a message such as `/stop`.
    Message(Reply<Result<SubmitAck, SubmitError>>),
    /// By something that does not wait for it.
    Nobody,
}

impl AbortAnswer {
    pub(super) fn call(reply: Reply<Vec<RunId>>) -> Self {
        Self { runs: Vec::new(), asker: Asker::Call(reply) }
    }

    pub(super) fn nobody() -> Self {
        Self { runs: Vec::new(), asker: Asker::Nobody }
    }

    pub(super) fn message(reply: Reply<Result<SubmitAck, SubmitError>>) -> Self {
        Self { runs: Vec::new(), asker: Asker::Message(reply) }
    }

    /// The active run has ended: aborted, or its answer came first.
    pub(super) fn send(mut self, active: Option<RunId>) {
        self.runs.extend(active);
        match self.asker {
            Asker::Call(reply) => reply.send(self.runs),
            Asker::Message(reply) => reply.send(Ok(SubmitAck::Stopped(self.runs))),
            Asker::Nobody => {}
        }
    }
}

/// Input that will not be run, on its way to the store.
pub(crate) struct Dropped {
    pub(super) run: RunId,
    pub(super) ending: Ending,
    pub(super) reason: &'static str,
    pub(super) answer: Option<AbortAnswer>,
}

impl std::fmt::Debug for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dropped({})", self.run)
    }
}

impl SessionState {
    /// Aborts one run, or everything.
    pub(super) fn abort(
        &mut self,
        run: Option<&RunId>,
        reason: &'static str,
        mut answer: AbortAnswer,
        ctx: &Ctx<SessionMessage>,
    ) -> ActorResult {
        let mut dropped = Vec::new();
        for input in self.queue.abort(run.map(RunId::as_str)) {
            dropped.push(self.drop_input(&input)?);
            answer.runs.push(RunId::parse(&input.run_id)?);
        }
        // A run whose answer is on its way to the store can't be aborted any more.
        let hits_active = self.active.as_ref().is_some_and(|active| {
            run.is_none_or(|run| active.run() == run) && (active.ending.is_none() || active.aborting.is_some())
        });
        let runs = answer.runs.clone();
        let mut last = None;
        match &mut self.active {
            Some(active) if hits_active => active.abort_answers.push(answer),
            Some(_) | None if dropped.is_empty() => answer.send(None),
            Some(_) | None => last = Some(answer),
        }
        let count = dropped.len();
        for (at, ((ending, commit), run)) in dropped.into_iter().zip(runs).enumerate() {
            let answer = if at + 1 == count { last.take() } else { None };
            self.write(Stored::Dropped(Box::new(Dropped { run, ending, reason, answer })), commit)?;
        }
        if hits_active {
            self.abort_active(reason, ctx);
        }
        Ok(())
    }

    /// The end of dropped input is durable: tell everybody.
    pub(super) fn dropped(&mut self, dropped: Dropped) {
        let Dropped { run, ending, reason, answer } = dropped;
        let kind = RunEventKind::Aborted { ending: Box::new(ending.clone()), stop_reason: reason };
        self.job_of(&run, ending.end.started_at).publish(&self.services.run, kind);
        self.remember_end(run.clone(), ending.end.clone());
        self.answer_waiters(&run, &ending);
        if let Some(answer) = answer {
            answer.send(None);
        }
    }

    pub(super) fn answer_waiters(&mut self, run: &RunId, ending: &Ending) {
        for waiter in self.waiters.remove(run).unwrap_or_default() {
            waiter.send(ending.clone());
        }
    }

    pub(super) fn abort_active(&mut self, reason: &'static str, ctx: &Ctx<SessionMessage>) {
        let Some(active) = &mut self.active else { return };
        if active.ending.is_some() || active.aborting.is_some() {
            return;
        }
        active.aborting = Some(reason);
        self.queue.is_ending();
        // A run whose mailbox is full or gone is stopped by the deadline.
        drop(active.address.try_cast(RunMessage::Abort));
        ctx.send_after(ABORT_PATIENCE, SessionMessage::AbortDeadline(active.job.run.clone())).detach();
    }

    pub(super) fn abort_deadline(&mut self, run: &RunId, ctx: &Ctx<SessionMessage>) {
        if let Some(active) = &self.active
            && active.run() == run
            && active.ending.is_none()
        {
            ctx.stop_child(&run::child_id(&active.job).into());
        }
    }

    /// Input that waited will not be run: its end, and the commit of it.
    pub(super) fn drop_input(&mut self, input: &AcceptRecord) -> Result<(Ending, Commit), BoxError> {
        let now = self.services.run.clock.now_ms();
        let run = RunId::parse(&input.run_id)?;
        let end = RunEnd {
            status: RunStatus::Aborted,
            text: String::new(),
            error: None,
            provider: String::new(),
            model: String::new(),
            usage: Usage::default(),
            ended_at: now,
            started_at: now,
            session_id: self.conversation.session_id.to_string(),
            tools: Vec::new(),
        };
        let record = RunRecord {
            session: self.key.to_string(),
            state: RunState::Open,
            attempts: 0,
            joined: Vec::new(),
            owner: input.owner,
            started_at: now,
            route: input.route.clone(),
            model: input.model.clone(),
            compact: None,
            streamed: None,
            expires_at: None,
        };
        let commit = journal::finish(&self.key, &run, &record, &end, Vec::new(), None)?
            .delete(journal::accept_key(&self.key, input.seq));
        self.forget.push_back(Expiring::new(&self.key, &run, input.dedupe.as_bytes().to_vec(), now));
        Ok((Ending { end }, commit))
    }

    /// A job for events of a run that never started.
    pub(super) fn job_of(&self, run: &RunId, now: i64) -> RunJob {
        RunJob {
            run: run.clone(),
            session: self.key.clone(),
            session_id: self.conversation.session_id.clone(),
            agent: self.agent.clone(),
            history: Vec::new(),
            seq: std::sync::Arc::default(),
            attempt: 0,
            started_at: now,
            model: None,
            owner: false,
            channel: None,
            streamed: None,
            compact: None,
            notes: Vec::new(),
            unsettled: Vec::new(),
        }
    }

    pub(super) fn wait(&mut self, run: RunId, reply: Reply<Ending>, ctx: &Ctx<SessionMessage>) {
        if let Some((_, end)) = self.ended.iter().find(|(ended, _)| *ended == run) {
            reply.send(Ending { end: end.clone() });
            return;
        }
        let unknown = self.status(&run).is_none();
        let waiters = self.waiters.entry(run.clone()).or_default();
        waiters.retain(|waiter| !waiter.is_closed());
        waiters.push(reply);
        if unknown {
            // It may have ended so long ago that only the store knows.
            let (store, key, reporter) =
                (self.services.store.clone(), journal::run_key(&self.key, &run), ctx.reporter());
            ctx.spawn_scoped(async move {
                let record = store.get::<RunRecord>(key).await.ok().flatten();
                reporter.send(SessionMessage::Found { run, record: record.map(Box::new) });
            });
        }
    }

    /// What the store knows of a run that somebody waits for.
    pub(super) fn found(&mut self, run: &RunId, record: Option<RunRecord>) {
        if let Some(RunRecord { state: RunState::Ended(end), .. }) = record {
            self.answer_waiters(run, &Ending { end: *end });
        }
        self.waiters.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.is_closed());
            !waiters.is_empty()
        });
    }

    pub(super) fn reset(
        &mut self,
        reason: &'static str,
        reply: Reply<SessionRow>,
        ctx: &Ctx<SessionMessage>,
    ) -> ActorResult {
        self.abort(None, "reset", AbortAnswer::nobody(), ctx)?;
        if self.active.is_some() {
            self.reset_after.get_or_insert((reason, Vec::new())).1.push(reply);
            return Ok(());
        }
        self.begin_new_conversation(reason, vec![reply])
    }

    /// Archives the transcript and starts a new one under the same key.
    pub(super) fn begin_new_conversation(
        &mut self,
        reason: &'static str,
        replies: Vec<Reply<SessionRow>>,
    ) -> ActorResult {
        let now = self.services.run.clock.now_ms();
        let old = self.conversation.path.clone();
        let archive = old.with_extension(format!("jsonl.reset.{}", rfc3339(now).replace(':', "-")));
        self.conversation = Conversation::fresh(&self.services.state_dir, &self.agent, &self.services.run.clock);
        self.row = SessionRow {
            session_id: self.conversation.session_id.to_string(),
            updated_at: now,
            session_started_at: Some(now),
            input_tokens: 0,
            output_tokens: 0,
            total_tokens: 0,
            aborted_last_run: None,
            ..self.row.clone()
        };
        accounts::of_new_conversation(&mut self.row);
        tracing::info!(session_key = %self.key, reason, "new conversation");
        let commit = journal::with_row(Commit::new().rename(old, archive), &self.key, &self.row)?;
        self.write(Stored::Reset(Box::new(self.row.clone()), replies), commit)
    }
}
