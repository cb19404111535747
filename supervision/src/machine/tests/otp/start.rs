//! Starts that succeed, fail or come to nothing.

use super::*;

#[test]
fn sup_start_normal() {
    let mut rig = Rig::new(Strategy::OneForOne, 1, Vec::new());
    rig.feed(Input::StartAll);
    rig.feed(Input::Shutdown);
    assert_eq!(rig.log, ["booted true", "exit shutdown"]);
    assert_eq!(rig.exit.as_ref().map(ExitReason::is_clean), Some(true));
}

#[test]
fn sup_start_ignore_child() {
    let mut rig = Rig::booted(Strategy::OneForOne, 2, Vec::new());
    rig.ignoring = vec![0];
    assert_eq!(word(rig.add("child1", child(Restart::Permanent))), "ignored");
    assert_eq!(word(rig.add("child2", child(Restart::Permanent))), "started");
    assert_eq!(rig.phase(0), Some(Phase::Down(Down::Ignored)));
    assert_eq!((rig.known(), rig.incarnations()), (2, vec![(1, 1)]));
    // What was kept can be tried again.
    rig.ignoring.clear();
    assert_eq!(word(rig.ask(Request::Restart("child1".into()))), "started");
    assert_eq!(rig.incarnations(), [(0, 2), (1, 1)]);
}

#[test]
fn sup_start_ignore_temporary_child() {
    let mut rig = Rig::new(Strategy::OneForOne, 2, vec![child(Restart::Temporary); 2]);
    rig.ignoring = vec![0];
    rig.feed(Input::StartAll);
    assert_eq!(rig.log, ["start 0#1", "start 1#1", "booted true"]);
    assert_eq!((rig.known(), rig.phase(0)), (1, None));
    assert_eq!(word(rig.ask(Request::Restart("c0".into()))), "not_found");
}

#[test]
fn sup_start_ignore_temporary_child_start_child() {
    let mut rig = Rig::booted(Strategy::OneForOne, 2, Vec::new());
    rig.ignoring = vec![0];
    assert_eq!(word(rig.add("child1", child(Restart::Temporary))), "ignored");
    assert_eq!(word(rig.add("child2", child(Restart::Temporary))), "started");
    assert_eq!((rig.known(), rig.phase(0)), (1, None));
    // Its id is free again.
    assert_eq!(word(rig.add("child1", child(Restart::Temporary))), "started");
}

/// Of two children one has nothing to run; it is forgotten.
fn ignored_by(family: Family, restart: Restart) -> Rig {
    let mut rig = Rig::of(family, 2);
    rig.ignoring = vec![0];
    assert_eq!(word(rig.add("1", child(restart))), "ignored");
    assert_eq!(word(rig.add("2", child(restart))), "started");
    assert_eq!((rig.known(), rig.incarnations()), (1, vec![(1, 1)]));
    rig
}

#[test]
fn sup_start_ignore_temporary_child_start_child_simple() {
    for family in [Family::Dynamic, Family::Template] {
        ignored_by(family, Restart::Temporary);
    }
}

#[test]
fn sup_start_ignore_permanent_child_start_child_simple() {
    for family in [Family::Dynamic, Family::Template] {
        let mut rig = ignored_by(family, Restart::Permanent);
        rig.feed(Input::Shutdown);
        assert_eq!(rig.log, ["start 0#1", "start 1#1", "stop 1#1", "exit shutdown"]);
    }
}

#[test]
fn sup_start_fail() {
    let mut rig = Rig::new(Strategy::OneForOne, 2, vec![child(Restart::Permanent); 2]);
    rig.failing = vec![1];
    rig.feed(Input::StartAll);
    assert_eq!(rig.log, ["start 0#1", "start 1#1", "stop 0#1", "booted false", "exit start failed"]);
    assert_eq!(rig.machine.restarts_in_period(rig.now), 0, "a first start is not tried twice");
}

#[test]
fn sup_start_child_returns_error() {
    for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
        let mut rig = Rig::booted(Strategy::OneForOne, 2, Vec::new());
        rig.failing = vec![0];
        assert_eq!(word(rig.add("child1", child(restart))), "start_failed");
        assert_eq!((rig.known(), rig.log.len()), (0, 1));
        assert_eq!(rig.machine.key_of(&"child1".into()), None);
    }
}

#[test]
fn sup_start_restart_child_returns_error() {
    let mut rig = Rig::booted(Strategy::OneForOne, 2, vec![child(Restart::Permanent)]);
    assert_eq!(word(rig.ask(Request::Terminate("c0".into()))), "done");
    rig.failing = vec![0];
    assert_eq!(word(rig.ask(Request::Restart("c0".into()))), "start_failed");
    assert_eq!(rig.phase(0), Some(Phase::Down(Down::Exited)));
    assert_eq!(rig.log, ["stop 0#1", "start 0#2"], "nothing tries it again");
    assert_eq!(rig.machine.restarts_in_period(rig.now), 0);
    rig.failing.clear();
    assert_eq!(word(rig.ask(Request::Restart("c0".into()))), "started");
}

#[test]
fn sup_start_child_returns_error_simple() {
    for family in [Family::Dynamic, Family::Template] {
        let mut rig = Rig::of(family, 2);
        rig.failing = vec![0];
        assert_eq!(word(rig.add("1", child(Restart::Permanent))), "start_failed");
        assert_eq!((rig.known(), rig.log.len()), (0, 1));
        assert_eq!(word(rig.add("2", child(Restart::Permanent))), "started");
    }
}
