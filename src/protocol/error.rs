//! Errors as they travel: a closed set of codes, and details whose own `code` is a closed set too.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::limits::{CONTROL_PLANE_WINDOW, CONTROL_PLANE_WRITES};
use super::scope::{Role, Scope};

/// The top-level code of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// Bad parameters, unknown method, failed precondition, refused connect.
    InvalidRequest,
    /// A scope is missing.
    Forbidden,
    /// Not now; also failures of providers, agents and handlers.
    Unavailable,
    /// Device identity or pairing needed.
    NotPaired,
    /// An approval id nobody knows.
    ApprovalNotFound,
    /// Reserved.
    NotLinked,
    /// Reserved.
    AgentTimeout,
}

macro_rules! detail_codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// `details.code` of an error.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum DetailCode { $($(#[$doc])* $variant),* }

        impl DetailCode {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

detail_codes! {
    /// No credential fits any mode.
    AuthRequired = "AUTH_REQUIRED",
    /// No token was sent.
    AuthTokenMissing = "AUTH_TOKEN_MISSING",
    /// The token is another one.
    AuthTokenMismatch = "AUTH_TOKEN_MISMATCH",
    /// The gateway has no token.
    AuthTokenNotConfigured = "AUTH_TOKEN_NOT_CONFIGURED",
    /// No password was sent.
    AuthPasswordMissing = "AUTH_PASSWORD_MISSING",
    /// The password is another one.
    AuthPasswordMismatch = "AUTH_PASSWORD_MISMATCH",
    /// The gateway has no password.
    AuthPasswordNotConfigured = "AUTH_PASSWORD_NOT_CONFIGURED",
    /// The setup code is not valid.
    AuthBootstrapTokenInvalid = "AUTH_BOOTSTRAP_TOKEN_INVALID",
    /// The device token is not valid.
    AuthDeviceTokenMismatch = "AUTH_DEVICE_TOKEN_MISMATCH",
    /// The device token does not cover scopes or role.
    AuthScopeMismatch = "AUTH_SCOPE_MISMATCH",
    /// Too many failures.
    AuthRateLimited = "AUTH_RATE_LIMITED",
    /// No identity header from the proxy.
    AuthIdentityHeaderRequired = "AUTH_IDENTITY_HEADER_REQUIRED",
    /// Any other refusal.
    AuthUnauthorized = "AUTH_UNAUTHORIZED",
    /// A signed device is needed.
    DeviceIdentityRequired = "DEVICE_IDENTITY_REQUIRED",
    /// The Control UI must be a signed device.
    ControlUiDeviceIdentityRequired = "CONTROL_UI_DEVICE_IDENTITY_REQUIRED",
    /// The page that connects is not one of ours.
    ControlUiOriginNotAllowed = "CONTROL_UI_ORIGIN_NOT_ALLOWED",
    /// The device must be approved.
    PairingRequired = "PAIRING_REQUIRED",
    /// The pairing of the target changed.
    PairingChanged = "PAIRING_CHANGED",
    /// Versions do not meet.
    ProtocolMismatch = "PROTOCOL_MISMATCH",
    /// Device id is not the hash of its key.
    DeviceAuthDeviceIdMismatch = "DEVICE_AUTH_DEVICE_ID_MISMATCH",
    /// Signed too long ago, or in the future.
    DeviceAuthSignatureExpired = "DEVICE_AUTH_SIGNATURE_EXPIRED",
    /// No nonce.
    DeviceAuthNonceRequired = "DEVICE_AUTH_NONCE_REQUIRED",
    /// Another nonce than the challenge's.
    DeviceAuthNonceMismatch = "DEVICE_AUTH_NONCE_MISMATCH",
    /// The signature does not verify.
    DeviceAuthSignatureInvalid = "DEVICE_AUTH_SIGNATURE_INVALID",
    /// The key is not a key.
    DeviceAuthPublicKeyInvalid = "DEVICE_AUTH_PUBLIC_KEY_INVALID",
    /// A scope is missing.
    MissingScope = "MISSING_SCOPE",
    /// The request names no session to act on.
    SessionMutationTargetRequired = "SESSION_MUTATION_TARGET_REQUIRED",
    /// No such agent.
    UnknownAgentId = "UNKNOWN_AGENT_ID",
    /// No such job.
    CronJobNotFound = "CRON_JOB_NOT_FOUND",
}

impl fmt::Display for DetailCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error as it travels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ErrorShape {
    /// What kind of error.
    pub code: ErrorCode,
    /// For a person.
    pub message: String,
    /// For a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// True when trying again can help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// How long to wait before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl fmt::Display for ErrorShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ErrorShape {}

impl ErrorShape {
    /// A bare error.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None, retryable: None, retry_after_ms: None }
    }

    /// An `INVALID_REQUEST`.
    #[must_use]
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    /// An `UNAVAILABLE` that trying again will not mend.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unavailable, message)
    }

    /// With details.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// With a promise that trying again after `wait` can help.
    #[must_use]
    pub fn retryable_after(mut self, wait: Duration) -> Self {
        self.retryable = Some(true);
        self.retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// With a promise that trying again can help, whenever.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = Some(true);
        self
    }

    /// `details.code`, when there is one.
    #[must_use]
    pub fn detail_code(&self) -> Option<&str> {
        self.details.as_ref()?.get("code")?.as_str()
    }

    /// Parameters that do not fit; `complaint` as [`super::schema`] words it.
    #[must_use]
    pub fn invalid_params(method: &str, complaint: &str) -> Self {
        Self::invalid_request(format!("invalid {method} params: {complaint}"))
    }

    /// A method that does not exist, or not here yet.
    #[must_use]
    pub fn unknown_method(method: &str) -> Self {
        Self::invalid_request(format!("unknown method: {method}"))
    }

    /// A frame that is not a request.
    #[must_use]
    pub fn invalid_frame(complaint: &str) -> Self {
        Self::invalid_request(format!("invalid request frame: {complaint}"))
    }

    /// The first request is another one than `connect`.
    #[must_use]
    pub fn connect_first() -> Self {
        Self::invalid_request("invalid handshake: first request must be connect")
    }

    /// The method is for another role.
    #[must_use]
    pub fn unauthorized_role(role: Role) -> Self {
        Self::invalid_request(format!("unauthorized role: {}", role.as_str()))
    }

    /// The connection lacks a scope.
    #[must_use]
    pub fn missing_scope(scope: Scope) -> Self {
        let name = scope.as_str();
        Self::new(ErrorCode::Forbidden, format!("missing scope: {name}")).with_details(json!({
            "code": DetailCode::MissingScope.as_str(), "missingScope": name, "requiredScopes": [name],
        }))
    }

    /// The request names no session that could be changed.
    #[must_use]
    pub fn session_target_required(method: &str) -> Self {
        Self::invalid_request("session mutation target is unavailable")
            .with_details(json!({ "code": DetailCode::SessionMutationTargetRequired.as_str(), "method": method }))
    }

    /// No agent of that id.
    #[must_use]
    pub fn unknown_agent(agent_id: &str) -> Self {
        Self::invalid_request(format!("unknown agent id \"{agent_id}\""))
            .with_details(json!({ "code": DetailCode::UnknownAgentId.as_str(), "agentId": agent_id }))
    }

    /// The gateway is starting.
    #[must_use]
    pub fn starting(method: &str) -> Self {
        Self::unavailable("gateway starting; retry shortly")
            .with_details(json!({ "reason": "startup-sidecars", "method": method }))
            .retryable_after(Duration::from_millis(500))
    }

    /// Too many requests of this connection wait for their start.
    #[must_use]
    pub fn busy() -> Self {
        Self::unavailable("The server is busy. Please try again in a moment.").retryable()
    }

    /// The control-plane write budget of this method is spent.
    #[must_use]
    pub fn write_budget_spent(method: &str, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let limit = format!("{CONTROL_PLANE_WRITES} per {}s", CONTROL_PLANE_WINDOW.as_secs());
        Self::unavailable(format!("rate limit exceeded for {method}; retry after {seconds}s"))
            .with_details(json!({ "method": method, "limit": limit }))
            .retryable_after(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_spelled_as_on_the_wire() {
        for (code, name) in [
            (ErrorCode::InvalidRequest, "INVALID_REQUEST"),
            (ErrorCode::Forbidden, "FORBIDDEN"),
            (ErrorCode::Unavailable, "UNAVAILABLE"),
            (ErrorCode::NotPaired, "NOT_PAIRED"),
            (ErrorCode::ApprovalNotFound, "APPROVAL_NOT_FOUND"),
            (ErrorCode::NotLinked, "NOT_LINKED"),
            (ErrorCode::AgentTimeout, "AGENT_TIMEOUT"),
        ] {
            assert_eq!(serde_json::to_value(code).unwrap(), json!(name));
        }
    }

    #[test]
    fn a_missing_scope_names_itself_three_times() {
        assert_eq!(
            serde_json::to_value(ErrorShape::missing_scope(Scope::Admin)).unwrap(),
            json!({"code": "FORBIDDEN", "message": "missing scope: operator.admin", "details": {
                "code": "MISSING_SCOPE", "missingScope": "operator.admin", "requiredScopes": ["operator.admin"]}})
        );
    }

    #[test]
    fn a_spent_budget_says_how_long_to_wait() {
        let error = ErrorShape::write_budget_spent("cron.run", Duration::from_millis(1_500));
        assert_eq!(error.message, "rate limit exceeded for cron.run; retry after 2s");
        assert_eq!(error.retry_after_ms, Some(1_500));
        assert_eq!(error.details.unwrap(), json!({"method": "cron.run", "limit": "30 per 60s"}));
    }
}
