//! Our request in the words of the format.
//!
//! User turns that follow each other become one (results of tools are user content here), the first turn is a
//! user's, and reasoning is given back only with the signature it came with. The system prompt and the end of the
//! conversation are marked for the cache, so that the next call pays for what is new.

use serde_json::{Value, json};

use crate::providers::contract::{Endpoint, ModelRequest};
use crate::providers::replay::{Answer, Block, Part, Turn, turns};

/// Our name of this format in stored messages.
const API: &str = "anthropic-messages";
const REASONING_LEFT_OUT: &str = "(reasoning left out)";
const CONTINUED: &str = "(the conversation continues)";

/// The body of the call.
pub(super) fn body(endpoint: &Endpoint, request: &ModelRequest) -> Value {
    let mut messages: Vec<Message> = Vec::new();
    for turn in turns(&request.messages) {
        match turn {
            Turn::User(blocks) => push(&mut messages, Role::User, blocks.iter().map(user_block).collect()),
            Turn::Assistant(answer) => {
                if messages.is_empty() {
                    push(&mut messages, Role::User, vec![text_block(CONTINUED)]);
                }
                push(&mut messages, Role::Assistant, assistant_blocks(&answer));
                if !answer.results.is_empty() {
                    push(&mut messages, Role::User, result_blocks(&answer));
                }
            }
        }
    }
    if let Some(last) = messages.iter_mut().rfind(|message| message.role == Role::User)
        && let Some(block) = last.content.last_mut()
    {
        block["cache_control"] = json!({ "type": "ephemeral" });
    }
    let mut body = json!({
        "model": request.model,
        "max_tokens": request.max_tokens.unwrap_or(endpoint.default_max_tokens),
        "messages": messages.into_iter().map(Message::into_json).collect::<Vec<_>>(),
        "stream": true,
    });
    let system = system_blocks(request);
    if !system.is_empty() {
        body["system"] = Value::Array(system);
    }
    if !request.tools.is_empty() {
        let tool = |tool: &crate::providers::contract::ToolSpec| json!({ "name": tool.name, "description": tool.description, "input_schema": tool.parameters });
        body["tools"] = request.tools.iter().map(tool).collect();
        if request.no_tool_calls {
            body["tool_choice"] = json!({ "type": "none" });
        }
    }
    body
}

/// The lasting part of the system prompt, marked for the cache, then the part of this turn.
fn system_blocks(request: &ModelRequest) -> Vec<Value> {
    let written = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let mut blocks = Vec::new();
    if let Some(text) = written(&request.system) {
        blocks.push(json!({ "type": "text", "text": text, "cache_control": { "type": "ephemeral" } }));
    }
    blocks.extend(written(&request.system_turn).map(|text| text_block(&text)));
    blocks
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    User,
    Assistant,
}

struct Message {
    role: Role,
    content: Vec<Value>,
}

impl Message {
    fn into_json(self) -> Value {
        let role = match self.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        json!({ "role": role, "content": self.content })
    }
}

fn push(messages: &mut Vec<Message>, role: Role, content: Vec<Value>) {
    match messages.last_mut() {
        Some(last) if last.role == role => last.content.extend(content),
        Some(_) | None => messages.push(Message { role, content }),
    }
}

fn text_block(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn user_block(block: &Block<'_>) -> Value {
    match block {
        Block::Text(text) => text_block(text),
        Block::Image { data, mime_type } => {
            json!({ "type": "image", "source": { "type": "base64", "media_type": mime_type, "data": data } })
        }
    }
}

fn assistant_blocks(answer: &Answer<'_>) -> Vec<Value> {
    let mut blocks: Vec<Value> = answer
        .parts
        .iter()
        .filter_map(|part| match part {
            // White space at the end of the last text is refused.
            Part::Text(text) => Some(text_block(text.trim_end())),
            Part::Thinking { text, signature } => signature
                .filter(|_| answer.api == API)
                .map(|signature| json!({ "type": "thinking", "thinking": text, "signature": signature })),
            Part::Call { id, name, arguments } => {
                Some(json!({ "type": "tool_use", "id": id, "name": name, "input": arguments }))
            }
        })
        .collect();
    if blocks.is_empty() {
        blocks.push(text_block(REASONING_LEFT_OUT));
    }
    blocks
}

fn result_blocks(answer: &Answer<'_>) -> Vec<Value> {
    answer
        .results
        .iter()
        .map(|result| {
            json!({
                "type": "tool_result",
                "tool_use_id": result.id,
                "content": result.text,
                "is_error": result.is_error,
            })
        })
        .collect()
}
