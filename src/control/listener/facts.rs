//! What the HTTP routes ask the gateway, and the limit on those who guess its credential over HTTP.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::header::AUTHORIZATION;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::control::auth::credentials::{AuthConfig, AuthMode};
use crate::control::auth::rate_limit::Credential;
use crate::control::auth::{LimitKey, RateLimiter, UpgradeFacts};
use crate::control::http::{Denied, HttpFacts, Visitor};
use crate::control::readiness::Readiness;
use crate::control::services::Services;
use crate::protocol::methods::health::EventLoopHealth;

/// The gateway as the routes see it.
pub(super) struct GatewayFacts {
    services: Arc<Services>,
    attempts: Mutex<RateLimiter>,
}

impl GatewayFacts {
    pub(super) fn new(services: Arc<Services>) -> Self {
        Self { services, attempts: Mutex::default() }
    }

    fn judge(&self, sent: &str, auth: &AuthConfig, facts: &UpgradeFacts) -> Result<(), Denied> {
        let secret = match auth.mode {
            AuthMode::Token => auth.token.as_ref(),
            AuthMode::Password => auth.password.as_ref(),
            AuthMode::None | AuthMode::TrustedProxy => None,
        };
        let key = LimitKey::of(facts, Credential::SharedSecret);
        let now = self.services.clock.now_ms();
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wait) = attempts.locked_for(&key, now) {
            return Err(Denied::Locked(wait));
        }
        if secret.filter(|secret| !secret.is_empty()).is_some_and(|secret| secret.matches(sent)) {
            attempts.succeeded(&key);
            return Ok(());
        }
        attempts.failed(key, &auth.rate, now);
        Err(Denied::Unauthorized)
    }
}

impl HttpFacts for GatewayFacts {
    fn readiness(&self) -> &Readiness {
        &self.services.readiness
    }

    fn failing(&self) -> Vec<String> {
        self.services.failing().into_iter().map(|(name, _)| name).collect()
    }

    fn load(&self) -> BoxFuture<'_, EventLoopHealth> {
        Box::pin(self.services.load.measure())
    }

    fn ui_root(&self) -> Option<PathBuf> {
        let current = self.services.domain.config.current();
        let ui = &current.config.gateway.control_ui;
        ui.root.clone().filter(|_| ui.enabled)
    }

    fn ui_config(&self) -> Value {
        let current = self.services.domain.config.current();
        json!({
            "basePath": current.config.gateway.control_ui.base_path,
            "assistantName": "Assistant",
            "assistantAgentId": current.config.agents.default_agent().as_str(),
            "serverVersion": self.services.version,
            "embedSandbox": "scripts",
            "allowExternalEmbedUrls": false,
            "automaticallyFetchFavicons": false,
            "communityInvite": false,
            "terminalEnabled": false,
            "cliAgentsEnabled": false,
            "pluginAssetsRequireAuth": false,
            "pluginFrameGrants": [],
        })
    }

    fn admit(&self, visitor: &Visitor<'_>) -> Result<(), Denied> {
        let auth = self.services.sign_in(&self.services.domain.config.current());
        if auth.mode == AuthMode::None {
            return Ok(());
        }
        let sent = visitor.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let sent = sent.and_then(|value| value.split_once(' ')).filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
        let (_, sent) = sent.ok_or(Denied::Unauthorized)?;
        let text = visitor.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        self.judge(sent.trim(), &auth, &UpgradeFacts::from_headers(visitor.peer, text))
    }
}
