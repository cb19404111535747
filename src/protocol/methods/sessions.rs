//! Sessions: `sessions.list`, `sessions.reset`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::params;
use crate::protocol::schema::{COUNT, NAME, Object, POSITIVE, Schema, TEXT};

/// Parameters of `sessions.list`. Filters on things this gateway does not have are validated, not read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListParams {
    /// Most rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Rows to skip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
    /// Changed within so many minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_minutes: Option<u64>,
    /// With a run only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_only: Option<bool>,
    /// `updatedAt`, `lastInteractionAt` or `activity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort_by: Option<String>,
    /// With a title made from the first message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_derived_titles: Option<bool>,
    /// With the last message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_last_message: Option<bool>,
    /// Not those of jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_cron: Option<bool>,
    /// With this label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Of this agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Whose key, label or title holds this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
}
params!(ListParams, "sessions.list", LIST);

/// Result of `sessions.list`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListResult {
    /// When.
    pub ts: i64,
    /// Where they are kept.
    pub path: String,
    /// Rows in this answer.
    pub count: u64,
    /// All rows.
    pub total_count: u64,
    /// The limit in force.
    pub limit_applied: u64,
    /// Where the next rows start.
    pub next_offset: Option<u64>,
    /// There are more.
    pub has_more: bool,
    /// Owners of the rows; we know none.
    pub owners: Vec<Value>,
    /// What a session runs on unless told otherwise.
    pub defaults: Value,
    /// The rows.
    pub sessions: Vec<SessionRow>,
}

/// One session as a list shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionRow {
    /// Its key.
    pub key: String,
    /// `direct`, `group`, `global`, `cron` …
    pub kind: String,
    /// Its agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Whether it is the agent's main one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_main: Option<bool>,
    /// Generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Name a person gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Name to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// `direct` or `group`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_type: Option<String>,
    /// Last change; null for one that does not exist yet.
    pub updated_at: Option<i64>,
    /// First message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<i64>,
    /// Last time a person spoke.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_interaction_at: Option<i64>,
    /// Put away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    /// Kept on top.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// Something new in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<bool>,
    /// Its system prompt was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_sent: Option<bool>,
    /// Its last run was aborted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aborted_last_run: Option<bool>,
    /// Its provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    /// Its model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Tokens in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Tokens in context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_tokens: Option<u64>,
    /// Whether that number is current.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_tokens_fresh: Option<bool>,
    /// Size of the context window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// What it has cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_cost_usd: Option<f64>,
    /// What is done with input while a run is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_queue_mode: Option<String>,
    /// A run is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_active_run: Option<bool>,
    /// Which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_run_ids: Option<Vec<String>>,
    /// `running`, `done`, `failed` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Start of the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<i64>,
    /// End of the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
    /// The last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_id: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_error: Option<String>,
    /// The last message, cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_message_preview: Option<String>,
    /// When the row was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_at: Option<i64>,
    /// Anything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Parameters of `sessions.reset`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResetParams {
    /// Which.
    pub key: String,
    /// Agent, when the key names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// `new` or `reset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Refuse unless the session still is this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_session_id: Option<String>,
}
params!(ResetParams, "sessions.reset", RESET);

/// Result of `sessions.reset`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResetResult {
    /// Always true.
    pub ok: bool,
    /// Which.
    pub key: String,
    /// The session's row in `sessions.json`.
    pub entry: Value,
    /// The model it will run on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Value>,
}

const LIST_PROFILE_RELATION: Object = Object::closed(
    &["profileId", "relationship"],
    &[("profileId", NAME), ("relationship", Schema::OneOf(&["owned", "created", "involving"]))],
);
const LIST: Object = Object::closed(
    &[],
    &[
        ("limit", POSITIVE),
        ("offset", COUNT),
        ("activeMinutes", POSITIVE),
        ("activeOnly", Schema::Bool),
        ("requireLastInteraction", Schema::Bool),
        ("sortBy", Schema::OneOf(&["updatedAt", "lastInteractionAt", "activity"])),
        ("includeGlobal", Schema::Bool),
        ("includeUnknown", Schema::Bool),
        ("excludeSubagents", Schema::Bool),
        ("excludeCron", Schema::Bool),
        ("excludeSystem", Schema::Bool),
        ("configuredAgentsOnly", Schema::Bool),
        ("includeDerivedTitles", Schema::Bool),
        ("includeLastMessage", Schema::Bool),
        ("includeActivitySummary", Schema::Bool),
        ("label", Schema::Text(1, 512)),
        ("projectId", NAME),
        ("workspaceDir", NAME),
        ("group", TEXT),
        ("pinned", Schema::Bool),
        ("boardFace", Schema::OneOf(&["chat", "dashboard"])),
        ("hasBoard", Schema::Bool),
        ("creatorId", NAME),
        ("ownerId", NAME),
        ("ownerFirst", Schema::Bool),
        ("involvingMe", Schema::Bool),
        ("profileRelation", Schema::Object(&LIST_PROFILE_RELATION)),
        ("involvingProfileId", NAME),
        ("includePeople", Schema::Bool),
        ("spawnedBy", NAME),
        ("agentId", NAME),
        ("search", TEXT),
        ("archived", Schema::AnyOf(&[Schema::Bool, Schema::Const("all")])),
    ],
);
const RESET: Object = Object::closed(
    &["key"],
    &[("key", NAME), ("agentId", NAME), ("reason", Schema::OneOf(&["new", "reset"])), ("expectedSessionId", NAME)],
);
