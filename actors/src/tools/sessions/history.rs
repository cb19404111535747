//! `sessions_history`: what was said in a session, without credentials, reasoning and images.

use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Value, json};

use super::shown;
use super::visibility::{seen, target};
use crate::message::{AssistantPart, Message};
use crate::tools::contract::{Effect, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput};

/// Messages shown unless told otherwise.
const USUAL: usize = 50;
/// Most messages.
const MOST: usize = 1_000;
/// Largest answer.
const MAX_BYTES: usize = 80 * 1024;

/// The tool.
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionsHistoryTool;

impl Tool for SessionsHistoryTool {
    fn name(&self) -> &'static str {
        "sessions_history"
    }

    fn description(&self) -> &'static str {
        "Shows what was said in a session that this one may see, the newest messages, oldest first. Long texts are cut, \
         credentials are hidden."
    }

    fn parameters(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "sessionKey": {"type": "string", "minLength": 1, "description": "A session; current is this one."},
                "limit": {"type": "integer", "minimum": 1, "maximum": MOST},
                "offset": {"type": "integer", "minimum": 0, "description": "Newest messages to leave out."},
                "includeTools": {"type": "boolean", "description": "Show calls of tools and their results."},
                "messageId": {"type": "string", "minLength": 1, "description": "Show the messages up to this one."},
            },
            "required": ["sessionKey"],
            "additionalProperties": false,
        })
    }

    fn capabilities(&self) -> ToolCapabilities {
        ToolCapabilities::OPEN
    }

    fn effect(&self, _arguments: &Value) -> Effect {
        Effect::Pure
    }

    fn call(&self, arguments: Value, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        async move {
            let session = target(&context, arguments["sessionKey"].as_str())?;
            seen(&context, &session).await?;
            let number = |name: &str, usual: usize| {
                arguments[name].as_u64().map_or(usual, |number| usize::try_from(number).unwrap_or(usize::MAX))
            };
            let (limit, offset) = (number("limit", USUAL).min(MOST), number("offset", 0));
            let read = if arguments["messageId"].is_null() { limit.saturating_add(offset) } else { usize::MAX };
            let history = context.sessions.history(session.clone(), read).await?;
            let mut messages = history.messages;
            if let Some(id) = arguments["messageId"].as_str() {
                let Some(at) = messages.iter().position(|(found, _)| found == id) else {
                    return Err(ToolError::Failed(format!("there is no message {id} in {session}")));
                };
                messages.truncate(at + 1);
            }
            messages.truncate(messages.len().saturating_sub(offset));
            messages.drain(..messages.len().saturating_sub(limit));
            let tools = arguments["includeTools"].as_bool().unwrap_or(false);
            let lines: Vec<Value> = messages.iter().filter_map(|(id, message)| line(id, message, tools)).collect();
            let (lines, is_cut) = newest(lines);
            let mut answer = json!({"sessionKey": session.as_str(), "total": history.total, "messages": lines});
            if is_cut {
                answer["note"] = json!("older messages are left out; ask for them with offset");
            }
            Ok(ToolOutput::json(answer))
        }
        .boxed()
    }
}

/// As many of the newest as fit.
fn newest(lines: Vec<Value>) -> (Vec<Value>, bool) {
    let mut bytes = 0;
    let kept = lines.iter().rev().take_while(|line| {
        bytes += line.to_string().len() + 1;
        bytes <= MAX_BYTES
    });
    let kept = kept.count();
    let is_cut = kept < lines.len();
    (lines.into_iter().rev().take(kept).rev().collect(), is_cut)
}

/// Who said what, of what people and models said.
pub(super) fn spoken(message: &Message) -> Option<(&'static str, String)> {
    let role = match message {
        Message::User { .. } => "user",
        Message::Assistant { .. } => "assistant",
        Message::ToolResult { .. } => return None,
    };
    let text = message.text();
    (!text.trim().is_empty()).then_some((role, text))
}

fn line(id: &str, message: &Message, tools: bool) -> Option<Value> {
    let said = spoken(message);
    match message {
        Message::ToolResult { tool_name, is_error, tool_call_id, .. } => tools.then(|| {
            json!({
                "id": id, "role": "toolResult", "tool": tool_name, "toolCallId": tool_call_id, "isError": is_error,
                "text": shown(&message.text()),
            })
        }),
        Message::User { timestamp, .. } => {
            said.map(|(role, text)| json!({"id": id, "role": role, "at": timestamp, "text": shown(&text)}))
        }
        Message::Assistant { content, timestamp, .. } => {
            let calls: Vec<Value> = content
                .iter()
                .filter_map(|part| match part {
                    AssistantPart::ToolCall { id, name, arguments } if tools => {
                        Some(json!({"id": id, "tool": name, "arguments": shown(&arguments.to_string())}))
                    }
                    AssistantPart::ToolCall { .. } | AssistantPart::Text { .. } | AssistantPart::Thinking { .. } => {
                        None
                    }
                })
                .collect();
            if said.is_none() && calls.is_empty() {
                return None;
            }
            let text = said.map(|(_, text)| shown(&text)).unwrap_or_default();
            let mut line = json!({"id": id, "role": "assistant", "at": timestamp, "text": text});
            if !calls.is_empty() {
                line["toolCalls"] = json!(calls);
            }
            Some(line)
        }
    }
}
