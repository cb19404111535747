//! What a run has made durable besides messages: parts of its answer, a shortened history, the start of its notes.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use supervision::{ActorResult, Ctx};
use tokio::sync::oneshot;

use super::session::{Attempt, Kept, SessionMessage, SessionState, Stored};
use super::{accounts, journal};
use crate::agents::compaction::Compacted;
use crate::agents::compaction::summary::{INSTRUCTION_CHARS, cut_to};
use crate::agents::{Intent, SentBlock};
use crate::ids::RunId;
use crate::store::Commit;
use crate::store::records::{AcceptRecord, Route, RunRecord};

/// What a run asks for.
#[derive(Debug)]
pub(crate) enum RunAsk {
    /// Note that a call is about to do something to the world.
    Intend(Intent),
    /// Send a part of the answer.
    Block(Box<SentBlock>),
    /// Put a shortened history into the transcript.
    Compacted(Box<Compacted>),
    /// Note that notes are being taken.
    Flushing,
}

/// Where an answer goes. Only its first part answers a message, unless the model names one.
pub(super) fn answering(route: &Route, named: Option<String>, is_continued: bool) -> Route {
    let usual = if is_continued { None } else { route.reply_to.clone() };
    Route { reply_to: named.or(usual), ..route.clone() }
}

impl SessionState {
    pub(super) fn run_asks(&mut self, from: &Attempt, ask: RunAsk, done: oneshot::Sender<bool>) -> ActorResult {
        if !self.is_current(from) {
            // An older attempt: it is told that nothing was stored and ends.
            done.send(false).ok();
            return Ok(());
        }
        match ask {
            RunAsk::Intend(intent) => self.intend(&from.run, intent, done),
            RunAsk::Block(block) => self.block(*block, done),
            RunAsk::Compacted(compacted) => self.compacted(&compacted, done),
            RunAsk::Flushing => self.flushing(done),
        }
    }

    fn block(&mut self, block: SentBlock, done: oneshot::Sender<bool>) -> ActorResult {
        let now = self.services.run.clock.now_ms();
        let seq = self.next_seq();
        let Some(active) = &mut self.active else { return Ok(()) };
        let Some(route) = &active.record.route else {
            done.send(false).ok();
            return Ok(());
        };
        let route = answering(route, block.reply_to, active.record.streamed.is_some());
        active.record.streamed = Some(block.streamed);
        let run = active.job.run.clone();
        let is_sent = self.row.text("sendPolicy") != Some("deny") && !block.text.trim().is_empty();
        let delivery = is_sent.then(|| journal::delivery(&self.key, &run, &route, &block.text, seq, now));
        let commit = journal::block(&self.key, &run, &active.record, delivery.as_ref())?;
        self.write(Stored::Block(done), commit)
    }

    /// A part of an answer is durable: its lane is told.
    pub(super) fn block_stored(&self, done: oneshot::Sender<bool>, is_stored: bool) {
        let route = self.active.as_ref().and_then(|active| active.record.route.as_ref());
        if let Some(route) = route.filter(|_| is_stored) {
            self.services.deliveries.wake(&route.channel, &route.account);
        }
        // The run may be gone; then nobody waits for this.
        done.send(is_stored).ok();
    }

    fn compacted(&mut self, compacted: &Compacted, done: oneshot::Sender<bool>) -> ActorResult {
        let Some(append) = self.conversation.compact(compacted)? else {
            tracing::warn!(session_key = %self.key, "the conversation went on while its history was shortened");
            done.send(false).ok();
            return Ok(());
        };
        accounts::of_compaction(&mut self.row, compacted.tokens_after);
        self.row.updated_at = self.services.run.clock.now_ms();
        let commit = journal::with_row(Commit::new().append(append), &self.key, &self.row)?;
        self.write(Stored::Append(Kept::Message, done), commit)
    }

    fn flushing(&mut self, done: oneshot::Sender<bool>) -> ActorResult {
        if !accounts::of_notes(&mut self.row, self.services.run.clock.now_ms()) {
            done.send(false).ok();
            return Ok(());
        }
        let commit = journal::with_row(Commit::new(), &self.key, &self.row)?;
        self.write(Stored::Append(Kept::Message, done), commit)
    }

    /// Starts a run that shortens the history and tells how that went. `inputs` asked for it and are no messages of the
    /// conversation; `record` is as for any run of it.
    pub(super) fn start_compaction(
        &mut self,
        inputs: &[AcceptRecord],
        run: RunId,
        record: RunRecord,
        wishes: &str,
        ctx: &Ctx<SessionMessage>,
    ) -> ActorResult {
        let now = self.services.run.clock.now_ms();
        let record = RunRecord { compact: Some(cut_to(wishes.trim(), INSTRUCTION_CHARS)), ..record };
        self.remember_inputs(inputs, now);
        let commit = journal::consume(&self.key, inputs, &run, &record, Vec::new())?;
        self.write(Stored::Consume, journal::with_row(commit, &self.key, &self.row)?)?;
        self.changed("send");
        self.launch(run, record, Arc::new(AtomicU64::new(0)), Vec::new(), ctx);
        Ok(())
    }
}
