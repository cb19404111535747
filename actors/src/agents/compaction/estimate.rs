//! How many tokens something is, without the model's own counter: on the safe side for English, code and other scripts.

use crate::message::{AssistantPart, Message, UserContent, UserPart};

/// Tokens kept free for the answer (OpenClaw: 20000, a quarter of a small window).
const RESERVE: u64 = 20_000;
/// Characters of plain text in a token.
const ASCII_PER_TOKEN: u64 = 4;
/// Bytes of other scripts in a token.
const BYTES_PER_TOKEN: u64 = 2;
/// What a message costs beside its text.
const FRAME: u64 = 4;
/// An image, whatever its size.
const IMAGE: u64 = 1_600;

/// Tokens of a window that are kept free.
#[must_use]
pub fn reserve(window: u64) -> u64 {
    RESERVE.min(window / 4)
}

/// Tokens of a text.
#[must_use]
pub fn text_tokens(text: &str) -> u64 {
    let ascii = text.bytes().filter(u8::is_ascii).count() as u64;
    let other = text.len() as u64 - ascii;
    ascii.div_ceil(ASCII_PER_TOKEN) + other.div_ceil(BYTES_PER_TOKEN)
}

/// Tokens of a message.
#[must_use]
pub fn message_tokens(message: &Message) -> u64 {
    let content: u64 = match message {
        Message::User { content: UserContent::Text(text), .. } => text_tokens(text),
        Message::User { content: UserContent::Parts(parts), .. } => parts
            .iter()
            .map(|part| match part {
                UserPart::Text { text } => text_tokens(text),
                UserPart::Image { .. } => IMAGE,
            })
            .sum(),
        Message::Assistant { content, .. } => content
            .iter()
            .map(|part| match part {
                AssistantPart::Text { text } => text_tokens(text),
                AssistantPart::Thinking { thinking, .. } => text_tokens(thinking),
                AssistantPart::ToolCall { name, arguments, .. } => {
                    FRAME + text_tokens(name) + text_tokens(&arguments.to_string())
                }
            })
            .sum(),
        Message::ToolResult { content, .. } => content.iter().map(|part| text_tokens(&part.text)).sum(),
    };
    content + FRAME
}

/// Tokens of a conversation.
#[must_use]
pub fn conversation_tokens(messages: &[Message]) -> u64 {
    messages.iter().map(message_tokens).sum()
}

/// Tokens of the next prompt. What the provider counted for the last answer is believed; only what came behind it, or
/// everything when nobody counted, is estimated. `overhead` is the system prompt with the tools.
#[must_use]
pub fn projected(messages: &[Message], overhead: u64) -> u64 {
    let estimate = conversation_tokens(messages) + overhead;
    let counted = messages.iter().enumerate().rev().find_map(|(at, message)| match message {
        Message::Assistant { usage, .. } if usage.total_tokens > 0 => Some((at, usage.total_tokens)),
        Message::Assistant { .. } | Message::User { .. } | Message::ToolResult { .. } => None,
    });
    match counted {
        // A count from before the history was shortened says nothing of what is left.
        Some((at, tokens)) if !older_than_summary(messages, at) => tokens + conversation_tokens(&messages[at + 1..]),
        Some(_) | None => estimate,
    }
}

fn older_than_summary(messages: &[Message], at: usize) -> bool {
    let Some(first) = messages.first().filter(|first| super::is_summary(first)) else { return false };
    time_of(&messages[at]) <= time_of(first)
}

/// When a message was made.
#[must_use]
pub fn time_of(message: &Message) -> i64 {
    match message {
        Message::User { timestamp, .. }
        | Message::Assistant { timestamp, .. }
        | Message::ToolResult { timestamp, .. } => *timestamp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{StopReason, Usage};

    fn answer(tokens: u64, at: i64) -> Message {
        Message::Assistant {
            content: vec![AssistantPart::Text { text: "x".repeat(400) }],
            api: String::new(),
            provider: String::new(),
            model: String::new(),
            usage: Usage { total_tokens: tokens, ..Usage::default() },
            stop_reason: StopReason::Stop,
            error_message: None,
            timestamp: at,
        }
    }

    #[test]
    fn scripts_are_counted_on_the_safe_side() {
        assert_eq!(text_tokens("abcd"), 1);
        assert_eq!(text_tokens("日本語"), 5);
        assert_eq!(text_tokens(""), 0);
        assert_eq!((reserve(200_000), reserve(8_000)), (20_000, 2_000));
    }

    #[test]
    fn the_providers_count_is_believed_and_the_rest_estimated() {
        let later = Message::user("y".repeat(400), 3);
        let talk = [Message::user("hi", 1), answer(5000, 2), later.clone()];
        assert_eq!(projected(&talk, 300), 5000 + message_tokens(&later));
        let uncounted = [Message::user("hi", 1), answer(0, 2)];
        assert_eq!(projected(&uncounted, 300), conversation_tokens(&uncounted) + 300);
    }

    #[test]
    fn a_count_from_before_a_summary_is_not_believed() {
        let summary = crate::agents::compaction::summary_message("s", None, 10);
        let talk = [summary, answer(150_000, 9), Message::user("hi", 11)];
        assert_eq!(projected(&talk, 0), conversation_tokens(&talk));
    }
}
