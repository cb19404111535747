//! Who is there: entries of the presence list.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One entry. The gateway itself is the first; short-lived clients have none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PresenceEntry {
    /// Machine name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Client id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Client version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Kind of machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// Model of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_identifier: Option<String>,
    /// Time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Client mode, or `gateway`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Seconds since somebody touched the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_input_seconds: Option<u64>,
    /// `self`, `connect` or `disconnect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// One line for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Since when, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online_since: Option<i64>,
    /// Last activity, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_activity_at: Option<i64>,
    /// Device id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Roles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// Scopes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Instance id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Profile of the user; we send none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Value>,
    /// Sessions somebody looks at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watched_sessions: Option<Vec<String>>,
    /// When this entry last changed, epoch milliseconds.
    pub ts: i64,
}
