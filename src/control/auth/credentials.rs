//! Shared secrets: which mode the gateway is in, what a client sent, and what it is told when that does not fit.

use std::time::Duration;

use actors::secret::Secret;
use serde_json::{Value, json};

use crate::protocol::connect::{CONTROL_UI, ConnectAuth, ConnectParams};
use crate::protocol::{DetailCode, ErrorShape};

use super::locality::{Locality, UpgradeFacts};
use super::rate_limit::RateLimits;

/// How the gateway knows its users.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AuthMode {
    /// Everybody who reaches it is a user; loopback only.
    None,
    /// A shared token.
    #[default]
    Token,
    /// A shared password.
    Password,
    /// A proxy in front of it vouches for users.
    TrustedProxy,
}

impl AuthMode {
    /// The mode in force: the configured one; unset, `password` when there is one, else `token`.
    #[must_use]
    pub fn effective(configured: Option<Self>, has_password: bool) -> Self {
        configured.unwrap_or(if has_password { Self::Password } else { Self::Token })
    }

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Token => "token",
            Self::Password => "password",
            Self::TrustedProxy => "trusted-proxy",
        }
    }
}

/// What the configuration says about who is let in.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// Mode in force.
    pub mode: AuthMode,
    /// The shared token.
    pub token: Option<Secret>,
    /// The shared password.
    pub password: Option<Secret>,
    /// Pages that may connect from elsewhere.
    pub allowed_origins: Vec<String>,
    /// Whether any page whose host is the addressed host may connect.
    pub host_header_origin_fallback: bool,
    /// Whether devices of this machine are paired without asking.
    pub silent_pairing: bool,
    /// Limits on failed attempts.
    pub rate: RateLimits,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            mode: AuthMode::Token,
            token: None,
            password: None,
            allowed_origins: Vec::new(),
            host_header_origin_fallback: false,
            silent_pairing: true,
            rate: RateLimits::default(),
        }
    }
}

/// How a connection was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// No proof needed.
    None,
    /// The shared token.
    Token,
    /// The shared password.
    Password,
    /// A proxy vouched.
    TrustedProxy,
    /// A device token.
    DeviceToken,
}

impl AuthMethod {
    /// The name on the wire (`hello-ok.auth.method`).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Token => "token",
            Self::Password => "password",
            Self::TrustedProxy => "trusted-proxy",
            Self::DeviceToken => "device-token",
        }
    }

    /// True for the secrets everybody shares.
    #[must_use]
    pub const fn is_shared_secret(self) -> bool {
        match self {
            Self::Token | Self::Password => true,
            Self::None | Self::TrustedProxy | Self::DeviceToken => false,
        }
    }
}

/// Why credentials are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthFault {
    /// No token sent.
    TokenMissing,
    /// Another token.
    TokenMismatch,
    /// The gateway has none.
    TokenMissingConfig,
    /// No password sent.
    PasswordMissing,
    /// Another password.
    PasswordMismatch,
    /// The gateway has none.
    PasswordMissingConfig,
    /// Setup codes are not known here.
    BootstrapTokenInvalid,
    /// Another device token, or one that was revoked.
    DeviceTokenMismatch,
    /// The device token covers neither scopes nor role.
    ScopeMismatch,
    /// Too many failures.
    RateLimited(Duration),
    /// No proxy vouches.
    ProxyIdentityMissing,
}

