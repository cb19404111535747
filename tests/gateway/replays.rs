//! Recorded conversations, played against a live gateway.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::gateway::{Gateway, PATIENCE};
use crate::transcripts::compare::compare;
use crate::transcripts::recording::{Direction, Recording, What};
use crate::transcripts::replay::{Stage, replay};
use crate::transcripts::rules::{Kind, Rules};
use crate::transcripts::{all_agree, play};

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_conversation_goes_the_same_way() {
    let gateway = Gateway::start(json!({})).await;
    let reports = play(&gateway.url(), &gateway.token(), |_| true, None).await;
    gateway.stop(PATIENCE).await;
    all_agree(&reports, 24);
    let compared: usize = reports.iter().map(|report| report.compared).sum();
    let skipped: usize = reports.iter().map(|report| report.skipped.len()).sum();
    eprintln!("{compared} places compared, {skipped} skipped");

    let used: BTreeSet<usize> = reports.iter().flat_map(|report| report.rules_used.iter().copied()).collect();
    for (number, rule) in Rules::load().differences.iter().enumerate() {
        let is_needed = used.contains(&number) || rule.kind == Kind::Optional;
        assert!(is_needed, "nothing differs there any more, the rule can go: {:?}", rule.paths);
    }
}

/// Changes the recorded answer `at`, counted among the gateway's lines.
fn bend(recording: &mut Recording, at: usize, change: impl FnOnce(&mut What)) {
    let mut answers = recording.steps.iter_mut().filter(|step| step.direction == Direction::FromGateway);
    change(&mut answers.nth(at).unwrap().what);
}

fn frame(what: &mut What) -> &mut Value {
    match what {
        What::Frame(frame) => frame,
        What::Raw(_) | What::Close { .. } => panic!("a frame"),
    }
}

type Change = fn(&mut What);

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_says_something_else_is_noticed() {
    let gateway = Gateway::start(json!({})).await;
    let rules = Rules::load();
    let changes: [(&str, usize, Change); 9] = [
        ("a-connect-token-device-ok", 1, |what| frame(what)["payload"]["auth"]["method"] = "device-token".into()),
        ("a-connect-token-device-ok", 1, |what| frame(what)["payload"]["policy"]["tickIntervalMs"] = 15_000.into()),
        ("a-connect-token-device-ok", 1, |what| frame(what)["payload"]["auth"]["issuedAtMs"] = "then".into()),
        ("a-connect-token-device-ok", 1, |what| frame(what)["payload"]["server"]["colour"] = "red".into()),
        ("a-connect-token-device-ok", 1, |what| frame(what)["payload"]["snapshot"]["uptimeMs"] = "long".into()),
        ("b-bad-token", 1, |what| frame(what)["error"]["message"] = "unauthorized".into()),
        ("b-bad-token", 1, |what| frame(what)["error"]["details"]["code"] = "AUTH_REQUIRED".into()),
        ("b-bad-token", 2, |what| {
            if let What::Close { code, .. } = what {
                *code = 1000;
            }
        }),
        ("f-invalid-params", 0, |what| frame(what)["error"]["code"] = "UNAVAILABLE".into()),
    ];
    for (number, (name, at, change)) in changes.into_iter().enumerate() {
        let mut recording = Recording::load(name);
        bend(&mut recording, at, change);
        let mut stage = Stage::new(gateway.url(), &gateway.token());
        let live = replay(&stage, &recording, &rules).await;
        let report = compare(&recording, &live, &rules, &mut stage.bindings, None);
        assert_eq!(report.faults.len(), 1, "change {number}: {report}");
    }
    gateway.stop(PATIENCE).await;
}
