//! Agents and their runs: `agents.list`, `agent`, `agent.wait`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::params;
use crate::protocol::schema::{COUNT, NAME, NO_LIMIT, Object, POSITIVE, Schema, TEXT, list};
use crate::protocol::scope::Scope;

/// No parameters: `agents.list`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListParams {}
params!(ListParams, "agents.list", AGENTS);

/// Result of `agents.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListResult {
    /// Agent that answers by default.
    pub default_id: String,
    /// `sole`, `legacy` or `explicit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership: Option<String>,
    /// Whether the user must choose first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection_required: Option<bool>,
    /// Always `main`.
    pub main_key: String,
    /// `per-sender` or `global`.
    pub scope: String,
    /// The agents.
    pub agents: Vec<AgentRow>,
}

/// One agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentRow {
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How it presents itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Value>,
    /// Its folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Whether that is a git repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_git: Option<bool>,
    /// Its models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<AgentModel>,
    /// What runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_runtime: Option<Value>,
    /// How hard it can think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_levels: Option<Vec<Value>>,
    /// The same, ids only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_options: Option<Vec<String>>,
    /// How hard it thinks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_default: Option<String>,
}

/// Models of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentModel {
    /// First choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
    /// Next choices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallbacks: Option<Vec<String>>,
}

/// Parameters of `agent`. Fields that this gateway accepts without acting on them are validated, not read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentParams {
    /// What.
    pub message: String,
    /// Names the run and makes a repeat harmless.
    pub idempotency_key: String,
    /// Which agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Another provider than configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Another model than configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Person whose session it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Generation of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// How hard to think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// Send the answer to a channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliver: Option<bool>,
    /// Files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Value>,
    /// Channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Account of the channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// Thread of the channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// Budget in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Lane to run in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// Added to the system prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_system_prompt: Option<String>,
    /// Label of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}
params!(AgentParams, "agent", AGENT);

/// The scope `agent` needs: a message that resets the session needs more than one that talks to it.
#[must_use]
pub fn agent_scope(params: &Value) -> Scope {
    let message = params.get("message").and_then(Value::as_str).unwrap_or("").trim_start();
    let first = message.split_whitespace().next().unwrap_or("");
    if first.eq_ignore_ascii_case("/new") || first.eq_ignore_ascii_case("/reset") { Scope::Admin } else { Scope::Write }
}

/// First answer of `agent`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentAccepted {
    /// The run.
    pub run_id: String,
    /// Where.
    pub session_key: String,
    /// Which agent.
    pub agent_id: String,
    /// `accepted`, or `in_flight` for a repeat.
    pub status: String,
    /// When; absent for a repeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<i64>,
}

/// Final answer of `agent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentFinal {
    /// The run.
    pub run_id: String,
    /// `ok`, `error` or `timeout`.
    pub status: String,
    /// In words.
    pub summary: String,
    /// What came of it; absent when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<AgentResult>,
}

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentResult {
    /// Answers.
    pub payloads: Vec<AgentPayload>,
    /// Facts about the run.
    pub meta: AgentMeta,
}

/// One answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentPayload {
    /// Its text.
    pub text: String,
    /// Its file.
    pub media_url: Option<String>,
}

/// Facts about a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentMeta {
    /// How long it took.
    pub duration_ms: u64,
    /// Session, provider, model and usage.
    pub agent_meta: AgentMetaDetail,
    /// It was aborted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aborted: Option<bool>,
    /// Why the model stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
}

/// Session, provider, model and usage of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentMetaDetail {
    /// Generation of the session.
    pub session_id: String,
    /// Provider.
    pub provider: String,
    /// Model.
    pub model: String,
    /// Tokens and cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Value>,
}

/// Parameters of `agent.wait`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitParams {
    /// Which run.
    pub run_id: String,
    /// How long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}
params!(WaitParams, "agent.wait", WAIT);

/// Result of `agent.wait`. `timeout` also means unknown, or still running.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WaitResult {
    /// Which run.
    pub run_id: String,
    /// `ok`, `error` or `timeout`.
    pub status: String,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<i64>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why the model stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// What was said last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal_reply: Option<TerminalReply>,
}

/// What a run said last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TerminalReply {
    /// `visible` or `silent`.
    pub disposition: String,
    /// Its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

