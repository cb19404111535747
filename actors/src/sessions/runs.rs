//! The run slot: at most one run, started from the oldest waiting input, resumed when it dies.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use supervision::{ActorResult, Address, ChildExit, Ctx, Reporter, Slot};
use tokio::sync::oneshot;

use super::abort::AbortAnswer;
use super::command::Command;
use super::compact::RunAsk;
use super::history::InFlight;
use super::journal;
use super::queue::{self, Next};
use super::session::{Attempt, Kept, SessionMessage, SessionState, Stored};
use super::synthetic::{command_answer, nothing};
use crate::agents::compaction::Compacted;
use crate::agents::event::Ending;
use crate::agents::run::{self, RunArgs, RunMessage};
use crate::agents::{Intent, RunEventKind, RunFailure, RunJob, RunOutcome, RunResult, RunSink, SentBlock, Unsettled};
use crate::failpoint::failpoint;
use crate::ids::RunId;
use crate::message::Message;
use crate::store::records::{AcceptRecord, RunRecord, RunState, RunStatus};

/// Starts of one run at most (OpenClaw: three per interruption).
pub(super) const MAX_ATTEMPTS: u32 = 3;

/// What the turn behind an aborted one is told.
const ABORTED: &str = "The turn before this one was stopped by a person; what it had begun may be unfinished.";

/// The run in the slot.
pub(super) struct ActiveRun {
    pub(super) record: RunRecord,
    pub(super) job: RunJob,
    pub(super) address: Address<RunMessage>,
    /// Set once its end is on its way to the store.
    pub(super) ending: Option<&'static str>,
    /// Set when somebody wants it aborted.
    pub(super) aborting: Option<&'static str>,
    pub(super) abort_answers: Vec<AbortAnswer>,
    pub(super) error_kind: &'static str,
}

impl ActiveRun {
    pub(super) fn new(record: RunRecord, job: RunJob, address: Address<RunMessage>) -> Self {
        Self { record, job, address, ending: None, aborting: None, abort_answers: Vec::new(), error_kind: "unknown" }
    }

    pub(super) fn run(&self) -> &RunId {
        &self.job.run
    }

    pub(super) fn record_id(&self) -> String {
        self.job.run.to_string()
    }

    pub(super) fn in_flight(&self) -> InFlight {
        InFlight { run: self.job.run.clone(), started_at: self.record.started_at }
    }

    fn attempt(&self) -> Attempt {
        Attempt { run: self.job.run.clone(), number: self.job.attempt }
    }
}

/// The run whose end was not told yet, left to the next incarnation of its session.
pub(super) struct Untold {
    pub(super) run: RunId,
    /// Counter of its events.
    pub(super) seq: Arc<AtomicU64>,
}

/// The run's way to its session.
struct SessionSink {
    reporter: Reporter<SessionMessage>,
    from: Attempt,
}

impl SessionSink {
    fn ask(&self, ask: RunAsk) -> BoxFuture<'static, bool> {
        let (done, durable) = oneshot::channel();
        self.reporter.send(SessionMessage::RunAsks { from: self.from.clone(), ask, done });
        durable.map(|answer| answer.unwrap_or(false)).boxed()
    }
}

impl RunSink for SessionSink {
    fn steered(&self) -> BoxFuture<'static, Vec<Message>> {
        let (done, taken) = oneshot::channel();
        self.reporter.send(SessionMessage::TakeIn { from: self.from.clone(), done });
        taken.map(Result::unwrap_or_default).boxed()
    }

    fn append(&self, message: Message) -> BoxFuture<'static, bool> {
        let (done, durable) = oneshot::channel();
        self.reporter.send(SessionMessage::RunAppend { from: self.from.clone(), message, done });
        durable.map(|answer| answer.unwrap_or(false)).boxed()
    }

    fn intend(&self, intent: Intent) -> BoxFuture<'static, bool> {
        self.ask(RunAsk::Intend(intent))
    }

    fn block(&self, block: SentBlock) -> BoxFuture<'static, bool> {
        self.ask(RunAsk::Block(Box::new(block)))
    }

    fn compacted(&self, compacted: Compacted) -> BoxFuture<'static, bool> {
        self.ask(RunAsk::Compacted(Box::new(compacted)))
    }

    fn flushing(&self) -> BoxFuture<'static, bool> {
        self.ask(RunAsk::Flushing)
    }

    fn finished(&self, result: RunResult) {
        self.reporter.send(SessionMessage::RunFinished { from: self.from.clone(), result: Box::new(result) });
    }
}

