//! The format's chunks, read into model events.
//!
//! Vendors differ in details, so reading is lenient: fragments of tool calls are told apart by index, or by id where
//! the index is missing or reused; reasoning has three names; the end is `[DONE]`, or a connection closed after a
//! finish reason.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::Value;

use crate::message::{StopReason, Usage};
use crate::providers::classify::{Evidence, error_of};
use crate::providers::contract::{ErrorClass, ModelError, ModelEvent};
use crate::providers::http::{self, EventMap, Step};
use crate::providers::sse::SseEvent;
use crate::secret::Secret;

/// Calls of one answer; more is taken for a broken server.
const MAX_CALLS: usize = 256;

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<RawUsage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u32,
    delta: Option<Delta>,
    finish_reason: Option<String>,
    /// One vendor puts it here.
    usage: Option<RawUsage>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<Value>,
    reasoning_content: Option<String>,
    reasoning: Option<Value>,
    reasoning_text: Option<String>,
    tool_calls: Option<Vec<Fragment>>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Fragment {
    index: Option<u64>,
    id: Option<String>,
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<Value>,
}

#[derive(Deserialize)]
struct RawUsage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

/// A tool call being received.
struct Receiving {
    wire_index: Option<u64>,
    id: String,
}

/// Reads the chunks of one answer.
pub(super) struct Chunks {
    calls: Vec<Receiving>,
    stop: Option<StopReason>,
    said_anything: bool,
    output_tokens: u64,
    credential: Option<Secret>,
}

impl Chunks {
    pub(super) fn new(credential: Option<Secret>) -> Self {
        Self { calls: Vec::new(), stop: None, said_anything: false, output_tokens: 0, credential }
    }

    fn delta(&mut self, delta: Delta, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        let reasoning = delta.reasoning_content.or(delta.reasoning_text).or(match delta.reasoning {
            Some(Value::String(text)) => Some(text),
            Some(_) | None => None,
        });
        if let Some(text) = reasoning.filter(|text| !text.is_empty()) {
            self.said_anything = true;
            out.push_back(ModelEvent::ThinkingDelta(text));
        }
        let text = delta.content.map(content_text).unwrap_or_default() + &delta.refusal.unwrap_or_default();
        if !text.is_empty() {
            self.said_anything = true;
            out.push_back(ModelEvent::TextDelta(text));
        }
        for fragment in delta.tool_calls.unwrap_or_default() {
            self.fragment(fragment, out)?;
        }
        Ok(())
    }

    fn fragment(&mut self, fragment: Fragment, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        let id = fragment.id.unwrap_or_default();
        let (name, arguments) = match fragment.function {
            Some(function) => (function.name.unwrap_or_default(), function.arguments),
            None => (String::new(), None),
        };
        let index = match self.place(fragment.index, &id, &name) {
            Some(index) => index,
            None => {
                if name.is_empty() || self.calls.len() >= MAX_CALLS {
                    return Err(http::unreadable());
                }
                self.said_anything = true;
                let id = if id.is_empty() { format!("call_{}", uuid::Uuid::new_v4().simple()) } else { id };
                self.calls.push(Receiving { wire_index: fragment.index, id: id.clone() });
                let index = self.calls.len() - 1;
                out.push_back(ModelEvent::ToolCallStart { index, id, name });
                index
            }
        };
        let arguments = match arguments {
            Some(Value::String(text)) => text,
            None | Some(Value::Null) => String::new(),
            // Some servers send the whole object instead of its text.
            Some(object) => object.to_string(),
        };
        if !arguments.is_empty() {
            out.push_back(ModelEvent::ToolCallDelta { index, arguments });
        }
        Ok(())
    }

