//! What a model is shown: the part of a conversation that fits its window, and the system prompt before it.

pub(super) mod system;

use super::compaction::cut::{unresolved_request, whole_call};
use super::compaction::estimate::{message_tokens, reserve, time_of};
use super::compaction::is_summary;
use crate::message::{AssistantPart, Message, UserContent, UserPart};

/// Completed turns whose images are shown again.
const IMAGE_TURNS: usize = 3;
/// Stands for an image that is not shown again.
const OLD_IMAGE: &str = "[an image was here]";

/// The newest part of `history` that fits a window of `window` tokens beside `overhead` tokens of prompt and tools.
///
/// Calls stay with their results. The last message, a summary at the beginning and the latest request that is not settled
/// are always shown.
#[must_use]
pub fn fit(history: &[Message], window: u64, overhead: u64) -> Vec<Message> {
    let budget = window.saturating_sub(reserve(window)).saturating_sub(overhead);
    let mut used = 0_u64;
    let mut start = history.len();
    for (at, message) in history.iter().enumerate().rev() {
        used = used.saturating_add(message_tokens(message));
        if used > budget && at + 1 < history.len() {
            break;
        }
        start = at;
    }
    let start = behind_results(history, start);
    let mut shown: Vec<Message> = Vec::with_capacity(history.len() - start + 2);
    if start > 0 {
        shown.extend(history.first().filter(|first| is_summary(first)).cloned());
        shown.extend(unresolved_request(history).filter(|at| *at < start).map(|at| history[at].clone()));
    }
    shown.extend_from_slice(&history[start..]);
    without_old_thoughts(&mut shown);
    without_old_images(&mut shown);
    shown
}

/// Images of all but the newest turns are named instead of shown: they cost much and have been looked at.
fn without_old_images(shown: &mut [Message]) {
    let users = shown.iter().enumerate().rev().filter(|(_, message)| matches!(message, Message::User { .. }));
    // The turn under way, and the turns before it that keep theirs.
    let Some(oldest) = users.take(IMAGE_TURNS + 1).last().map(|(at, _)| at) else { return };
    for message in &mut shown[..oldest] {
        let Message::User { content: UserContent::Parts(parts), .. } = message else { continue };
        for part in parts.iter_mut().filter(|part| matches!(part, UserPart::Image { .. })) {
            *part = UserPart::Text { text: OLD_IMAGE.to_owned() };
        }
    }
}

/// The first message at or behind `at` that is no tool result; when there is none, the message that asked for them.
fn behind_results(history: &[Message], at: usize) -> usize {
    let is_result = |message: &Message| matches!(message, Message::ToolResult { .. });
    match history[at..].iter().position(|message| !is_result(message)) {
        Some(results) => at + results,
        None => whole_call(history, at),
    }
}

/// Reasoning from before a summary refers to what is not there any more; its signatures would be refused.
fn without_old_thoughts(shown: &mut [Message]) {
    let Some(cut_at) = shown.first().filter(|first| is_summary(first)).map(time_of) else { return };
    for message in shown.iter_mut().skip(1).filter(|message| time_of(message) <= cut_at) {
        if let Message::Assistant { content, .. } = message {
            content.retain(|part| !matches!(part, AssistantPart::Thinking { .. }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::compaction::cut::tests::{assistant, result};
    use crate::agents::compaction::summary_message;

    fn talk(n: usize, bytes: usize) -> Vec<Message> {
        (0..n).map(|at| Message::user("x".repeat(bytes), at as i64)).collect()
    }

    #[test]
    fn a_short_conversation_is_kept_whole() {
        assert_eq!(fit(&talk(5, 10), 200_000, 1000).len(), 5);
    }

    #[test]
    fn the_newest_part_of_a_long_one_is_kept() {
        let history = talk(100, 1000);
        let kept = fit(&history, 8_000, 0);
        assert!(kept.len() < 30, "{}", kept.len());
        assert_eq!(kept.last(), history.last());
        assert!(fit(&history, 8_000, 3_000).len() < kept.len(), "the prompt takes its room");
    }

    #[test]
    fn one_oversize_message_is_kept_all_the_same() {
        assert_eq!(fit(&talk(1, 1_000_000), 8_000, 0).len(), 1);
    }

    #[test]
    fn a_long_chain_of_tools_keeps_the_request_and_whole_calls() {
        let mut history = talk(3, 2_000);
        history.push(Message::user("the request", 3));
        for n in 0..40 {
            history.push(assistant("", &[format!("a{n}"), format!("b{n}")]));
            history.push(result(&format!("a{n}"), &"r".repeat(500)));
            history.push(result(&format!("b{n}"), &"r".repeat(500)));
        }
        let shown = fit(&history, 8_000, 0);
        assert_eq!(shown[0].text(), "the request");
        assert!(matches!(shown[1], Message::Assistant { .. }), "no result without its call");
        assert_eq!(shown.last(), history.last());
        assert!(shown.len() < history.len());
    }

    #[test]
    fn results_larger_than_the_window_stay_with_their_call() {
        let history = [
            Message::user("q", 0),
            assistant("", &["a".into(), "b".into()]),
            result("a", &"r".repeat(90_000)),
            result("b", &"r".repeat(90_000)),
        ];
        assert_eq!(fit(&history, 8_000, 0), history);
    }

    #[test]
    fn images_of_older_turns_are_only_named() {
        let image = |at| Message::User {
            content: UserContent::Parts(vec![UserPart::Image { data: "AAAA".into(), mime_type: "image/png".into() }]),
            timestamp: at,
            idempotency_key: None,
        };
        let history: Vec<Message> = (0..6).map(image).collect();
        let shown = fit(&history, 200_000, 0);
        assert_eq!(shown.iter().filter(|message| message.text() == OLD_IMAGE).count(), 2);
        assert_eq!(shown[2..], history[2..]);
        assert_eq!(fit(&history[..4], 200_000, 0), history[..4]);
    }

    #[test]
    fn a_summary_stays_in_front_and_older_reasoning_goes() {
        let mut thought = assistant("said", &[]);
        if let Message::Assistant { content, .. } = &mut thought {
            content.insert(0, AssistantPart::Thinking { thinking: "t".into(), thinking_signature: Some("s".into()) });
        }
        let mut history = vec![summary_message("before", None, 10), thought];
        history.extend(talk(60, 1000));
        let whole = fit(&history[..2], 8_000, 0);
        assert_eq!(whole[1], assistant("said", &[]));
        let shown = fit(&history, 8_000, 0);
        assert!(is_summary(&shown[0]) && shown.len() < 40);
    }
}
