//! Messages and results that no model and no tool made.

use crate::agents::reply::Reply;
use crate::agents::{RunFailure, RunOutcome, RunResult, ToolRequest};
use crate::clock::EpochMs;
use crate::message::{AssistantPart, Message, StopReason, TextPart, Usage};
use crate::store::records::Streamed;
use crate::tools::contract::Fate;

/// A result without a model call.
pub(super) fn nothing(outcome: RunOutcome) -> RunResult {
    RunResult::without_model(outcome)
}

/// A failed turn, for the transcript.
pub(super) fn error_message(provider: &str, model: &str, text: &str, now: EpochMs) -> Message {
    Message::Assistant {
        content: Vec::new(),
        api: String::from("openclawd"),
        provider: provider.to_owned(),
        model: model.to_owned(),
        usage: Usage::default(),
        stop_reason: StopReason::Error,
        error_message: Some(text.to_owned()),
        timestamp: now,
    }
}

/// True when `last`, found in the transcript, is the end that is about to be written. A failure found there was noted at
/// another time.
pub(super) fn is_end(last: &Message, end: &Message) -> bool {
    match (last, end) {
        (
            Message::Assistant { error_message: Some(was), content, .. },
            Message::Assistant { error_message: Some(is), content: new, .. },
        ) => was == is && content == new,
        (last, end) => last == end,
    }
}

/// How the run that wrote the last message ended, when that was its end. Found when the daemon died between the
/// transcript and the journal.
/// `sent` is what was sent of the answer before.
pub(super) fn found_end(messages: &[Message], sent: Option<&Streamed>) -> Option<RunResult> {
    let last = messages.last()?;
    let Message::Assistant { content, stop_reason, error_message, provider, model, usage, .. } = last else {
        return None;
    };
    if content.iter().any(|part| matches!(part, AssistantPart::ToolCall { .. })) {
        return None;
    }
    let outcome = match stop_reason {
        StopReason::Stop | StopReason::Length => RunOutcome::Answered(last.clone()),
        StopReason::Aborted => RunOutcome::Aborted(Some(last.clone())),
        StopReason::Error => {
            let text = error_message.clone().unwrap_or_default();
            RunOutcome::Failed(RunFailure { text, kind: "unknown" })
        }
        StopReason::ToolUse => return None,
    };
    let reply = match &outcome {
        RunOutcome::Answered(message) => Reply::of(message, sent.filter(|sent| sent.at + 1 == messages.len() as u64)),
        RunOutcome::Failed(_) | RunOutcome::Aborted(_) => Reply::default(),
    };
    let (provider, model, usage) = (provider.clone(), model.clone(), usage.clone());
    Some(RunResult { provider, model, context_tokens: usage.total_tokens, usage, reply, ..nothing(outcome) })
}

/// Calls of the last message of a model that have no result. A result belongs to the first open call of its id.
pub(super) fn open_calls(messages: &[Message]) -> Vec<ToolRequest> {
    let Some(at) = messages.iter().rposition(|message| matches!(message, Message::Assistant { .. })) else {
        return Vec::new();
    };
    let Message::Assistant { content, .. } = &messages[at] else { return Vec::new() };
    let mut open: Vec<ToolRequest> = content
        .iter()
        .filter_map(|part| match part {
            AssistantPart::ToolCall { id, name, arguments } => {
                Some(ToolRequest { id: id.clone(), name: name.clone(), arguments: arguments.clone() })
            }
            AssistantPart::Text { .. } | AssistantPart::Thinking { .. } => None,
        })
        .collect();
    for message in &messages[at..] {
        if let Message::ToolResult { tool_call_id, .. } = message
            && let Some(answered) = open.iter().position(|call| call.id == *tool_call_id)
        {
            open.remove(answered);
        }
    }
    open
}

/// The result of a call that no tool gave.
pub(super) fn told_result(call: &ToolRequest, fate: Fate, text: &str, now: EpochMs) -> Message {
    Message::ToolResult {
        tool_call_id: call.id.clone(),
        tool_name: call.name.clone(),
        content: vec![TextPart { text: text.to_owned() }],
        details: Some(fate.details()),
        is_error: true,
        timestamp: now,
    }
}

/// An answer of the gateway itself.
pub(super) fn command_answer(text: &str, now: EpochMs) -> Message {
    Message::Assistant {
        content: vec![AssistantPart::Text { text: text.to_owned() }],
        api: String::from("openclawd"),
        provider: String::from("openclawd"),
        model: String::from("command"),
        usage: Usage::default(),
        stop_reason: StopReason::Stop,
        error_message: None,
        timestamp: now,
    }
}
