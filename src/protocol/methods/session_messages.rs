//! Talking to a session by its key: `sessions.send`, `sessions.steer`, `sessions.abort`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::params;
use crate::protocol::schema::{COUNT, NAME, Object, Schema, TEXT, list};

/// Parameters of `sessions.send`. Fields that this gateway accepts without acting on them are validated, not read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendParams {
    /// Which.
    pub key: String,
    /// What.
    pub message: String,
    /// Agent, when the key names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Names the run and makes a repeat harmless; a fresh one without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Value>,
}
params!(SendParams, "sessions.send", SEND);

/// Parameters of `sessions.steer`: those of `sessions.send`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SteerParams(pub SendParams);
params!(SteerParams, "sessions.steer", SEND);

/// Parameters of `sessions.abort`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AbortParams {
    /// Which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// One run of it; all without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Agent, when the key names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// What waits goes as well; without effect, it always does when no run is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear_queued: Option<bool>,
}
params!(AbortParams, "sessions.abort", ABORT);

const SEND_MENTIONS: Object = Object::closed(
    &["profileId", "start", "end"],
    &[("profileId", Schema::Text(1, 256)), ("start", COUNT), ("end", COUNT)],
);
const SEND_ATTACHMENT: Object = Object::open(
    &[],
    &[
        ("type", TEXT),
        ("mimeType", TEXT),
        ("fileName", TEXT),
        ("origin", Schema::OneOf(&["paste", "file"])),
        ("sizeBytes", Schema::Number),
        ("durationMs", Schema::Number),
        ("width", Schema::Number),
        ("height", Schema::Number),
    ],
);
const SEND: Object = Object::closed(
    &["key", "message"],
    &[
        ("key", NAME),
        ("agentId", NAME),
        ("message", TEXT),
        ("mentions", Schema::List(&Schema::Object(&SEND_MENTIONS), 0, 10, false)),
        ("thinking", TEXT),
        ("attachments", list(&Schema::Object(&SEND_ATTACHMENT))),
        ("timeoutMs", COUNT),
        ("idempotencyKey", NAME),
    ],
);
const ABORT: Object =
    Object::closed(&[], &[("key", NAME), ("runId", NAME), ("agentId", NAME), ("clearQueued", Schema::Bool)]);
