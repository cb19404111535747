//! Budgets and the table by themselves, each against arithmetic done another way.

#![expect(clippy::wildcard_enum_match_arm, reason = "any other phase is a failure, and is shown")]

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::rig::{Rig, child};
use super::bench::reason;
use super::shared::program::End;
use super::shared::seeds::holds;
use super::{Down, Family, Handling, Input, Instant, Phase, SlidingWindow};
use crate::backoff::{BackoffPolicy, Budget, Exhausted, Jitter, ResetRule};
use crate::child_spec::{AutoShutdown, Policy, Restart, Strategy as Siblings};
use crate::machine::{ChildId, Request};

#[test]
fn p4_a_window_holds_what_counting_by_hand_finds() {
    let cases = (1u32..6, 1u64..5000, vec((0u64..3000, any::<bool>()), 1..60));
    holds(1000, cases, |(max, per, looks)| {
        let begin = Instant::now();
        let per = Duration::from_millis(per);
        let (mut window, mut budget) = (SlidingWindow::default(), SlidingWindow::default());
        let (mut now, mut all, mut admitted) = (begin, Vec::new(), Vec::<Instant>::new());
        for (gap, record) in looks {
            now += Duration::from_millis(gap);
            let recent = |all: &[Instant]| all.iter().filter(|at| now < **at + per).count();
            if !record {
                prop_assert_eq!(window.count(now, per), recent(&all).min(max as usize + 1));
                continue;
            }
            all.push(now);
            prop_assert_eq!(window.exceeds(now, max, per), recent(&all) > max as usize);
            let room = recent(&admitted) < max as usize;
            match budget.admit(now, Budget { max, per }) {
                Ok(()) => {
                    prop_assert!(room);
                    admitted.push(now);
                }
                Err(until) => {
                    prop_assert!(!room);
                    let oldest = admitted.iter().find(|at| now < **at + per).copied().unwrap_or(now);
                    prop_assert_eq!(until, oldest + per);
                    if recent(&admitted) == max as usize {
                        admitted.push(until);
                    }
                }
            }
        }
        Ok(())
    });
}

/// What the table says of an exit by itself: the state of the child afterwards, `None` for forgotten.
fn table(restart: Restart, end: End) -> Option<&'static str> {
    use End::{Error, Fatal, Normal, Panic, Shutdown};
    match (restart, end) {
        (Restart::Permanent, Normal | Shutdown | Error | Panic) => Some("up again"),
        (Restart::Transient, Error | Panic) => Some("up again"),
        (Restart::Transient, Normal | Shutdown) => Some("exited"),
        (Restart::Permanent | Restart::Transient, Fatal) => Some("failed"),
        (Restart::Temporary, Normal | Shutdown | Error | Panic | Fatal) => None,
    }
}

fn state(rig: &Rig, key: u64) -> Option<&'static str> {
    Some(match rig.phase(key)? {
        Phase::Running { .. } if rig.machine.child(key).is_some_and(|child| child.inc > 1) => "up again",
        Phase::Running { .. } => "up",
        Phase::Down(Down::Exited) => "exited",
        Phase::Down(Down::Failed) => "failed",
        Phase::Down(Down::Suspended) => "suspended",
        Phase::Down(Down::Ignored) => "ignored",
        Phase::Starting => "starting",
        Phase::Stopping { .. } => "stopping",
        Phase::Waiting { .. } => "waiting",
        Phase::Queued => "queued",
    })
}

