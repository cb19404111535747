//! The sessions of this gateway, as tools see them. Filled in where everything is put together.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};

use crate::clock::EpochMs;
use crate::config::QueueMode;
use crate::ids::{AgentId, RunId, SessionKey};
use crate::message::Message;

/// Why sessions could not be asked, in words for a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PortError(pub String);

/// What is known of a session without reading its transcript.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SessionFacts {
    /// Its key.
    pub key: String,
    /// The generation behind the key.
    pub session_id: String,
    /// A name given by a person.
    pub label: Option<String>,
    /// Channel of the last message.
    pub channel: Option<String>,
    /// Last change.
    pub updated_at: EpochMs,
    /// Last message of a person.
    pub last_interaction_at: Option<EpochMs>,
    /// Provider of the last answer.
    pub provider: Option<String>,
    /// Model of the last answer.
    pub model: Option<String>,
    /// Tokens of the context as of the last call.
    pub context_tokens: u64,
    /// Prompt tokens so far.
    pub input_tokens: u64,
    /// Generated tokens so far.
    pub output_tokens: u64,
    /// True when the last run was aborted.
    pub aborted_last_run: bool,
    /// The session that made this one, if one did.
    pub spawned_by: Option<String>,
}

/// A session as it is now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SessionStatus {
    /// What is known of it.
    pub facts: SessionFacts,
    /// The run that is at work.
    pub active_run: Option<String>,
    /// The model it would ask now, `provider/model`.
    pub model: String,
    /// Tokens of that model's window.
    pub window: u64,
}

/// Messages of a session.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SessionMessages {
    /// Ids and messages, oldest first.
    pub messages: Vec<(String, Message)>,
    /// Messages in the transcript.
    pub total: usize,
}

/// A message from one session to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionMessageOut {
    /// Who gets it.
    pub to: SessionKey,
    /// What it says.
    pub text: String,
    /// Tells a repeat of it.
    pub key: String,
    /// True when it is sent for the owner.
    pub from_owner: bool,
    /// What is to happen while the receiver is busy; none: what its settings say.
    pub mode: Option<QueueMode>,
}

/// How a message was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is kept and will be run, or was before.
    Accepted(RunId),
    /// Its run ended already, with this text.
    Ended(RunId, Result<String, String>),
}

/// Asks sessions.
pub trait SessionsPort: Send + Sync + 'static {
    /// Sessions of an agent in key order, `limit` of them behind `after`.
    fn list(
        &self,
        agent: AgentId,
        after: Option<SessionKey>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<SessionFacts>, PortError>>;
    /// A session as it is now; none when there is no such session.
    fn status(&self, session: SessionKey) -> BoxFuture<'static, Result<Option<SessionStatus>, PortError>>;
    /// The newest `limit` messages.
    fn history(&self, session: SessionKey, limit: usize) -> BoxFuture<'static, Result<SessionMessages, PortError>>;
    /// Hands a message over; a repeat of its key changes nothing.
    fn send(&self, message: SessionMessageOut) -> BoxFuture<'static, Result<Taken, PortError>>;
    /// Waits for the end of a run: its answer, or why there is none; `None` when it does not end in time.
    fn wait(
        &self,
        session: SessionKey,
        run: RunId,
        patience: Duration,
    ) -> BoxFuture<'static, Option<Result<String, String>>>;
}

/// No sessions: for tools that are tried alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSessions;

fn none<T: Send + 'static>() -> BoxFuture<'static, Result<T, PortError>> {
    async { Err(PortError(String::from("there are no sessions here"))) }.boxed()
}

impl SessionsPort for NoSessions {
    fn list(
        &self,
        _: AgentId,
        _: Option<SessionKey>,
        _: usize,
    ) -> BoxFuture<'static, Result<Vec<SessionFacts>, PortError>> {
        none()
    }

    fn status(&self, _: SessionKey) -> BoxFuture<'static, Result<Option<SessionStatus>, PortError>> {
        none()
    }

    fn history(&self, _: SessionKey, _: usize) -> BoxFuture<'static, Result<SessionMessages, PortError>> {
        none()
    }

    fn send(&self, _: SessionMessageOut) -> BoxFuture<'static, Result<Taken, PortError>> {
        none()
    }

    fn wait(&self, _: SessionKey, _: RunId, _: Duration) -> BoxFuture<'static, Option<Result<String, String>>> {
        async { None }.boxed()
    }
}
