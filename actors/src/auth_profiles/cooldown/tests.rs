use proptest::prelude::*;

use super::*;

const T0: EpochMs = 1_700_000_000_000;

fn fail(stats: &mut UsageStats, class: ErrorClass, now: EpochMs) -> bool {
    stats.report(Outcome::failed(class), now)
}

/// The waits of `n` failures, each reported the moment the window before it ends.
fn waits(class: ErrorClass, n: usize) -> Vec<i64> {
    let mut stats = UsageStats::default();
    let mut now = T0;
    (0..n)
        .map(|_| {
            fail(&mut stats, class, now);
            let until = stats.state(now).blocked_until().unwrap();
            let wait = until - now;
            now = until;
            wait / 1000
        })
        .collect()
}

#[test]
fn cooldown_climbs_the_ladder_by_consecutive_failure() {
    assert_eq!(waits(ErrorClass::RateLimit, 6), [1, 5, 30, 300, 1800, 1800]);
}

#[test]
fn overloaded_has_a_slower_ladder_of_its_own() {
    assert_eq!(waits(ErrorClass::Overloaded, 6), [5, 30, 120, 600, 1800, 1800]);
}

#[test]
fn billing_and_revoked_keys_disable_with_doubling_windows() {
    let hours = |n: &[i64]| n.iter().map(|h| h * 3600).collect::<Vec<_>>();
    assert_eq!(waits(ErrorClass::Billing, 5), hours(&[5, 10, 20, 24, 24]));
    assert_eq!(waits(ErrorClass::AuthPermanent, 5), [600, 1200, 2400, 3600, 3600]);
    let mut stats = UsageStats::default();
    assert!(fail(&mut stats, ErrorClass::Billing, T0));
    assert!(matches!(stats.state(T0), ProfileState::Disabled { reason: ErrorClass::Billing, .. }));
}

#[test]
fn success_resets_the_ladder() {
    let mut stats = UsageStats::default();
    for now in [T0, T0 + 2_000] {
        fail(&mut stats, ErrorClass::RateLimit, now);
    }
    let later = T0 + 10_000;
    stats.report(Outcome::Ok, later);
    assert_eq!(stats.state(later), ProfileState::Ready);
    fail(&mut stats, ErrorClass::RateLimit, later);
    assert_eq!(stats.state(later).blocked_until(), Some(later + 1_000));
}

#[test]
fn success_of_an_older_call_leaves_an_open_window_alone() {
    let mut stats = UsageStats::default();
    fail(&mut stats, ErrorClass::Overloaded, T0);
    stats.report(Outcome::Ok, T0 + 100);
    assert_eq!(stats.state(T0 + 200).blocked_until(), Some(T0 + 5_000));
}

#[test]
fn the_providers_own_reset_time_wins_when_later() {
    let mut stats = UsageStats::default();
    let limited = |secs| Outcome::Failed { class: ErrorClass::RateLimit, retry_after: Some(Duration::from_secs(secs)) };
    stats.report(limited(42), T0);
    assert_eq!(stats.state(T0).blocked_until(), Some(T0 + 42_000));
    let now = T0 + 42_000;
    stats.report(limited(1), now);
    assert_eq!(stats.state(now).blocked_until(), Some(now + 5_000));
}

#[test]
fn failures_that_are_not_the_credentials_fault_have_no_effect() {
    for class in [
        ErrorClass::Format,
        ErrorClass::ContextOverflow,
        ErrorClass::ModelNotFound,
        ErrorClass::TlsCertificate,
        ErrorClass::EmptyResponse,
        ErrorClass::Unknown,
    ] {
        let mut stats = UsageStats::default();
        fail(&mut stats, class, T0);
        assert_eq!(stats.state(T0), ProfileState::Ready, "{class}");
    }
}

#[test]
fn old_failures_do_not_count_as_consecutive() {
    let mut stats = UsageStats::default();
    for step in 0..4 {
        fail(&mut stats, ErrorClass::RateLimit, T0 + step * 600_000);
    }
    let next_day = T0 + 2 * 24 * 3_600_000;
    fail(&mut stats, ErrorClass::RateLimit, next_day);
    assert_eq!(stats.state(next_day).blocked_until(), Some(next_day + 1_000));
}

#[test]
fn another_key_starts_anew_and_the_same_key_does_not() {
    let mut stats = UsageStats::default();
    stats.adopt(Some("a"));
    fail(&mut stats, ErrorClass::AuthPermanent, T0);
    stats.adopt(Some("a"));
    assert!(stats.state(T0).blocked_until().is_some());
    stats.adopt(Some("b"));
    assert_eq!(stats.state(T0), ProfileState::Ready);
}

#[test]
fn stats_keep_the_documented_names() {
    let mut stats = UsageStats::default();
    stats.leased(T0);
    fail(&mut stats, ErrorClass::RateLimit, T0);
    let json = serde_json::to_value(&stats).unwrap();
    assert_eq!(json["cooldownUntil"], T0 + 1_000);
    assert_eq!(json["cooldownReason"], "rate_limit");
    assert_eq!(json["errorCount"], 1);
    assert_eq!(json["failureCounts"]["rate_limit"], 1);
    assert_eq!(json["lastUsed"], T0);
    assert_eq!(serde_json::from_value::<UsageStats>(json).unwrap(), stats);
}

fn class() -> impl Strategy<Value = ErrorClass> {
    prop_oneof![
        Just(ErrorClass::RateLimit),
        Just(ErrorClass::Overloaded),
        Just(ErrorClass::Auth),
        Just(ErrorClass::Timeout),
        Just(ErrorClass::Format),
    ]
}

proptest! {
    #[test]
    fn an_open_window_is_never_extended_nor_cut(
        first in class(),
        during in prop::collection::vec((class(), 0_i64..999, prop::option::of(0_u64..9_999)), 0..20),
    ) {
        let mut stats = UsageStats::default();
        fail(&mut stats, first, T0);
        let Some(until) = stats.state(T0).blocked_until() else { return Ok(()) };
        for (class, offset, retry_after) in during {
            let retry_after = retry_after.map(Duration::from_secs);
            stats.report(Outcome::Failed { class, retry_after }, T0 + offset);
            prop_assert_eq!(stats.state(T0).blocked_until(), Some(until));
            prop_assert_eq!(stats.error_count, 1);
        }
    }

    #[test]
    fn a_window_always_ends(steps in prop::collection::vec((class(), 0_i64..4_000_000), 1..40)) {
        let mut stats = UsageStats::default();
        let mut now = T0;
        for (class, step) in steps {
            now += step;
            fail(&mut stats, class, now);
            if let Some(until) = stats.state(now).blocked_until() {
                prop_assert!(until - now <= 30 * 60 * 1000);
                prop_assert_eq!(stats.state(until), ProfileState::Ready);
            }
        }
    }
}
