//! The format's events, read into model events.

use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;
use serde_json::Value;

use crate::message::{StopReason, Usage};
use crate::providers::classify::{Evidence, error_of};
use crate::providers::contract::{ErrorClass, ModelError, ModelEvent};
use crate::providers::http::{self, EventMap, Step};
use crate::providers::sse::SseEvent;
use crate::secret::Secret;

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Start,
    },
    ContentBlockStart {
        index: u64,
        content_block: Block,
    },
    ContentBlockDelta {
        index: u64,
        delta: Delta,
    },
    ContentBlockStop {},
    MessageDelta {
        delta: MessageDelta,
        usage: Option<RawUsage>,
    },
    MessageStop {},
    Ping {},
    Error {
        error: Value,
    },
    /// Vendors may add events; the format says to ignore them.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Start {
    usage: Option<RawUsage>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        #[serde(default)]
        text: String,
    },
    Thinking {
        #[serde(default)]
        thinking: String,
    },
    ToolUse {
        id: String,
        name: String,
        #[serde(default)]
        input: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: String },
    #[serde(rename = "signature_delta")]
    Signature { signature: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct MessageDelta {
    stop_reason: Option<String>,
}

#[derive(Deserialize, Default)]
struct RawUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
}

/// Reads the events of one answer.
pub(super) struct Blocks {
    /// Our index of each tool call by its block.
    calls: BTreeMap<u64, usize>,
    usage: Usage,
    stop: Option<StopReason>,
    said_anything: bool,
    credential: Option<Secret>,
}

impl Blocks {
    pub(super) fn new(credential: Option<Secret>) -> Self {
        Self { calls: BTreeMap::new(), usage: Usage::default(), stop: None, said_anything: false, credential }
    }

    fn start(&mut self, block: u64, content: Block, out: &mut VecDeque<ModelEvent>) {
        match content {
            Block::Text { text } => self.say(ModelEvent::TextDelta, text, out),
            Block::Thinking { thinking } => self.say(ModelEvent::ThinkingDelta, thinking, out),
            Block::ToolUse { id, name, input } => {
                self.said_anything = true;
                let index = self.calls.len();
                self.calls.insert(block, index);
                out.push_back(ModelEvent::ToolCallStart { index, id, name });
                // Usually empty, its text follows; a relay may send it whole.
                if input.as_object().is_some_and(|input| !input.is_empty()) {
                    out.push_back(ModelEvent::ToolCallDelta { index, arguments: input.to_string() });
                }
            }
            Block::Other => {}
        }
    }

    fn delta(&mut self, block: u64, delta: Delta, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        match delta {
            Delta::Text { text } => self.say(ModelEvent::TextDelta, text, out),
            Delta::Thinking { thinking } => self.say(ModelEvent::ThinkingDelta, thinking, out),
            Delta::Signature { signature } => self.say(ModelEvent::ThinkingSignature, signature, out),
            Delta::InputJson { partial_json } => {
                let index = *self.calls.get(&block).ok_or_else(http::unreadable)?;
                if !partial_json.is_empty() {
                    out.push_back(ModelEvent::ToolCallDelta { index, arguments: partial_json });
                }
            }
            Delta::Other => {}
        }
        Ok(())
    }

    fn say(&mut self, event: fn(String) -> ModelEvent, text: String, out: &mut VecDeque<ModelEvent>) {
        if !text.is_empty() {
            self.said_anything = true;
            out.push_back(event(text));
        }
    }

    /// Counts are totals so far; a field that is left out keeps its value.
    fn usage(&mut self, raw: &RawUsage, out: &mut VecDeque<ModelEvent>) {
        let usage = &mut self.usage;
        usage.input = raw.input_tokens.unwrap_or(usage.input);
        usage.output = raw.output_tokens.unwrap_or(usage.output);
        usage.cache_read = raw.cache_read_input_tokens.unwrap_or(usage.cache_read);
        usage.cache_write = raw.cache_creation_input_tokens.unwrap_or(usage.cache_write);
        let parts = [usage.input, usage.output, usage.cache_read, usage.cache_write];
        usage.total_tokens = parts.into_iter().fold(0, u64::saturating_add);
        out.push_back(ModelEvent::Usage(usage.clone()));
    }

    fn stop_reason(&mut self, reason: &str) -> Result<(), ModelError> {
        self.stop = Some(match reason {
            "max_tokens" | "model_context_window_exceeded" => StopReason::Length,
            "tool_use" => StopReason::ToolUse,
            "refusal" => {
                return Err(ModelError::new(ErrorClass::Unclassified, "the model refused to answer"));
            }
            // end_turn, stop_sequence, pause_turn and what is to come.
            _ => StopReason::Stop,
        });
        Ok(())
    }

    fn done(&mut self, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        let stop = self.stop.ok_or_else(http::cut)?;
        if !self.said_anything && self.usage.output == 0 {
            return Err(ModelError::new(ErrorClass::EmptyResponse, "the provider gave an empty answer"));
        }
        out.push_back(ModelEvent::Done(stop));
        Ok(())
    }
}

impl EventMap for Blocks {
    fn on_event(&mut self, event: &SseEvent, out: &mut VecDeque<ModelEvent>) -> Result<Step, ModelError> {
        if event.data.trim().is_empty() {
            return Ok(Step::KeepAlive);
        }
        let event: Event = serde_json::from_str(&event.data).map_err(|_| http::unreadable())?;
        match event {
            Event::Ping {} | Event::Other => return Ok(Step::KeepAlive),
            Event::MessageStart { message } => self.usage(&message.usage.unwrap_or_default(), out),
            Event::ContentBlockStart { index, content_block } => self.start(index, content_block, out),
            Event::ContentBlockDelta { index, delta } => self.delta(index, delta, out)?,
            Event::ContentBlockStop {} => {}
            Event::MessageDelta { delta, usage } => {
                if let Some(usage) = usage {
                    self.usage(&usage, out);
                }
                if let Some(reason) = delta.stop_reason {
                    self.stop_reason(&reason)?;
                }
            }
            Event::MessageStop {} => {
                self.stop.get_or_insert(StopReason::Stop);
                self.done(out)?;
                return Ok(Step::Finished);
            }
            Event::Error { error } => {
                let (code, words) = http::said(Some(&error));
                let words = words.unwrap_or_default();
                let evidence = Evidence { status: None, code: code.as_deref(), text: &words };
                return Err(error_of(&evidence, None, self.credential.as_ref()));
            }
        }
        Ok(Step::Progress)
    }

    fn on_end(&mut self, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        self.done(out)
    }
}

#[cfg(test)]
mod tests;
