//! Accepting input: durable before it is answered, recognised when it is repeated.

use supervision::{ActorResult, Ctx, Reply};

use super::abort::AbortAnswer;
use super::accept::{Submission, SubmitAck, SubmitError};
use super::command::Command;
use super::journal;
use super::session::{Accepting, MAX_WAITING, SessionMessage, SessionState, Stored};
use crate::config::QueueMode;
use crate::failpoint::failpoint;
use crate::ids::RunId;
use crate::store::records::{DedupeRecord, RunRecord, RunState};
use crate::store::{Outcome, StoreError, value};

impl SessionState {
    pub(super) fn submit(
        &mut self,
        submission: Submission,
        reply: Reply<Result<SubmitAck, SubmitError>>,
        ctx: &Ctx<SessionMessage>,
    ) -> ActorResult {
        let rules = self.queue_rules();
        let mut submission = submission;
        match rules.command(&submission.text, submission.literal) {
            Some(Command::Stop) => {
                self.abort(None, "stop", AbortAnswer::message(reply), ctx)?;
                return Ok(());
            }
            Some(Command::Ask(question)) => {
                self.ask(question, submission, reply, ctx);
                return Ok(());
            }
            Some(Command::Steer { text }) => {
                submission.priority |= submission.owner;
                submission.queue_mode.get_or_insert(QueueMode::Steer);
                submission.text = text;
            }
            Some(Command::Reset { .. }) if submission.route.is_none() && !submission.owner => {
                reply.send(Err(SubmitError::OwnersOnly("starting a new conversation")));
                return Ok(());
            }
            Some(Command::Reset { .. } | Command::Compact { .. }) | None => {}
        }
        if self.services.closing.is_cancelled() {
            reply.send(Err(SubmitError::Stopping));
            return Ok(());
        }
        let waiting = self.accepting.len() + self.queue.len();
        let channel = submission.route.as_ref().map(|route| route.channel.as_str());
        let settings = rules.for_input(channel, submission.queue_mode);
        let is_busy = self.active.is_some() || waiting > 0;
        if waiting >= MAX_WAITING || (is_busy && self.queue.refuses(&settings, self.accepting.len())) {
            reply.send(Err(SubmitError::Full(waiting)));
            return Ok(());
        }
        let now = self.services.run.clock.now_ms();
        let seq = self.next_seq();
        let (record, commit) = match journal::accept(&self.key, &submission, seq, now, self.writer.epoch()) {
            Ok(made) => made,
            Err(error) => {
                reply.send(Err(SubmitError::Store(error)));
                return Ok(());
            }
        };
        failpoint!("accept.before");
        self.writer.accept(Stored::Accept(seq), commit);
        self.accepting.push_back(Accepting { record, submission, reply });
        Ok(())
    }

    /// The oldest commit under way is done: commits come back in their order.
    pub(super) fn accepted(
        &mut self,
        seq: u64,
        result: Result<Outcome, StoreError>,
        ctx: &Ctx<SessionMessage>,
    ) -> ActorResult {
        let Some(accepting) = self.accepting.pop_front() else { return Ok(()) };
        debug_assert_eq!(accepting.record.seq, seq, "commits come back in order");
        match result {
            Ok(Outcome::Committed) => {
                failpoint!("accept.after");
                accepting.reply.send(Ok(SubmitAck::Accepted));
                self.arrived(accepting.record, ctx)?;
            }
            Ok(Outcome::Conflict { key, value }) => self.repeated(accepting, &key, &value, ctx),
            Err(error) => accepting.reply.send(Err(SubmitError::Store(error))),
        }
        Ok(())
    }

    /// The input's id is known: the same input again, or a clash.
    fn repeated(&mut self, accepting: Accepting, key: &[u8], known: &[u8], ctx: &Ctx<SessionMessage>) {
        let known: DedupeRecord = match value::decode(key, known) {
            Ok(known) => known,
            Err(error) => {
                accepting.reply.send(Err(SubmitError::Store(error)));
                return;
            }
        };
        if known.fingerprint != accepting.submission.fingerprint(&self.key) {
            accepting.reply.send(Err(SubmitError::Conflict));
            return;
        }
        let Ok(run) = RunId::parse(&known.run_id) else {
            accepting.reply.send(Ok(SubmitAck::InFlight));
            return;
        };
        if let Some(ack) = self.status(&run) {
            accepting.reply.send(Ok(ack));
            return;
        }
        let store = self.services.store.clone();
        let key = journal::run_key(&self.key, &run);
        ctx.spawn_scoped(async move {
            let ack = match store.get::<RunRecord>(key).await {
                Ok(Some(RunRecord { state: RunState::Ended(end), .. })) => Ok(SubmitAck::Ended(end)),
                Ok(Some(_) | None) => Ok(SubmitAck::InFlight),
                Err(error) => Err(SubmitError::Store(error)),
            };
            accepting.reply.send(ack);
        });
    }

    /// What is known here of a run.
    pub(super) fn status(&self, run: &RunId) -> Option<SubmitAck> {
        if let Some((_, end)) = self.ended.iter().find(|(ended, _)| ended == run) {
            return Some(SubmitAck::Ended(Box::new(end.clone())));
        }
        let active = self.active.as_ref().is_some_and(|active| active.run() == run);
        let waits = self.queue.knows(run.as_str());
        let comes = self.accepting.iter().any(|accepting| accepting.submission.run == *run);
        (active || waits || comes).then_some(SubmitAck::InFlight)
    }
}
