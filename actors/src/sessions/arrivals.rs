//! Accepted messages on their way to a model: what they do to a session that is busy, and how they get into the
//! transcript.

use std::sync::Arc;
use std::time::Duration;

use supervision::{ActorResult, Ctx};
use tokio::sync::oneshot;

use super::abort::Dropped;
use super::command::{self, Command};
use super::expiry;
use super::journal;
use super::recovery::Expiring;
use super::runs::last_event;
use super::session::{Attempt, SessionMessage, SessionState, Stored};
use super::settings::QueueSettings;
use crate::agents::event::Ending;
use crate::agents::run::RunMessage;
use crate::clock::EpochMs;
use crate::config::{ConfigSnapshot, QueueMode};
use crate::ids::RunId;
use crate::message::{Message, UserContent};
use crate::store::records::{AcceptRecord, Route, RunRecord};
use crate::store::rows::SessionRow;
use crate::store::{Append, StoreError};

/// What holds for messages of a session now.
pub(super) struct QueueRules {
    config: Arc<ConfigSnapshot>,
    row: SessionRow,
}

impl QueueRules {
    /// The settings for a message that waits. A new conversation waits for nothing and joins nothing.
    pub(super) fn of(&self, record: &AcceptRecord) -> QueueSettings {
        let channel = record.route.as_ref().map(|route| route.channel.as_str());
        let inline = record.queue_mode.as_deref().and_then(QueueMode::parse);
        let settings = self.for_input(channel, inline);
        match self.command(&record.text, record.literal) {
            Some(Command::Reset { .. }) => QueueSettings { mode: QueueMode::Interrupt, ..settings },
            Some(Command::Compact { .. }) => {
                QueueSettings { mode: QueueMode::Followup, debounce: Duration::ZERO, ..settings }
            }
            Some(Command::Stop | Command::Steer { .. } | Command::Ask(_)) | None => settings,
        }
    }

    /// The settings for a message of `channel` that asks for `inline`.
    pub(super) fn for_input(&self, channel: Option<&str>, inline: Option<QueueMode>) -> QueueSettings {
        QueueSettings::resolve(&self.config.config.messages.queue, &self.row, channel, inline)
    }

    /// The command a text is, unless it is to be taken literally.
    pub(super) fn command(&self, text: &str, literal: bool) -> Option<Command> {
        if literal { None } else { command::parse(text, &self.config.config.session.reset.triggers) }
    }
}

impl SessionState {
    pub(super) fn queue_rules(&self) -> QueueRules {
        QueueRules { config: self.services.run.config.current(), row: self.row.clone() }
    }

    /// A message is durable: it waits, and whatever it asks for is done.
    pub(super) fn arrived(&mut self, record: AcceptRecord, ctx: &Ctx<SessionMessage>) -> ActorResult {
        let rules = self.queue_rules();
        let settings = rules.of(&record);
        let is_reset = matches!(rules.command(&record.text, record.literal), Some(Command::Reset { .. }));
        let arrival = self.queue.arrive(record, &settings);
        let reason = match (is_reset, arrival.interrupts || settings.mode == QueueMode::Interrupt) {
            (true, _) => "reset",
            (false, true) => "interrupt",
            (false, false) => "dropped",
        };
        for input in &arrival.given_up {
            let run = RunId::parse(&input.run_id)?;
            let (ending, commit) = self.drop_input(input)?;
            let dropped = Dropped { run, ending, reason, answer: None };
            self.write(Stored::Dropped(Box::new(dropped)), commit)?;
        }
        if let Some(rewritten) = &arrival.rewritten {
            let commit = journal::rewrite(&self.key, rewritten)?;
            self.write(Stored::Note, commit)?;
        }
        if let Some((number, pause)) = arrival.timer {
            ctx.send_after(pause, SessionMessage::Quiet(number)).detach();
        }
        if arrival.interrupts {
            self.abort_active(reason, ctx);
        }
        if arrival.steers
            && let Some(active) = &self.active
        {
            // A run that does not hear it asks for messages at its next safe point all the same.
            drop(active.address.try_cast(RunMessage::Steered));
        }
        self.start_next(ctx)
    }

