//! The end of a run: its answer, its delivery and its account become durable in one commit, then everybody is told.

use std::sync::Arc;

use supervision::{ActorResult, Ctx};

use super::runs::last_event;
use super::session::{SessionMessage, SessionState, Stored};
use super::synthetic::{error_message, is_end};
use super::{accounts, compact, journal};
use crate::agents::event::Ending;
use crate::agents::reply::silence::partial;
use crate::agents::{RunOutcome, RunResult, Unsettled};
use crate::failpoint::failpoint;
use crate::store::records::{RunEnd, RunStatus};

impl SessionState {
    /// Puts the end of the active run into the store. What follows happens when it is durable.
    pub(super) fn finish(&mut self, result: RunResult) -> ActorResult {
        self.finish_with(result, crate::store::Commit::new())
    }

    pub(super) fn finish_with(&mut self, result: RunResult, also: crate::store::Commit) -> ActorResult {
        let now = self.services.run.clock.now_ms();
        let Some(active) = &mut self.active else { return Ok(()) };
        let RunResult { outcome, provider, model, usage, tools, reply, context_tokens, report } = result;
        let (status, text, error, message) = match outcome {
            RunOutcome::Answered(message) => (RunStatus::Ok, reply.text.clone(), None, Some(message)),
            RunOutcome::Failed(failure) => {
                active.error_kind = failure.kind;
                let message = error_message(&provider, &model, &failure.text, now);
                (RunStatus::Error, String::new(), Some(failure.text), Some(message))
            }
            RunOutcome::Aborted(message) => {
                let text = message.as_ref().map(|message| partial(&message.text())).unwrap_or_default();
                (RunStatus::Aborted, text, None, message)
            }
        };
        active.ending = Some(active.aborting.unwrap_or("stop"));
        self.queue.is_ending();
        let (run, record, seq) = (active.job.run.clone(), active.record.clone(), Arc::clone(&active.job.seq));
        let (started_at, session_id) = (record.started_at, active.job.session_id.to_string());
        // Whatever the end is, no call is left without a result.
        let unsettled = self.unsettled(&run).into_iter().map(Unsettled::given_up).collect();
        let settled = self.tell_unsettled(&run, unsettled, &seq, crate::store::Commit::new(), now)?;
        let end = RunEnd { status, text, error, provider, model, usage, ended_at: now, started_at, session_id, tools };
        let last = self.conversation.messages().last();
        let already = message.as_ref().is_some_and(|end| last.is_some_and(|last| is_end(last, end)));
        let mut appends = settled.appends;
        if let Some(message) = message.filter(|_| !already) {
            appends.extend(self.conversation.push(uuid::Uuid::new_v4().to_string(), message, now)?);
        }
        let silent = self.row.text("sendPolicy") == Some("deny");
        let delivery = match (record.route.as_ref().filter(|_| !silent), &end) {
            (Some(route), RunEnd { status: RunStatus::Ok, .. }) if !reply.unsent.trim().is_empty() => {
                let route = compact::answering(route, reply.reply_to, record.streamed.is_some());
                let text = with_footer(&reply.unsent, &end, self.row.text("responseUsage"));
                Some(journal::delivery(&self.key, &run, &route, &text, self.next_seq(), now))
            }
            (Some(route), RunEnd { status: RunStatus::Error, error: Some(error), .. }) => {
                let text = format!("I could not answer: {error}");
                Some(journal::delivery(&self.key, &run, route, &text, self.next_seq(), now))
            }
            (Some(_) | None, _) => None,
        };
        self.count(&end);
        accounts::of_run(&mut self.row, &end.usage, context_tokens, report.as_deref());
        let mut commit = journal::finish(&self.key, &run, &record, &end, appends, delivery.as_ref())?;
        commit.ops.extend(settled.ops);
        commit.ops.extend(also.ops);
        for expired in self.expired(now) {
            commit = expired.into_iter().fold(commit, crate::store::Commit::delete);
        }
        let commit = journal::with_row(commit, &self.key, &self.row)?;
        let ending = Ending { end };
        failpoint!("reply.before");
        self.write(Stored::Finish(Box::new(ending)), commit)
    }

    /// The end of the active run is durable: tell everybody and go on.
    pub(super) fn finish_stored(&mut self, ending: Ending, ctx: &Ctx<SessionMessage>) -> ActorResult {
        let Some(active) = self.active.take() else { return Ok(()) };
        failpoint!("reply.after");
        let run = active.job.run.clone();
        let stop_reason = active.ending.unwrap_or("stop");
        active.job.publish(&self.services.run, last_event(&ending, active.error_kind, stop_reason));
        ctx.checkpoint().clear();
        self.queue.release();
        self.services.working.clear(&self.key);
        let aborted = ending.end.status == RunStatus::Aborted;
        for answer in active.abort_answers {
            answer.send(aborted.then(|| run.clone()));
        }
        self.remember_end(run.clone(), ending.end.clone());
        self.answer_waiters(&run, &ending);
        self.joined_ended(&active.record, &ending, active.error_kind, stop_reason)?;
        if let Some(route) = &active.record.route {
            self.services.deliveries.wake(&route.channel, &route.account);
        }
        self.changed("update");
        match self.reset_after.take() {
            Some((reason, replies)) => self.begin_new_conversation(reason, replies),
            None => self.start_next(ctx),
        }
    }

    fn count(&mut self, end: &RunEnd) {
        self.row.updated_at = end.ended_at;
        self.row.aborted_last_run = (end.status == RunStatus::Aborted).then_some(true);
        self.row.input_tokens += end.usage.input;
        self.row.output_tokens += end.usage.output;
        if !end.provider.is_empty() {
            self.row.model_provider = Some(end.provider.clone());
            self.row.model = Some(end.model.clone());
        }
    }
}

/// The answer as the chat gets it: with what it took, where the session asks for that.
fn with_footer(text: &str, end: &RunEnd, wanted: Option<&str>) -> String {
    let usage = &end.usage;
    let tokens = format!("{} tokens in, {} out", usage.input, usage.output);
    match wanted {
        Some("tokens") => format!("{text}\n\n({tokens})"),
        Some("full") if usage.cost.total > 0.0 => {
            format!("{text}\n\n({tokens}, {:.4} USD, {}/{})", usage.cost.total, end.provider, end.model)
        }
        Some("full") => format!("{text}\n\n({tokens}, {}/{})", end.provider, end.model),
        Some(_) | None => text.to_owned(),
    }
}