const AGENTS: Object = Object::closed(&[], &[]);
const AGENT_INTERNAL_EVENTS_ATTACHMENTS: Object = Object::closed(
    &[],
    &[
        ("type", Schema::OneOf(&["image", "audio", "video", "file"])),
        ("path", TEXT),
        ("url", TEXT),
        ("mediaUrl", TEXT),
        ("filePath", TEXT),
        ("mimeType", TEXT),
        ("name", TEXT),
        ("sizeBytes", Schema::Number),
        ("durationMs", Schema::Number),
        ("width", Schema::Number),
        ("height", Schema::Number),
    ],
);
const AGENT_INTERNAL_EVENTS: Object = Object::closed(
    &[
        "type",
        "source",
        "childSessionKey",
        "announceType",
        "taskLabel",
        "status",
        "statusLabel",
        "result",
        "replyInstruction",
    ],
    &[
        ("type", Schema::Const("task_completion")),
        ("source", Schema::OneOf(&["subagent", "cron", "image_generation", "video_generation", "music_generation"])),
        ("childSessionKey", TEXT),
        ("childSessionId", TEXT),
        ("announceType", TEXT),
        ("taskLabel", TEXT),
        ("status", Schema::OneOf(&["ok", "timeout", "error", "unknown"])),
        ("statusLabel", TEXT),
        ("result", TEXT),
        ("noVisibleResult", Schema::Bool),
        ("modelRouteChange", TEXT),
        ("attachments", list(&Schema::Object(&AGENT_INTERNAL_EVENTS_ATTACHMENTS))),
        ("mediaUrls", list(&TEXT)),
        ("statsLine", TEXT),
        ("replyInstruction", TEXT),
    ],
);
const AGENT_INPUT_PROVENANCE: Object = Object::closed(
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
const AGENT: Object = Object::closed(
    &["message", "idempotencyKey"],
    &[
        ("message", NAME),
        ("agentId", NAME),
        ("provider", TEXT),
        ("model", TEXT),
        ("to", TEXT),
        ("replyTo", TEXT),
        ("sessionId", TEXT),
        ("sessionKey", TEXT),
        ("expectedExistingSessionId", NAME),
        ("thinking", TEXT),
        ("deliver", Schema::Bool),
        ("attachments", list(&Schema::Any)),
        ("channel", TEXT),
        ("replyChannel", TEXT),
        ("accountId", TEXT),
        ("replyAccountId", TEXT),
        ("threadId", TEXT),
        ("groupId", TEXT),
        ("groupChannel", TEXT),
        ("groupSpace", TEXT),
        ("timeout", COUNT),
        ("bestEffortDeliver", Schema::Bool),
        ("lane", TEXT),
        ("cwd", NAME),
        ("cleanupBundleMcpOnRunEnd", Schema::Bool),
        ("modelRun", Schema::Bool),
        ("promptMode", Schema::OneOf(&["full", "minimal", "none"])),
        ("extraSystemPrompt", TEXT),
        ("bootstrapContextMode", Schema::OneOf(&["full", "lightweight"])),
        ("bootstrapContextRunKind", Schema::OneOf(&["default", "heartbeat", "cron"])),
        ("acpTurnSource", Schema::Const("manual_spawn")),
        ("internalRuntimeHandoffId", NAME),
        ("internalExecutionIdentityRetry", Schema::Bool),
        ("internalExecutionIdentityRecoveryAttempt", POSITIVE),
        ("execApprovalFollowupExpectedSessionId", NAME),
        ("internalEvents", list(&Schema::Object(&AGENT_INTERNAL_EVENTS))),
        ("inputProvenance", Schema::Object(&AGENT_INPUT_PROVENANCE)),
        ("suppressPromptPersistence", Schema::Bool),
        ("sessionEffects", Schema::OneOf(&["visible", "internal"])),
        ("sourceReplyDeliveryMode", Schema::OneOf(&["automatic", "message_tool_only"])),
        ("disableMessageTool", Schema::Bool),
        ("swarmCollector", Schema::Bool),
        ("swarmOutputSchema", Schema::Map(&Schema::Any, NO_LIMIT)),
        ("forceRestartSafeTools", Schema::Bool),
        ("forceCodeModeTools", Schema::Bool),
        ("voiceWakeTrigger", TEXT),
        ("idempotencyKey", NAME),
        ("label", Schema::Text(1, 512)),
    ],
);
const WAIT: Object = Object::closed(&["runId"], &[("runId", NAME), ("timeoutMs", COUNT)]);