#[test]
fn p5_every_restart_type_every_reason_and_every_intent_is_decided_by_the_table() {
    let ends = [End::Normal, End::Shutdown, End::Error, End::Panic, End::Fatal];
    for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
        for end in ends {
            let booted = || Rig::booted(Siblings::OneForOne, 5, vec![child(restart)]);
            let mut rig = booted();
            rig.exits(0, reason(end));
            assert_eq!(state(&rig, 0), table(restart, end), "{restart:?} {end:?}");

            // Asked to stop: it stays down, whatever it says at its end.
            let mut rig = booted();
            rig.manual = true;
            rig.admin(Request::Terminate("c0".into()));
            rig.feed(Input::Exited { key: 0, inc: 1, reason: reason(end) });
            let expected = (restart != Restart::Temporary).then_some("exited");
            assert_eq!(state(&rig, 0), expected, "{restart:?} {end:?} while asked to stop");

            // Asked to start afresh: it is started again, whatever it says at its end.
            let mut rig = booted();
            rig.manual = true;
            rig.admin(Request::Cycle("c0".into()));
            rig.feed(Input::Exited { key: 0, inc: 1, reason: reason(end) });
            assert_eq!(rig.log, ["stop 0#1", "start 0#2"], "{restart:?} {end:?} while cycled");

            // The supervisor stops: nothing is started again.
            let mut rig = booted();
            rig.manual = true;
            rig.feed(Input::Shutdown);
            rig.feed(Input::Exited { key: 0, inc: 1, reason: reason(end) });
            assert_eq!(rig.log, ["stop 0#1", "exit shutdown"], "{restart:?} {end:?} during shutdown");
        }
    }
}

fn policies() -> impl Strategy<Value = BackoffPolicy> {
    let jitter = prop_oneof![
        Just(Jitter::None),
        (0.0..=1.0f64).prop_map(Jitter::Additive),
        (0.0..=1.0f64).prop_map(Jitter::Symmetric),
        Just(Jitter::Full),
    ];
    let longest = prop_oneof![Just(u64::MAX), 0u64..10_000_000];
    (0u64..100_000, longest, prop_oneof![Just(1.0), 1.0..4.0f64, 1.0..1e300f64], jitter).prop_map(
        |(initial, more, factor, jitter)| BackoffPolicy {
            initial: Duration::from_millis(initial),
            max: Duration::from_millis(initial.saturating_add(more)),
            factor,
            jitter,
            max_attempts: None,
            reset_after: ResetRule::Never,
            window: None,
            on_exhausted: Exhausted::GiveUp,
        },
    )
}

/// The delay without jitter, in seconds, by repeated multiplication.
fn nominal(policy: &BackoffPolicy, attempt: u32) -> f64 {
    let max = policy.max.as_secs_f64();
    let mut delay = policy.initial.as_secs_f64();
    for _ in 1..attempt.min(100_000) {
        let longer = (delay * policy.factor).min(max);
        if longer <= delay {
            // It grows no more: factor one, zero, or the longest reached.
            return longer.min(max);
        }
        delay = longer;
    }
    delay.min(max)
}

#[test]
fn p6_delays_stay_within_their_bounds_at_any_attempt() {
    let attempts = prop_oneof![1u32..200, any::<u32>(), Just(u32::MAX), Just(0)];
    holds(1000, (policies(), attempts, any::<u64>()), |(policy, attempt, seed)| {
        prop_assert!(policy.check().is_ok());
        let mut rng = StdRng::seed_from_u64(seed);
        let delay = policy.delay(attempt, &mut rng);
        prop_assert!(delay <= policy.max);
        // A slowly growing delay is not followed to its end by hand.
        if attempt < 100_000 || policy.factor > 1.01 || policy.factor == 1.0 {
            let base = nominal(&policy, attempt);
            let (low, high) = match policy.jitter {
                Jitter::None => (base, base),
                Jitter::Additive(j) => (base, base * (1.0 + j)),
                Jitter::Symmetric(j) => (base * (1.0 - j), base * (1.0 + j)),
                Jitter::Full => (0.0, base),
            };
            let (delay, max) = (delay.as_secs_f64(), policy.max.as_secs_f64());
            let slack = 1e-8 + max.min(high) * 1e-6;
            prop_assert!(delay >= low.min(max) - slack, "{} is below {}", delay, low);
            prop_assert!(delay <= high.min(max) + slack, "{} is above {}", delay, high);
        }
        let plain = BackoffPolicy { jitter: Jitter::None, ..policy };
        let next = plain.delay(attempt.saturating_add(1), &mut rng);
        prop_assert!(plain.delay(attempt, &mut rng) <= next, "delays grow");
        Ok(())
    });
}

