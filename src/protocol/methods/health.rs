//! `health` and `status`.
//!
//! Both tolerate unknown parameters. Of the two results this gateway fills what it has; `channels`, `agents` and
//! `sessions` are what clients look at.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::params;
use crate::protocol::schema::{Object, Schema};

/// Parameters of `health`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthParams {
    /// Ask everybody afresh.
    pub probe: bool,
}
params!(HealthParams, "health", Object::open(&[], &[("probe", Schema::Bool)]));

/// The health snapshot: result of `health`, payload of event `health`, part of hello-ok.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthSnapshot {
    /// The gateway works.
    pub ok: bool,
    /// What is wrong, in words; left out when all is well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<String>,
    /// It was started so that faults can be injected; left out when it was not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub chaos: bool,
    /// When it was taken.
    pub ts: i64,
    /// How long that took.
    pub duration_ms: u64,
    /// Plugins; we have none.
    pub plugins: PluginHealth,
    /// Whether the configuration file is watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_reload: Option<ConfigReloadHealth>,
    /// Per channel, what its accounts say.
    pub channels: Map<String, Value>,
    /// Channel ids in the order to show them.
    pub channel_order: Vec<String>,
    /// Channel id to name.
    pub channel_labels: Map<String, Value>,
    /// Seconds between heartbeats; 0 when there are none.
    pub heartbeat_seconds: u64,
    /// Agent that answers by default.
    pub default_agent_id: String,
    /// Agents.
    pub agents: Vec<AgentHealth>,
    /// Sessions of all agents.
    pub sessions: SessionsHealth,
    /// Executor lag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_loop: Option<EventLoopHealth>,
    /// Whether models can be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_runtime: Option<ModelRuntimeHealth>,
}

/// Plugins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginHealth {
    /// Ids of those that run.
    pub loaded: Vec<String>,
    /// Those that failed.
    pub errors: Vec<Value>,
    /// Those that are missing.
    pub unavailable: Vec<Value>,
}

/// Whether the configuration file is watched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigReloadHealth {
    /// `active` or `disabled`.
    pub hot_reload_status: String,
}

/// One agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentHealth {
    /// Its id.
    pub agent_id: String,
    /// Whether it answers by default.
    pub is_default: bool,
    /// Its heartbeat.
    pub heartbeat: HeartbeatHealth,
    /// Its sessions.
    pub sessions: SessionsHealth,
}

/// A heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeartbeatHealth {
    /// Whether it beats.
    pub enabled: bool,
    /// How often, in words.
    pub every: String,
    /// How often.
    pub every_ms: Option<u64>,
    /// What the agent is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Who hears of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Longest answer that counts as "nothing to say".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_max_chars: Option<u64>,
    /// In `status`: no channel to speak through yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for_route: Option<bool>,
}

/// Sessions at a glance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionsHealth {
    /// Where they are kept.
    pub path: String,
    /// How many.
    pub count: u64,
    /// The latest few.
    pub recent: Vec<RecentSession>,
}

/// A session at a glance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RecentSession {
    /// Its key.
    pub key: String,
    /// Last change.
    pub updated_at: i64,
    /// Milliseconds since then.
    pub age: i64,
}

/// Whether models can be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelRuntimeHealth {
    /// Something is wrong.
    pub degraded: bool,
    /// Agents without a model yet.
    pub pending_agents: Vec<String>,
}

/// Executor lag, under the names clients know.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EventLoopHealth {
    /// Over its limits.
    pub degraded: bool,
    /// Since when.
    pub degraded_since_ms: Option<i64>,
    /// `event_loop_delay`, `event_loop_utilization`, `cpu`.
    pub reasons: Vec<String>,
    /// Length of the measured interval.
    pub interval_ms: f64,
    /// 99th percentile of the lag.
    pub delay_p99_ms: f64,
    /// Longest lag.
    pub delay_max_ms: f64,
    /// Share of the time spent working.
    pub utilization: f64,
    /// Processor time per wall-clock time.
    pub cpu_core_ratio: f64,
}

/// Parameters of `status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusParams {
    /// With one line per channel.
    pub include_channel_summary: Option<bool>,
    /// With what the command line shows.
    pub include_cli_projection: Option<bool>,
}
params!(
    StatusParams,
    "status",
    Object::open(&[], &[("includeChannelSummary", Schema::Bool), ("includeCliProjection", Schema::Bool)])
);

/// Result of `status`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusResult {
    /// Version of the gateway.
    pub runtime_version: String,
    /// Heartbeats.
    pub heartbeat: StatusHeartbeat,
    /// One line per channel.
    pub channel_summary: Vec<String>,
    /// Events waiting for an agent's next turn.
    pub queued_system_events: Vec<String>,
    /// Sessions.
    pub sessions: StatusSessions,
    /// Background tasks, as clients count them.
    pub tasks: Value,
    /// Faults among them.
    pub task_audit: Value,
    /// Whether models can be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_runtime: Option<ModelRuntimeHealth>,
    /// Executor lag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_loop: Option<EventLoopHealth>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_memory: Option<ProcessMemory>,
    /// Process id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

/// Heartbeats.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusHeartbeat {
    /// Agent that answers by default.
    pub default_agent_id: String,
    /// One per agent.
    pub agents: Vec<Value>,
}

/// Sessions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusSessions {
    /// Where they are kept.
    pub paths: Vec<String>,
    /// How many.
    pub count: u64,
    /// What a new one starts with.
    pub defaults: Value,
    /// The latest few.
    pub recent: Vec<Value>,
    /// Per agent.
    pub by_agent: Vec<Value>,
}

/// Memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProcessMemory {
    /// Resident set.
    pub rss_bytes: u64,
}