impl SessionState {
    /// Starts what waits if the slot is free.
    pub(super) fn start_next(&mut self, ctx: &Ctx<SessionMessage>) -> ActorResult {
        if self.active.is_some() || self.services.closing.is_cancelled() {
            return Ok(());
        }
        let settings = self.queue_rules();
        let Next::Start(batch) = self.queue.next(|record| settings.of(record)) else { return Ok(()) };
        let Some(first) = batch.first() else { return Ok(()) };
        let now = self.services.run.clock.now_ms();
        let run = RunId::parse(&first.run_id)?;
        let record = RunRecord {
            session: self.key.to_string(),
            state: RunState::Open,
            attempts: 1,
            joined: batch[1..].iter().map(|input| input.run_id.clone()).collect(),
            owner: first.owner,
            started_at: now,
            route: first.route.clone(),
            model: first.model.clone(),
            compact: None,
            streamed: None,
            expires_at: None,
        };
        let texts = match settings.command(&first.text, first.literal) {
            Some(Command::Reset { reason, rest }) => {
                self.begin_new_conversation(reason, Vec::new())?;
                if rest.is_empty() {
                    self.remember_inputs(&batch, now);
                    return self.answer_without_model(&batch, run, record);
                }
                vec![rest]
            }
            Some(Command::Compact { wishes }) => return self.start_compaction(&batch, run, record, &wishes, ctx),
            Some(Command::Stop | Command::Steer { .. } | Command::Ask(_)) | None => {
                if let Some(reason) = self.outdated(first.route.as_ref(), now) {
                    self.begin_new_conversation(reason, Vec::new())?;
                }
                queue::shown(&batch)
            }
        };
        let appends = self.add_inputs(&batch, texts, now)?;
        let commit = journal::consume(&self.key, &batch, &run, &record, appends)?;
        failpoint!("consume.before");
        self.write(Stored::Consume, journal::with_row(commit, &self.key, &self.row)?)?;
        self.changed("send");
        self.launch(run, record, Arc::new(AtomicU64::new(0)), Vec::new(), ctx);
        Ok(())
    }

    /// Starts an attempt of a run whose record is (or will be) open in the store.
    pub(super) fn launch(
        &mut self,
        run: RunId,
        record: RunRecord,
        seq: Arc<AtomicU64>,
        unsettled: Vec<Unsettled>,
        ctx: &Ctx<SessionMessage>,
    ) {
        let job = RunJob {
            run,
            session: self.key.clone(),
            session_id: Arc::clone(&self.conversation.session_id),
            agent: self.agent.clone(),
            history: self.conversation.messages().to_vec(),
            seq,
            attempt: record.attempts,
            started_at: record.started_at,
            model: record.model.clone(),
            owner: record.owner,
            channel: record.route.as_ref().map(|route| route.channel.clone()),
            streamed: record.streamed.clone(),
            compact: record.compact.clone(),
            notes: self
                .row
                .aborted_last_run
                .filter(|aborted| *aborted)
                .map(|_| ABORTED.to_owned())
                .into_iter()
                .collect(),
            unsettled,
        };
        ctx.checkpoint().put(Arc::new(Untold { run: job.run.clone(), seq: Arc::clone(&job.seq) }));
        self.services.working.set(&self.key, &job.run);
        let slot = Slot::new();
        let active = ActiveRun::new(record, job.clone(), slot.address());
        let sink = Arc::new(SessionSink { reporter: ctx.reporter(), from: active.attempt() });
        self.active = Some(active);
        ctx.start_child(run::child_spec(RunArgs { job, services: self.services.run.clone(), sink }, &slot));
    }

    pub(super) fn run_append(&mut self, from: &Attempt, message: Message, done: oneshot::Sender<bool>) -> ActorResult {
        if !self.is_current(from) {
            // An older attempt: it is told that nothing was stored and ends.
            done.send(false).ok();
            return Ok(());
        }
        let now = self.services.run.clock.now_ms();
        let id = uuid::Uuid::new_v4().to_string();
        let is_result = matches!(message, Message::ToolResult { .. });
        let kept = if is_result { Kept::Result } else { Kept::Message };
        let commit = self.effects.settle(&self.key, &message, crate::store::Commit::new());
        let append = self.conversation.push(id, message, now)?;
        let mut commit = commit;
        commit.appends.extend(append);
        match kept {
            Kept::Message => failpoint!("step.before"),
            Kept::Result => failpoint!("outcome.before"),
            Kept::Intent => {}
        }
        self.write(Stored::Append(kept, done), commit)
    }