    /// The call a fragment belongs to; `None` starts another. The latest call of an index counts, since some servers
    /// use the index 0 for all of them and only change the id.
    fn place(&self, wire_index: Option<u64>, id: &str, name: &str) -> Option<usize> {
        let found = match (wire_index, id.is_empty()) {
            (Some(index), _) => self.calls.iter().rposition(|call| call.wire_index == Some(index)),
            (None, false) => self.calls.iter().rposition(|call| call.id == id),
            (None, true) if name.is_empty() => self.calls.len().checked_sub(1),
            (None, true) => None,
        }?;
        let other = !id.is_empty() && self.calls[found].id != id && !name.is_empty();
        (!other).then_some(found)
    }

    fn usage(&mut self, raw: &RawUsage, out: &mut VecDeque<ModelEvent>) {
        let details = raw.prompt_tokens_details.as_ref();
        let cache_read = details.and_then(|details| details.cached_tokens).or(raw.prompt_cache_hit_tokens).unwrap_or(0);
        let cache_write = details.and_then(|details| details.cache_write_tokens).unwrap_or(0);
        let prompt = raw.prompt_tokens.unwrap_or(0);
        let output = raw.completion_tokens.unwrap_or(0);
        let input = prompt.saturating_sub(cache_read).saturating_sub(cache_write);
        self.output_tokens = output;
        out.push_back(ModelEvent::Usage(Usage {
            input,
            output,
            cache_read,
            cache_write,
            total_tokens: input.saturating_add(output).saturating_add(cache_read).saturating_add(cache_write),
            ..Usage::default()
        }));
    }

    fn finish_reason(&mut self, reason: &str) -> Result<(), ModelError> {
        self.stop = Some(match reason {
            "stop" | "end" | "eos" => StopReason::Stop,
            "length" | "max_tokens" => StopReason::Length,
            "tool_calls" | "function_call" => StopReason::ToolUse,
            "content_filter" => {
                let message = "the provider stopped the answer by its content filter";
                return Err(ModelError::new(ErrorClass::Unclassified, message));
            }
            "error" | "network_error" => {
                return Err(ModelError::new(
                    ErrorClass::ServerError,
                    "the provider failed in the middle of the answer",
                ));
            }
            _ => StopReason::Stop,
        });
        Ok(())
    }

    fn done(&mut self, stop: StopReason, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        if !self.said_anything && self.output_tokens == 0 {
            return Err(ModelError::new(ErrorClass::EmptyResponse, "the provider gave an empty answer"));
        }
        // Not all servers name the reason rightly when they call tools.
        let stop = if stop == StopReason::Stop && !self.calls.is_empty() { StopReason::ToolUse } else { stop };
        out.push_back(ModelEvent::Done(stop));
        Ok(())
    }
}

/// Content is a string; one vendor streams parts.
fn content_text(content: Value) -> String {
    match content {
        Value::String(text) => text,
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect::<String>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

impl EventMap for Chunks {
    fn on_event(&mut self, event: &SseEvent, out: &mut VecDeque<ModelEvent>) -> Result<Step, ModelError> {
        let data = event.data.trim();
        if data.is_empty() {
            return Ok(Step::KeepAlive);
        }
        if data == "[DONE]" {
            let stop = self.stop.unwrap_or(StopReason::Stop);
            self.done(stop, out)?;
            return Ok(Step::Finished);
        }
        let chunk: Chunk = serde_json::from_str(data).map_err(|_| http::unreadable())?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            let status = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
            let (code, words) = http::said(Some(&error));
            let words = words.unwrap_or_default();
            let evidence = Evidence { status, code: code.as_deref(), text: &words };
            return Err(error_of(&evidence, None, self.credential.as_ref()));
        }
        for choice in chunk.choices.into_iter().filter(|choice| choice.index == 0) {
            if let Some(delta) = choice.delta {
                self.delta(delta, out)?;
            }
            if let Some(usage) = choice.usage {
                self.usage(&usage, out);
            }
            if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
                self.finish_reason(&reason)?;
            }
        }
        if let Some(usage) = chunk.usage {
            self.usage(&usage, out);
        }
        Ok(Step::Progress)
    }

    fn on_end(&mut self, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        match self.stop {
            Some(stop) => self.done(stop, out),
            None => Err(http::cut()),
        }
    }
}

#[cfg(test)]
mod tests;
