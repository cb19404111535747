//! What follows the end of a child, by restart type.

use std::sync::Arc;

use super::*;

/// One child, and the reason it ends for.
fn ended(restart: Restart, reason: ExitReason) -> Rig {
    let mut rig = Rig::booted(Strategy::OneForOne, 2, vec![child(restart)]);
    rig.exits(0, reason);
    rig
}

fn is_restarted(mut rig: Rig) {
    assert_eq!(rig.log, ["start 0#2"]);
    assert!(matches!(rig.phase(0), Some(Phase::Running { .. })));
    assert_eq!(rig.machine.restarts_in_period(rig.now), 1);
    assert!(rig.exit.is_none());
}

/// Down for good, its place kept; nothing was counted and no timer is left that could bring it back.
fn is_kept_down(mut rig: Rig) {
    assert_eq!(rig.phase(0), Some(Phase::Down(Down::Exited)));
    is_quiet(&mut rig);
}

fn is_forgotten(mut rig: Rig) {
    assert_eq!(rig.phase(0), None);
    assert_eq!(rig.machine.key_of(&"c0".into()), None);
    is_quiet(&mut rig);
}

fn is_quiet(rig: &mut Rig) {
    assert!(rig.log.is_empty() && rig.timers.is_empty() && rig.exit.is_none(), "{:?}", rig.log);
    assert_eq!(rig.machine.restarts_in_period(rig.now), 0);
}

fn abnormal() -> [ExitReason; 4] {
    let panic = crate::exit::PanicInfo { message: "boom".to_owned(), location: None, backtrace: None };
    [error(), ExitReason::Panic(Arc::new(panic)), ExitReason::Killed, ExitReason::Cancelled]
}

#[test]
fn permanent_normal() {
    is_restarted(ended(Restart::Permanent, ExitReason::Normal));
}

#[test]
fn transient_normal() {
    is_kept_down(ended(Restart::Transient, ExitReason::Normal));
}

#[test]
fn temporary_normal() {
    is_forgotten(ended(Restart::Temporary, ExitReason::Normal));
}

#[test]
fn permanent_shutdown() {
    for reason in ["shutdown", "some info"] {
        is_restarted(ended(Restart::Permanent, ExitReason::shutdown(reason)));
    }
}

#[test]
fn transient_shutdown() {
    for reason in ["shutdown", "some info"] {
        is_kept_down(ended(Restart::Transient, ExitReason::shutdown(reason)));
    }
}

#[test]
fn temporary_shutdown() {
    for reason in ["shutdown", "some info"] {
        is_forgotten(ended(Restart::Temporary, ExitReason::shutdown(reason)));
    }
}

#[test]
fn permanent_abnormal() {
    for reason in abnormal() {
        is_restarted(ended(Restart::Permanent, reason));
    }
}

#[test]
fn transient_abnormal() {
    for reason in abnormal() {
        is_restarted(ended(Restart::Transient, reason));
    }
}

#[test]
fn temporary_abnormal() {
    for reason in abnormal() {
        is_forgotten(ended(Restart::Temporary, reason));
    }
}
