//! What happens in runs and sessions, for whoever watches. The control plane turns these into frames.

use std::sync::Arc;

use serde_json::Value;

use crate::clock::EpochMs;
use crate::ids::{AgentId, RunId, SessionKey};
use crate::store::records::RunEnd;

/// An event for watchers.
#[derive(Debug, Clone)]
pub enum GatewayEvent {
    /// Something in a run.
    Run(RunEvent),
    /// A session's row changed.
    SessionChanged {
        /// Which.
        session: SessionKey,
        /// `create`, `send`, `reset`, `update`.
        reason: &'static str,
    },
}

/// Something in a run.
#[derive(Debug, Clone)]
pub struct RunEvent {
    /// The run.
    pub run: RunId,
    /// Its session.
    pub session: SessionKey,
    /// The session's generation.
    pub session_id: Arc<str>,
    /// The agent.
    pub agent: AgentId,
    /// Number within the run, from 1.
    pub seq: u64,
    /// When.
    pub at: EpochMs,
    /// What.
    pub kind: RunEventKind,
}

/// What happened. Text fields are cumulative where they say so.
#[derive(Debug, Clone)]
pub enum RunEventKind {
    /// A phase before the first token.
    Status(RunPhase),
    /// The model is asked again after a wait.
    Retrying {
        /// From 1.
        attempt: u32,
        /// What is tried at most.
        max_attempts: u32,
        /// Class of the failure.
        reason: String,
    },
    /// The run has a slot and starts.
    Started {
        /// When the first attempt started.
        started_at: EpochMs,
    },
    /// A model works on it.
    Model {
        /// Provider id.
        provider: String,
        /// Model id.
        model: String,
    },
    /// No model works on it any more.
    ModelReleased,
    /// Reasoning.
    Thinking {
        /// New part.
        delta: String,
        /// All of this call.
        text: String,
    },
    /// Answer text.
    Text {
        /// New part.
        delta: String,
        /// All of the run.
        text: String,
        /// The text replaces what was shown before.
        replace: bool,
        /// Id of the piece of text, one per model call.
        item: String,
    },
    /// A tool call starts.
    ToolStarted {
        /// The call.
        call_id: String,
        /// The tool.
        name: String,
        /// Arguments.
        arguments: Value,
    },
    /// A tool call ended.
    ToolEnded {
        /// The call.
        call_id: String,
        /// The tool.
        name: String,
        /// Text for the model.
        text: String,
        /// True when it failed.
        is_error: bool,
        /// When it started.
        started_at: EpochMs,
    },
    /// Tokens so far.
    Usage {
        /// Generated tokens.
        output_tokens: u64,
    },
    /// The history is being shortened, or was.
    Compaction {
        /// It is over.
        is_over: bool,
        /// The same call is made again behind it.
        will_retry: bool,
    },
    /// The last model call is over.
    Finishing {
        /// `stop`, `length`, `error`.
        stop_reason: &'static str,
        /// The failure, if it is one.
        error: Option<String>,
    },
    /// A candidate failed and another one is tried.
    Fallback {
        /// What failed, `provider/model`.
        from: String,
        /// What is tried.
        to: String,
        /// Class of the failure.
        reason: String,
    },
    /// The answer is durable. Always the last event of a run.
    Ended(Box<Ending>),
    /// The run failed for good. Always the last event of a run.
    Failed {
        /// How.
        ending: Box<Ending>,
        /// `timeout`, `rate_limit`, `context_length`, `refusal`, `unknown`.
        error_kind: &'static str,
    },
    /// A person or a shutdown aborted it. Always the last event of a run.
    Aborted {
        /// How far it got.
        ending: Box<Ending>,
        /// `rpc`, `stop`, `shutdown`.
        stop_reason: &'static str,
    },
}

/// How a run ended, for watchers.
#[derive(Debug, Clone)]
pub struct Ending {
    /// The journalled end.
    pub end: RunEnd,
}

/// Phases before the first token, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunPhase {
    /// Waits for a slot.
    PreparingWorkspace,
    /// Reads the history.
    PreparingContext,
    /// Sends the request.
    StartingModel,
}

impl RunPhase {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreparingWorkspace => "preparing_workspace",
            Self::PreparingContext => "preparing_context",
            Self::StartingModel => "starting_model",
        }
    }
}

/// Takes events. Must not wait.
pub trait EventSink: Send + Sync + 'static {
    /// Takes one.
    fn publish(&self, event: GatewayEvent);
}

/// Drops everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvents;

impl EventSink for NoEvents {
    fn publish(&self, _event: GatewayEvent) {}
}
