//! The fixtures and the comparison hold together: a recording agrees with itself, and with nothing that was changed.

use serde_json::Value;

use super::compare::{Bindings, Report, compare, left_by_client};
use super::recording::{Recording, Step, What};
use super::rules::{Kind, Rules};

fn judge(recording: &Recording, live: &[Step], rules: &Rules) -> Report {
    compare(recording, live, rules, &mut Bindings::new(), None)
}

/// JSON pointers of everything inside a value.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                found.push(at.clone());
                pointers(inner, &at, found);
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                let at = format!("{at}/{index}");
                found.push(at.clone());
                pointers(inner, &at, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn with_frame(live: &[Step], at: usize, change: impl FnOnce(&mut Value)) -> Vec<Step> {
    let mut live = live.to_vec();
    let What::Frame(frame) = &mut live[at].what else { panic!("a frame") };
    change(frame);
    live
}

fn remove(frame: &mut Value, pointer: &str) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match frame.pointer_mut(parent).unwrap() {
        Value::Object(map) => {
            map.remove(&key.replace("~1", "/").replace("~0", "~"));
        }
        Value::Array(list) => {
            list.remove(key.parse().unwrap());
        }
        leaf @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => panic!("{leaf} holds nothing"),
    }
}

#[test]
fn every_recording_agrees_with_itself() {
    let all = Recording::all();
    assert_eq!(all.len(), 24);
    for recording in all {
        let report = judge(&recording, &recording.answers(), &Rules::default());
        assert!(report.agrees() && report.compared > 0, "{report}");
    }
}

#[test]
fn nothing_recorded_can_be_changed_unnoticed() {
    for recording in Recording::all() {
        let live = recording.answers();
        for (at, step) in live.iter().enumerate() {
            let What::Frame(frame) = &step.what else { continue };
            let mut all = Vec::new();
            pointers(frame, "", &mut all);
            // Lists of hundreds of names need not be shortened one by one.
            let step_by = 1 + all.len() / 300;
            for pointer in all.iter().step_by(step_by) {
                let is_shortened_list =
                    step.trimmed && pointer.contains("/features/") && pointer.matches('/').count() > 3;
                if pointer == "/payload/trimmed" || is_shortened_list {
                    continue;
                }
                let removed = with_frame(&live, at, |frame| remove(frame, pointer));
                assert!(
                    !judge(&recording, &removed, &Rules::default()).agrees(),
                    "{} without {pointer}",
                    recording.name
                );
                let bent = with_frame(&live, at, |frame| {
                    let place = frame.pointer_mut(pointer).unwrap();
                    *place = if place.is_boolean() { "bent".into() } else { true.into() };
                });
                assert!(!judge(&recording, &bent, &Rules::default()).agrees(), "{} bent {pointer}", recording.name);
            }
        }
    }
}

#[test]
fn texts_codes_and_numbers_count() {
    let recording = Recording::load("b-bad-token");
    let live = recording.answers();
    for (pointer, value) in [
        ("/error/message", Value::from("unauthorized")),
        ("/error/code", "UNAVAILABLE".into()),
        ("/error/details/code", "AUTH_TOKEN_MISSING".into()),
        ("/error/details/canRetryWithDeviceToken", true.into()),
        ("/ok", true.into()),
    ] {
        let changed = with_frame(&live, 1, |frame| *frame.pointer_mut(pointer).unwrap() = value);
        assert!(!judge(&recording, &changed, &Rules::default()).agrees(), "{pointer}");
    }
    for close in
        [What::Close { code: 1000, reason: String::new() }, What::Close { code: 1008, reason: "unauthorized".into() }]
    {
        let mut changed = live.clone();
        changed[2].what = close;
        assert!(!judge(&recording, &changed, &Rules::default()).agrees());
    }
    let extra = with_frame(&live, 1, |frame| frame["error"]["retryable"] = true.into());
    assert!(!judge(&recording, &extra, &Rules::default()).agrees());
    assert!(!judge(&recording, &live[..2], &Rules::default()).agrees(), "the close is missing");
    let mut twice = live.clone();
    twice.push(live[1].clone());
    assert!(!judge(&recording, &twice, &Rules::default()).agrees(), "an answer too many");
}

#[test]
fn a_placeholder_stands_for_one_thing() {
    let recording = Recording::load("a-connect-token-device-ok");
    let live = recording.answers();
    let token =
        |text: &'static str| with_frame(&live, 1, move |frame| frame["payload"]["auth"]["deviceToken"] = text.into());
    let mut bindings = Bindings::new();
    assert!(compare(&recording, &token("one"), &Rules::default(), &mut bindings, None).agrees());
    assert!(compare(&recording, &token("one"), &Rules::default(), &mut bindings, None).agrees());
    assert!(!compare(&recording, &token("two"), &Rules::default(), &mut bindings, None).agrees());
}

/// What a gateway says that differs exactly as the rules say.
fn as_ruled(recording: &Recording, rules: &Rules) -> Vec<Step> {
    let mut live = recording.answers();
    live.retain(|step| {
        let rule = rules.at(&recording.name, &super::compare::place(&step.what));
        let is_excused = matches!(rule, Some((_, rule)) if matches!(rule.kind, Kind::Absent | Kind::Optional));
        !is_excused && !left_by_client(&step.what)
    });
    for step in &mut live {
        let place = super::compare::place(&step.what);
        let What::Frame(frame) = &mut step.what else { continue };
        let mut all = Vec::new();
        pointers(frame, "", &mut all);
        // Inner places first, so that removing a place does not move others.
        for pointer in all.iter().rev() {
            match rules.at(&recording.name, &format!("{place}{pointer}")) {
                Some((_, rule)) if rule.kind == Kind::Absent => remove(frame, pointer),
                Some((_, rule)) if rule.kind == Kind::Value => {
                    *frame.pointer_mut(pointer).unwrap() = rule.value.clone().unwrap();
                }
                _ => {}
            }
        }
    }
    live
}

#[test]
fn every_difference_has_a_reason_and_a_place() {
    let rules = Rules::load();
    let mut used = std::collections::BTreeSet::new();
    for recording in Recording::all() {
        let report = judge(&recording, &as_ruled(&recording, &rules), &rules);
        assert!(report.agrees(), "{report}");
        used.extend(report.rules_used);
        used.extend(judge(&recording, &recording.answers(), &rules).rules_used);
    }
    for (number, rule) in rules.differences.iter().enumerate() {
        assert!(rule.why.len() >= 10, "{:?}: say why", rule.paths);
        assert!(rule.kind == Kind::Extra || used.contains(&number), "{:?}: no recording has this place", rule.paths);
        assert_eq!(rule.kind == Kind::Value, rule.value.is_some(), "{:?}", rule.paths);
    }
}
