//! Who is restarted with whom, and when that is too much.

use super::*;

fn three(strategy: Strategy, max_restarts: u32) -> Rig {
    Rig::booted(strategy, max_restarts, vec![child(Restart::Permanent); 3])
}

fn two_of_a_template(max_restarts: u32) -> Rig {
    let mut rig = Rig::of(Family::Template, max_restarts);
    rig.add("1", child(Restart::Permanent));
    rig.add("2", child(Restart::Permanent));
    rig.log.clear();
    rig
}

/// One restart more is too much.
fn melts(rig: &mut Rig, key: Key) {
    assert!(rig.exit.is_none());
    rig.exits(key, error());
    assert_eq!(
        rig.exit.as_ref().map(|reason| (reason.is_clean(), reason.text())),
        Some((true, "intensity".to_owned()))
    );
    assert!(rig.up.is_empty());
}

#[test]
fn multiple_restarts() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        let mut rig = three(strategy, 2);
        for _ in 0..5 {
            rig.exits(0, error());
            rig.exits(0, error());
            rig.advance(Duration::from_secs(5));
        }
        assert_eq!(rig.up.get(&0), Some(&11), "{strategy:?}");
        rig.exits(0, error());
        rig.advance(Duration::from_secs(4));
        rig.exits(0, error());
        melts(&mut rig, 0);
    }
    let mut rig = two_of_a_template(2);
    rig.exits(0, error());
    rig.exits(1, error());
    melts(&mut rig, 0);
    // No restart at all is allowed where none is.
    let mut rig = three(Strategy::OneForOne, 0);
    melts(&mut rig, 1);
    assert_eq!(rig.log, ["meltdown", "stop 2#1", "stop 0#1", "exit intensity"]);
}

#[test]
fn one_for_one() {
    let mut rig = three(Strategy::OneForOne, 2);
    rig.exits(1, error());
    assert_eq!(rig.log, ["start 1#2"]);
    assert_eq!(rig.incarnations(), [(0, 1), (1, 2), (2, 1)]);
    rig.exits(0, ExitReason::Killed);
    melts(&mut rig, 1);
    assert_eq!(rig.log[1..], ["start 0#2", "meltdown", "stop 2#1", "stop 0#2", "exit intensity"]);
}

#[test]
fn one_for_one_escalation() {
    let mut rig = three(Strategy::OneForOne, 4);
    rig.failing = vec![0];
    rig.exits(0, error());
    let expected =
        ["start 0#2", "start 0#3", "start 0#4", "start 0#5", "meltdown", "stop 2#1", "stop 1#1", "exit intensity"];
    assert_eq!(rig.log, expected);
}

#[test]
fn one_for_all() {
    let mut rig = three(Strategy::OneForAll, 2);
    rig.exits(1, error());
    assert_eq!(rig.log, ["stop 2#1", "stop 0#1", "start 0#2", "start 1#2", "start 2#2"]);
    // One crash is one restart, however many came along.
    assert_eq!(rig.machine.restarts_in_period(rig.now), 1);
    rig.exits(0, error());
    assert_eq!(rig.incarnations(), [(0, 3), (1, 3), (2, 3)]);
    melts(&mut rig, 2);
}

#[test]
fn one_for_all_escalation() {
    let mut rig = three(Strategy::OneForAll, 3);
    rig.failing = vec![0];
    rig.exits(0, error());
    let expected = ["stop 2#1", "stop 1#1", "start 0#2", "start 0#3", "start 0#4", "meltdown", "exit intensity"];
    assert_eq!(rig.log, expected);
}

#[test]
fn one_for_all_other_child_fails_restart() {
    let mut rig = three(Strategy::OneForAll, 2);
    rig.fail_once = vec![1];
    rig.exits(0, error());
    let expected =
        ["stop 2#1", "stop 1#1", "start 0#2", "start 1#2", "stop 0#2", "start 0#3", "start 1#3", "start 2#2"];
    assert_eq!(rig.log, expected);
    melts(&mut rig, 0);
}