    /// The run is at a safe point: what may join it goes into the transcript, and to the run once that is durable.
    pub(super) fn take_in(&mut self, from: &Attempt, done: oneshot::Sender<Vec<Message>>) -> ActorResult {
        let rules = self.queue_rules();
        let taken = if self.is_current(from) { self.queue.take_in(|record| rules.of(record)) } else { Vec::new() };
        if taken.is_empty() {
            // The run may be gone; then nobody waits for this.
            done.send(Vec::new()).ok();
            return Ok(());
        }
        let now = self.services.run.clock.now_ms();
        let before = self.conversation.messages().len();
        let texts = taken.iter().flat_map(|record| super::queue::shown(std::slice::from_ref(record))).collect();
        let appends = self.add_inputs(&taken, texts, now)?;
        let Some(active) = &mut self.active else { return Ok(()) };
        active.record.joined.extend(taken.iter().map(|record| record.run_id.clone()));
        let (run, record) = (active.job.run.clone(), active.record.clone());
        let messages = self.conversation.messages().get(before..).unwrap_or_default().to_vec();
        let commit = journal::consume(&self.key, &taken, &run, &record, appends)?;
        self.write(Stored::TakenIn(messages, done), journal::with_row(commit, &self.key, &self.row)?)
    }

    /// Puts the texts of messages into the transcript, each as an entry of its own: one that is there already, because
    /// the daemon died before it could note that, is not repeated.
    pub(super) fn add_inputs(
        &mut self,
        batch: &[AcceptRecord],
        texts: Vec<String>,
        now: EpochMs,
    ) -> Result<Vec<Append>, StoreError> {
        let mut appends = Vec::with_capacity(batch.len());
        for (input, text) in batch.iter().zip(texts) {
            let message = Message::User {
                content: UserContent::Text(text),
                timestamp: input.at,
                idempotency_key: Some(format!("{}:user", input.run_id)),
            };
            appends.extend(self.conversation.push(format!("in-{:x}", input.seq), message, now)?);
        }
        self.remember_inputs(batch, now);
        Ok(appends)
    }

    /// Notes in the row who spoke last, and when what is kept of the messages may be forgotten.
    pub(super) fn remember_inputs(&mut self, batch: &[AcceptRecord], now: EpochMs) {
        self.row.session_id = self.conversation.session_id.to_string();
        self.row.updated_at = now;
        self.row.session_started_at.get_or_insert(now);
        self.row.last_interaction_at = Some(now);
        for input in batch {
            if let Some(route) = &input.route {
                self.row.last_channel = Some(route.channel.clone());
                self.row.last_to = Some(route.to.clone());
                self.row.last_account_id = Some(route.account.clone());
            }
            if let Ok(run) = RunId::parse(&input.run_id) {
                self.forget.push_back(Expiring::new(&self.key, &run, input.dedupe.as_bytes().to_vec(), now));
            }
        }
    }

    /// Messages that were taken into a run end with it, without a text of their own.
    pub(super) fn joined_ended(
        &mut self,
        record: &RunRecord,
        ending: &Ending,
        error_kind: &'static str,
        stop_reason: &'static str,
    ) -> ActorResult {
        let part = Ending { end: journal::part_of(&ending.end) };
        for joined in &record.joined {
            let run = RunId::parse(joined)?;
            self.job_of(&run, part.end.started_at)
                .publish(&self.services.run, last_event(&part, error_kind, stop_reason));
            self.remember_end(run.clone(), part.end.clone());
            self.answer_waiters(&run, &part);
        }
        Ok(())
    }

    /// Why the conversation is too old to go on, if it is.
    pub(super) fn outdated(&self, route: Option<&Route>, now: EpochMs) -> Option<&'static str> {
        if self.conversation.messages().is_empty() {
            return None;
        }
        let config = self.services.run.config.current();
        let chat_type = expiry::chat_type(&self.key);
        let policy = config.config.session.reset.of(chat_type, route.map(|route| route.channel.as_str()));
        expiry::reason(policy, self.row.session_started_at, self.row.last_interaction_at, now, &chrono::Local)
    }
}
