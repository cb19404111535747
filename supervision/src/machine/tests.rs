use std::time::Duration;

use proptest::{prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::backoff::{BackoffPolicy, Budget, Exhausted, ResetRule};
use crate::child_spec::Restart;

mod model;
mod otp;
mod rig;

use rig::*;

#[test]
fn the_first_start_goes_in_order() {
    let mut rig = Rig::new(Strategy::OneForOne, 1, vec![child(Restart::Permanent); 3]);
    rig.feed(Input::StartAll);
    assert_eq!(rig.log, ["start 0#1", "start 1#1", "start 2#1", "booted true"]);
}

#[test]
fn a_failed_first_start_is_undone_in_reverse_and_reported_last() {
    let mut rig = Rig::new(Strategy::OneForOne, 1, vec![child(Restart::Permanent); 3]);
    rig.failing = vec![2];
    rig.feed(Input::StartAll);
    let expected = ["start 0#1", "start 1#1", "start 2#1", "stop 1#1", "stop 0#1", "booted false", "exit start failed"];
    assert_eq!(rig.log, expected);
}

#[test]
fn one_for_all_stops_in_reverse_and_starts_in_order() {
    let mut rig = Rig::booted(Strategy::OneForAll, 3, vec![child(Restart::Permanent); 3]);
    rig.exits(1, error());
    assert_eq!(rig.log, ["stop 2#1", "stop 0#1", "start 0#2", "start 1#2", "start 2#2"]);
}

#[test]
fn one_for_all_does_not_bring_temporary_siblings_back() {
    let policies = vec![child(Restart::Permanent), child(Restart::Temporary), child(Restart::Permanent)];
    let mut rig = Rig::booted(Strategy::OneForAll, 3, policies);
    rig.exits(2, error());
    assert_eq!(rig.log, ["stop 1#1", "stop 0#1", "start 0#2", "start 2#2"]);
    assert_eq!(rig.phase(1), None);
}

#[test]
fn rest_for_one_retries_at_the_child_that_fails_to_start() {
    let mut rig = Rig::booted(Strategy::RestForOne, 5, vec![child(Restart::Permanent); 4]);
    rig.failing = vec![2];
    rig.manual = false;
    rig.machine.rules.intensity.max_restarts = 3;
    rig.exits(1, error());
    // Four ticks: the crash, then three starts of child 2 that fail.
    let expected = [
        "stop 3#1",
        "stop 2#1",
        "start 1#2",
        "start 2#2",
        "start 2#3",
        "start 2#4",
        "meltdown",
        "stop 1#2",
        "stop 0#1",
        "exit intensity",
    ];
    assert_eq!(rig.log, expected);
}

#[test]
fn a_sibling_that_dies_while_being_stopped_adds_no_tick() {
    let mut rig = Rig::booted(Strategy::OneForAll, 1, vec![child(Restart::Permanent); 3]);
    rig.manual = true;
    rig.exits(0, error());
    assert_eq!(rig.log, ["stop 2#1"]);
    // Child 1 dies by itself before its turn.
    rig.feed(Input::Exited { key: 1, inc: 1, reason: error() });
    rig.feed(Input::Exited { key: 2, inc: 1, reason: error() });
    assert_eq!(rig.log, ["stop 2#1", "start 0#2"]);
}

#[test]
fn too_many_restarts_end_the_supervisor_after_its_children() {
    let mut rig = Rig::booted(Strategy::OneForOne, 1, vec![child(Restart::Permanent); 3]);
    rig.exits(1, error());
    rig.exits(1, error());
    assert_eq!(rig.log, ["start 1#2", "meltdown", "stop 2#1", "stop 0#1", "exit intensity"]);
}

#[test]
fn restarts_spread_over_more_than_the_period_are_fine() {
    let mut rig = Rig::booted(Strategy::OneForOne, 1, vec![child(Restart::Permanent)]);
    for _ in 0..20 {
        rig.exits(0, error());
        rig.advance(Duration::from_secs(5));
    }
    assert!(rig.exit.is_none());
}

#[test]
fn a_fatal_exit_fails_the_child_without_a_retry() {
    let mut rig = Rig::booted(Strategy::OneForOne, 0, vec![isolated(backoff(3, Exhausted::Escalate))]);
    rig.exits(0, fatal());
    assert_eq!(rig.phase(0), Some(Phase::Down(Down::Failed)));
    assert_eq!(rig.machine.child(0).map(|child| child.attempt), Some(0));
    rig.admin(Request::StartNow("c0".into()));
    assert!(matches!(rig.phase(0), Some(Phase::Running { .. })));
}

#[test]
fn backoff_doubles_until_it_gives_up_and_a_start_by_hand_resets_it() {
    let mut rig = Rig::booted(Strategy::OneForOne, 0, vec![isolated(backoff(3, Exhausted::GiveUp))]);
    for delay in [5, 10, 20] {
        rig.exits(0, error());
        assert_eq!(rig.timers[0].0 - rig.now, Duration::from_secs(delay));
        rig.advance(Duration::from_secs(delay));
    }
    rig.exits(0, error());
    assert_eq!(rig.phase(0), Some(Phase::Down(Down::Failed)));
    assert!(rig.timers.is_empty() && rig.exit.is_none());
    rig.admin(Request::Restart("c0".into()));
    rig.exits(0, error());
    assert_eq!(rig.timers[0].0 - rig.now, Duration::from_secs(5));
}

#[test]
fn exhausted_attempts_may_escalate_or_cool_down() {
    let mut rig = Rig::booted(Strategy::OneForOne, 0, vec![isolated(backoff(1, Exhausted::Escalate))]);
    rig.exits(0, error());
    rig.advance(Duration::from_secs(5));
    rig.exits(0, error());
    assert_eq!(rig.log.last().map(String::as_str), Some("exit intensity"));

    let wait = Duration::from_secs(3600);
    let policy = backoff(1, Exhausted::Cooldown { wait, then_reset: true });
    let mut rig = Rig::booted(Strategy::OneForOne, 0, vec![isolated(policy)]);
    rig.exits(0, error());
    rig.advance(Duration::from_secs(5));
    rig.exits(0, error());
    assert!(matches!(rig.phase(0), Some(Phase::Waiting { cooling: true, .. })));
    rig.advance(wait);
    rig.exits(0, error());
    assert!(matches!(rig.phase(0), Some(Phase::Waiting { cooling: false, .. })), "attempts started over");
}

#[test]
fn a_used_up_window_makes_the_child_wait_until_there_is_room() {
    let budget = Budget { max: 2, per: Duration::from_secs(3600) };
    let policy = BackoffPolicy { window: Some(budget), max_attempts: None, ..backoff(0, Exhausted::GiveUp) };
    let mut rig = Rig::booted(Strategy::OneForOne, 0, vec![isolated(policy)]);
    let begin = rig.now;
    rig.exits(0, error());
    rig.advance(Duration::from_secs(5));
    rig.exits(0, error());
    rig.advance(Duration::from_secs(10));
    rig.exits(0, error());
    assert!(matches!(rig.phase(0), Some(Phase::Waiting { cooling: true, at, .. }) if at == begin + budget.per));
}

#[test]
fn a_hand_that_acts_empties_the_window() {
    let budget = Budget { max: 1, per: Duration::from_secs(3600) };
    let policy = BackoffPolicy { window: Some(budget), max_attempts: None, ..backoff(0, Exhausted::GiveUp) };
    for request in [Request::StartNow("c0".into()), Request::ResetBackoff("c0".into())] {
        let mut rig = Rig::booted(Strategy::OneForOne, 0, vec![isolated(policy.clone())]);
        rig.exits(0, error());
        rig.advance(Duration::from_secs(5));
        rig.exits(0, error());
        assert!(matches!(rig.phase(0), Some(Phase::Waiting { cooling: true, .. })));
        rig.admin(request);
        assert!(matches!(rig.phase(0), Some(Phase::Running { .. })));
        rig.exits(0, error());
        assert!(matches!(rig.phase(0), Some(Phase::Waiting { cooling: false, .. })), "there is room again");
    }
}

#[test]
fn a_first_start_under_way_counts_as_running_and_a_later_one_as_coming_back() {
    let mut rig = Rig::new(Strategy::OneForOne, 5, vec![isolated(backoff(3, Exhausted::GiveUp))]);
    rig.manual = true;
    rig.feed(Input::StartAll);
    let (restart, delete) = (|| Request::Restart("c0".into()), || Request::Delete("c0".into()));
    assert!(matches!(rig.ask(restart()), Some(Err(AdminError::Running))));
    assert!(matches!(rig.ask(delete()), Some(Err(AdminError::Running))));
    rig.feed(Input::Started { key: 0, inc: 1, outcome: Ok(Birth::Up) });
    rig.ends(0, 1, error());
    rig.advance(Duration::from_secs(5));
    assert!(matches!(rig.ask(restart()), Some(Err(AdminError::Restarting))));
    rig.admin(Request::StartNow("c0".into()));
    assert!(matches!(rig.ask(restart()), Some(Err(AdminError::Running))), "somebody waits for it");
}

#[test]
fn a_child_stopped_by_hand_before_the_first_start_stays_down() {
    let mut rig = Rig::new(Strategy::OneForOne, 5, vec![child(Restart::Permanent)]);
    assert_eq!(word(rig.add("early", child(Restart::Permanent))), "started");
    rig.admin(Request::Terminate("early".into()));
    rig.log.clear();
    rig.feed(Input::StartAll);
    assert_eq!(rig.log, ["start 0#1", "booted true"]);
    assert_eq!(rig.phase(1), Some(Phase::Down(Down::Exited)));
}

#[test]
fn a_round_that_is_widened_counts_the_starts_of_older_siblings_under_way() {
    let mut rig = Rig::booted(Strategy::RestForOne, 9, vec![child(Restart::Permanent); 4]);
    rig.machine.rules.starts_at_once = 2;
    rig.manual = true;
    let inc = |rig: &Rig, key| rig.machine.child(key).map_or(0, |child| child.inc);
    rig.ends(0, 1, error());
    for key in [3, 2, 1] {
        rig.ends(key, 1, ExitReason::shutdown("shutdown"));
    }
    assert_eq!((rig.phase(0), rig.phase(1)), (Some(Phase::Starting), Some(Phase::Starting)));
    rig.feed(Input::Started { key: 1, inc: inc(&rig, 1), outcome: Ok(Birth::Up) });
    assert_eq!(rig.phase(2), Some(Phase::Starting));
    // The younger of the two goes, while the older one's start is still under way.
    rig.ends(1, inc(&rig, 1), error());
    rig.ends(2, inc(&rig, 2), ExitReason::shutdown("shutdown"));
    let phases = [0, 1, 2, 3].map(|key| rig.phase(key));
    let starting = phases.iter().filter(|phase| **phase == Some(Phase::Starting)).count();
    assert_eq!((starting, phases[2]), (2, Some(Phase::Queued)), "{phases:?}");
}

#[test]
fn an_older_sibling_that_fails_while_a_round_stops_the_younger_ones_counts() {
    let mut rig = Rig::booted(Strategy::RestForOne, 1, vec![child(Restart::Permanent); 3]);
    rig.manual = true;
    rig.ends(1, 1, error());
    assert_eq!(rig.log, ["stop 2#1"]);
    rig.ends(0, 1, error());
    assert!(rig.log.contains(&String::from("meltdown")), "{:?}", rig.log);
}

#[test]
fn who_waits_for_a_start_is_refused_as_soon_as_the_supervisor_is_to_stop() {
    let mut rig = Rig::booted(Strategy::OneForOne, 5, vec![child(Restart::Permanent)]);
    rig.admin(Request::Terminate("c0".into()));
    rig.replies.clear();
    rig.manual = true;
    rig.admin(Request::StartNow("c0".into()));
    assert_eq!((rig.phase(0), rig.replies.len()), (Some(Phase::Starting), 0));
    rig.feed(Input::Shutdown);
    assert!(matches!(rig.replies[..], [(_, Err(AdminError::ShuttingDown))]), "{:?}", rig.replies);
}

#[test]
fn start_now_waits_for_a_start_that_is_under_way() {
    let mut rig = Rig::booted(Strategy::OneForOne, 5, vec![isolated(backoff(3, Exhausted::GiveUp))]);
    rig.exits(0, error());
    rig.manual = true;
    rig.advance(Duration::from_secs(5));
    assert_eq!(rig.phase(0), Some(Phase::Starting));
    rig.admin(Request::StartNow("c0".into()));
    assert!(rig.replies.is_empty(), "{:?}", rig.replies);
    rig.feed(Input::Started { key: 0, inc: 2, outcome: Ok(Birth::Up) });
    assert!(matches!(rig.replies[..], [(_, Ok(_))]), "{:?}", rig.replies);
}

#[test]
fn a_stable_run_resets_the_attempts() {
    let stable = ResetRule::Stable(Duration::from_secs(60));
    let policy = BackoffPolicy { reset_after: stable, ..backoff(9, Exhausted::GiveUp) };
    let mut rig = Rig::booted(Strategy::OneForOne, 0, vec![isolated(policy)]);
    rig.exits(0, error());
    rig.advance(Duration::from_secs(5));
    rig.exits(0, error());
    rig.advance(Duration::from_secs(10));
    assert_eq!(rig.machine.child(0).map(|child| child.attempt), Some(2));
    rig.advance(Duration::from_secs(61));
    rig.exits(0, error());
    assert_eq!(rig.machine.child(0).map(|child| child.attempt), Some(1));
}

#[test]
fn an_isolated_child_that_fails_at_boot_does_not_fail_the_boot() {
    let policies = vec![isolated(backoff(3, Exhausted::GiveUp)), child(Restart::Permanent)];
    let mut rig = Rig::new(Strategy::OneForOne, 1, policies);
    rig.failing = vec![0];
    rig.feed(Input::StartAll);
    assert_eq!(rig.log, ["start 0#1", "start 1#1", "booted true"]);
    rig.failing.clear();
    rig.advance(Duration::from_secs(5));
    assert!(matches!(rig.phase(0), Some(Phase::Running { .. })));
}

#[test]
fn terminate_cancels_a_pending_retry() {
    let mut rig = Rig::booted(Strategy::OneForOne, 0, vec![isolated(backoff(3, Exhausted::GiveUp))]);
    rig.exits(0, error());
    rig.admin(Request::Terminate("c0".into()));
    assert!(rig.timers.is_empty());
    rig.advance(Duration::from_secs(60));
    assert_eq!(rig.phase(0), Some(Phase::Down(Down::Exited)));
}

#[test]
fn a_suspended_child_stays_down_until_resumed() {
    let mut rig = Rig::booted(Strategy::OneForOne, 5, vec![child(Restart::Permanent)]);
    rig.admin(Request::Suspend("c0".into()));
    rig.exits(0, error());
    assert_eq!(rig.phase(0), Some(Phase::Down(Down::Suspended)));
    rig.admin(Request::Resume("c0".into()));
    assert!(matches!(rig.phase(0), Some(Phase::Running { .. })));
}

#[test]
fn the_end_of_a_significant_child_ends_the_supervisor_when_asked_to() {
    let significant = Policy { significant: true, ..child(Restart::Transient) };
    let mut rig = Rig::new(Strategy::OneForOne, 5, vec![significant.clone(), significant, child(Restart::Permanent)]);
    rig.machine.rules.auto_shutdown = AutoShutdown::AllSignificant;
    rig.feed(Input::StartAll);
    rig.exits(0, error());
    rig.exits(0, ExitReason::Normal);
    assert!(rig.exit.is_none());
    rig.exits(1, ExitReason::Normal);
    assert_eq!(rig.exit.as_ref().map(ExitReason::text).as_deref(), Some("auto"));
}

#[test]
fn a_child_stopped_while_starting_is_neither_lost_nor_restarted() {
    let mut rig = Rig::booted(Strategy::OneForOne, 5, vec![]);
    rig.manual = true;
    let key = rig.machine.insert("x".into(), child(Restart::Permanent));
    rig.admin(Request::StartNew(key));
    rig.admin(Request::Terminate("x".into()));
    assert_eq!(rig.log, ["start 0#1", "stop 0#1"]);
    // It came up after all; the shell stops it, and its end is heard.
    rig.feed(Input::Started { key, inc: 1, outcome: Ok(Birth::Up) });
    assert!(matches!(rig.phase(key), Some(Phase::Stopping { .. })));
    rig.feed(Input::Exited { key, inc: 1, reason: ExitReason::shutdown("shutdown") });
    assert_eq!(rig.phase(key), Some(Phase::Down(Down::Exited)));
    rig.feed(Input::Exited { key, inc: 1, reason: ExitReason::Killed });
    assert_eq!(rig.phase(key), Some(Phase::Down(Down::Exited)));
}

fn reason(kind: u8) -> ExitReason {
    match kind {
        0 => ExitReason::Normal,
        1 => ExitReason::shutdown("done"),
        2 => error(),
        3 => ExitReason::Killed,
        4 => ExitReason::Cancelled,
        _ => fatal(),
    }
}

proptest! {
    #[test]
    fn restart_decisions_follow_the_table(kind in 0u8..6, restart in 0u8..3) {
        let restart = [Restart::Permanent, Restart::Transient, Restart::Temporary][restart as usize];
        let mut rig = Rig::booted(Strategy::OneForOne, 5, vec![child(restart)]);
        let reason = reason(kind);
        let (clean, fatal) = (reason.is_clean(), reason.is_fatal());
        rig.exits(0, reason);
        match restart {
            Restart::Temporary => prop_assert_eq!(rig.phase(0), None),
            Restart::Transient if clean => prop_assert_eq!(rig.phase(0), Some(Phase::Down(Down::Exited))),
            Restart::Transient | Restart::Permanent if fatal => {
                prop_assert_eq!(rig.phase(0), Some(Phase::Down(Down::Failed)));
            }
            Restart::Transient | Restart::Permanent => {
                let running = matches!(rig.phase(0), Some(Phase::Running { .. }));
                prop_assert!(running);
            }
        }
    }

    #[test]
    fn meltdown_comes_exactly_when_the_count_says(
        max in 0u32..4, gaps in proptest::collection::vec(0u64..4000, 1..40),
    ) {
        let mut rig = Rig::booted(Strategy::OneForOne, max, vec![child(Restart::Permanent)]);
        let mut ticks: Vec<Instant> = Vec::new();
        for gap in gaps {
            rig.advance(Duration::from_millis(gap));
            ticks.push(rig.now);
            let within = ticks.iter().filter(|at| rig.now.duration_since(**at) < Duration::from_secs(5)).count();
            rig.exits(0, error());
            prop_assert_eq!(rig.exit.is_some(), within > max as usize);
            if rig.exit.is_some() {
                break;
            }
        }
    }

    #[test]
    fn any_sequence_keeps_the_books_and_ends_with_nothing_left(
        strategy in 0u8..3,
        restarts in proptest::collection::vec(0u8..4, 0..6),
        steps in proptest::collection::vec((0u8..12, 0u64..8, 0u8..6), 0..60),
    ) {
        let strategy = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne][strategy as usize];
        let policy = |kind: u8| match kind {
            0 => child(Restart::Permanent),
            1 => child(Restart::Transient),
            2 => child(Restart::Temporary),
            _ => isolated(backoff(2, Exhausted::GiveUp)),
        };
        let mut rig = Rig::booted(strategy, 20, restarts.into_iter().map(policy).collect());
        for (what, key, kind) in steps {
            let id = ChildId::from(format!("c{key}"));
            match what {
                0..=3 => rig.exits(key, reason(kind)),
                4 => rig.admin(Request::Terminate(id)),
                5 => rig.admin(Request::Restart(id)),
                6 => rig.admin(Request::Cycle(id)),
                7 => rig.admin(Request::StartNow(id)),
                8 => rig.advance(Duration::from_secs(u64::from(kind) * 3)),
                9 => rig.failing = vec![key],
                10 => rig.failing.clear(),
                _ => {
                    if rig.machine.admits(&id).is_ok() {
                        let key = rig.machine.insert(id, policy(kind % 4));
                        rig.admin(Request::StartNew(key));
                    }
                }
            }
            // An input about an incarnation that is over changes nothing.
            let before = format!("{:?}", rig.machine);
            rig.feed(Input::Exited { key, inc: u64::MAX, reason: error() });
            rig.feed(Input::Timer { token: u64::MAX });
            prop_assert_eq!(before, format!("{:?}", rig.machine));
        }
        rig.feed(Input::Shutdown);
        prop_assert!(rig.exit.is_some());
        prop_assert!(rig.up.is_empty());
    }
}
