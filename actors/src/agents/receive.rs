//! Receiving an answer: its pieces are put together, and its text is passed on to watchers at a steady pace.

use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::contract::RunJob;
use super::event::RunEventKind;
use super::turn::{PACE, TurnPort};
use crate::auth_profiles::ErrorClass;
use crate::providers::{AnswerBuilder, ModelError, ModelEvent, ModelStream};

/// The text that watchers see of this run.
pub(super) struct Shown {
    pub(super) text: String,
    stale: bool,
    pub(super) calls: u32,
}

impl Shown {
    /// `again`: an earlier attempt of the run may have shown text.
    pub(super) fn new(again: bool) -> Self {
        Self { text: String::new(), stale: again, calls: 0 }
    }

    /// A call that showed something failed: the next text replaces it.
    pub(super) fn discard(&mut self, keep: usize) {
        self.stale = self.stale || self.text.len() > keep;
        self.text.truncate(keep);
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

/// Reads an answer; passes text on at most every [`PACE`], and at once before anything else.
pub(super) async fn receive(mut stream: ModelStream, port: &TurnPort, shown: &mut Shown, job: &RunJob) -> Received {
    let mut answer = AnswerBuilder::default();
    let mut pending = Pending::default();
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
            ModelEvent::TextDelta(delta) => pending.text(delta),
            ModelEvent::ThinkingDelta(delta) => pending.thinking(delta),
            ModelEvent::ToolCallStart { .. } => pending.flush(port, shown, job),
            ModelEvent::Done(_) => {
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
#[derive(Default)]
struct Pending {
    text: String,
    thinking: String,
    thought: String,
    last: Option<Instant>,
}

impl Pending {
    fn text(&mut self, delta: String) {
        self.text.push_str(&delta);
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
