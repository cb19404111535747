//! Channels: `channels.status`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::health::EventLoopHealth;
use super::params;
use crate::protocol::schema::{COUNT, NAME, Object, Schema};

/// Parameters of `channels.status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusParams {
    /// Ask each platform afresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<bool>,
    /// How long that may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// One channel only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}
params!(StatusParams, "channels.status", STATUS);

/// Result of `channels.status`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusResult {
    /// When.
    pub ts: i64,
    /// Channel ids in the order to show them.
    pub channel_order: Vec<String>,
    /// Channel id to name.
    pub channel_labels: BTreeMap<String, String>,
    /// Channel id to longer name.
    pub channel_detail_labels: BTreeMap<String, String>,
    /// Channel id to symbol.
    pub channel_system_images: BTreeMap<String, String>,
    /// The three as a list.
    pub channel_meta: Vec<ChannelMeta>,
    /// Channel id to what its default account says.
    pub channels: Map<String, Value>,
    /// Channel id to its accounts.
    pub channel_accounts: BTreeMap<String, Vec<ChannelAccount>>,
    /// Channel id to its default account.
    pub channel_default_account_id: BTreeMap<String, String>,
    /// Executor lag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_loop: Option<EventLoopHealth>,
    /// Some account did not answer in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<bool>,
    /// What an operator should look at.
    pub status_issues: Vec<StatusIssue>,
}

/// Names of a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ChannelMeta {
    /// Its id.
    pub id: String,
    /// Its name.
    pub label: String,
    /// Its longer name.
    pub detail_label: String,
}

/// One account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ChannelAccount {
    /// Its id.
    pub account_id: String,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// It is to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// It has what it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configured: Option<bool>,
    /// It runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<bool>,
    /// It talks to its platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
    /// Failed starts in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconnect_attempts: Option<u64>,
    /// When it last connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_connected_at: Option<i64>,
    /// What last went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// `healthy`, `not-running`, `disconnected` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_state: Option<String>,
    /// When it last started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_start_at: Option<i64>,
    /// When it last stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_stop_at: Option<i64>,
    /// When it last heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_inbound_at: Option<i64>,
    /// When it last spoke.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_outbound_at: Option<i64>,
    /// `polling` or `webhook`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Who may write to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dm_policy: Option<String>,
    /// Who may write to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_from: Option<Vec<String>>,
    /// Where its token comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_source: Option<String>,
    /// Anything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// What an operator should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusIssue {
    /// Which channel.
    pub channel: String,
    /// Which account.
    pub account_id: String,
    /// `intent`, `permissions`, `config`, `auth` or `runtime`.
    pub kind: String,
    /// In words.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

const STATUS: Object = Object::closed(&[], &[("probe", Schema::Bool), ("timeoutMs", COUNT), ("channel", NAME)]);
