//! Conversations: `chat.send`, `chat.history`, `chat.abort`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::params;
use super::sessions::SessionRow;
use crate::protocol::schema::{COUNT, MAX_SAFE, NAME, NO_LIMIT, Object, POSITIVE, Schema, TEXT, list};

/// What to do with input while a run is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueMode {
    /// Into the running turn.
    Steer,
    /// After it.
    Followup,
    /// After it, all of it as one.
    Collect,
    /// Instead of it.
    Interrupt,
}

/// Parameters of `chat.send`. Fields that this gateway accepts without acting on them are validated, not read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendParams {
    /// Where to; `main` is the default agent's main session.
    pub session_key: String,
    /// What.
    pub message: String,
    /// Names the run and makes a repeat harmless.
    pub idempotency_key: String,
    /// Agent, when the key names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Refuse unless the session still is this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// How hard to think.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// What to do with input while a run is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_mode: Option<QueueMode>,
    /// Send the answer to the session's channel too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver: Option<bool>,
    /// Message that is replied to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to_id: Option<String>,
    /// Files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Value>,
    /// Budget of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Take a leading slash as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppress_command_interpretation: Option<bool>,
}
params!(SendParams, "chat.send", SEND);

/// Answer of `chat.send`. For `/stop` the other three fields are set instead.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SendResult {
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// `started`, `in_flight`, `ok`, `timeout` or `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// In words, with `error` and `timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Why an aborted run stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// When an aborted run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
    /// `/stop` was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ok: Option<bool>,
    /// `/stop` stopped something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aborted: Option<bool>,
    /// What it stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_ids: Option<Vec<String>>,
}

/// Parameters of `chat.history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryParams {
    /// Whose.
    pub session_key: String,
    /// Agent, when the key names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// From an earlier answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Most messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Most bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<usize>,
    /// Messages to skip, counted from the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
    /// Around this message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Of this generation of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Most characters per text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_chars: Option<usize>,
}
params!(HistoryParams, "chat.history", HISTORY);

/// Result of `chat.history`. A session nobody knows has no messages and no id.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HistoryResult {
    /// The key as it was asked for.
    pub session_key: String,
    /// Generation of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Oldest first.
    pub messages: Vec<Value>,
    /// Input that waits.
    pub pending_inputs: PendingInputs,
    /// There are older ones.
    pub has_more: bool,
    /// Where they start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_offset: Option<u64>,
    /// All of them.
    pub total_messages: u64,
    /// What the session runs on unless told otherwise.
    pub defaults: Value,
    /// The session's row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_info: Option<SessionRow>,
    /// How hard it thinks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_level: Option<String>,
    /// The run that is on, with its text so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight_run: Option<InFlightRun>,
}

/// Input that waits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PendingInputs {
    /// The first of them.
    pub items: Vec<Value>,
    /// All of them.
    pub total: u64,
}

/// The run that is on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InFlightRun {
    /// Its id.
    pub run_id: String,
    /// Its text so far.
    pub text: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<i64>,
}

/// Parameters of `chat.abort`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AbortParams {
    /// Where.
    pub session_key: String,
    /// Agent, when the key names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Which run; all of the session when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Leave side runs alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preserve_side_runs: Option<bool>,
}
params!(AbortParams, "chat.abort", ABORT);

/// Result of `chat.abort`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AbortResult {
    /// Always true.
    pub ok: bool,
    /// Something was stopped.
    pub aborted: bool,
    /// What.
    pub run_ids: Vec<String>,
}