#[test]
fn simple_one_for_one() {
    let mut rig = two_of_a_template(2);
    rig.exits(0, error());
    assert_eq!((rig.log.as_slice(), rig.incarnations()), (["start 0#2".to_owned()].as_slice(), vec![(0, 2), (1, 1)]));
    rig.exits(1, ExitReason::Killed);
    melts(&mut rig, 0);
}

#[test]
fn simple_one_for_one_shutdown() {
    let mut rig = two_of_a_template(2);
    rig.manual = true;
    rig.feed(Input::Shutdown);
    assert_eq!(rig.log, ["stop 1#1", "stop 0#1"], "nobody waits for another");
    rig.ends(0, 1, ExitReason::shutdown("shutdown"));
    assert!(rig.exit.is_none());
    rig.ends(1, 1, ExitReason::shutdown("shutdown"));
    assert_eq!(rig.log[2..], ["exit shutdown"]);
}

#[test]
fn simple_one_for_one_extra() {
    let mut rig = Rig::of(Family::Template, 2);
    for id in ["1", "2"] {
        assert_eq!(word(rig.add(id, child(Restart::Permanent))), "started");
    }
    rig.replies.clear();
    rig.exits(0, error());
    rig.exits(0, error());
    assert_eq!(rig.incarnations(), [(0, 3), (1, 1)]);
    assert!(rig.replies.is_empty(), "nobody asked for these starts");
    melts(&mut rig, 1);
}

#[test]
fn simple_one_for_one_escalation() {
    let mut rig = two_of_a_template(4);
    rig.failing = vec![0];
    rig.exits(0, error());
    let expected = ["start 0#2", "start 0#3", "start 0#4", "start 0#5", "meltdown", "stop 1#1", "exit intensity"];
    assert_eq!(rig.log, expected);
}

#[test]
fn simple_one_for_one_restart_ignore() {
    for family in [Family::Dynamic, Family::Template] {
        let mut rig = Rig::of(family, 2);
        rig.add("1", child(Restart::Permanent));
        rig.add("2", child(Restart::Permanent));
        rig.ignoring = vec![0];
        rig.exits(0, error());
        assert_eq!((rig.known(), rig.phase(0), rig.incarnations()), (1, None, vec![(1, 1)]));
        assert!(rig.exit.is_none());
    }
}

#[test]
fn rest_for_one() {
    let mut rig = Rig::booted(Strategy::RestForOne, 2, vec![child(Restart::Permanent); 4]);
    rig.exits(1, error());
    assert_eq!(rig.log, ["stop 3#1", "stop 2#1", "start 1#2", "start 2#2", "start 3#2"]);
    rig.exits(3, error());
    assert_eq!(rig.incarnations(), [(0, 1), (1, 2), (2, 2), (3, 3)]);
    rig.log.clear();
    melts(&mut rig, 0);
    assert_eq!(rig.log, ["meltdown", "stop 3#3", "stop 2#2", "stop 1#2", "exit intensity"]);
}

#[test]
fn rest_for_one_escalation() {
    let mut rig = three(Strategy::RestForOne, 3);
    rig.failing = vec![1];
    rig.exits(1, error());
    let expected = ["stop 2#1", "start 1#2", "start 1#3", "start 1#4", "meltdown", "stop 0#1", "exit intensity"];
    assert_eq!(rig.log, expected);
}

#[test]
fn rest_for_one_other_child_fails_restart() {
    let mut rig = three(Strategy::RestForOne, 2);
    rig.fail_once = vec![2];
    rig.exits(1, error());
    assert_eq!(rig.log, ["stop 2#1", "start 1#2", "start 2#2", "start 2#3"]);
    assert_eq!(rig.incarnations(), [(0, 1), (1, 2), (2, 3)]);
    melts(&mut rig, 0);
}
