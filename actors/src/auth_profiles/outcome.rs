//! How a model call ended, as far as a credential is concerned.
//!
//! The classes are decided by the providers (they read the answer) and acted on here and by failover. A class says
//! what may be done next; it carries no text of the provider.

use std::fmt;
use std::time::Duration;

/// Why a model call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// Too many requests or tokens in a period.
    RateLimit,
    /// The provider has no capacity.
    Overloaded,
    /// No credit, or a spending limit that doesn't renew by itself.
    Billing,
    /// The credential was refused.
    Auth,
    /// The credential was revoked or its owner deactivated.
    AuthPermanent,
    /// No answer in time, or the connection broke.
    Timeout,
    /// The provider failed inside.
    ServerError,
    /// The provider's certificate could not be verified.
    TlsCertificate,
    /// The provider refused the request as malformed.
    Format,
    /// The request is larger than the model's context.
    ContextOverflow,
    /// The model doesn't exist or is not open to this account.
    ModelNotFound,
    /// A conversation kept by the provider is gone.
    SessionExpired,
    /// The answer held nothing at all.
    EmptyResponse,
    /// A failure without status and without words.
    NoErrorDetails,
    /// A failure with words that fit no class.
    Unclassified,
    /// A failure that was not the provider's: no such provider, a wire format we don't speak.
    Unknown,
}

impl ErrorClass {
    /// The name used in files, events and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimit => "rate_limit",
            Self::Overloaded => "overloaded",
            Self::Billing => "billing",
            Self::Auth => "auth",
            Self::AuthPermanent => "auth_permanent",
            Self::Timeout => "timeout",
            Self::ServerError => "server_error",
            Self::TlsCertificate => "tls_certificate",
            Self::Format => "format",
            Self::ContextOverflow => "context_overflow",
            Self::ModelNotFound => "model_not_found",
            Self::SessionExpired => "session_expired",
            Self::EmptyResponse => "empty_response",
            Self::NoErrorDetails => "no_error_details",
            Self::Unclassified => "unclassified",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the call ended that a lease was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The provider answered.
    Ok,
    /// The call failed. For `timeout` and `server_error` this is said only after the retries of one call are spent.
    Failed {
        /// Why.
        class: ErrorClass,
        /// When the provider wants to be asked again.
        retry_after: Option<Duration>,
    },
}

impl Outcome {
    /// A failure without a time given by the provider.
    #[must_use]
    pub fn failed(class: ErrorClass) -> Self {
        Self::Failed { class, retry_after: None }
    }
}
