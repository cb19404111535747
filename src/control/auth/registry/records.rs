//! What is known of a device, paired or waiting.

use actors::clock::EpochMs;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::control::auth::tokens::{Fresh, TokenText};
use crate::protocol::Role;

/// How a device got its approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApprovedVia {
    /// It is on this machine.
    Silent,
    /// An operator said so.
    Owner,
}

/// A token of a device in one role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceToken {
    /// The role it is good for.
    pub role: Role,
    /// The scopes it is good for, sorted.
    pub scopes: Vec<String>,
    /// The token.
    pub token: TokenText,
    /// When it was issued first.
    pub created_at_ms: EpochMs,
    /// When it was last replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at_ms: Option<EpochMs>,
}

impl DeviceToken {
    /// When the token in force was issued.
    #[must_use]
    pub fn issued_at_ms(&self) -> EpochMs {
        self.rotated_at_ms.unwrap_or(self.created_at_ms)
    }
}

/// A paired device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceRecord {
    /// Hash of its key.
    pub device_id: String,
    /// Its key.
    pub public_key: String,
    /// Name it gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Name the operator gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Pinned.
    pub platform: String,
    /// Pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// Client it was paired with.
    pub client_id: String,
    /// Mode of that client.
    pub client_mode: String,
    /// Role it was paired in first.
    pub role: Role,
    /// Roles it may take.
    pub roles: Vec<Role>,
    /// Scopes it may ask for.
    pub scopes: Vec<String>,
    /// How it got its approval.
    pub approved_via: ApprovedVia,
    /// When it was paired first.
    pub created_at_ms: EpochMs,
    /// When it was last approved.
    pub approved_at_ms: EpochMs,
    /// When it was last here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at_ms: Option<EpochMs>,
    /// `connect` or `device-token-auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_reason: Option<String>,
    /// Its tokens, one per role.
    pub tokens: Vec<DeviceToken>,
}

impl DeviceRecord {
    /// Its token in `role`.
    #[must_use]
    pub fn token(&self, role: Role) -> Option<&DeviceToken> {
        self.tokens.iter().find(|token| token.role == role)
    }

    /// The record as operators see it: tokens without their text. `is_connected` is left out when not asked for.
    #[must_use]
    pub fn shown(&self, is_connected: Option<bool>) -> Value {
        let mut shown = serde_json::to_value(self).unwrap_or_default();
        if let Some(tokens) = shown.get_mut("tokens").and_then(Value::as_array_mut) {
            for token in tokens.iter_mut().filter_map(Value::as_object_mut) {
                token.remove("token");
            }
        }
        if let Some(is_connected) = is_connected {
            shown["connected"] = is_connected.into();
        }
        shown
    }

    /// Gives it a token in `role` for its approved scopes: the one it has, or a new one. True when something changed.
    pub fn ensure_token(&mut self, role: Role, now: EpochMs, fresh: &dyn Fresh) -> bool {
        let scopes = token_scopes(role, &self.scopes);
        match self.tokens.iter_mut().find(|token| token.role == role) {
            Some(token) if token.scopes == scopes => false,
            Some(token) => {
                token.scopes = scopes;
                true
            }
            None => {
                let token = fresh.token();
                self.tokens.push(DeviceToken { role, scopes, token, created_at_ms: now, rotated_at_ms: None });
                true
            }
        }
    }
}

/// Scopes of a token, sorted as records show them. Nodes have none.
pub(super) fn token_scopes(role: Role, approved: &[String]) -> Vec<String> {
    match role {
        Role::Operator => {
            let mut scopes = approved.to_vec();
            scopes.sort();
            scopes
        }
        Role::Node => Vec::new(),
    }
}

/// A device that asks to be approved; in the shape of event `device.pair.requested`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingPairing {
    /// Names the request.
    pub request_id: String,
    /// Hash of its key.
    pub device_id: String,
    /// Its key.
    pub public_key: String,
    /// Name it gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Operating system.
    pub platform: String,
    /// Kind of machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// Client.
    pub client_id: String,
    /// Mode.
    pub client_mode: String,
    /// Role it asks for.
    pub role: Role,
    /// The same as a list.
    pub roles: Vec<Role>,
    /// Scopes it asks for.
    pub scopes: Vec<String>,
    /// Where it is, unless on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// Always false: silent ones never wait.
    pub silent: bool,
    /// True when the device is already known.
    pub is_repair: bool,
    /// When it last asked.
    pub ts: EpochMs,
}

impl PendingPairing {
    /// True when `other` asks for the same thing.
    #[must_use]
    pub fn asks_the_same(&self, other: &Self) -> bool {
        let mine = (&self.device_id, self.role, &self.scopes, &self.platform, &self.device_family);
        mine == (&other.device_id, other.role, &other.scopes, &other.platform, &other.device_family)
    }
}
