//! A turn in the words of either format.

use serde_json::{Value, json};

use super::script::{FakeFault, FakeTurn};

fn is_messages(path: &str) -> bool {
    path.ends_with("/messages")
}

/// The events of an answer, each with its blank line.
pub(super) fn events(path: &str, model: &str, turn: &FakeTurn) -> Vec<String> {
    if is_messages(path) { messages_events(model, turn) } else { completions_events(model, turn) }
}

/// An event that only keeps the connection open.
pub(super) fn ping(path: &str) -> &'static [u8] {
    if is_messages(path) { b"event: ping\ndata: {\"type\": \"ping\"}\n\n" } else { b": ping\n\n" }
}

/// Pieces of `text` as a model would stream them.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}

/// The text of arguments in two halves, cut at a character.
fn halves(arguments: &Value) -> [String; 2] {
    let text = arguments.to_string();
    let mut middle = text.len() / 2;
    while !text.is_char_boundary(middle) {
        middle += 1;
    }
    let (head, tail) = text.split_at(middle);
    [head.to_owned(), tail.to_owned()]
}

fn tokens(turn: &FakeTurn) -> usize {
    pieces(&turn.text).count() + pieces(&turn.thinking).count() + turn.calls.len()
}

fn completions_events(model: &str, turn: &FakeTurn) -> Vec<String> {
    let mut events = Vec::new();
    let mut choice = |delta: Value, finish: Option<&str>| {
        let chunk = json!({
            "id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1, "model": model,
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }],
        });
        events.push(format!("data: {chunk}\n\n"));
    };
    choice(json!({ "role": "assistant", "content": "" }), None);
    for piece in pieces(&turn.thinking) {
        choice(json!({ "reasoning_content": piece }), None);
    }
    for piece in pieces(&turn.text) {
        choice(json!({ "content": piece }), None);
    }
    for (index, call) in turn.calls.iter().enumerate() {
        let function = json!({ "name": call.name, "arguments": "" });
        let start = json!({ "index": index, "id": call.id, "type": "function", "function": function });
        choice(json!({ "tool_calls": [start] }), None);
    }
    // Calls interleave, as parallel calls may.
    for half in 0..2 {
        for (index, call) in turn.calls.iter().enumerate() {
            let function = json!({ "arguments": halves(&call.arguments)[half] });
            choice(json!({ "tool_calls": [{ "index": index, "function": function }] }), None);
        }
    }
    choice(json!({}), Some(if turn.calls.is_empty() { "stop" } else { "tool_calls" }));
    let usage = json!({
        "prompt_tokens": 12, "completion_tokens": tokens(turn), "total_tokens": 12 + tokens(turn),
        "prompt_tokens_details": { "cached_tokens": 2 },
    });
    let last = json!({
        "id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1, "model": model,
        "choices": [], "usage": usage,
    });
    events.push(format!("data: {last}\n\n"));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

fn messages_events(model: &str, turn: &FakeTurn) -> Vec<String> {
    let mut events = Vec::new();
    let mut event = |data: Value| {
        let name = data["type"].as_str().unwrap_or_default().to_owned();
        events.push(format!("event: {name}\ndata: {data}\n\n"));
    };
    event(json!({ "type": "message_start", "message": {
        "id": "msg_fake", "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": null, "stop_sequence": null,
        "usage": {
            "input_tokens": 10, "output_tokens": 1,
            "cache_read_input_tokens": 2, "cache_creation_input_tokens": 3,
        },
    } }));
    event(json!({ "type": "ping" }));
    let mut index = 0;
    let mut block = |start: Value, deltas: Vec<Value>| {
        event(json!({ "type": "content_block_start", "index": index, "content_block": start }));
        for delta in deltas {
            event(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        }
        event(json!({ "type": "content_block_stop", "index": index }));
        index += 1;
    };
    if !turn.thinking.is_empty() {
        let mut deltas: Vec<Value> =
            pieces(&turn.thinking).map(|piece| json!({ "type": "thinking_delta", "thinking": piece })).collect();
        deltas.push(json!({ "type": "signature_delta", "signature": "c2lnbmVk" }));
        block(json!({ "type": "thinking", "thinking": "", "signature": "" }), deltas);
    }
    if !turn.text.is_empty() {
        let deltas = pieces(&turn.text).map(|piece| json!({ "type": "text_delta", "text": piece })).collect();
        block(json!({ "type": "text", "text": "" }), deltas);
    }
    for call in &turn.calls {
        let deltas = halves(&call.arguments)
            .into_iter()
            .map(|half| json!({ "type": "input_json_delta", "partial_json": half }))
            .collect();
        block(json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": {} }), deltas);
    }
    let stop = if turn.calls.is_empty() { "end_turn" } else { "tool_use" };
    event(json!({
        "type": "message_delta", "delta": { "stop_reason": stop, "stop_sequence": null },
        "usage": { "output_tokens": tokens(turn) },
    }));
    event(json!({ "type": "message_stop" }));
    events
}

fn usual_code(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500..=599 => "api_error",
        _ => "invalid_request_error",
    }
}

/// Status, further header lines and body of a refusal.
pub(super) fn refusal(path: &str, fault: &FakeFault) -> (u16, String, String) {
    let FakeFault::Status { status, retry_after, code, message } = fault else {
        return (500, String::new(), String::new());
    };
    let code = if code.is_empty() { usual_code(*status) } else { code };
    let message = if message.is_empty() { "fault on command" } else { message };
    let body = if is_messages(path) {
        json!({ "type": "error", "error": { "type": code, "message": message } })
    } else {
        json!({ "error": { "message": message, "type": code, "param": null, "code": code } })
    };
    let headers = retry_after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
    (*status, headers, body.to_string())
}

/// An error inside a stream.
pub(super) fn error_event(path: &str, code: &str, message: &str) -> String {
    if is_messages(path) {
        let data = json!({ "type": "error", "error": { "type": code, "message": message } });
        format!("event: error\ndata: {data}\n\n")
    } else {
        format!("data: {}\n\n", json!({ "error": { "message": message, "type": code, "code": code } }))
    }
}
