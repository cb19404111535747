//! Stops. How long each may take is the shell's business; here it is who is asked when, and what ends they may come to.

use super::*;

const RESTARTS: [Restart; 3] = [Restart::Permanent, Restart::Transient, Restart::Temporary];

fn reasons() -> [ExitReason; 6] {
    [
        ExitReason::Normal,
        ExitReason::shutdown("shutdown"),
        ExitReason::shutdown("some info"),
        error(),
        ExitReason::Killed,
        ExitReason::Cancelled,
    ]
}

/// Two children under way down, the second of them asked.
fn stopping() -> Rig {
    let mut rig = Rig::booted(Strategy::OneForOne, 0, vec![child(Restart::Permanent); 2]);
    rig.manual = true;
    rig.feed(Input::Shutdown);
    assert_eq!(rig.log, ["stop 1#1"]);
    rig
}

/// Three children, independent of each other, all asked to stop.
fn stopping_together(restart: Restart) -> Rig {
    let mut rig = Rig::of(Family::Dynamic, 0);
    for id in ["a", "b", "c"] {
        rig.add(id, child(restart));
    }
    rig.log.clear();
    rig.manual = true;
    rig.feed(Input::Shutdown);
    assert_eq!(rig.log, ["stop 2#1", "stop 1#1", "stop 0#1"]);
    rig
}

#[test]
fn sup_stop_infinity() {
    let mut rig = stopping();
    rig.advance(Duration::from_secs(1_000_000));
    assert_eq!(rig.log, ["stop 1#1"], "nothing goes on before it has ended");
    rig.ends(1, 1, ExitReason::shutdown("shutdown"));
    rig.ends(0, 1, ExitReason::shutdown("shutdown"));
    assert_eq!(rig.log, ["stop 1#1", "stop 0#1", "exit shutdown"]);
}

#[test]
fn sup_stop_timeout() {
    let mut rig = stopping();
    // It had to be killed; the rest of the stop does not mind.
    rig.feed(Input::Exited { key: 1, inc: 1, reason: ExitReason::Killed });
    assert!(matches!(rig.machine.child(1).and_then(|child| child.last_exit.as_ref()), Some(ExitReason::Killed)));
    rig.ends(0, 1, ExitReason::shutdown("shutdown"));
    assert_eq!(rig.log, ["stop 1#1", "stop 0#1", "exit shutdown"]);
}

#[test]
fn sup_stop_timeout_dynamic() {
    let mut rig = stopping_together(Restart::Permanent);
    for key in [1, 2] {
        rig.feed(Input::Exited { key, inc: 1, reason: ExitReason::Killed });
        assert!(rig.exit.is_none());
    }
    rig.ends(0, 1, ExitReason::shutdown("shutdown"));
    assert_eq!(rig.log.last().map(String::as_str), Some("exit shutdown"));
}

#[test]
fn sup_stop_brutal_kill() {
    let mut rig = stopping();
    rig.ends(1, 1, ExitReason::Killed);
    rig.feed(Input::Exited { key: 1, inc: 1, reason: ExitReason::shutdown("said late") });
    assert!(matches!(rig.machine.child(1).and_then(|child| child.last_exit.as_ref()), Some(ExitReason::Killed)));
    rig.ends(0, 1, ExitReason::shutdown("shutdown"));
    assert_eq!(rig.log, ["stop 1#1", "stop 0#1", "exit shutdown"]);
}

#[test]
fn sup_stop_brutal_kill_dynamic() {
    let mut rig = stopping_together(Restart::Permanent);
    for key in [2, 0, 1] {
        assert!(rig.exit.is_none());
        rig.ends(key, 1, ExitReason::Killed);
    }
    assert_eq!(rig.log[3..], ["exit shutdown"]);
}

#[test]
fn sup_stop_race() {
    for (restart, reason) in RESTARTS.into_iter().flat_map(|restart| reasons().map(|reason| (restart, reason))) {
        for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
            let mut rig = Rig::booted(strategy, 0, vec![child(restart); 4]);
            rig.manual = true;
            rig.feed(Input::Shutdown);
            // Two end by themselves before their turn, one while it is asked.
            for key in [0, 2, 3] {
                rig.ends(key, 1, reason.clone());
            }
            assert_eq!(rig.log, ["stop 3#1", "stop 1#1"], "{restart:?} {reason}");
            rig.ends(1, 1, ExitReason::shutdown("shutdown"));
            assert_eq!(rig.log[2..], ["exit shutdown"], "{restart:?} {reason}");
        }
        let mut rig = stopping_together(restart);
        for key in [1, 0, 2] {
            assert!(rig.exit.is_none());
            rig.ends(key, 1, reason.clone());
        }
        assert_eq!(rig.log[3..], ["exit shutdown"], "{restart:?} {reason}");
    }
}

#[test]
fn sup_stop_non_shutdown_exit_dynamic() {
    for restart in RESTARTS {
        let mut rig = stopping_together(restart);
        for (key, reason) in [(0, ExitReason::shutdown("shutdown")), (1, error()), (2, fatal())] {
            rig.ends(key, 1, reason);
        }
        assert_eq!(rig.log[3..], ["exit shutdown"]);
        assert_eq!(rig.machine.restarts_in_period(rig.now), 0);
    }
}
