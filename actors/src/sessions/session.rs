//! One session key: its input, its transcript, its run slot.
//!
//! Parent: `sessions` (one of its partitions) · Restart: transient, with backoff · Mailbox: 256, reject
//! Survives a restart: accepted input, the transcript, the open run, which is resumed. Lost: streamed text that was
//! not stored, and the answers owed to callers, who repeat their request with the same id.
//! Fails when: the store refuses what the session can't go on without.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use supervision::{Actor, ActorResult, BoxError, ChildExit, Ctx, Reply};
use tokio::sync::oneshot;

use super::abort::{AbortAnswer, Dropped};
use super::accept::{Submission, SubmitAck, SubmitError};
use super::answers::{Answered, Asked};
use super::compact::RunAsk;
use super::conversation::Conversation;
use super::directory::SessionServices;
use super::effects::Effects;
use super::history::History;
use super::queue::Queue;
use super::recovery;
use super::runs::ActiveRun;
use super::writer::Writer;
use crate::agents::event::Ending;
use crate::agents::{GatewayEvent, RunResult};
use crate::failpoint::failpoint;
use crate::ids::{AgentId, RunId, SessionKey};
use crate::message::Message;
use crate::store::records::{AcceptRecord, RunEnd, RunRecord};
use crate::store::rows::SessionRow;
use crate::store::{Outcome, StoreError};

/// Input that may wait in one session (OpenClaw's queue cap is 20; what was accepted here is never dropped, so the
/// bound is where new input is refused).
pub(super) const MAX_WAITING: usize = 256;
/// Ended runs remembered in memory; older ones are asked of the store.
const MAX_ENDED: usize = 32;

/// What a session is told.
#[derive(Debug)]
pub(crate) enum SessionMessage {
    /// New input. Answered when it is durable.
    Submit {
        /// The input.
        submission: Submission,
        /// What became of it.
        reply: Reply<Result<SubmitAck, SubmitError>>,
    },
    /// A commit is done.
    Stored {
        /// Which.
        tag: Stored,
        /// How.
        result: Result<Outcome, StoreError>,
    },
    /// The run has a message for the transcript.
    RunAppend {
        /// From which attempt of which run.
        from: Attempt,
        /// The message.
        message: Message,
        /// Told true when it is durable.
        done: oneshot::Sender<bool>,
    },
    /// The run is at a point where it can take messages in. Answered with them once they are durable.
    TakeIn {
        /// From which attempt of which run.
        from: Attempt,
        /// The messages.
        done: oneshot::Sender<Vec<Message>>,
    },
    /// What waits may start, unless more came.
    Quiet(u64),
    /// A command was not given before: answer it.
    Answer(Box<Asked>),
    /// The run has something else to be made durable.
    RunAsks {
        /// From which attempt of which run.
        from: Attempt,
        /// What.
        ask: RunAsk,
        /// Told true when it is durable.
        done: oneshot::Sender<bool>,
    },
    /// The run is over.
    RunFinished {
        /// Which attempt of which run.
        from: Attempt,
        /// How.
        result: Box<RunResult>,
    },
    /// Abort one run, or all. Answered when they are aborted.
    Abort {
        /// `None`: all.
        run: Option<RunId>,
        /// Recorded as the reason.
        reason: &'static str,
        /// The runs that were aborted.
        reply: Reply<Vec<RunId>>,
    },
    /// A run had its time to abort.
    AbortDeadline(RunId),
    /// Answered when the run has ended.
    Wait {
        /// Which.
        run: RunId,
        /// How it ended; never, when it is unknown here.
        reply: Reply<Ending>,
    },
    /// What the store knows of a run that is unknown here.
    Found {
        /// Which.
        run: RunId,
        /// Its record, if there is one.
        record: Option<Box<RunRecord>>,
    },
    /// How far a run is.
    Status {
        /// Which.
        run: RunId,
        /// `None`: unknown here.
        reply: Reply<Option<SubmitAck>>,
    },
    /// Start a new conversation.
    Reset {
        /// `new` or `reset`.
        reason: &'static str,
        /// The row of the new one.
        reply: Reply<SessionRow>,
    },
    /// What the transcript holds.
    History {
        /// At most so many messages, the newest.
        limit: usize,
        /// The messages.
        reply: Reply<Result<History, StoreError>>,
    },
    /// Start what waits.
    Poke,
    /// A group of commits is done.
    Written,
}

