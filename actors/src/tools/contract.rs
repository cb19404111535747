//! What a tool is, and what a call of it may use.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::sessions_port::SessionsPort;
use super::workspace::WorkspacePlaces;
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::{AgentId, RunId, SessionKey};

/// Longest call of a tool that reads or changes files or asks this gateway. OpenClaw gives its `exec` 1800 s; these need
/// far less.
pub const USUAL_TIMEOUT: Duration = Duration::from_secs(120);

/// What a call does to the world, and so what may follow a crash in the middle of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Nothing: it may be repeated freely.
    Pure,
    /// Something that whoever is asked recognises when it is asked again with the same key.
    Keyed,
    /// Something that must not happen twice. Without an outcome nobody can say whether it happened.
    Once,
}

impl Effect {
    /// As it is shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Keyed => "keyed",
            Self::Once => "once",
        }
    }
}

/// Who may be offered a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Whoever talks to the agent.
    Anyone,
    /// The owner of the gateway; nobody else ever sees it.
    Owner,
}

/// What is fixed about a tool.
#[derive(Debug, Clone, Copy)]
pub struct ToolCapabilities {
    /// Who may be offered it.
    pub audience: Audience,
    /// Longest call.
    pub timeout: Duration,
    /// True when asking again and again is what it is for, so that doing so without news is a loop of its own kind.
    pub is_poll: bool,
    /// Turns older spellings of the arguments into those of the schema, before they are checked.
    pub upgrade: Option<fn(Value) -> Value>,
}

impl ToolCapabilities {
    /// For anyone, within the usual time.
    pub const OPEN: Self = Self { audience: Audience::Anyone, timeout: USUAL_TIMEOUT, is_poll: false, upgrade: None };
    /// For the owner, within the usual time.
    pub const OWNER: Self = Self { audience: Audience::Owner, ..Self::OPEN };
}

/// What a call may use.
#[derive(Clone)]
pub struct ToolContext {
    /// Wall clock.
    pub clock: Clock,
    /// Cancelled when the run is aborted or the daemon stops.
    pub cancel: CancellationToken,
    /// The agent that calls.
    pub agent: AgentId,
    /// Its session.
    pub session: SessionKey,
    /// Its run.
    pub run: RunId,
    /// Tells this call from all others of the run, also when it is repeated after a crash.
    pub call_id: Arc<str>,
    /// True when the owner of the gateway speaks.
    pub is_owner: bool,
    /// The agent's folder and what is out of bounds in it.
    pub workspace: WorkspacePlaces,
    /// Characters a result may have in the model's window; more is cut.
    pub result_chars: usize,
    /// Settings as they were when the call began.
    pub config: Arc<Config>,
    /// Sessions of this gateway.
    pub sessions: Arc<dyn SessionsPort>,
    /// Where blocking work is done.
    pub offload: Offload,
}

impl fmt::Debug for ToolContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolContext")
            .field("session", &self.session)
            .field("run", &self.run)
            .field("call_id", &self.call_id)
            .finish_non_exhaustive()
    }
}

impl ToolContext {
    /// A key under which whoever is asked recognises this call when it is repeated.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        format!("{}/{}", self.run, self.call_id)
    }
}

/// A piece of blocking work.
pub type BlockingWork = Box<dyn FnOnce() + Send>;

/// Does blocking work (files) off the executor, on a bounded number of threads.
#[derive(Clone)]
pub struct Offload(Arc<dyn Fn(BlockingWork) + Send + Sync>);

impl fmt::Debug for Offload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Offload")
    }
}

impl Offload {
    /// Hands work to `start`, which must not block.
    pub fn new(start: impl Fn(BlockingWork) + Send + Sync + 'static) -> Self {
        Self(Arc::new(start))
    }

    /// Does it on the spot: for tests, where nobody else waits.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn at_once() -> Self {
        Self::new(|work| work())
    }

    /// Runs `work` and waits for it.
    ///
    /// # Errors
    /// When it panicked or nobody does work any more.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ToolError> {
        let (done, result) = oneshot::channel();
        (self.0)(Box::new(move || drop(done.send(work()))));
        result.await.map_err(|_| ToolError::Failed(String::from("the work on it was given up")))
    }
}

/// What a call gave.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolOutput {
    /// Text for the model.
    pub text: String,
    /// Facts for a user interface.
    pub details: Option<Value>,
}

impl ToolOutput {
    /// Text alone.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), details: None }
    }

    /// A value, as JSON text and as details.
    #[must_use]
    pub fn json(value: Value) -> Self {
        Self { text: value.to_string(), details: Some(value) }
    }
}

/// Why a call failed; the text goes to the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// The arguments are not what the schema asks for.
    #[error("bad arguments: {0}")]
    Arguments(String),
    /// It did not work.
    #[error("{0}")]
    Failed(String),
    /// It was not carried out, or nobody knows whether it was.
    #[error("{text}")]
    Unfinished {
        /// Which of the two.
        fate: Fate,
        /// In words for the model.
        text: String,
    },
}

/// What became of a call that gave no result of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was not started.
    NotStarted,
    /// Left out because a message came in.
    Skipped,
    /// Refused because the model goes round in circles.
    Blocked,
    /// Stopped; it had no effect.
    Aborted,
    /// It was started, and whether it took effect is not known.
    Unknown,
}

impl Fate {
    /// As it stands in `details.outcome` of the result.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Skipped => "skipped",
            Self::Blocked => "blocked",
            Self::Aborted => "aborted",
            Self::Unknown => "unknown",
        }
    }

    /// The facts of a result with this fate.
    #[must_use]
    pub fn details(self) -> Value {
        serde_json::json!({"outcome": self.as_str()})
    }
}

/// One tool. A call runs in an actor of its own: a panic or a hang hurts that call only.
pub trait Tool: Send + Sync + 'static {
    /// Name as the model calls it.
    fn name(&self) -> &'static str;
    /// What it does, for the model.
    fn description(&self) -> &'static str;
    /// JSON Schema of the arguments; checked before a call, by the rules of [`super::schema`].
    fn parameters(&self) -> Value;
    /// What is fixed about it.
    fn capabilities(&self) -> ToolCapabilities;
    /// What a call with these arguments, which fit the schema, does to the world.
    fn effect(&self, arguments: &Value) -> Effect;
    /// Carries out one call.
    fn call(&self, arguments: Value, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>>;
}
