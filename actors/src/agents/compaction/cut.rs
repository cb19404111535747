//! Where a history is cut. Pure.

use super::estimate::message_tokens;
use super::is_summary;
use crate::message::{AssistantPart, Message};

/// A cut through a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The first message that stays as it is.
    pub kept_from: usize,
    /// Where the turn begins that the cut goes through; the same as `kept_from` when it lies between two turns.
    pub turn_from: usize,
}

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Tokens of the newest part.
    pub tokens: u64,
    /// Turns that are kept even if they are more, up to `most`.
    pub turns: usize,
    /// More tokens than this are not kept.
    pub most: u64,
}

/// The cut that keeps the newest part; none when there is nothing to leave out. A summary at the beginning is left out
/// and goes into the next one.
#[must_use]
pub fn plan(messages: &[Message], keep: Keep) -> Option<Cut> {
    let first = usize::from(messages.first().is_some_and(is_summary));
    let by_tokens = start_of_newest(messages, keep.tokens);
    let by_turns = start_of_turns(messages, keep.turns)
        .filter(|start| messages[*start..].iter().map(message_tokens).sum::<u64>() <= keep.most);
    let wanted = by_turns.map_or(by_tokens, |start| start.min(by_tokens));
    let kept_from = whole_call(messages, wanted);
    // A summary in place of itself shortens nothing.
    if kept_from <= first {
        return None;
    }
    Some(Cut { kept_from, turn_from: start_of_turn(messages, kept_from) })
}

/// The first message of the newest `tokens`. The last message is always among them.
fn start_of_newest(messages: &[Message], tokens: u64) -> usize {
    let mut used = 0;
    let mut start = messages.len().saturating_sub(1);
    for (at, message) in messages.iter().enumerate().rev() {
        used += message_tokens(message);
        if used > tokens && at < start {
            break;
        }
        start = at;
    }
    start
}

/// Where the last `turns` turns begin.
fn start_of_turns(messages: &[Message], turns: usize) -> Option<usize> {
    let users = messages.iter().enumerate().rev().filter(|(_, message)| is_user(message));
    users.take(turns).last().map(|(at, _)| at)
}

/// The nearest message at or before `at` that is no tool result: results stay with the message that asked for them.
#[must_use]
pub fn whole_call(messages: &[Message], at: usize) -> usize {
    let mut at = at.min(messages.len());
    while at > 0 && messages.get(at).is_some_and(|message| matches!(message, Message::ToolResult { .. })) {
        at -= 1;
    }
    at
}

/// The request that the message `at` belongs to; `at` itself when it begins a turn.
fn start_of_turn(messages: &[Message], at: usize) -> usize {
    if messages.get(at).is_none_or(is_user) {
        return at;
    }
    messages[..at].iter().rposition(is_user).filter(|user| !is_summary(&messages[*user])).unwrap_or(at)
}

fn is_user(message: &Message) -> bool {
    matches!(message, Message::User { .. })
}

/// The latest request of a person in `messages`, unless it was answered.
#[must_use]
pub fn unresolved_request(messages: &[Message]) -> Option<usize> {
    let user = messages.iter().rposition(|message| is_user(message) && !is_summary(message))?;
    let answered = messages[user + 1..].iter().any(|message| match message {
        Message::Assistant { content, .. } => {
            let calls = content.iter().any(|part| matches!(part, AssistantPart::ToolCall { .. }));
            !calls && !message.text().trim().is_empty()
        }
        Message::User { .. } | Message::ToolResult { .. } => false,
    });
    (!answered).then_some(user)
}

#[cfg(test)]
pub(in crate::agents) mod tests;