/// An attempt of a run. Messages of an older attempt are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(super) run: RunId,
    pub(super) number: u32,
}

/// What of a run is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// A message of the model.
    Message,
    /// The result of a call.
    Result,
    /// The note that a call is about to start.
    Intent,
}

/// What a commit was for.
#[derive(Debug)]
pub(crate) enum Stored {
    /// Input number `0` was accepted.
    Accept(u64),
    /// A run opened.
    Consume,
    /// A message or an intent of the run. Told true when it is durable.
    Append(Kept, oneshot::Sender<bool>),
    /// The run took messages in.
    TakenIn(Vec<Message>, oneshot::Sender<Vec<Message>>),
    /// A command was answered.
    Answered(Box<Answered>),
    /// A part of an answer, to be sent now.
    Block(oneshot::Sender<bool>),
    /// The active run ended.
    Finish(Box<Ending>),
    /// Input that waited was aborted.
    Dropped(Box<Dropped>),
    /// A new conversation.
    Reset(Box<SessionRow>, Vec<Reply<SessionRow>>),
    /// A note or a counter.
    Note,
}

/// Input whose commit is under way.
pub(super) struct Accepting {
    pub(super) record: AcceptRecord,
    pub(super) submission: Submission,
    pub(super) reply: Reply<Result<SubmitAck, SubmitError>>,
}

pub(crate) struct SessionState {
    pub(super) key: SessionKey,
    pub(super) agent: AgentId,
    pub(super) services: SessionServices,
    pub(super) row: SessionRow,
    pub(super) conversation: Conversation,
    pub(super) writer: Writer,
    pub(super) accepting: VecDeque<Accepting>,
    pub(super) queue: Queue,
    pub(super) active: Option<ActiveRun>,
    pub(super) ended: VecDeque<(RunId, RunEnd)>,
    pub(super) forget: VecDeque<recovery::Expiring>,
    pub(super) waiters: HashMap<RunId, Vec<Reply<Ending>>>,
    pub(super) effects: Effects,
    pub(super) reset_after: Option<(&'static str, Vec<Reply<SessionRow>>)>,
}

impl Drop for SessionState {
    /// However it ends, what is open is not forgotten.
    fn drop(&mut self) {
        self.services.working.clear(&self.key);
        let is_open = self.active.is_some() || !self.queue.is_empty() || !self.accepting.is_empty();
        if is_open && !self.services.closing.is_cancelled() {
            self.services.orphaned.notify_one();
        }
    }
}

pub(super) struct SessionArgs {
    pub(super) key: SessionKey,
    pub(super) services: SessionServices,
}

pub(super) struct SessionActor;

impl Actor for SessionActor {
    type Message = SessionMessage;
    type Args = SessionArgs;
    type State = SessionState;

    async fn pre_start(&self, args: SessionArgs, ctx: &Ctx<SessionMessage>) -> Result<SessionState, BoxError> {
        let mut state = recovery::activate(args, ctx).await?;
        state.writer.hand_over(ctx);
        ctx.set_detail("agent", state.agent.as_str());
        ctx.reporter().send(SessionMessage::Poke);
        Ok(state)
    }

    async fn handle(
        &self,
        state: &mut SessionState,
        message: SessionMessage,
        ctx: &Ctx<SessionMessage>,
    ) -> ActorResult {
        match message {
            SessionMessage::Submit { submission, reply } => state.submit(submission, reply, ctx)?,
            SessionMessage::Stored { tag, result } => state.stored(tag, result, ctx)?,
            SessionMessage::RunAppend { from, message, done } => state.run_append(&from, message, done)?,
            SessionMessage::TakeIn { from, done } => state.take_in(&from, done)?,
            SessionMessage::Quiet(arrival) => {
                if state.queue.was_quiet(arrival) {
                    state.start_next(ctx)?;
                }
            }
            SessionMessage::Answer(asked) => state.answer(*asked)?,
            SessionMessage::RunAsks { from, ask, done } => state.run_asks(&from, ask, done)?,
            SessionMessage::RunFinished { from, result } => state.run_finished(&from, *result)?,
            SessionMessage::Abort { run, reason, reply } => {
                state.abort(run.as_ref(), reason, AbortAnswer::call(reply), ctx)?;
            }
            SessionMessage::AbortDeadline(run) => state.abort_deadline(&run, ctx),
            SessionMessage::Wait { run, reply } => state.wait(run, reply, ctx),
            SessionMessage::Found { run, record } => state.found(&run, record.map(|record| *record)),
            SessionMessage::Status { run, reply } => reply.send(state.status(&run)),
            SessionMessage::Reset { reason, reply } => state.reset(reason, reply, ctx)?,
            SessionMessage::History { limit, reply } => state.history(limit, reply, ctx),
            SessionMessage::Poke => state.start_next(ctx)?,
            SessionMessage::Written => state.writer.written(),
        }
        state.writer.hand_over(ctx);
        state.show(ctx);
        Ok(())
    }