impl AuthFault {
    /// `details.authReason`.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::TokenMissing => "token_missing",
            Self::TokenMismatch => "token_mismatch",
            Self::TokenMissingConfig => "token_missing_config",
            Self::PasswordMissing => "password_missing",
            Self::PasswordMismatch => "password_mismatch",
            Self::PasswordMissingConfig => "password_missing_config",
            Self::BootstrapTokenInvalid => "bootstrap_token_invalid",
            Self::DeviceTokenMismatch => "device_token_mismatch",
            Self::ScopeMismatch => "scope_mismatch",
            Self::RateLimited(_) => "rate_limited",
            Self::ProxyIdentityMissing => "trusted_proxy_missing_header_user",
        }
    }

    /// `details.code`.
    #[must_use]
    pub fn code(self) -> DetailCode {
        match self {
            Self::TokenMissing => DetailCode::AuthTokenMissing,
            Self::TokenMismatch => DetailCode::AuthTokenMismatch,
            Self::TokenMissingConfig => DetailCode::AuthTokenNotConfigured,
            Self::PasswordMissing => DetailCode::AuthPasswordMissing,
            Self::PasswordMismatch => DetailCode::AuthPasswordMismatch,
            Self::PasswordMissingConfig => DetailCode::AuthPasswordNotConfigured,
            Self::BootstrapTokenInvalid => DetailCode::AuthBootstrapTokenInvalid,
            Self::DeviceTokenMismatch => DetailCode::AuthDeviceTokenMismatch,
            Self::ScopeMismatch => DetailCode::AuthScopeMismatch,
            Self::RateLimited(_) => DetailCode::AuthRateLimited,
            Self::ProxyIdentityMissing => DetailCode::AuthIdentityHeaderRequired,
        }
    }

    /// True when a secret was guessed wrongly, so that it counts towards the lockout.
    #[must_use]
    pub fn is_wrong_guess(self) -> bool {
        match self {
            Self::TokenMismatch | Self::PasswordMismatch | Self::DeviceTokenMismatch | Self::BootstrapTokenInvalid => {
                true
            }
            Self::TokenMissing
            | Self::TokenMissingConfig
            | Self::PasswordMissing
            | Self::PasswordMissingConfig
            | Self::ScopeMismatch
            | Self::RateLimited(_)
            | Self::ProxyIdentityMissing => false,
        }
    }

    /// The sentence a person reads. The hint in parentheses depends on the client.
    #[must_use]
    pub fn message(self, client_id: &str) -> String {
        let is_page = client_id == CONTROL_UI;
        let (what, hint) = match self {
            Self::TokenMissing if is_page => ("gateway token missing", "enter the gateway token on the sign-in page"),
            Self::TokenMissing => ("gateway token missing", "send this gateway's gateway.auth.token"),
            Self::TokenMismatch if is_page => {
                ("gateway token mismatch", "enter this gateway's token on the sign-in page")
            }
            Self::TokenMismatch => {
                ("gateway token mismatch", "use this gateway's gateway.auth.token or pair the device")
            }
            Self::TokenMissingConfig => ("gateway token not configured", "set gateway.auth.token on the gateway"),
            Self::PasswordMissing => ("gateway password missing", "send this gateway's gateway.auth.password"),
            Self::PasswordMismatch => ("gateway password mismatch", "use this gateway's gateway.auth.password"),
            Self::PasswordMissingConfig => {
                ("gateway password not configured", "set gateway.auth.password on the gateway")
            }
            Self::BootstrapTokenInvalid => ("bootstrap token invalid or expired", "ask for a fresh setup code"),
            Self::DeviceTokenMismatch => ("device token mismatch", "rotate/reissue device token"),
            Self::ScopeMismatch => ("device token does not cover the requested scopes", "ask for fewer scopes"),
            Self::RateLimited(_) => ("too many failed attempts", "wait, then try again"),
            Self::ProxyIdentityMissing => ("no identity from a trusted proxy", "connect through the proxy"),
        };
        format!("unauthorized: {what} ({hint})")
    }

    fn next_step(self, can_retry_with_device_token: bool) -> &'static str {
        if can_retry_with_device_token {
            return "retry_with_device_token";
        }
        match self {
            Self::TokenMissing | Self::PasswordMissing | Self::TokenMissingConfig | Self::PasswordMissingConfig => {
                "update_auth_configuration"
            }
            Self::TokenMismatch | Self::PasswordMismatch | Self::DeviceTokenMismatch => "update_auth_credentials",
            Self::RateLimited(_) => "wait_then_retry",
            Self::ScopeMismatch | Self::BootstrapTokenInvalid | Self::ProxyIdentityMissing => {
                "review_auth_configuration"
            }
        }
    }

    /// The error a client gets.
    #[must_use]
    pub fn error(self, params: &ConnectParams) -> ErrorShape {
        let auth = params.credentials();
        let can_retry = self == Self::TokenMismatch
            && params.device.is_some()
            && filled(auth.token.as_ref()).is_some()
            && filled(auth.device_token.as_ref()).is_none();
        let details: Value = json!({
            "code": self.code().as_str(),
            "authReason": self.reason(),
            "canRetryWithDeviceToken": can_retry,
            "recommendedNextStep": self.next_step(can_retry),
        });
        let error = ErrorShape::invalid_request(self.message(&params.client.id)).with_details(details);
        if let Self::RateLimited(wait) = self { error.retryable_after(wait) } else { error }
    }
}

/// The text when there is one.
pub(super) fn filled(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// Checks what was sent against the shared secret of the mode in force. Device tokens are somebody else's.
///
/// # Errors
/// Why it does not fit.
pub fn check_shared(facts: &UpgradeFacts, auth: &ConnectAuth, config: &AuthConfig) -> Result<AuthMethod, AuthFault> {
    let (token, password) = (filled(auth.token.as_ref()), filled(auth.password.as_ref()));
    match config.mode {
        AuthMode::None => Ok(AuthMethod::None),
        AuthMode::Token => {
            let Some(secret) = configured(config.token.as_ref()) else { return Err(AuthFault::TokenMissingConfig) };
            // Either field may carry it; the one named like the mode wins.
            match token.or(password) {
                None => Err(AuthFault::TokenMissing),
                Some(sent) if secret.matches(sent) => Ok(AuthMethod::Token),
                Some(_) => Err(AuthFault::TokenMismatch),
            }
        }
        AuthMode::Password => check_password(password.or(token), config),
        AuthMode::TrustedProxy => {
            if facts.proxy_user.is_some() {
                return Ok(AuthMethod::TrustedProxy);
            }
            let is_direct = Locality::of(facts, false) == Locality::DirectLocal;
            if is_direct && configured(config.password.as_ref()).is_some() && password.is_some() {
                return check_password(password, config);
            }
            Err(AuthFault::ProxyIdentityMissing)
        }
    }
}

fn check_password(sent: Option<&str>, config: &AuthConfig) -> Result<AuthMethod, AuthFault> {
    let Some(secret) = configured(config.password.as_ref()) else { return Err(AuthFault::PasswordMissingConfig) };
    match sent {
        None => Err(AuthFault::PasswordMissing),
        Some(sent) if secret.matches(sent) => Ok(AuthMethod::Password),
        Some(_) => Err(AuthFault::PasswordMismatch),
    }
}

fn configured(secret: Option<&Secret>) -> Option<&Secret> {
    secret.filter(|secret| !secret.is_empty())
}

#[cfg(test)]
mod tests;
