//! Doctored records: a sound one passes, and each thing that was changed in it is found.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::record::{Open, Sending, Talk};

/// One piece per text.
fn whole(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

fn found(record: &Record) -> Vec<Violation> {
    check(record, whole).violations
}

fn chat() -> Chat {
    Chat { lane: "a".into(), to: "7".into() }
}

fn talk(name: &str, messages: Vec<Value>) -> Talk {
    let mut lines = vec![json!({"type": "session", "id": name, "timestamp": "2026"}).to_string()];
    let mut parent = Value::Null;
    for (at, message) in messages.into_iter().enumerate() {
        let id = format!("{name}-{at}");
        lines.push(json!({"type": "message", "id": id, "parentId": parent, "message": message}).to_string());
        parent = json!(id);
    }
    Talk { name: name.to_owned(), text: lines.join("\n") + "\n" }
}

fn user(id: &str) -> Value {
    json!({"role": "user", "content": format!("<<{id} plain>>")})
}

fn says(text: &str) -> Value {
    json!({"role": "assistant", "content": [{"type": "text", "text": text}]})
}

fn calls(call: &str) -> Value {
    json!({"role": "assistant", "content": [{"type": "toolCall", "id": call, "name": "edit", "arguments": {}}]})
}

fn result(call: &str, is_error: bool, text: &str) -> Value {
    json!({"role": "toolResult", "toolCallId": call, "isError": is_error, "content": [{"type": "text", "text": text}]})
}

fn done(id: &str) -> String {
    mind::answer_to(id, Kind::Plain)
}

fn offered(id: &str, kind: Kind, source: Source) -> Offered {
    let told = (source == Source::Client).then(|| Told::Answer(mind::answer_to(id, kind)));
    Offered { id: id.into(), key: key_of(id).into(), source, kind, accepted: true, told }
}

fn asked(life: u32, id: &str, from: u64, until: u64) -> Asked {
    let millis = Duration::from_millis;
    Asked { life, key: key_of(id).into(), id: id.into(), from: millis(from), until: Some(millis(until)) }
}

fn delivered(life: u32, text: String) -> Delivered {
    Delivered { life, chat: chat(), text }
}

/// Two lives, a client's key with a change in it, and a chat one of whose pieces was being sent at the kill.
fn sound() -> Record {
    let chat_talk = vec![user("a7-1"), says(&done("a7-1")), user("a7-2"), says(&done("a7-2"))];
    let client_talk = vec![
        user("u-1"),
        says(&done("u-1")),
        user("u-2"),
        calls("change-u-2-4"),
        result("change-u-2-4", false, "changed"),
        says(&done("u-2")),
    ];
    let open = Open {
        sending: vec![Sending { chat: chat(), text: done("a7-1") }],
        intents: vec!["change-u-2-4".into()],
        runs: vec!["u-2".into()],
        waiting: 1,
        outgoing: 1,
    };
    Record {
        offered: vec![
            offered("u-1", Kind::Plain, Source::Client),
            offered("u-2", Kind::Change, Source::Client),
            offered("a7-1", Kind::Plain, Source::Chat(chat())),
            offered("a7-2", Kind::Plain, Source::Chat(chat())),
        ],
        asked: vec![
            asked(0, "u-1", 0, 5),
            asked(0, "a7-1", 1, 4),
            asked(0, "u-2", 6, 30),
            asked(1, "u-2", 50, 60),
            asked(1, "u-2", 60, 65),
            asked(1, "a7-2", 51, 55),
        ],
        delivered: vec![delivered(0, done("a7-1")), delivered(1, done("a7-1")), delivered(1, done("a7-2"))],
        kills: vec![Kill { life: 0, how: "here".into(), unanswered: 2, open }],
        talks: vec![talk("one", client_talk), talk("two", chat_talk)],
        effects: BTreeMap::from([("change-u-2-4".to_owned(), 1)]),
        refused: Vec::new(),
    }
}

/// Changes a sound record.
fn doctored(change: impl FnOnce(&mut Record)) -> Vec<Violation> {
    let mut record = sound();
    change(&mut record);
    found(&record)
}

#[test]
fn a_sound_record_passes_and_its_duplicate_is_counted() {
    let verdict = check(&sound(), whole);
    assert_eq!(verdict.violations, []);
    assert_eq!((verdict.figures.duplicates, verdict.figures.most_of_one_kill), (1, 1));
}

#[test]
fn a_lost_message_is_found() {
    let lost = doctored(|record| record.talks[1] = talk("two", vec![user("a7-1"), says(&done("a7-1"))]));
    assert!(lost.contains(&Violation::Lost("a7-2".into())), "{lost:?}");
    let nothing = doctored(|record| drop(record.talks.remove(1)));
    assert!(nothing.contains(&Violation::Lost("a7-1".into())), "{nothing:?}");
}

#[test]
fn a_message_that_was_not_accepted_may_be_missing() {
    let found = doctored(|record| {
        let mut unsent = offered("u-3", Kind::Plain, Source::Client);
        (unsent.accepted, unsent.told) = (false, None);
        record.offered.push(unsent);
    });
    assert_eq!(found, []);
}

#[test]
fn a_message_in_two_conversations_is_found() {
    let found = doctored(|record| record.talks.push(talk("three", vec![user("u-1"), says(&done("u-1"))])));
    assert!(found.contains(&Violation::Twice("u-1".into())), "{found:?}");
}

#[test]
fn a_message_of_nobody_or_of_another_key_is_found() {
    let nobody = doctored(|record| record.talks.push(talk("three", vec![user("x-1"), says(&done("x-1"))])));
    assert!(nobody.contains(&Violation::Foreign("x".into())), "{nobody:?}");
    let other = doctored(|record| {
        record.talks[1] = talk(
            "two",
            vec![user("a7-1"), says(&done("a7-1")), user("a7-2"), says(&done("a7-2")), user("u-1"), says(&done("u-1"))],
        );
    });
    assert!(other.contains(&Violation::Foreign("u-1".into())), "{other:?}");
}

#[test]
fn messages_out_of_order_are_found_in_the_conversation_and_at_the_model() {
    let talked = doctored(|record| {
        record.talks[1] = talk("two", vec![user("a7-2"), says(&done("a7-2")), user("a7-1"), says(&done("a7-1"))]);
    });
    assert!(talked.iter().any(|one| matches!(one, Violation::OutOfOrder(_))), "{talked:?}");
    let asked_again = doctored(|record| record.asked.push(asked(1, "u-1", 70, 75)));
    assert_eq!(asked_again, [Violation::OutOfOrder("asked about u-2 before u-1".into())]);
}

#[test]
fn a_message_without_an_answer_or_with_two_is_found() {
    let none = doctored(|record| {
        record.talks[1] = talk("two", vec![user("a7-1"), says(&done("a7-1")), user("a7-2")]);
        record.delivered.pop();
    });
    assert_eq!(none, [Violation::Answers("a7-2".into(), 0)]);
    let two = doctored(|record| {
        let twice = vec![user("a7-1"), says(&done("a7-1")), says(&done("a7-1")), user("a7-2"), says(&done("a7-2"))];
        record.talks[1] = talk("two", twice);
    });
    assert!(two.contains(&Violation::Answers("a7-1".into(), 2)), "{two:?}");
}

#[test]
fn an_answer_to_something_else_is_found() {
    let found = doctored(|record| {
        record.talks[1] = talk("two", vec![user("a7-1"), says(&done("a7-2")), user("a7-2"), says(&done("a7-2"))]);
    });
    assert!(found.contains(&Violation::WrongAnswer(format!("a7-1: {}", done("a7-2")))), "{found:?}");
}

#[test]
fn a_failure_that_is_told_is_a_report() {
    let fail = |record: &mut Record| {
        let failed = json!({"role": "assistant", "content": [], "errorMessage": "it broke"});
        let end = vec![user("a7-1"), failed, user("a7-2"), says(&done("a7-2"))];
        record.talks[1] = talk("two", end);
        let told = "I could not answer: it broke".to_owned();
        record.delivered = vec![delivered(0, told), delivered(1, done("a7-2"))];
    };
    let mut record = sound();
    fail(&mut record);
    let verdict = check(&record, whole);
    assert_eq!((verdict.violations, verdict.figures.reported), (vec![], 1));
}

#[test]
fn of_two_failures_in_the_same_words_either_may_have_come_twice() {
    let told = || "I could not answer: it broke".to_owned();
    let found = doctored(|record| {
        let failed = || json!({"role": "assistant", "content": [], "errorMessage": "it broke"});
        record.talks[1] = talk("two", vec![user("a7-1"), failed(), user("a7-2"), failed()]);
        record.delivered = vec![delivered(0, told()), delivered(1, told()), delivered(1, told())];
        record.kills[0].open.sending[0].text = told();
    });
    assert_eq!(found, []);
}

#[test]
fn a_client_that_was_told_nothing_or_something_else_is_found() {
    let nothing = doctored(|record| record.offered[0].told = None);
    assert!(matches!(nothing.as_slice(), [Violation::NotTold(_)]), "{nothing:?}");
    let other = doctored(|record| record.offered[0].told = Some(Told::Failure("no".into())));
    assert!(matches!(other.as_slice(), [Violation::NotTold(_)]), "{other:?}");
}

#[test]
fn two_runs_of_a_key_at_once_are_found_within_a_life_only() {
    let within = doctored(|record| record.asked[4].from = Duration::from_millis(59));
    assert_eq!(within, [Violation::TwoRuns("u-2 and u-2".into())]);
    let never_ended = doctored(|record| record.asked[3].until = None);
    assert_eq!(never_ended, [Violation::TwoRuns("u-2 and u-2".into())]);
    let over_a_kill = doctored(|record| record.asked[2].until = Some(Duration::from_millis(99)));
    assert_eq!(over_a_kill, []);
}

#[test]
fn a_call_without_result_and_a_result_without_call_are_found() {
    let no_result = doctored(|record| {
        let turns = vec![user("u-1"), says(&done("u-1")), user("u-2"), calls("change-u-2-4"), says(&done("u-2"))];
        record.talks[0] = talk("one", turns);
        record.effects.clear();
    });
    assert_eq!(no_result, [Violation::Unmatched("one: change-u-2-4".into())]);
    let no_call = doctored(|record| {
        let turns = vec![
            user("u-1"),
            says(&done("u-1")),
            user("u-2"),
            result("change-u-2-4", false, "changed"),
            says(&done("u-2")),
        ];
        record.talks[0] = talk("one", turns);
    });
    assert_eq!(no_call, [Violation::Unmatched("one: result of change-u-2-4".into())]);
    let two_results = doctored(|record| {
        let turns = vec![
            user("u-1"),
            says(&done("u-1")),
            user("u-2"),
            calls("change-u-2-4"),
            result("change-u-2-4", false, "changed"),
            result("change-u-2-4", true, "no"),
            says(&done("u-2")),
        ];
        record.talks[0] = talk("one", turns);
    });
    assert!(two_results.contains(&Violation::Unmatched("one: result of change-u-2-4".into())), "{two_results:?}");
}

#[test]
fn a_change_made_twice_or_kept_quiet_is_found() {
    let call = || "change-u-2-4".to_owned();
    let twice = doctored(|record| record.effects.extend([(call(), 2)]));
    assert_eq!(twice, [Violation::EffectTwice("u-2".into())]);
    let not_made = doctored(|record| record.effects.clear());
    assert!(matches!(not_made.as_slice(), [Violation::EffectUntold(_)]), "{not_made:?}");
    let of_nobody = doctored(|record| record.effects.extend([("change-u-2-9".into(), 1)]));
    assert_eq!(of_nobody, [Violation::EffectUntold("change-u-2-9: in no conversation".into())]);
}

fn with_result(record: &mut Record, text: &str) {
    let turns = vec![
        user("u-1"),
        says(&done("u-1")),
        user("u-2"),
        calls("change-u-2-4"),
        result("change-u-2-4", true, text),
        says(&done("u-2")),
    ];
    record.talks[0] = talk("one", turns);
}

#[test]
fn a_change_that_was_made_and_denied_is_found() {
    let denied = doctored(|record| with_result(record, "it was not started"));
    assert!(matches!(denied.as_slice(), [Violation::EffectUntold(_)]), "{denied:?}");
}

#[test]
fn an_unknown_outcome_needs_a_call_that_was_open_at_a_kill() {
    let words = "whether it took effect is not known";
    assert_eq!(doctored(|record| with_result(record, words)), []);
    let unfounded = doctored(|record| {
        with_result(record, words);
        record.kills[0].open.intents.clear();
    });
    assert_eq!(unfounded, [Violation::UnknownUnfounded("change-u-2-4".into())]);
}

#[test]
fn a_piece_twice_without_a_kill_that_explains_it_is_found() {
    let not_open = doctored(|record| record.kills[0].open.sending.clear());
    assert!(matches!(not_open.as_slice(), [Violation::Duplicate(_)]), "{not_open:?}");
    let within_a_life = doctored(|record| record.delivered[1].life = 0);
    assert!(matches!(within_a_life.as_slice(), [Violation::Duplicate(_)]), "{within_a_life:?}");
    let a_third_time = doctored(|record| record.delivered.insert(2, delivered(1, done("a7-1"))));
    assert!(matches!(a_third_time.as_slice(), [Violation::Duplicate(_)]), "{a_third_time:?}");
}

#[test]
fn a_piece_that_never_came_or_was_not_due_is_found() {
    let missing = doctored(|record| drop(record.delivered.pop()));
    assert!(matches!(missing.as_slice(), [Violation::NotDelivered(_)]), "{missing:?}");
    let undue = doctored(|record| record.delivered.push(delivered(1, "who are you".into())));
    assert!(matches!(undue.as_slice(), [Violation::Undue(_)]), "{undue:?}");
}

#[test]
fn a_file_that_is_no_conversation_is_found() {
    let torn = |record: &mut Record| {
        let text = &mut record.talks[0].text;
        text.truncate(text.len() - 5);
    };
    assert!(matches!(doctored(torn).first(), Some(Violation::Transcript(_))));
    let headless = |record: &mut Record| {
        let text = &mut record.talks[0].text;
        *text = text.split_once('\n').unwrap().1.to_owned();
    };
    assert!(matches!(doctored(headless).first(), Some(Violation::Transcript(_))));
    let chain = |record: &mut Record| {
        record.talks[0].text = record.talks[0].text.replace("\"one-0\",\"parentId\"", "\"zero\",\"parentId\"")
    };
    assert!(matches!(doctored(chain).first(), Some(Violation::Transcript(_))));
}

#[test]
fn a_refusal_is_found() {
    assert_eq!(doctored(|record| record.refused.push("u-9: no".into())), [Violation::Refused("u-9: no".into())]);
}