const SEND_MENTIONS: Object = Object::closed(
    &["profileId", "start", "end"],
    &[("profileId", Schema::Text(1, 256)), ("start", Schema::Int(0, MAX_SAFE)), ("end", Schema::Int(1, MAX_SAFE))],
);
const SEND_WORK_CONTEXT: Object = Object::closed(
    &["page"],
    &[
        ("page", Schema::Text(1, 64)),
        ("title", Schema::Text(0, 96)),
        ("sessionKey", Schema::Text(0, 192)),
        ("sessionId", Schema::Text(0, 64)),
        ("agentId", Schema::Text(0, 64)),
        ("workspace", Schema::Text(0, 224)),
        ("file", Schema::Text(0, 224)),
        ("selection", Schema::Text(0, 640)),
    ],
);
const SEND_INTENT: Object = Object::closed(
    &["kind", "version", "issuedAtMs"],
    &[("kind", Schema::Const("session-goal-start")), ("version", Schema::Int(1, 1)), ("issuedAtMs", COUNT)],
);
const SEND_ATTACHMENTS: Object = Object::open(
    &[],
    &[
        ("type", TEXT),
        ("mimeType", TEXT),
        ("fileName", TEXT),
        ("origin", Schema::OneOf(&["paste", "file"])),
        ("content", Schema::Any),
        ("sizeBytes", Schema::Number),
        ("durationMs", Schema::Number),
        ("width", Schema::Number),
        ("height", Schema::Number),
    ],
);
const SEND_SYSTEM_INPUT_PROVENANCE: Object = Object::closed(
    &["kind"],
    &[
        ("kind", Schema::OneOf(&["external_user", "inter_session", "internal_system"])),
        ("originSessionId", TEXT),
        ("sourceSessionKey", TEXT),
        ("sourceChannel", TEXT),
        ("sourceTool", TEXT),
        ("sourceRole", Schema::Const("subagent")),
        ("sourcePromptPrefix", TEXT),
        ("jobId", TEXT),
        ("runId", TEXT),
    ],
);
const SEND_EXPECTED_TOOL_OVERRIDES: Object = Object::closed(
    &[],
    &[
        ("mcpServers", Schema::Map(&Schema::Bool, NO_LIMIT)),
        ("mcpToolsDeny", Schema::Map(&list(&NAME), NO_LIMIT)),
        ("skills", Schema::Map(&Schema::Bool, NO_LIMIT)),
        ("webSearch", Schema::Bool),
    ],
);
const SEND: Object = Object::closed(
    &["sessionKey", "message", "idempotencyKey"],
    &[
        ("sessionKey", Schema::Text(1, 512)),
        ("agentId", NAME),
        ("sessionId", NAME),
        ("message", TEXT),
        ("mentions", Schema::List(&Schema::Object(&SEND_MENTIONS), 0, 10, false)),
        ("workContext", Schema::Object(&SEND_WORK_CONTEXT)),
        ("intent", Schema::Object(&SEND_INTENT)),
        ("thinking", TEXT),
        ("fastMode", Schema::AnyOf(&[Schema::Bool, Schema::Const("auto")])),
        ("fastAutoOnSeconds", POSITIVE),
        ("queueMode", Schema::OneOf(&["steer", "followup", "collect", "interrupt"])),
        ("deliver", Schema::Bool),
        ("originatingChannel", TEXT),
        ("originatingTo", TEXT),
        ("originatingAccountId", TEXT),
        ("originatingThreadId", TEXT),
        ("replyToId", NAME),
        ("attachments", list(&Schema::Object(&SEND_ATTACHMENTS))),
        ("toolBindings", Schema::Map(&Schema::Any, 16)),
        ("timeoutMs", COUNT),
        ("systemInputProvenance", Schema::Object(&SEND_SYSTEM_INPUT_PROVENANCE)),
        ("systemProvenanceReceipt", TEXT),
        ("suppressCommandInterpretation", Schema::Bool),
        ("expectedLeafEntryId", Schema::AnyOf(&[NAME, Schema::Null])),
        ("expectedSessionRoutingContract", NAME),
        (
            "expectedPermissionMode",
            Schema::AnyOf(&[Schema::OneOf(&["read-only", "guarded", "workspace", "full"]), Schema::Null]),
        ),
        ("expectedToolOverrides", Schema::AnyOf(&[Schema::Object(&SEND_EXPECTED_TOOL_OVERRIDES), Schema::Null])),
        ("idempotencyKey", NAME),
    ],
);
const HISTORY: Object = Object::closed(
    &["sessionKey"],
    &[
        ("sessionKey", NAME),
        ("agentId", NAME),
        ("cursor", TEXT),
        ("limit", Schema::Int(1, 1_000)),
        ("maxBytes", Schema::Int(1024, i64::MAX)),
        ("offset", COUNT),
        ("pendingBefore", POSITIVE),
        ("inputRunIds", Schema::List(&Schema::Text(1, 256), 1, 50, true)),
        ("messageId", NAME),
        ("sessionId", NAME),
        ("maxChars", Schema::Int(1, 500_000)),
    ],
);
const ABORT: Object = Object::closed(
    &["sessionKey"],
    &[("sessionKey", NAME), ("agentId", NAME), ("runId", NAME), ("preserveSideRuns", Schema::Bool)],
);
