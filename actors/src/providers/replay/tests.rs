use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::message::{TextPart, Usage};

fn assistant(content: Vec<AssistantPart>, stop_reason: StopReason) -> Message {
    Message::Assistant {
        content,
        api: "a".into(),
        provider: "p".into(),
        model: "m".into(),
        usage: Usage::default(),
        stop_reason,
        error_message: None,
        timestamp: 0,
    }
}

fn call(id: &str) -> AssistantPart {
    AssistantPart::ToolCall { id: id.into(), name: "clock".into(), arguments: json!({}) }
}

fn calls(ids: &[&str]) -> Message {
    assistant(ids.iter().map(|id| call(id)).collect(), StopReason::ToolUse)
}

fn result(id: &str, text: &str) -> Message {
    Message::ToolResult {
        tool_call_id: id.into(),
        tool_name: "clock".into(),
        content: vec![TextPart { text: text.into() }],
        details: None,
        is_error: false,
        timestamp: 0,
    }
}

fn results<'t>(turns: &'t [Turn<'_>]) -> Vec<Vec<(&'t str, &'t str, bool)>> {
    turns
        .iter()
        .filter_map(|turn| match turn {
            Turn::Assistant(answer) => {
                Some(answer.results.iter().map(|r| (r.id.as_str(), r.text.as_str(), r.is_error)).collect::<Vec<_>>())
            }
            Turn::User(_) => None,
        })
        .collect()
}

#[test]
fn results_are_paired_in_the_order_of_the_calls() {
    let messages = [calls(&["a", "b"]), result("b", "2"), Message::user("steer", 0), result("a", "1")];
    let turns = turns(&messages);
    assert_eq!(results(&turns), [[("a", "1", false), ("b", "2", false)]]);
    assert_eq!(turns.len(), 2);
}

#[test]
fn missing_results_are_made_up_as_errors_and_orphans_dropped() {
    let messages = [calls(&["a"]), Message::user("go on", 0), result("zzz", "?")];
    assert_eq!(results(&turns(&messages)), [[("a", MISSING_RESULT, true)]]);
}

#[test]
fn the_same_id_in_one_turn_is_paired_by_occurrence_and_made_unique() {
    let messages = [calls(&["a", "a"]), result("a", "1"), result("a", "2"), result("a", "3")];
    let turns = turns(&messages);
    assert_eq!(results(&turns), [[("a", "1", false), ("a_1", "2", false)]]);
}

#[test]
fn a_displaced_result_moves_only_to_a_single_owner() {
    let messages = [calls(&["a"]), calls(&["b"]), result("a", "late")];
    assert_eq!(results(&turns(&messages))[0], [("a", "late", false)]);
    let messages = [calls(&["a"]), calls(&["a"]), calls(&["b"]), result("a", "whose?")];
    assert!(results(&turns(&messages)).iter().all(|turn| turn[0].2), "both are answered by an error");
}

#[test]
fn blank_blocks_go_and_empty_turns_get_a_placeholder() {
    let messages = [
        Message::user("  \n", 0),
        assistant(vec![AssistantPart::Text { text: " ".into() }], StopReason::Error),
        calls(&["a"]),
        result("a", " "),
    ];
    let turns = turns(&messages);
    assert_eq!(turns[0], Turn::User(vec![Block::Text(EMPTY_MESSAGE.into())]));
    assert_eq!(turns.len(), 2);
    assert_eq!(results(&turns), [[("a", EMPTY_RESULT, false)]]);
}

#[test]
fn calls_cut_off_and_reasoning_without_an_answer_are_dropped() {
    let cut = AssistantPart::ToolCall { id: "x".into(), name: "t".into(), arguments: Value::Null };
    let thinking = AssistantPart::Thinking { thinking: "hm".into(), thinking_signature: None };
    let messages = [
        assistant(vec![AssistantPart::Text { text: "so".into() }, cut], StopReason::Length),
        assistant(vec![thinking], StopReason::Length),
    ];
    let turns = turns(&messages);
    let [Turn::Assistant(answer)] = &turns[..] else { panic!("{turns:?}") };
    assert_eq!(answer.parts, [Part::Text("so")]);
}

#[test]
fn ids_are_made_fit_for_every_vendor() {
    let long = "x".repeat(70);
    let messages = [calls(&["call|fc:1", "", &long]), result(&long, "ok")];
    let turns = turns(&messages);
    let ids: Vec<&str> = results(&turns)[0].iter().map(|r| r.0).collect();
    assert_eq!(ids, ["call_fc_1", "call_1", &"x".repeat(40)]);
    assert_eq!(results(&turns)[0][2].1, "ok");
}

fn message() -> impl Strategy<Value = Message> {
    let id = prop::sample::select(vec!["a", "b", "c|1", ""]);
    prop_oneof![
        "[ a-z]{0,4}".prop_map(|text| Message::user(text, 0)),
        prop::collection::vec(id.clone(), 0..4).prop_map(|ids| calls(&ids)),
        (id, "[ a-z]{0,4}").prop_map(|(id, text)| result(id, &text)),
    ]
}

proptest! {
    #[test]
    fn every_call_has_exactly_one_result(messages in prop::collection::vec(message(), 0..24)) {
        for turn in turns(&messages) {
            match turn {
                Turn::User(blocks) => prop_assert!(!blocks.is_empty()),
                Turn::Assistant(answer) => {
                    let called: Vec<&String> = answer
                        .parts
                        .iter()
                        .filter_map(|part| match part { Part::Call { id, .. } => Some(id), Part::Text(_) | Part::Thinking { .. } => None })
                        .collect();
                    let answered: Vec<&String> = answer.results.iter().map(|result| &result.id).collect();
                    prop_assert_eq!(&called, &answered);
                    let mut unique = called.clone();
                    unique.sort();
                    unique.dedup();
                    prop_assert_eq!(unique.len(), called.len());
                    prop_assert!(called.iter().all(|id| !id.is_empty() && id.len() <= MAX_CALL_ID));
                    prop_assert!(answer.results.iter().all(|result| !result.text.trim().is_empty()));
                }
            }
        }
    }
}