    async fn child_exited(&self, state: &mut SessionState, exit: ChildExit, ctx: &Ctx<SessionMessage>) -> ActorResult {
        state.run_exited(&exit, ctx)?;
        state.writer.hand_over(ctx);
        state.show(ctx);
        Ok(())
    }
}

impl SessionState {
    fn stored(&mut self, tag: Stored, result: Result<Outcome, StoreError>, ctx: &Ctx<SessionMessage>) -> ActorResult {
        match tag {
            Stored::Accept(seq) => self.accepted(seq, result, ctx)?,
            Stored::Append(kept, done) => {
                match kept {
                    Kept::Message => failpoint!("step.after"),
                    Kept::Result => failpoint!("outcome.after"),
                    Kept::Intent => failpoint!("intent.after"),
                }
                // The run may be gone; then nobody waits for this.
                done.send(result.is_ok()).ok();
            }
            Stored::Block(done) => self.block_stored(done, result.is_ok()),
            Stored::Consume => {
                result?;
                failpoint!("consume.after");
            }
            Stored::Note => {
                result?;
            }
            Stored::TakenIn(messages, done) => {
                result?;
                // The run may be gone; the messages are in the transcript then, and its next attempt sees them.
                done.send(messages).ok();
                self.changed("update");
            }
            Stored::Answered(answered) => self.answered(*answered, result, ctx)?,
            Stored::Dropped(dropped) => {
                result?;
                self.dropped(*dropped);
            }
            Stored::Finish(ending) => {
                result?;
                self.finish_stored(*ending, ctx)?;
            }
            Stored::Reset(row, replies) => {
                result?;
                for reply in replies {
                    reply.send((*row).clone());
                }
                self.changed("reset");
                self.start_next(ctx)?;
            }
        }
        Ok(())
    }

    /// Remembers how a run ended, for repeats of its request.
    pub(super) fn remember_end(&mut self, run: RunId, end: RunEnd) {
        if self.ended.len() == MAX_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back((run, end));
    }

    /// Tells watchers that the row changed.
    pub(super) fn changed(&self, reason: &'static str) {
        self.services.run.events.publish(GatewayEvent::SessionChanged { session: self.key.clone(), reason });
    }

    /// A number that only grows, also over restarts.
    pub(super) fn next_seq(&self) -> u64 {
        self.services.sequence.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    fn show(&self, ctx: &Ctx<SessionMessage>) {
        ctx.set_detail("waiting", (self.accepting.len() + self.queue.len()).to_string());
        let channel = self.row.last_channel.as_deref();
        ctx.set_detail("queue", self.queue_rules().for_input(channel, None).mode.as_str());
        ctx.set_detail("messages", self.conversation.messages().len().to_string());
        if self.effects.unknown > 0 {
            ctx.set_detail("unknown effects", self.effects.unknown.to_string());
        }
        // An owner of something unfinished is not idle, so it is not asked to leave.
        let busy = match &self.active {
            Some(active) => Some(format!("run {}", active.record_id())),
            None if !self.writer.is_idle() => Some(String::from("store")),
            None => None,
        };
        ctx.set_busy(busy);
    }

    fn history(&self, limit: usize, reply: Reply<Result<History, StoreError>>, ctx: &Ctx<SessionMessage>) {
        let path = self.conversation.path.clone();
        let session_id = Arc::clone(&self.conversation.session_id);
        let active = self.active.as_ref().map(ActiveRun::in_flight);
        let row = self.row.clone();
        let job = ctx.blocking(move || History::read(&path, limit));
        ctx.spawn_scoped(async move {
            let read = job.await.unwrap_or(Err(StoreError::Unavailable));
            reply.send(read.map(|history| History { session_id: Some(session_id), row: Some(row), active, ..history }));
        });
    }
}
