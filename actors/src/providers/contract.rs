//! What a provider is asked and what it answers, free of any vendor's format.
//!
//! A [`Wire`] turns a [`ModelRequest`] into a stream of [`ModelEvent`]s. The stream ends after `Done` or after its
//! first error; dropping it cancels the call.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::stream::BoxStream;
use serde_json::Value;

pub use crate::auth_profiles::ErrorClass;
use crate::message::{Message, StopReason, Usage};
use crate::providers::deadlines::Deadlines;
use crate::secret::Secret;

/// A tool as the model is told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// Name the model calls it by.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON schema of its arguments, an object.
    pub parameters: Value,
}

/// One call of a model.
#[derive(Debug, Clone, Default)]
pub struct ModelRequest {
    /// Model id as the provider knows it, without the provider.
    pub model: String,
    /// System prompt, the part that stays the same from turn to turn.
    pub system: Option<String>,
    /// What of the system prompt belongs to this turn; comes behind the other part and is not cached.
    pub system_turn: Option<String>,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// Tools the model may call.
    pub tools: Vec<ToolSpec>,
    /// The tools are only there because the conversation has calls in it; none may be called.
    pub no_tool_calls: bool,
    /// Limit of generated tokens.
    pub max_tokens: Option<u64>,
}

/// A piece of the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelEvent {
    /// More text.
    TextDelta(String),
    /// More reasoning.
    ThinkingDelta(String),
    /// The proof that goes with the reasoning since the last text, to be kept for replay.
    ThinkingSignature(String),
    /// A tool call begins.
    ToolCallStart {
        /// Which call of this answer, from 0.
        index: usize,
        /// The provider's id of the call.
        id: String,
        /// The tool's name.
        name: String,
    },
    /// More of a call's arguments, as JSON text.
    ToolCallDelta {
        /// Which call.
        index: usize,
        /// The fragment.
        arguments: String,
    },
    /// Tokens so far; the last one counts.
    Usage(Usage),
    /// The answer is complete.
    Done(StopReason),
}

/// Why a call failed. `message` is short, for a person, and never holds a credential.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ModelError {
    /// What kind of failure.
    pub class: ErrorClass,
    /// HTTP status, if the provider answered with one.
    pub status: Option<u16>,
    /// In words.
    pub message: String,
    /// When the provider wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl ModelError {
    /// A failure without an HTTP status.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, status: None, message: message.into(), retry_after: None }
    }
}

/// The answer as it comes.
pub type ModelStream = BoxStream<'static, Result<ModelEvent, ModelError>>;

/// A wire format.
pub trait Wire: Send + Sync {
    /// Starts a call. Nothing is sent before the stream is polled.
    fn stream(&self, endpoint: &Endpoint, credential: Option<&Secret>, request: &ModelRequest) -> ModelStream;
}

/// Where and how a provider is reached.
#[derive(Clone)]
pub struct Endpoint {
    /// Provider id, for messages and replay.
    pub provider: String,
    /// Base address without a slash at its end.
    pub base_url: String,
    /// Further headers.
    pub headers: Vec<(String, Secret)>,
    /// `Some(true)`: `Authorization: Bearer`; `Some(false)`: no credential header; otherwise as the format has it.
    pub auth_header: Option<bool>,
    /// Output limit for formats that demand one.
    pub default_max_tokens: u64,
    /// Time limits.
    pub deadlines: Deadlines,
    /// The HTTP client.
    pub client: HttpClient,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// An HTTP client that is built at its first use. Clones share it, so a provider keeps one pool of connections.
#[derive(Clone)]
pub struct HttpClient {
    connect: Duration,
    local: bool,
    built: Arc<OnceLock<reqwest::Client>>,
}

impl HttpClient {
    /// A client that gives up connecting after `connect`. `local` servers are reached past any proxy.
    #[must_use]
    pub fn lazy(connect: Duration, local: bool) -> Self {
        Self { connect, local, built: Arc::new(OnceLock::new()) }
    }

    /// The client.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn get(&self) -> Result<reqwest::Client, ModelError> {
        if let Some(client) = self.built.get() {
            return Ok(client.clone());
        }
        // A redirect would carry the credential to a place nobody configured.
        let mut builder = reqwest::Client::builder()
            .connect_timeout(self.connect)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("openclawd/", env!("CARGO_PKG_VERSION")));
        if self.local {
            builder = builder.no_proxy();
        }
        let client =
            builder.build().map_err(|_| ModelError::new(ErrorClass::Unknown, "the HTTP client could not be set up"))?;
        Ok(self.built.get_or_init(|| client).clone())
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("built", &self.built.get().is_some()).finish_non_exhaustive()
    }
}
