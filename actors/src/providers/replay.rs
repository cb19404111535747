//! The conversation as it may be sent again: the rules that every wire format shares.
//!
//! A pure copy per request; the transcript keeps what was said. Invariants of the result: each tool call is followed
//! by exactly one result, in the order of the calls; no result is without its call; no text block is blank; ids of
//! calls are of `[A-Za-z0-9_-]`, at most 40 long, and unique within their turn.

use std::borrow::Cow;

use serde_json::Value;

use crate::message::{AssistantPart, Message, StopReason, UserContent, UserPart};

/// Longest id of a call that every vendor takes.
const MAX_CALL_ID: usize = 40;

const EMPTY_MESSAGE: &str = "(empty message)";
const EMPTY_RESULT: &str = "(no output)";
const MISSING_RESULT: &str = "No result was recorded for this call; it may or may not have had an effect.";

/// One turn.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Turn<'a> {
    User(Vec<Block<'a>>),
    Assistant(Answer<'a>),
}

/// A piece of a user's turn.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Block<'a> {
    Text(Cow<'a, str>),
    Image { data: &'a str, mime_type: &'a str },
}

/// An assistant's turn with the results of its calls.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer<'a> {
    pub(super) parts: Vec<Part<'a>>,
    pub(super) results: Vec<ToolOutcome>,
    pub(super) api: &'a str,
    pub(super) provider: &'a str,
    pub(super) model: &'a str,
}

/// A piece of an assistant's turn.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part<'a> {
    Text(&'a str),
    Thinking { text: &'a str, signature: Option<&'a str> },
    Call { id: String, name: &'a str, arguments: &'a Value },
}

/// What a call returned.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ToolOutcome {
    /// Id of its call, as in [`Part::Call`].
    pub(super) id: String,
    pub(super) text: String,
    pub(super) is_error: bool,
}

/// A call while results are looked for.
struct OpenCall<'a> {
    original: &'a str,
    id: String,
    result: Option<ToolOutcome>,
}

/// The turns of `messages`.
pub(super) fn turns(messages: &[Message]) -> Vec<Turn<'_>> {
    let mut turns: Vec<Turn<'_>> = Vec::new();
    let mut calls: Vec<(usize, Vec<OpenCall<'_>>)> = Vec::new();
    for message in messages {
        match message {
            Message::User { content, .. } => turns.push(Turn::User(user_blocks(content))),
            Message::Assistant { content, api, provider, model, stop_reason, .. } => {
                let (parts, open) = assistant_parts(content, *stop_reason);
                if parts.is_empty() {
                    continue;
                }
                calls.push((turns.len(), open));
                turns.push(Turn::Assistant(Answer { parts, results: Vec::new(), api, provider, model }));
            }
            Message::ToolResult { tool_call_id, is_error, .. } => {
                let text = message.text();
                let text = if text.trim().is_empty() { EMPTY_RESULT.to_owned() } else { text };
                if let Some(call) = owner(&mut calls, tool_call_id) {
                    call.result = Some(ToolOutcome { id: call.id.clone(), text, is_error: *is_error });
                }
            }
        }
    }
    for (index, open) in calls {
        if let Some(Turn::Assistant(answer)) = turns.get_mut(index) {
            answer.results = open.into_iter().map(settled).collect();
        }
    }
    turns
}

fn settled(call: OpenCall<'_>) -> ToolOutcome {
    let OpenCall { id, result, .. } = call;
    result.unwrap_or_else(|| ToolOutcome { id, text: MISSING_RESULT.to_owned(), is_error: true })
}

/// The call that a result belongs to: the first open one of that id in the latest turn; a displaced result goes to
/// an earlier turn only when a single call can be meant.
fn owner<'c, 'a>(calls: &'c mut [(usize, Vec<OpenCall<'a>>)], id: &str) -> Option<&'c mut OpenCall<'a>> {
    let is_open = |call: &OpenCall<'_>| call.original == id && call.result.is_none();
    let (last, earlier) = calls.split_last_mut()?;
    if let Some(place) = last.1.iter().position(is_open) {
        return last.1.get_mut(place);
    }
    let mut open = earlier.iter_mut().flat_map(|(_, calls)| calls.iter_mut()).filter(|call| is_open(call));
    let only = open.next();
    if open.next().is_some() { None } else { only }
}

fn user_blocks(content: &UserContent) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = match content {
        UserContent::Text(text) => vec![Block::Text(text.into())],
        UserContent::Parts(parts) => parts
            .iter()
            .map(|part| match part {
                UserPart::Text { text } => Block::Text(text.into()),
                UserPart::Image { data, mime_type } => Block::Image { data, mime_type },
            })
            .collect(),
    };
    blocks.retain(|block| match block {
        Block::Text(text) => !text.trim().is_empty(),
        Block::Image { data, .. } => !data.is_empty(),
    });
    if blocks.is_empty() {
        blocks.push(Block::Text(EMPTY_MESSAGE.into()));
    }
    blocks
}

/// The parts worth sending. Calls without arguments were cut off while they were streamed; a turn that is only
/// reasoning because the output limit was reached says nothing.
fn assistant_parts(content: &[AssistantPart], stop: StopReason) -> (Vec<Part<'_>>, Vec<OpenCall<'_>>) {
    let mut parts = Vec::new();
    let mut open: Vec<OpenCall<'_>> = Vec::new();
    for part in content {
        match part {
            AssistantPart::Text { text } if text.trim().is_empty() => {}
            AssistantPart::Text { text } => parts.push(Part::Text(text)),
            AssistantPart::Thinking { thinking, thinking_signature } => {
                let signature = thinking_signature.as_deref().filter(|signature| !signature.trim().is_empty());
                if signature.is_some() || !thinking.trim().is_empty() {
                    parts.push(Part::Thinking { text: thinking, signature });
                }
            }
            AssistantPart::ToolCall { arguments, .. } if !arguments.is_object() => {}
            AssistantPart::ToolCall { id, name, arguments } => {
                let sent = call_id(id, open.len(), |candidate| open.iter().any(|call| call.id == candidate));
                open.push(OpenCall { original: id, id: sent.clone(), result: None });
                parts.push(Part::Call { id: sent, name, arguments });
            }
        }
    }
    let only_thinking = parts.iter().all(|part| matches!(part, Part::Thinking { .. }));
    if only_thinking && stop != StopReason::ToolUse {
        parts.clear();
    }
    (parts, open)
}

/// An id every vendor takes, the same for the same history.
fn call_id(original: &str, place: usize, taken: impl Fn(&str) -> bool) -> String {
    let clean = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    let mut id: String = original.chars().map(clean).take(MAX_CALL_ID).collect();
    if id.is_empty() {
        id = format!("call_{place}");
    }
    let mut suffix = place;
    while taken(&id) {
        let end = format!("_{suffix}");
        id.truncate(MAX_CALL_ID - end.len().min(MAX_CALL_ID));
        id.push_str(&end);
        suffix += 1;
    }
    id
}

#[cfg(test)]
mod tests;