    pub(super) fn run_finished(&mut self, from: &Attempt, result: RunResult) -> ActorResult {
        if self.is_current(from) { self.finish(result) } else { Ok(()) }
    }

    /// A run's actor is gone. Unless its end was reported before, it died: resume or give up.
    pub(super) fn run_exited(&mut self, exit: &ChildExit, ctx: &Ctx<SessionMessage>) -> ActorResult {
        let Some(active) = &self.active else { return Ok(()) };
        if exit.id.as_str() != run::child_id(&active.job) || active.ending.is_some() {
            return Ok(());
        }
        let attempts = active.record.attempts;
        if active.aborting.is_some() {
            return self.finish(nothing(RunOutcome::Aborted(None)));
        }
        tracing::warn!(run_id = %active.job.run, session_key = %self.key, attempts, reason = %exit.reason, "run died");
        if attempts >= MAX_ATTEMPTS {
            let text = format!("the run crashed {attempts} times; the last time: {}", exit.reason);
            return self.finish(nothing(RunOutcome::Failed(RunFailure { text, kind: "unknown" })));
        }
        let (run, mut record, seq) = (active.job.run.clone(), active.record.clone(), Arc::clone(&active.job.seq));
        record.attempts += 1;
        self.resume(run, record, &exit.reason.to_string(), seq, ctx)
    }

    /// Starts another attempt of an open run, with a note in the transcript.
    pub(super) fn resume(
        &mut self,
        run: RunId,
        record: RunRecord,
        why: &str,
        seq: Arc<AtomicU64>,
        ctx: &Ctx<SessionMessage>,
    ) -> ActorResult {
        let now = self.services.run.clock.now_ms();
        let data = serde_json::json!({"runId": run.as_str(), "attempt": record.attempts, "why": why});
        let mut commit = crate::store::Commit::new()
            .put(journal::run_key(&self.key, &run), crate::store::value::encode(&record)?)
            .append(self.conversation.note("openclawd.run-resumed", data, now)?);
        failpoint!("resume.before");
        let unsettled = self.unsettled(&run);
        let unsettled = if unsettled.iter().any(|call| matches!(call, Unsettled::Repeat(_))) {
            // The run repeats what may be repeated, so that the results come in the order of the calls.
            unsettled
        } else {
            commit = self.tell_unsettled(&run, unsettled, &seq, commit, now)?;
            Vec::new()
        };
        self.write(Stored::Note, commit)?;
        self.launch(run, record, seq, unsettled, ctx);
        Ok(())
    }

    /// Answers a message that only commands, without a model: one commit from input to answer.
    fn answer_without_model(&mut self, batch: &[AcceptRecord], run: RunId, record: RunRecord) -> ActorResult {
        let now = self.services.run.clock.now_ms();
        self.occupy(run, record, Arc::default());
        let message = command_answer("New conversation started. The earlier one is kept in the archive.", now);
        let result = RunResult {
            provider: String::from("openclawd"),
            model: String::from("command"),
            ..nothing(RunOutcome::Answered(message))
        };
        let mut consumed = crate::store::Commit::new();
        for input in batch {
            consumed = consumed.delete(journal::accept_key(&self.key, input.seq));
        }
        self.finish_with(result, consumed)
    }

    pub(super) fn is_current(&self, from: &Attempt) -> bool {
        self.active.as_ref().is_some_and(|active| active.ending.is_none() && active.attempt() == *from)
    }

    pub(super) fn write(&mut self, tag: Stored, commit: crate::store::Commit) -> ActorResult {
        self.writer.write(tag, commit);
        Ok(())
    }
}

/// The event that closes a run.
pub(super) fn last_event(ending: &Ending, error_kind: &'static str, stop_reason: &'static str) -> RunEventKind {
    let shown = Box::new(ending.clone());
    match ending.end.status {
        RunStatus::Ok => RunEventKind::Ended(shown),
        RunStatus::Error => RunEventKind::Failed { ending: shown, error_kind },
        RunStatus::Aborted => RunEventKind::Aborted { ending: shown, stop_reason },
    }
}
