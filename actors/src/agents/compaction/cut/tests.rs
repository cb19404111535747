use proptest::prelude::*;

use super::*;
use crate::agents::compaction::{summary, summary_message};
use crate::message::{StopReason, TextPart, Usage};

pub(crate) fn assistant(text: &str, calls: &[String]) -> Message {
    let mut content = Vec::new();
    if !text.is_empty() {
        content.push(AssistantPart::Text { text: text.into() });
    }
    content.extend(calls.iter().map(|id| AssistantPart::ToolCall {
        id: id.clone(),
        name: "clock".into(),
        arguments: serde_json::json!({}),
    }));
    Message::Assistant {
        content,
        api: String::new(),
        provider: String::new(),
        model: String::new(),
        usage: Usage::default(),
        stop_reason: if calls.is_empty() { StopReason::Stop } else { StopReason::ToolUse },
        error_message: None,
        timestamp: 0,
    }
}

pub(crate) fn result(id: &str, text: &str) -> Message {
    Message::ToolResult {
        tool_call_id: id.into(),
        tool_name: "clock".into(),
        content: vec![TextPart { text: text.into() }],
        details: None,
        is_error: false,
        timestamp: 0,
    }
}

fn keep(tokens: u64) -> Keep {
    Keep { tokens, turns: 0, most: u64::MAX }
}

#[test]
fn the_newest_tokens_are_kept_from_a_request_on_where_that_is_near() {
    let mut talk = Vec::new();
    for n in 0..10 {
        talk.push(Message::user(format!("question {n} {}", "x".repeat(400)), n));
        talk.push(assistant(&"y".repeat(400), &[]));
    }
    let cut = plan(&talk, keep(450)).unwrap();
    assert_eq!(cut.kept_from, 16);
    assert_eq!(cut.turn_from, 16, "between two turns");
    let cut = plan(&talk, keep(350)).unwrap();
    assert_eq!((cut.kept_from, cut.turn_from), (17, 16), "through a turn");
    assert_eq!(plan(&talk, keep(1_000_000)), None, "all of it is kept");
}

#[test]
fn turns_are_kept_beyond_the_tokens_unless_they_are_too_long() {
    let talk: Vec<Message> = (0..8).map(|n| Message::user("x".repeat(400), n)).collect();
    let wide = Keep { tokens: 10, turns: 3, most: 1000 };
    assert_eq!(plan(&talk, wide).unwrap().kept_from, 5);
    let narrow = Keep { most: 200, ..wide };
    assert_eq!(plan(&talk, narrow).unwrap().kept_from, 7);
}

#[test]
fn one_message_or_a_summary_alone_cannot_be_shortened() {
    let huge = Message::user("x".repeat(100_000), 1);
    assert_eq!(plan(&[], keep(10)), None);
    assert_eq!(plan(std::slice::from_ref(&huge), keep(10)), None);
    assert_eq!(plan(&[summary_message("s", None, 0), huge], keep(10)), None);
}

#[test]
fn a_request_is_settled_by_an_answer_and_not_by_a_call() {
    let asked = Message::user("do it", 1);
    let call = assistant("let me see", &["a".into()]);
    assert_eq!(unresolved_request(std::slice::from_ref(&asked)), Some(0));
    assert_eq!(unresolved_request(&[asked.clone(), call.clone(), result("a", "ok")]), Some(0));
    assert_eq!(unresolved_request(&[asked, call, result("a", "ok"), assistant("done", &[])]), None);
    assert_eq!(unresolved_request(&[summary_message("s", None, 0)]), None);
}

/// A turn: the length of its request, tool rounds with calls and size of results each, and whether it was answered.
type Turn = (usize, Vec<(usize, usize)>, bool);

fn turn() -> impl Strategy<Value = Turn> {
    (1_usize..600, prop::collection::vec((1_usize..4, 1_usize..900), 0..4), any::<bool>())
}

fn conversation(turns: &[Turn], with_summary: bool) -> Vec<Message> {
    let mut talk = Vec::new();
    if with_summary {
        talk.push(summary_message("what was before", Some("an old request"), 0));
    }
    for (n, (length, rounds, answered)) in turns.iter().enumerate() {
        talk.push(Message::user(format!("request {n} {}", "x".repeat(*length)), n as i64));
        for (round, (calls, size)) in rounds.iter().enumerate() {
            let ids: Vec<String> = (0..*calls).map(|call| format!("{n}-{round}-{call}")).collect();
            talk.push(assistant("thinking aloud", &ids));
            talk.extend(ids.iter().map(|id| result(id, &"r".repeat(*size))));
        }
        if *answered {
            talk.push(assistant(&format!("answer {n}"), &[]));
        }
    }
    talk
}

proptest! {
    #[test]
    fn compaction_never_separates_a_tool_call_from_its_result_and_never_loses_the_latest_unresolved_user_request(
        turns in prop::collection::vec(turn(), 1..8), with_summary: bool,
        tokens in 1_u64..2000, keep_turns in 0_usize..4, most in 1_u64..3000,
    ) {
        let talk = conversation(&turns, with_summary);
        let Some(cut) = plan(&talk, Keep { tokens, turns: keep_turns, most }) else { return Ok(()) };
        prop_assert!(cut.kept_from > 0 && cut.kept_from < talk.len());
        prop_assert!(cut.turn_from <= cut.kept_from);
        let (left_out, kept) = talk.split_at(cut.kept_from);
        let calls = |messages: &[Message]| -> Vec<String> {
            messages.iter().flat_map(|message| match message {
                Message::Assistant { content, .. } => content.iter().filter_map(|part| match part {
                    AssistantPart::ToolCall { id, .. } => Some(id.clone()),
                    AssistantPart::Text { .. } | AssistantPart::Thinking { .. } => None,
                }).collect(),
                Message::User { .. } | Message::ToolResult { .. } => Vec::new(),
            }).collect()
        };
        let results = |messages: &[Message]| -> Vec<String> {
            messages.iter().filter_map(|message| match message {
                Message::ToolResult { tool_call_id, .. } => Some(tool_call_id.clone()),
                Message::User { .. } | Message::Assistant { .. } => None,
            }).collect()
        };
        prop_assert_eq!(calls(left_out), results(left_out));
        prop_assert_eq!(calls(kept), results(kept));

        if let Some(request) = unresolved_request(&talk) {
            let text = talk[request].text();
            let details = summary::details(left_out);
            let front = summary_message("a summary", details.latest_unresolved_user_request.as_deref(), 1);
            let shown = std::iter::once(&front).chain(kept).any(|message| message.text().contains(&text));
            prop_assert!(shown, "the request is neither kept nor in the summary");
        }
    }
}
