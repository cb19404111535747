//! What comes out of a decision.

use std::time::Duration;

use actors::clock::EpochMs;

use crate::control::auth::credentials::AuthMethod;
use crate::control::auth::locality::Locality;
use crate::control::auth::rate_limit::LimitKey;
use crate::control::auth::registry::{Change, PendingPairing};
use crate::control::auth::tokens::TokenText;
use crate::protocol::hello::HelloAuth;
use crate::protocol::{Close, ErrorShape, Role};

/// What is to be done about a `connect`.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Accept or refuse.
    pub outcome: Outcome,
    /// What to carry out first; device changes that must be durable, before the answer.
    pub effects: Vec<Effect>,
    /// How long to hold the answer back.
    pub delay: Duration,
}

/// Accept or refuse.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Let in.
    Accept(Box<Accepted>),
    /// Sent away.
    Refuse(Box<Refusal>),
}

/// What a connection is from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its role.
    pub role: Role,
    /// What it may do; method checks use exactly these.
    pub scopes: Vec<String>,
    /// How it was let in.
    pub method: AuthMethod,
    /// Where it is.
    pub locality: Locality,
    /// Its device, if it proved one.
    pub device_id: Option<String>,
    /// The token for its device, and when that was issued.
    pub device_token: Option<(TokenText, EpochMs)>,
}

impl Accepted {
    /// The `auth` part of hello-ok.
    #[must_use]
    pub fn hello(&self) -> HelloAuth {
        HelloAuth {
            method: Some(self.method.as_str().to_owned()),
            role: self.role.as_str().to_owned(),
            scopes: self.scopes.clone(),
            recovery_scope: None,
            recovery_migration_allowed: None,
            device_token: self.device_token.as_ref().map(|(token, _)| token.expose().to_owned()),
            issued_at_ms: self.device_token.as_ref().map(|(_, at)| *at),
        }
    }
}

/// How a connection is sent away: the answer to its request, if it gets one, and the close.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The answer; `None` when only the socket closes.
    pub error: Option<ErrorShape>,
    /// The close.
    pub close: Close,
}

impl Refusal {
    /// An error whose message is also the reason of a policy close.
    #[must_use]
    pub fn policy(error: ErrorShape) -> Self {
        let close = Close::policy(&error.message);
        Self { error: Some(error), close }
    }
}

/// What the caller must carry out.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Persist (see [`Change::must_be_durable`]) and apply to the registry.
    Devices(Change),
    /// Count a failure.
    AuthFailed(LimitKey),
    /// Forget failures.
    AuthSucceeded(LimitKey),
    /// Tell operators: event `device.pair.requested`.
    PairRequested(Box<PendingPairing>),
}
