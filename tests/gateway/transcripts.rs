//! Recorded traffic, played again.
//!
//! The fixtures hold what clients and a gateway said to each other, one message per line. [`replay`] plays the clients'
//! side against a live gateway and collects what that says; [`compare`] holds it against the recording: every key, JSON
//! type, number, code, error text and close. Where the two must differ is written in one file, `differences.json`, with
//! a reason each; nothing else may differ.

pub(crate) mod compare;
pub(crate) mod pocket;
pub(crate) mod recording;
pub(crate) mod replay;
pub(crate) mod rules;

mod fixtures_hold;
mod pocket_answers;

use compare::{Report, compare};
use recording::Recording;
use replay::{Stage, replay};
use rules::Rules;

/// Plays the recordings whose names pass `wanted` against the gateway at `url` whose shared token is `token`, in order,
/// and compares what is within the pattern `only` (everything when there is none).
pub(crate) async fn play(url: &str, token: &str, wanted: impl Fn(&str) -> bool, only: Option<&str>) -> Vec<Report> {
    let mut stage = Stage::new(url, token);
    let rules = Rules::load();
    let mut reports = Vec::new();
    for recording in Recording::all().iter().filter(|recording| wanted(&recording.name)) {
        let live = replay(&stage, recording, &rules).await;
        reports.push(compare(recording, &live, &rules, &mut stage.bindings, only));
    }
    reports
}

/// Fails with every report when one has a fault; prints how much was compared and what was skipped.
#[track_caller]
pub(crate) fn all_agree(reports: &[Report], expected: usize) {
    assert_eq!(reports.len(), expected, "recordings played");
    for report in reports {
        eprintln!("{report}");
    }
    let is_fine = |report: &Report| report.agrees() && report.compared > 0;
    let faulty: String = reports.iter().filter(|report| !is_fine(report)).map(Report::to_string).collect();
    assert!(faulty.is_empty(), "{faulty}");
}
