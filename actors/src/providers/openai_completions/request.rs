//! Our request in the words of the format.

use serde_json::{Value, json};

use crate::providers::contract::{Endpoint, ModelRequest};
use crate::providers::replay::{Answer, Block, Part, Turn, turns};

/// The name of the output limit: the vendor that defined the format has renamed it, the others have not.
fn limit_field(endpoint: &Endpoint) -> &'static str {
    if endpoint.base_url.starts_with("https://api.openai.com") { "max_completion_tokens" } else { "max_tokens" }
}

/// The body of the call.
pub(super) fn body(endpoint: &Endpoint, request: &ModelRequest) -> Value {
    let mut messages = Vec::new();
    let system: Vec<&str> = [&request.system, &request.system_turn]
        .into_iter()
        .filter_map(|part| part.as_deref().filter(|part| !part.trim().is_empty()))
        .collect();
    if !system.is_empty() {
        messages.push(json!({ "role": "system", "content": system.join("\n\n") }));
    }
    let turns = turns(&request.messages);
    let last_user = turns.iter().rposition(|turn| matches!(turn, Turn::User(_)));
    for (index, turn) in turns.iter().enumerate() {
        match turn {
            Turn::User(blocks) => messages.push(json!({ "role": "user", "content": user_content(blocks) })),
            Turn::Assistant(answer) => {
                // Reasoning is given back only while the same model goes on with the same turn.
                let same = answer.provider == endpoint.provider && answer.model == request.model;
                let continued = last_user.is_none_or(|user| user < index) && !answer.results.is_empty();
                push_answer(&mut messages, answer, same && continued);
            }
        }
    }
    let mut body = json!({
        "model": request.model,
        "messages": messages,
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    if let Some(limit) = request.max_tokens {
        body[limit_field(endpoint)] = json!(limit);
    }
    if !request.tools.is_empty() {
        let tool = |tool: &crate::providers::contract::ToolSpec| {
            json!({ "type": "function", "function": {
                "name": tool.name, "description": tool.description, "parameters": tool.parameters,
            } })
        };
        body["tools"] = request.tools.iter().map(tool).collect();
        if request.no_tool_calls {
            body["tool_choice"] = json!("none");
        }
    }
    body
}

/// A bare string unless there are images: some servers take nothing else.
fn user_content(blocks: &[Block<'_>]) -> Value {
    if blocks.iter().all(|block| matches!(block, Block::Text(_))) {
        let texts: Vec<&str> = blocks
            .iter()
            .filter_map(|block| match block {
                Block::Text(text) => Some(text.as_ref()),
                Block::Image { .. } => None,
            })
            .collect();
        return Value::String(texts.join("\n"));
    }
    blocks
        .iter()
        .map(|block| match block {
            Block::Text(text) => json!({ "type": "text", "text": text }),
            Block::Image { data, mime_type } => {
                json!({ "type": "image_url", "image_url": { "url": format!("data:{mime_type};base64,{data}") } })
            }
        })
        .collect()
}

fn push_answer(messages: &mut Vec<Value>, answer: &Answer<'_>, with_reasoning: bool) {
    let mut text = String::new();
    let mut reasoning = String::new();
    let mut calls = Vec::new();
    for part in &answer.parts {
        match part {
            Part::Text(piece) => text.push_str(piece),
            Part::Thinking { text, .. } => reasoning.push_str(text),
            Part::Call { id, name, arguments } => calls.push(json!({
                "id": id,
                "type": "function",
                "function": { "name": name, "arguments": arguments.to_string() },
            })),
        }
    }
    if text.is_empty() && calls.is_empty() {
        return;
    }
    let mut message =
        json!({ "role": "assistant", "content": if text.is_empty() { Value::Null } else { text.into() } });
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    if with_reasoning && !reasoning.is_empty() {
        message["reasoning_content"] = Value::String(reasoning);
    }
    messages.push(message);
    for result in &answer.results {
        messages.push(json!({ "role": "tool", "tool_call_id": result.id, "content": result.text }));
    }
}
