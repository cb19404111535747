//! One message of a conversation, in the JSON shape that OpenClaw's transcripts use.
//!
//! The same value is stored in the transcript, handed to providers as context and shown to clients, so that the
//! three can't disagree. Timestamps are epoch milliseconds.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::EpochMs;

/// A message with its role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Message {
    /// What a person (or a channel on their behalf) said.
    User {
        /// Text, or text and images.
        content: UserContent,
        /// When it was accepted.
        timestamp: EpochMs,
        /// `<runId>:user` for input that came with an idempotency key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        idempotency_key: Option<String>,
    },
    /// What the model answered.
    Assistant {
        /// Text, thinking and tool calls in the order they came.
        content: Vec<AssistantPart>,
        /// Wire format, for example `openai-completions`.
        api: String,
        /// Provider id, for example `anthropic`.
        provider: String,
        /// Model id as the provider knows it.
        model: String,
        /// Tokens and cost.
        #[serde(default)]
        usage: Usage,
        /// Why the model stopped.
        stop_reason: StopReason,
        /// The failure, in words for a person, when `stop_reason` is `error`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_message: Option<String>,
        /// When the answer was complete.
        timestamp: EpochMs,
    },
    /// What a tool returned.
    ToolResult {
        /// The call it answers.
        tool_call_id: String,
        /// The tool's name.
        tool_name: String,
        /// Text. Of images that OpenClaw wrote the note is read that there was one.
        #[serde(deserialize_with = "text_parts")]
        content: Vec<TextPart>,
        /// Facts for a user interface; never sent to a provider.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        details: Option<Value>,
        /// True when the tool failed.
        is_error: bool,
        /// When the tool ended.
        timestamp: EpochMs,
    },
}

impl Message {
    /// A user message of plain text.
    pub fn user(text: impl Into<String>, timestamp: EpochMs) -> Self {
        Self::User { content: UserContent::Text(text.into()), timestamp, idempotency_key: None }
    }

    /// All text of the message, parts joined without separator; thinking and tool calls are left out.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::User { content: UserContent::Text(text), .. } => text.clone(),
            Self::User { content: UserContent::Parts(parts), .. } => parts
                .iter()
                .filter_map(|part| match part {
                    UserPart::Text { text } => Some(text.as_str()),
                    UserPart::Image { .. } => None,
                })
                .collect(),
            Self::Assistant { content, .. } => content
                .iter()
                .filter_map(|part| match part {
                    AssistantPart::Text { text } => Some(text.as_str()),
                    AssistantPart::Thinking { .. } | AssistantPart::ToolCall { .. } => None,
                })
                .collect(),
            Self::ToolResult { content, .. } => content.iter().map(|part| part.text.as_str()).collect(),
        }
    }
}

/// A user's content: a bare string or parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum UserContent {
    /// Plain text.
    Text(String),
    /// Text and images.
    Parts(Vec<UserPart>),
}

/// One part of a user's message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum UserPart {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// An image, base64.
    Image {
        /// Base64 bytes.
        data: String,
        /// For example `image/png`.
        mime_type: String,
    },
}

/// One part of an assistant's message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum AssistantPart {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// Reasoning, with the signature some providers want back.
    Thinking {
        /// The reasoning.
        thinking: String,
        /// Opaque proof for replay.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thinking_signature: Option<String>,
    },
    /// A call of a tool.
    ToolCall {
        /// The provider's id of the call.
        id: String,
        /// The tool's name.
        name: String,
        /// Its arguments, an object.
        arguments: Value,
    },
}

/// Text parts, and notes in place of others.
fn text_parts<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Vec<TextPart>, D::Error> {
    #[derive(Deserialize)]
    #[serde(tag = "type", rename_all = "camelCase")]
    enum Part {
        Text {
            text: String,
        },
        #[serde(other)]
        Other,
    }
    let parts = Vec::<Part>::deserialize(source)?;
    let text = |part| match part {
        Part::Text { text } => text,
        Part::Other => String::from("[image]"),
    };
    Ok(parts.into_iter().map(|part| TextPart { text: text(part) }).collect())
}

/// A text part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "text")]
pub struct TextPart {
    /// The text.
    pub text: String,
}

/// Why an assistant message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StopReason {
    /// The model was done.
    Stop,
    /// The output limit was reached.
    Length,
    /// The model waits for tool results.
    ToolUse,
    /// The provider or the run failed.
    Error,
    /// A person aborted the run.
    Aborted,
}

/// Tokens of one model call. Cost is in US dollars.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Prompt tokens that were not read from the cache.
    pub input: u64,
    /// Generated tokens.
    pub output: u64,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: u64,
    /// Prompt tokens written to the provider's cache.
    pub cache_write: u64,
    /// Sum of the four.
    pub total_tokens: u64,
    /// What it cost.
    pub cost: Cost,
}

/// Cost of one model call in US dollars.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cost {
    /// For `Usage::input`.
    pub input: f64,
    /// For `Usage::output`.
    pub output: f64,
    /// For `Usage::cache_read`.
    pub cache_read: f64,
    /// For `Usage::cache_write`.
    pub cache_write: f64,
    /// Sum of the four.
    pub total: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_those_of_the_transcript() {
        let text = r#"{"role":"toolResult","toolCallId":"c1","toolName":"clock","content":[{"type":"text","text":"noon"}],"isError":false,"timestamp":5}"#;
        let message: Message = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&message).unwrap(), text);
        assert_eq!(message.text(), "noon");
    }

    #[test]
    fn user_content_is_a_string_or_parts() {
        let bare: Message = serde_json::from_str(r#"{"role":"user","content":"hi","timestamp":1}"#).unwrap();
        let parts: Message =
            serde_json::from_str(r#"{"role":"user","content":[{"type":"text","text":"hi"}],"timestamp":1}"#).unwrap();
        assert_eq!(bare.text(), parts.text());
    }
}
