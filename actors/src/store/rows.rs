//! A session's row: what `sessions.json` shows of it. Fields of others survive untouched.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::EpochMs;
use crate::ids::AgentId;

/// One session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionRow {
    /// The transcript generation behind the key.
    pub session_id: String,
    /// Last change of any kind.
    pub updated_at: EpochMs,
    /// Start of this generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_started_at: Option<EpochMs>,
    /// Last message of a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_interaction_at: Option<EpochMs>,
    /// Name given by a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `direct`, `group` or `room`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_type: Option<String>,
    /// Provider of the last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    /// Model of the last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Sum of prompt tokens.
    pub input_tokens: u64,
    /// Sum of generated tokens.
    pub output_tokens: u64,
    /// Tokens of the last call, the size of the context.
    pub total_tokens: u64,
    /// True when the last run was aborted or cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aborted_last_run: Option<bool>,
    /// Where the last message came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_channel: Option<String>,
    /// Whom to answer there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_to: Option<String>,
    /// Through which account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_account_id: Option<String>,
    /// Fields that only OpenClaw knows.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl SessionRow {
    /// A text among the fields without a place of their own.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.rest.get(field).and_then(Value::as_str)
    }

    /// A number among them that is not negative.
    #[must_use]
    pub fn number(&self, field: &str) -> Option<u64> {
        self.rest.get(field).and_then(Value::as_u64)
    }

    /// Sets one of them.
    pub fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.rest.insert(field.to_owned(), value.into());
    }
}

/// Key of a row: `row/<agent>\0<session key>`.
#[must_use]
pub fn key(agent: &AgentId, session: &str) -> Vec<u8> {
    let mut key = folder(agent);
    key.extend_from_slice(session.as_bytes());
    key
}

/// Common start of the keys of an agent's rows.
#[must_use]
pub fn folder(agent: &AgentId) -> Vec<u8> {
    super::keys::folder(super::keys::ROW, agent.as_str())
}

/// The session key of a row's key.
#[must_use]
pub fn session_of(key: &[u8]) -> Option<&str> {
    let at = key.iter().position(|&byte| byte == 0)?;
    std::str::from_utf8(&key[at + 1..]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_survive_both_encodings() {
        let text = r#"{"sessionId":"s","updatedAt":5,"inputTokens":0,"outputTokens":0,"totalTokens":0,"pinnedAt":7,"deliveryContext":{"to":"x"}}"#;
        let row: SessionRow = serde_json::from_str(text).unwrap();
        let bytes = super::super::value::encode(&row).unwrap();
        let back: SessionRow = super::super::value::decode(b"k", &bytes).unwrap();
        assert_eq!(back, row);
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
    }

    #[test]
    fn a_rows_key_gives_its_session_back() {
        let agent = AgentId::normalised("main");
        assert_eq!(session_of(&key(&agent, "agent:main:main")), Some("agent:main:main"));
    }
}
