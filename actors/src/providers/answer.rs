//! Puts the events of a call together into the message that is kept.

use serde_json::Value;

use super::contract::ModelEvent;
use crate::clock::EpochMs;
use crate::message::{AssistantPart, Message, StopReason, Usage};

/// An answer being received.
#[derive(Debug, Clone, Default)]
pub struct AnswerBuilder {
    parts: Vec<Piece>,
    usage: Usage,
    stop: Option<StopReason>,
}

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Thinking { text: String, signature: Option<String> },
    Call { index: usize, id: String, name: String, arguments: String },
}

/// Who answered, for the message that is kept.
#[derive(Debug, Clone)]
pub struct Answerer {
    /// Wire format.
    pub api: String,
    /// Provider id.
    pub provider: String,
    /// Model id.
    pub model: String,
}

impl AnswerBuilder {
    /// Takes the next event in.
    pub fn push(&mut self, event: &ModelEvent) {
        match event {
            ModelEvent::TextDelta(delta) => match self.parts.last_mut() {
                Some(Piece::Text(text)) => text.push_str(delta),
                Some(Piece::Thinking { .. } | Piece::Call { .. }) | None => {
                    self.parts.push(Piece::Text(delta.clone()));
                }
            },
            ModelEvent::ThinkingDelta(delta) => match self.parts.last_mut() {
                Some(Piece::Thinking { text, signature: None }) => text.push_str(delta),
                Some(Piece::Thinking { .. } | Piece::Text(_) | Piece::Call { .. }) | None => {
                    self.parts.push(Piece::Thinking { text: delta.clone(), signature: None });
                }
            },
            ModelEvent::ThinkingSignature(proof) => match self.parts.last_mut() {
                Some(Piece::Thinking { signature: Some(signature), .. }) => signature.push_str(proof),
                Some(Piece::Thinking { signature, .. }) => *signature = Some(proof.clone()),
                Some(Piece::Text(_) | Piece::Call { .. }) | None => {
                    self.parts.push(Piece::Thinking { text: String::new(), signature: Some(proof.clone()) });
                }
            },
            ModelEvent::ToolCallStart { index, id, name } => self.parts.push(Piece::Call {
                index: *index,
                id: id.clone(),
                name: name.clone(),
                arguments: String::new(),
            }),
            ModelEvent::ToolCallDelta { index, arguments: delta } => {
                for piece in &mut self.parts {
                    if let Piece::Call { index: call, arguments, .. } = piece
                        && call == index
                    {
                        arguments.push_str(delta);
                    }
                }
            }
            ModelEvent::Usage(usage) => self.usage = usage.clone(),
            ModelEvent::Done(stop) => self.stop = Some(*stop),
        }
    }

    /// The text so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.parts
            .iter()
            .filter_map(|piece| match piece {
                Piece::Text(text) => Some(text.as_str()),
                Piece::Thinking { .. } | Piece::Call { .. } => None,
            })
            .collect()
    }

    /// True when nothing of the answer has come yet, so that the call may be repeated unseen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// True when it asks for a tool.
    #[must_use]
    pub fn has_calls(&self) -> bool {
        self.parts.iter().any(|piece| matches!(piece, Piece::Call { .. }))
    }

    /// Tokens so far.
    #[must_use]
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// The message. `stop` and `error_message` are for answers that were not completed; a completed one keeps the
    /// reason it came with. Calls whose arguments are not a whole object are kept without them and never run.
    #[must_use]
    pub fn finish(self, from: &Answerer, stop: StopReason, error_message: Option<String>, now: EpochMs) -> Message {
        let content = self.parts.into_iter().map(part).collect();
        Message::Assistant {
            content,
            api: from.api.clone(),
            provider: from.provider.clone(),
            model: from.model.clone(),
            usage: self.usage,
            stop_reason: self.stop.unwrap_or(stop),
            error_message,
            timestamp: now,
        }
    }
}

fn part(piece: Piece) -> AssistantPart {
    match piece {
        Piece::Text(text) => AssistantPart::Text { text },
        Piece::Thinking { text, signature } => {
            AssistantPart::Thinking { thinking: text, thinking_signature: signature }
        }
        Piece::Call { id, name, arguments, .. } => {
            AssistantPart::ToolCall { id, name, arguments: whole_object(&arguments) }
        }
    }
}

/// The arguments if they are a whole object; none at all is the empty object; otherwise null.
fn whole_object(text: &str) -> Value {
    if text.trim().is_empty() {
        return Value::Object(serde_json::Map::new());
    }
    serde_json::from_str(text).ok().filter(Value::is_object).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_become_the_parts_in_their_order() {
        let mut answer = AnswerBuilder::default();
        let start = |index: usize, id: &str| ModelEvent::ToolCallStart { index, id: id.into(), name: "t".into() };
        let arguments = |index, text: &str| ModelEvent::ToolCallDelta { index, arguments: text.into() };
        for event in [
            ModelEvent::ThinkingDelta("h".into()),
            ModelEvent::ThinkingDelta("m".into()),
            ModelEvent::ThinkingSignature("sig".into()),
            ModelEvent::TextDelta("a".into()),
            ModelEvent::TextDelta("b".into()),
            start(0, "x"),
            start(1, "y"),
            start(2, "z"),
            arguments(1, "{\"n\":"),
            arguments(0, "{}"),
            arguments(1, "1}"),
            arguments(2, "{\"cut"),
            ModelEvent::Done(StopReason::ToolUse),
        ] {
            answer.push(&event);
        }
        assert_eq!(answer.text(), "ab");
        let from = Answerer { api: "a".into(), provider: "p".into(), model: "m".into() };
        let Message::Assistant { content, stop_reason, .. } = answer.finish(&from, StopReason::Error, None, 1) else {
            panic!()
        };
        assert_eq!(stop_reason, StopReason::ToolUse);
        let call = |id: &str, arguments| AssistantPart::ToolCall { id: id.into(), name: "t".into(), arguments };
        assert_eq!(
            content,
            [
                AssistantPart::Thinking { thinking: "hm".into(), thinking_signature: Some("sig".into()) },
                AssistantPart::Text { text: "ab".into() },
                call("x", serde_json::json!({})),
                call("y", serde_json::json!({ "n": 1 })),
                call("z", Value::Null),
            ]
        );
    }
}
