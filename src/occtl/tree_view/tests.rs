//! The picture follows the gateway's, and reads well.

use super::*;

fn plain() -> Output {
    Output::new(false, true)
}

fn snapshot() -> Value {
    json!({"epoch": 7, "seq": 10, "ts": 100_000, "nodes": [
        {"id": 1, "parent": null, "path": "root", "name": "root", "state": "running"},
        {"id": 2, "parent": 1, "path": "root/core", "name": "core", "state": "running"},
        {"id": 4, "parent": 2, "path": "root/core/config", "name": "config", "state": "running", "restarts": 2,
            "mailbox": {"depth": 3, "bound": 64}},
        {"id": 5, "parent": 2, "path": "root/core/channels", "name": "channels", "state": "backing_off", "attempt": 2,
            "maxAttempts": 10, "nextAt": 105_000,
            "lastExit": {"class": "error", "text": "connection\nrefused", "at": 99_000}},
        {"id": 3, "parent": 1, "path": "root/lifecycle", "name": "lifecycle", "state": "running",
            "busy": {"what": "draining", "sinceMs": 97_000}},
    ]})
}

#[test]
fn the_tree_is_drawn_parents_first() {
    let view = TreeView::from_snapshot(&snapshot());
    assert_eq!(
        view.lines(&Part::default(), 100_000, plain()),
        [
            "root          running",
            "├ core        running",
            "│ ├ config    running       2 restarts · 3/64 waiting",
            "│ └ channels  backing_off   attempt 2 of 10 in 5 s · ended 1 s ago: error connection refused",
            "└ lifecycle   running       draining for 3 s",
        ]
    );
}

#[test]
fn a_part_is_cut_out_by_path_and_depth() {
    let view = TreeView::from_snapshot(&snapshot());
    let part = Part { path: Some("root/core".into()), depth: None };
    assert_eq!(view.lines(&part, 0, plain()).len(), 3);
    let part = Part { path: None, depth: Some(1) };
    assert_eq!(view.lines(&part, 0, plain()).len(), 3);
    assert_eq!(view.to_json(&part)["nodes"].as_array().unwrap().len(), 3);
}

#[test]
fn deltas_add_patch_and_remove() {
    let mut view = TreeView::from_snapshot(&snapshot());
    let delta = json!({"epoch": 7, "seq": 11, "ops": [
        {"op": "remove", "id": 4},
        {"op": "patch", "id": 5, "fields": {"state": "running", "nextAt": null, "lastExit": null}},
        {"op": "add", "node": {"id": 9, "parent": 5, "path": "root/core/channels/x", "name": "x", "state": "starting"}},
    ], "metrics": [{"id": 3, "depth": 5, "handled": 8, "failed": 0}]});
    assert_eq!(view.apply(&delta), Applied::Changed(vec![3, 5, 9]));
    assert_eq!(view.apply(&delta), Applied::Old);
    assert_eq!(view.len(), 5);
    assert_eq!(view.troubled().map(|node| text(node, "name")).collect::<Vec<_>>(), ["x"]);
    assert_eq!(view.node(3).unwrap()["mailbox"]["depth"], 5);
}

#[test]
fn counters_come_under_the_last_number() {
    let mut view = TreeView::from_snapshot(&snapshot());
    let counters = |seq: u64| json!({"epoch": 7, "seq": seq, "metrics": [{"id": 3, "depth": 1}]});
    assert_eq!(view.apply(&counters(9)), Applied::Old);
    assert_eq!(view.apply(&counters(10)), Applied::Changed(vec![3]));
    assert_eq!(view.apply(&json!({"epoch": 7, "seq": 11, "ops": []})), Applied::Changed(vec![]));
}

#[test]
fn a_missing_delta_another_life_and_a_reset_ask_for_a_snapshot() {
    for delta in [
        json!({"epoch": 7, "seq": 12, "ops": []}),
        json!({"epoch": 8, "seq": 11, "ops": []}),
        json!({"epoch": 7, "seq": 11, "reset": true}),
    ] {
        assert_eq!(TreeView::from_snapshot(&snapshot()).apply(&delta), Applied::Gap, "{delta}");
    }
}

#[test]
fn spans_are_told_in_round_words() {
    for (ms, told) in [(-5, "0 s"), (119_999, "119 s"), (120_000, "2 min"), (7_200_000, "2 h"), (200_000_000, "2 d")] {
        assert_eq!(span(ms), told);
    }
}