#[test]
fn p6_spread_delays_do_spread_and_reach_both_ends() {
    let policy = |jitter| BackoffPolicy {
        initial: Duration::from_secs(100),
        max: Duration::from_secs(1000),
        jitter,
        ..BackoffPolicy::default()
    };
    let mut rng = StdRng::seed_from_u64(1);
    let mut ends = |jitter| {
        let delays: Vec<Duration> = (0..1000).map(|_| policy(jitter).delay(1, &mut rng)).collect();
        (delays.iter().min().unwrap().as_secs(), delays.iter().max().unwrap().as_secs())
    };
    assert_eq!(ends(Jitter::None), (100, 100));
    assert_eq!(ends(Jitter::Additive(0.5)), (100, 149));
    assert_eq!(ends(Jitter::Symmetric(0.5)), (50, 149));
    assert_eq!(ends(Jitter::Full), (0, 99));
}

fn erratic(max_attempts: Option<u32>, window: Option<Budget>, on_exhausted: Exhausted) -> Rig {
    let policy = BackoffPolicy {
        initial: Duration::from_millis(300),
        max: Duration::from_secs(4),
        factor: 2.0,
        jitter: Jitter::Symmetric(0.3),
        max_attempts,
        reset_after: ResetRule::Never,
        window,
        on_exhausted,
    };
    let isolated = Policy { counts: false, backoff: Some(policy.into()), ..child(Restart::Permanent) };
    Rig::booted(Siblings::OneForOne, 0, vec![isolated])
}

#[test]
fn p6_attempts_are_never_exceeded() {
    let cases = (0u32..5, any::<bool>(), vec(0u64..200, 1..60));
    holds(300, cases, |(attempts, cool, gaps)| {
        let wait = Duration::from_secs(7);
        let on_exhausted = if cool { Exhausted::Cooldown { wait, then_reset: true } } else { Exhausted::GiveUp };
        let mut rig = erratic(Some(attempts), None, on_exhausted);
        let mut in_a_row = 0;
        for gap in gaps {
            rig.advance(Duration::from_millis(gap * 100));
            if !rig.up.contains_key(&0) {
                continue;
            }
            rig.exits(0, reason(End::Error));
            let phase = rig.machine.child(0).unwrap().phase;
            match phase {
                Phase::Waiting { cooling: false, .. } => in_a_row += 1,
                Phase::Waiting { at, .. } => {
                    prop_assert_eq!((in_a_row, at), (attempts, rig.now + wait));
                    in_a_row = 0;
                }
                other => {
                    prop_assert!(!cool && other == Phase::Down(Down::Failed), "{:?}", other);
                    prop_assert_eq!(in_a_row, attempts);
                    break;
                }
            }
            prop_assert!(in_a_row <= attempts);
        }
        prop_assert!(rig.exit.is_none());
        Ok(())
    });
}

#[test]
fn p6_retry_windows_are_never_exceeded() {
    let cases = (1u32..4, 1u64..30, vec(0u64..100, 1..60));
    holds(300, cases, |(max, per, gaps)| {
        let per = Duration::from_secs(per);
        let mut rig = erratic(None, Some(Budget { max, per }), Exhausted::GiveUp);
        let mut retries: Vec<Instant> = Vec::new();
        for gap in gaps {
            rig.advance(Duration::from_millis(gap * 100));
            if !rig.up.contains_key(&0) {
                continue;
            }
            rig.exits(0, reason(End::Error));
            // A retry without a cooldown is spent when it is decided on, one after a cooldown when that is over.
            let phase = rig.machine.child(0).unwrap().phase;
            match phase {
                Phase::Waiting { cooling: true, at, .. } => retries.push(at),
                other => {
                    let waiting = matches!(other, Phase::Waiting { .. });
                    prop_assert!(waiting, "{:?}", other);
                    retries.push(rig.now);
                }
            }
        }
        for first in &retries {
            let within = retries.iter().filter(|at| *at >= first && **at - *first < per).count();
            prop_assert!(within <= max as usize, "{} retries in {:?}", within, per);
        }
        Ok(())
    });
}

