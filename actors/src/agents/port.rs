//! What a turn may do to the outside: tell its actor and its session, and have blocking work done.

use std::sync::Arc;
use std::time::Duration;

use supervision::Reporter;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::contract::RunSink;
use super::event::RunEventKind;
use super::run::{Offload, RunMessage};

/// How often streamed text is passed on at most (OpenClaw: one frame per 75 ms and run).
pub(super) const PACE: Duration = Duration::from_millis(75);

/// What the turn may do to the outside.
#[derive(Clone)]
pub(super) struct TurnPort {
    pub(super) reporter: Reporter<RunMessage>,
    pub(super) sink: Arc<dyn RunSink>,
    pub(super) cancel: CancellationToken,
    is_quiet: bool,
}

impl TurnPort {
    pub(super) fn new(reporter: Reporter<RunMessage>, sink: Arc<dyn RunSink>, cancel: CancellationToken) -> Self {
        Self { reporter, sink, cancel, is_quiet: false }
    }

    /// The same port, of which watchers hear nothing.
    pub(super) fn quiet(&self) -> Self {
        Self { is_quiet: true, ..self.clone() }
    }

    pub(super) fn event(&self, kind: RunEventKind) {
        if !self.is_quiet {
            self.reporter.send(RunMessage::Event(kind));
        }
    }

    /// Does blocking work off the executor. `None`: it panicked, or the run is over.
    pub(super) async fn offload<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (reply, done) = oneshot::channel();
        // Nobody waits any more when the turn was dropped.
        let work = move || drop(reply.send(work()));
        self.reporter.send(RunMessage::Offload(Offload(Box::new(work))));
        done.await.ok()
    }
}
