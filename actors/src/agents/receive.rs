//! Receiving an answer: its pieces are put together, its text is passed on to watchers at a steady pace and, in blocks, to
//! the chat.

use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::contract::{RunJob, SentBlock};
use super::event::RunEventKind;
use super::port::{PACE, TurnPort};
use super::reply::blocks::Block;
use super::reply::directives::{self, ReplyTo};
use super::reply::{BlockCutter, SilenceGate, Streamed};
use crate::auth_profiles::ErrorClass;
use crate::config::BlockConfig;
use crate::providers::{AnswerBuilder, ModelError, ModelEvent, ModelStream};

/// What others see of this run while it goes on.
pub(super) struct Shown {
    pub(super) text: String,
    stale: bool,
    pub(super) calls: u32,
    /// Set when answers are sent in blocks.
    blocks: Option<BlockConfig>,
    /// What was sent of the latest message that was sent in part.
    pub(super) streamed: Option<Streamed>,
}

impl Shown {
    /// `again`: an earlier attempt of the run may have shown text.
    pub(super) fn new(again: bool) -> Self {
        Self { text: String::new(), stale: again, calls: 0, blocks: None, streamed: None }
    }

    /// Sends answers in blocks; `streamed` is what an earlier attempt sent.
    pub(super) fn in_blocks(self, blocks: Option<BlockConfig>, streamed: Option<Streamed>) -> Self {
        Self { blocks, streamed, ..self }
    }

    /// A call that showed something failed: the next text replaces it.
    pub(super) fn discard(&mut self, keep: usize) {
        self.stale = self.stale || self.text.len() > keep;
        self.text.truncate(keep);
    }

    /// What was sent of the message behind `before` others.
    pub(super) fn sent_of(&self, before: usize) -> Option<&Streamed> {
        self.streamed.as_ref().filter(|streamed| streamed.at == before as u64)
    }

    fn event(&mut self, run: &str, delta: String) -> RunEventKind {
        self.text.push_str(&delta);
        let replace = std::mem::take(&mut self.stale);
        RunEventKind::Text { delta, text: self.text.clone(), replace, item: format!("{run}:{}", self.calls) }
    }
}

/// How receiving ended.
pub(super) enum Received {
    Done(AnswerBuilder),
    Aborted(AnswerBuilder),
    Failed(ModelError),
}

/// Reads an answer; passes text on at most every [`PACE`], and at once before anything else. Text that may become silence
/// is held back.
pub(super) async fn receive(mut stream: ModelStream, port: &TurnPort, shown: &mut Shown, job: &RunJob) -> Received {
    let mut answer = AnswerBuilder::default();
    let mut pending = Pending::new(shown, job);
    loop {
        let next = tokio::select! {
            biased;
            () = port.cancel.cancelled() => {
                pending.flush(port, shown, job);
                return Received::Aborted(answer);
            }
            event = stream.next() => event,
            () = pending.due() => {
                pending.flush(port, shown, job);
                continue;
            }
        };
        let event = match next {
            Some(Ok(event)) => event,
            Some(Err(error)) => return Received::Failed(error),
            None => {
                return Received::Failed(ModelError::new(
                    ErrorClass::Timeout,
                    "the answer ended before it was complete",
                ));
            }
        };
        answer.push(&event);
        match event {
            ModelEvent::TextDelta(delta) => {
                let blocks = pending.text(&delta);
                pending.send(blocks, port, shown, job).await;
            }
            ModelEvent::ThinkingDelta(delta) => pending.thinking(delta),
            ModelEvent::ToolCallStart { .. } => pending.flush(port, shown, job),
            ModelEvent::Done(_) => {
                let blocks = pending.finish(!answer.has_calls());
                pending.send(blocks, port, shown, job).await;
                pending.flush(port, shown, job);
                return if answer.is_empty() {
                    Received::Failed(ModelError::new(ErrorClass::EmptyResponse, "the model answered nothing"))
                } else {
                    Received::Done(answer)
                };
            }
            ModelEvent::ThinkingSignature(_) | ModelEvent::ToolCallDelta { .. } | ModelEvent::Usage(_) => {}
        }
        if pending.is_due() {
            pending.flush(port, shown, job);
        }
    }
}

/// Text that was received and not passed on yet.
struct Pending {
    gate: SilenceGate,
    cutter: Option<BlockCutter>,
    before: usize,
    text: String,
    thinking: String,
    thought: String,
    last: Option<Instant>,
}

impl Pending {
    fn new(shown: &Shown, job: &RunJob) -> Self {
        let before = job.history.len();
        let cutter = shown.blocks.clone().map(|config| BlockCutter::new(config, before, shown.streamed.clone()));
        let (text, thinking, thought) = (String::new(), String::new(), String::new());
        Self { gate: SilenceGate::default(), cutter, before, text, thinking, thought, last: None }
    }

    /// Takes text in; gives the blocks that are complete.
    fn text(&mut self, delta: &str) -> Vec<Block> {
        let open = self.gate.push(delta);
        self.text.push_str(&open);
        self.cutter.as_mut().map(|cutter| cutter.push(&open)).unwrap_or_default()
    }

    /// The message is complete. The rest of the last one of a turn goes with the end of the turn.
    fn finish(&mut self, is_last: bool) -> Vec<Block> {
        let held = self.gate.finish();
        self.text.push_str(&held);
        let Some(cutter) = &mut self.cutter else { return Vec::new() };
        let mut blocks = cutter.push(&held);
        blocks.extend(if is_last { cutter.finish_turn() } else { cutter.finish() });
        blocks
    }

    /// Sends blocks, one after the other; each is durable before the next.
    async fn send(&mut self, blocks: Vec<Block>, port: &TurnPort, shown: &mut Shown, job: &RunJob) {
        for block in blocks {
            self.flush(port, shown, job);
            let streamed = Streamed::new(self.before as u64, &block.sent);
            let directed = directives::shape(&block.text);
            let reply_to = match directed.reply_to {
                Some(ReplyTo::Message(id)) => Some(id),
                Some(ReplyTo::Current) | None => None,
            };
            let sent = SentBlock { text: directed.text, reply_to, streamed: streamed.clone() };
            if port.sink.block(sent).await {
                shown.streamed = Some(streamed);
            }
        }
    }

    fn thinking(&mut self, delta: String) {
        self.thinking.push_str(&delta);
    }

    fn has(&self) -> bool {
        !self.text.is_empty() || !self.thinking.is_empty()
    }

    fn is_due(&self) -> bool {
        self.has() && self.last.is_none_or(|last| last.elapsed() >= PACE)
    }

    /// Resolves when something has waited long enough; never, when nothing waits.
    async fn due(&self) {
        match self.last {
            Some(last) if self.has() => tokio::time::sleep_until(last + PACE).await,
            Some(_) | None => std::future::pending().await,
        }
    }

    fn flush(&mut self, port: &TurnPort, shown: &mut Shown, job: &RunJob) {
        if !self.has() {
            return;
        }
        self.last = Some(Instant::now());
        if !self.thinking.is_empty() {
            let delta = std::mem::take(&mut self.thinking);
            self.thought.push_str(&delta);
            port.event(RunEventKind::Thinking { delta, text: self.thought.clone() });
        }
        if !self.text.is_empty() {
            let delta = std::mem::take(&mut self.text);
            port.event(shown.event(job.run.as_str(), delta));
        }
    }
}
