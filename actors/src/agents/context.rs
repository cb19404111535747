//! Which part of a conversation fits a model's window.

use crate::message::{AssistantPart, Message};

/// Tokens kept free for the answer (a quarter of a small window).
const RESERVE: u64 = 20_000;
/// Bytes per token, on the safe side for English and code.
const BYTES_PER_TOKEN: u64 = 3;

/// The longest tail of `history` that fits a window of `window` tokens. Starts at a user message where it can, so
/// that no tool result stands without its call. The last message is always kept.
#[must_use]
pub fn fit(history: &[Message], window: u64) -> &[Message] {
    let budget = (window - RESERVE.min(window / 4)).saturating_mul(BYTES_PER_TOKEN);
    let mut used = 0_u64;
    let mut start = history.len();
    for (at, message) in history.iter().enumerate().rev() {
        used = used.saturating_add(size(message));
        if used > budget && at + 1 < history.len() {
            break;
        }
        start = at;
    }
    let tail = &history[start..];
    if start == 0 {
        return tail;
    }
    match tail.iter().position(|message| matches!(message, Message::User { .. })) {
        Some(first_user) => &tail[first_user..],
        None => tail,
    }
}

fn size(message: &Message) -> u64 {
    let extra: usize = match message {
        Message::Assistant { content, .. } => content
            .iter()
            .map(|part| match part {
                AssistantPart::Text { .. } => 0,
                AssistantPart::Thinking { thinking, .. } => thinking.len(),
                AssistantPart::ToolCall { name, arguments, .. } => name.len() + arguments.to_string().len(),
            })
            .sum(),
        Message::User { .. } | Message::ToolResult { .. } => 0,
    };
    (message.text().len() + extra + 16) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk(n: usize, bytes: usize) -> Vec<Message> {
        (0..n).map(|at| Message::user("x".repeat(bytes), at as i64)).collect()
    }

    #[test]
    fn a_short_conversation_is_kept_whole() {
        assert_eq!(fit(&talk(5, 10), 200_000).len(), 5);
    }

    #[test]
    fn the_newest_part_of_a_long_one_is_kept() {
        let history = talk(100, 1000);
        let kept = fit(&history, 8_000);
        assert!(kept.len() < 30, "{}", kept.len());
        assert_eq!(kept.last(), history.last());
    }

    #[test]
    fn one_oversize_message_is_kept_all_the_same() {
        assert_eq!(fit(&talk(1, 1_000_000), 8_000).len(), 1);
    }
}
