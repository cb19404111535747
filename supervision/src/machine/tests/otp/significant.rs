//! Supervisors that end with their significant children.

use super::*;

const MODES: [AutoShutdown; 3] = [AutoShutdown::Never, AutoShutdown::AnySignificant, AutoShutdown::AllSignificant];

fn significant(restart: Restart) -> Policy {
    Policy { significant: true, ..child(restart) }
}

fn guarded(mode: AutoShutdown, strategy: Strategy, policies: Vec<Policy>) -> Rig {
    let mut rig = Rig::new(strategy, 5, policies);
    rig.machine.rules.auto_shutdown = mode;
    rig.feed(Input::StartAll);
    rig.log.clear();
    rig
}

/// Two significant children, and one that is not.
fn three(mode: AutoShutdown, restart: Restart) -> Rig {
    guarded(mode, Strategy::OneForOne, vec![significant(restart), significant(restart), child(restart)])
}

fn abnormal() -> [ExitReason; 3] {
    [error(), ExitReason::Killed, ExitReason::Cancelled]
}

fn clean() -> [ExitReason; 2] {
    [ExitReason::Normal, ExitReason::shutdown("done")]
}

fn ended_by_itself(rig: &Rig) -> bool {
    match &rig.exit {
        Some(reason) => {
            assert_eq!(reason.text(), "auto");
            true
        }
        None => false,
    }
}

#[test]
fn nonsignificant_temporary() {
    for mode in MODES {
        for reason in abnormal().into_iter().chain(clean()) {
            let mut rig = guarded(mode, Strategy::OneForOne, vec![child(Restart::Temporary); 2]);
            rig.admin(Request::Terminate("c0".into()));
            rig.exits(1, reason);
            assert_eq!(rig.log, ["stop 0#1"]);
            assert!(rig.exit.is_none());
        }
    }
}

#[test]
fn nonsignificant_transient() {
    for mode in MODES {
        let mut rig = guarded(mode, Strategy::OneForOne, vec![child(Restart::Transient)]);
        rig.admin(Request::Terminate("c0".into()));
        rig.admin(Request::Restart("c0".into()));
        for reason in abnormal() {
            rig.exits(0, reason);
            assert!(matches!(rig.phase(0), Some(Phase::Running { .. })));
        }
        for reason in clean() {
            rig.exits(0, reason);
            assert_eq!(rig.phase(0), Some(Phase::Down(Down::Exited)));
            rig.admin(Request::Restart("c0".into()));
        }
        assert!(rig.exit.is_none());
    }
}

#[test]
fn significant_temporary() {
    for reason in abnormal().into_iter().chain(clean()) {
        let mut any = three(AutoShutdown::AnySignificant, Restart::Temporary);
        any.admin(Request::Terminate("c0".into()));
        assert!(any.exit.is_none());
        any.exits(1, reason.clone());
        assert!(ended_by_itself(&any));
        assert_eq!(any.log, ["stop 0#1", "stop 2#1", "exit auto"]);

        let mut all = three(AutoShutdown::AllSignificant, Restart::Temporary);
        all.exits(0, reason.clone());
        assert!(all.exit.is_none());
        all.exits(1, reason);
        assert!(ended_by_itself(&all));
        assert_eq!(all.log, ["stop 2#1", "exit auto"]);
    }
}

#[test]
fn significant_transient() {
    for mode in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
        let mut rig = three(mode, Restart::Transient);
        rig.admin(Request::Terminate("c0".into()));
        rig.admin(Request::Restart("c0".into()));
        for reason in abnormal() {
            rig.exits(0, reason);
        }
        assert!(rig.exit.is_none());
        rig.exits(0, ExitReason::Normal);
        assert_eq!(ended_by_itself(&rig), mode == AutoShutdown::AnySignificant);
        rig.exits(1, ExitReason::shutdown("done"));
        assert!(ended_by_itself(&rig));
    }
    // One that is on its way back has not ended.
    let policy = Policy { significant: true, restart: Restart::Transient, ..isolated(backoff(3, Exhausted::GiveUp)) };
    let mut rig = guarded(AutoShutdown::AllSignificant, Strategy::OneForOne, vec![policy; 2]);
    rig.exits(0, error());
    assert!(matches!(rig.phase(0), Some(Phase::Waiting { .. })));
    rig.exits(1, ExitReason::Normal);
    assert!(rig.exit.is_none());
    rig.advance(Duration::from_secs(5));
    rig.exits(0, ExitReason::Normal);
    assert!(ended_by_itself(&rig));
}

#[test]
fn significant_simple() {
    for mode in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
        let mut rig = Rig::new(Strategy::OneForOne, 5, vec![significant(Restart::Temporary); 3]);
        rig.machine.rules.family = Family::Template;
        rig.machine.rules.auto_shutdown = mode;
        rig.feed(Input::StartAll);
        rig.exits(0, ExitReason::Normal);
        assert_eq!(ended_by_itself(&rig), mode == AutoShutdown::AnySignificant);
        rig.exits(1, error());
        rig.exits(2, ExitReason::Normal);
        assert!(ended_by_itself(&rig));
    }
}

#[test]
fn significant_bystander() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        for mode in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
            for bystanders in [Restart::Transient, Restart::Temporary] {
                let policies = vec![significant(bystanders), child(Restart::Transient), significant(bystanders)];
                let mut rig = guarded(mode, strategy, policies);
                rig.exits(1, ExitReason::Killed);
                assert!(rig.exit.is_none(), "{strategy:?} {mode:?} {bystanders:?}");
                assert!(matches!(rig.phase(1), Some(Phase::Running { .. })));
                let stops = rig.log.iter().filter(|line| line.starts_with("stop")).count();
                let expected = match strategy {
                    Strategy::OneForOne => 0,
                    Strategy::OneForAll => 2,
                    Strategy::RestForOne => 1,
                };
                assert_eq!(stops, expected);
            }
        }
    }
    // Nor does one that dies, or even ends cleanly, while it waits to be stopped with the others.
    let policies = vec![child(Restart::Transient), significant(Restart::Transient), child(Restart::Transient)];
    let mut rig = guarded(AutoShutdown::AnySignificant, Strategy::OneForAll, policies);
    rig.manual = true;
    rig.exits(0, error());
    rig.feed(Input::Exited { key: 1, inc: 1, reason: ExitReason::Normal });
    rig.feed(Input::Exited { key: 2, inc: 1, reason: ExitReason::shutdown("shutdown") });
    assert!(rig.exit.is_none());
    assert_eq!(rig.log, ["stop 2#1", "start 0#2"]);
}

#[test]
fn significant_escalation() {
    for matters in [true, false] {
        let inner = Policy { supervisor: true, significant: matters, ..child(Restart::Transient) };
        let mut outer =
            guarded(AutoShutdown::AnySignificant, Strategy::OneForOne, vec![child(Restart::Permanent), inner]);
        let mut below =
            guarded(AutoShutdown::AnySignificant, Strategy::OneForOne, vec![significant(Restart::Transient)]);
        below.exits(0, ExitReason::Normal);
        assert!(ended_by_itself(&below));
        outer.exits(1, below.exit.take().unwrap());
        assert_eq!(ended_by_itself(&outer), matters);
        if !matters {
            assert_eq!(outer.phase(1), Some(Phase::Down(Down::Exited)));
        }
    }
}
