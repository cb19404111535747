//! What a run is given, what it gives back, and the port to its session.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use super::calls::ToolRequest;
use super::compaction::Compacted;
use super::event::{EventSink, GatewayEvent, RunEvent, RunEventKind};
use super::prompt::PromptReport;
use super::reply::{Reply, Streamed};
use crate::auth_profiles::AuthProfilesHandle;
use crate::clock::{Clock, EpochMs};
use crate::config::ConfigHandle;
use crate::ids::{AgentId, RunId, SessionKey};
use crate::message::{Message, Usage};
use crate::providers::ProvidersHandle;
use crate::tools::ToolRegistry;
use crate::tools::contract::{Effect, Fate};
use crate::tools::sessions_port::SessionsPort;

/// What runs share.
#[derive(Clone)]
pub struct RunServices {
    /// Models.
    pub providers: ProvidersHandle,
    /// Credentials.
    pub auth: AuthProfilesHandle,
    /// Configuration.
    pub config: ConfigHandle,
    /// Tools.
    pub tools: Arc<ToolRegistry>,
    /// Watchers.
    pub events: Arc<dyn EventSink>,
    /// Wall clock.
    pub clock: Clock,
    /// Sessions, as tools see them.
    pub tool_sessions: Arc<dyn SessionsPort>,
    /// Slots of the `main` lane: how many runs may call a model at once.
    pub lane: Arc<Semaphore>,
    /// The state directory; workspaces without a place of their own lie in it.
    pub state_dir: PathBuf,
}

impl std::fmt::Debug for RunServices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RunServices")
    }
}

/// One turn to do.
#[derive(Debug, Clone)]
pub struct RunJob {
    /// Its id.
    pub run: RunId,
    /// Its session.
    pub session: SessionKey,
    /// The session's generation.
    pub session_id: Arc<str>,
    /// The agent.
    pub agent: AgentId,
    /// The conversation, ending with the input (or with what an earlier attempt already did).
    pub history: Vec<Message>,
    /// Counter of the run's events; outlives an attempt.
    pub seq: Arc<AtomicU64>,
    /// From 1.
    pub attempt: u32,
    /// When the first attempt started.
    pub started_at: EpochMs,
    /// The one model to ask, instead of the agent's.
    pub model: Option<String>,
    /// True when an owner started it.
    pub owner: bool,
    /// The chat platform the input came through; none for clients of the gateway.
    pub channel: Option<String>,
    /// What an earlier attempt sent of its answer.
    pub streamed: Option<Streamed>,
    /// The history is to be shortened instead of answered; what to pay attention to.
    pub compact: Option<String>,
    /// Facts of this turn, told to the model alone.
    pub notes: Vec<String>,
    /// Calls of the last message that an earlier attempt left without a result.
    pub unsettled: Vec<Unsettled>,
}

/// A call an earlier attempt left without a result.
#[derive(Debug, Clone, PartialEq)]
pub enum Unsettled {
    /// To be carried out again, under the same key.
    Repeat(ToolRequest),
    /// Not to be carried out; the model is told why.
    Told {
        /// The call.
        request: ToolRequest,
        /// What became of it.
        fate: Fate,
        /// In words.
        text: String,
    },
}

/// What is written down before a call that does something to the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The provider's id of the call.
    pub call_id: String,
    /// Its name among the calls of its step.
    pub key: String,
    /// The tool.
    pub tool: String,
    /// What it does.
    pub effect: Effect,
    /// SHA-256 of its arguments, in hex.
    pub arguments: String,
}

impl RunJob {
    /// Publishes an event of this run.
    pub fn publish(&self, services: &RunServices, kind: RunEventKind) {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed) + 1;
        services.events.publish(GatewayEvent::Run(RunEvent {
            run: self.run.clone(),
            session: self.session.clone(),
            session_id: Arc::clone(&self.session_id),
            agent: self.agent.clone(),
            seq,
            at: services.clock.now_ms(),
            kind,
        }));
    }
}

/// How a run ended, as it tells its session.
#[derive(Debug, Clone, PartialEq)]
pub struct RunResult {
    /// In which way.
    pub outcome: RunOutcome,
    /// Provider of the last call.
    pub provider: String,
    /// Model of the last call.
    pub model: String,
    /// Tokens of all calls.
    pub usage: Usage,
    /// Tools that were called with success.
    pub tools: Vec<String>,
    /// What a person sees of the answer, and what of it is still to be sent.
    pub reply: Reply,
    /// Tokens of the last call: the size of the conversation. Zero when no model answered.
    pub context_tokens: u64,
    /// Sizes of the system prompt.
    pub report: Option<Box<PromptReport>>,
}

impl RunResult {
    /// The end of a run that called no model. An answer is shown and sent as it is.
    #[must_use]
    pub fn without_model(outcome: RunOutcome) -> Self {
        let reply = match &outcome {
            RunOutcome::Answered(message) => Reply::plain(message.text()),
            RunOutcome::Failed(_) | RunOutcome::Aborted(_) => Reply::default(),
        };
        Self {
            outcome,
            provider: String::new(),
            model: String::new(),
            usage: Usage::default(),
            tools: Vec::new(),
            reply,
            context_tokens: 0,
            report: None,
        }
    }
}

/// A part of an answer that goes out before the answer is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentBlock {
    /// Its text.
    pub text: String,
    /// The message it answers, when the model named one.
    pub reply_to: Option<String>,
    /// All that is sent of the message with it.
    pub streamed: Streamed,
}

/// The ways to end.
#[derive(Debug, Clone, PartialEq)]
pub enum RunOutcome {
    /// The last message of the model; not in the transcript yet.
    Answered(Message),
    /// No answer.
    Failed(RunFailure),
    /// Cancelled. What the model had said so far, if anything.
    Aborted(Option<Message>),
}

/// A failure, in words for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFailure {
    /// Short text that names no secret.
    pub text: String,
    /// `timeout`, `rate_limit`, `context_length`, `refusal`, `unknown`.
    pub kind: &'static str,
}

/// The session's ear.
pub trait RunSink: Send + Sync + 'static {
    /// Messages that came meanwhile and are taken into the run here, at a safe point; durable when they are given.
    fn steered(&self) -> BoxFuture<'static, Vec<Message>>;
    /// Puts a message into the transcript; resolves to true when it is durable.
    fn append(&self, message: Message) -> BoxFuture<'static, bool>;
    /// Sends a part of the answer to the chat; resolves to true when that is durable.
    fn block(&self, block: SentBlock) -> BoxFuture<'static, bool>;
    /// Puts a shortened history into the transcript; resolves to true when it is durable and in force.
    fn compacted(&self, compacted: Compacted) -> BoxFuture<'static, bool>;
    /// Notes are about to be taken before the history is shortened. Resolves to true at most once per history, so that
    /// notes that may have been taken are not taken again.
    fn flushing(&self) -> BoxFuture<'static, bool>;
    /// Writes down that a call is about to start; resolves to true when that is durable. The result that is appended
    /// for the call takes it back.
    fn intend(&self, intent: Intent) -> BoxFuture<'static, bool>;
    /// The run is over. Called once; nothing follows.
    fn finished(&self, result: RunResult);
}