#[test]
fn p9_the_last_significant_child_is_the_one_that_counts() {
    let ends = vec((0usize..4, 0usize..5), 1..12);
    let cases = (vec((0usize..3, any::<bool>()), 4), any::<bool>(), ends);
    holds(300, cases, |(children, any_of_them, ends)| {
        let kinds = [Restart::Permanent, Restart::Transient, Restart::Temporary];
        let policies: Vec<Policy> = children
            .iter()
            .map(|(kind, significant)| Policy {
                significant: *significant && kinds[*kind] != Restart::Permanent,
                ..child(kinds[*kind])
            })
            .collect();
        let mut rig = Rig::new(Siblings::OneForOne, 100, policies.clone());
        rig.machine.rules.auto_shutdown =
            if any_of_them { AutoShutdown::AnySignificant } else { AutoShutdown::AllSignificant };
        rig.feed(Input::StartAll);
        let mut up = [true; 4];
        for (key, end) in ends {
            if !up[key] {
                continue;
            }
            let end = [End::Normal, End::Shutdown, End::Error, End::Panic, End::Fatal][end];
            rig.exits(key as u64, reason(end));
            let stays = table(policies[key].restart, end) == Some("up again");
            up[key] = stays;
            let for_good = matches!(table(policies[key].restart, end), None | Some("exited"));
            let others = (0..4).any(|other| other != key && up[other] && policies[other].significant);
            let over = policies[key].significant && for_good && (any_of_them || !others);
            prop_assert_eq!(rig.exit.is_some(), over);
            if over {
                break;
            }
        }
        Ok(())
    });
}

#[test]
fn p10_independent_children_are_stopped_a_thousand_at_a_time_newest_first() {
    let mut rig = Rig::booted(Siblings::OneForOne, 0, vec![child(Restart::Permanent); 1500]);
    rig.machine.rules.family = Family::Dynamic;
    rig.manual = true;
    rig.feed(Input::Shutdown);
    let stops = |from: u64, to: u64| (from..to).rev().map(|key| format!("stop {key}#1")).collect::<Vec<_>>();
    assert_eq!(rig.log, stops(1500 - 1024, 1500));
    rig.log.clear();
    for key in [1499, 800] {
        rig.feed(Input::Exited { key, inc: 1, reason: reason(End::Shutdown) });
    }
    assert_eq!(rig.log, stops(1500 - 1026, 1500 - 1024));
    for key in (0..1500).rev().filter(|key| ![1499, 800].contains(key)) {
        assert!(rig.exit.is_none());
        rig.feed(Input::Exited { key, inc: 1, reason: reason(End::Shutdown) });
    }
    assert!(rig.exit.is_some());
}

#[test]
fn every_handling_has_a_name_of_its_own() {
    let all = [
        (Handling::Restart, "restart"),
        (Handling::Backoff, "backoff"),
        (Handling::CoolDown, "cool_down"),
        (Handling::GaveUp, "gave_up"),
        (Handling::Failed, "failed"),
        (Handling::Ended, "ended"),
        (Handling::Stopped, "stopped"),
        (Handling::Suspended, "suspended"),
        (Handling::Escalated, "escalated"),
    ];
    for (handling, name) in all {
        assert_eq!(handling.as_str(), name);
    }
    assert_eq!(ChildId::from("c0").as_str(), "c0");
}
