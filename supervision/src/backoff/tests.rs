use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

fn channel_policy(jitter: Jitter) -> BackoffPolicy {
    BackoffPolicy {
        initial: Duration::from_secs(5),
        max: Duration::from_secs(300),
        factor: 2.0,
        jitter,
        max_attempts: Some(10),
        reset_after: ResetRule::OnStart,
        window: None,
        on_exhausted: Exhausted::GiveUp,
    }
}

#[test]
fn nominal_delays_double_up_to_the_cap() {
    let mut rng = StdRng::seed_from_u64(1);
    let policy = channel_policy(Jitter::None);
    let delays: Vec<u64> = (1..=10).map(|attempt| policy.delay(attempt, &mut rng).as_secs()).collect();
    assert_eq!(delays, [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]);
    assert_eq!(delays.iter().sum::<u64>(), 1515);
}

#[test]
fn the_cap_holds_after_jitter() {
    let mut rng = StdRng::seed_from_u64(1);
    let policy = channel_policy(Jitter::Additive(0.1));
    for _ in 0..1000 {
        assert_eq!(policy.delay(8, &mut rng), Duration::from_secs(300));
    }
}

#[test]
fn senseless_settings_are_refused() {
    let good = channel_policy(Jitter::None);
    assert_eq!(good.check(), Ok(()));
    assert_eq!(BackoffPolicy { factor: 0.5, ..good.clone() }.check(), Err(BackoffError::Factor));
    assert_eq!(BackoffPolicy { factor: f64::NAN, ..good.clone() }.check(), Err(BackoffError::Factor));
    assert_eq!(BackoffPolicy { jitter: Jitter::Additive(1.5), ..good.clone() }.check(), Err(BackoffError::Jitter));
    assert_eq!(BackoffPolicy { max: Duration::ZERO, ..good.clone() }.check(), Err(BackoffError::Range));
    let none = Budget { max: 0, per: Duration::from_secs(1) };
    assert_eq!(BackoffPolicy { window: Some(none), ..good }.check(), Err(BackoffError::Budget));
}

proptest! {
    #[test]
    fn delays_stay_within_their_bounds(
        initial_ms in 0u64..100_000, extra_ms in 0u64..10_000_000, factor in 1.0f64..10.0, j in 0.0f64..=1.0,
        kind in 0u8..4, attempt in prop_oneof![1u32..64, Just(u32::MAX), any::<u32>()], seed in any::<u64>(),
    ) {
        let initial = Duration::from_millis(initial_ms);
        let max = initial + Duration::from_millis(extra_ms);
        let jitter = match kind { 0 => Jitter::None, 1 => Jitter::Additive(j), 2 => Jitter::Symmetric(j), _ => Jitter::Full };
        let policy = BackoffPolicy { initial, max, factor, jitter, ..channel_policy(Jitter::None) };
        prop_assert!(policy.check().is_ok());
        let mut rng = StdRng::seed_from_u64(seed);
        let delay = policy.delay(attempt, &mut rng);
        prop_assert!(delay <= max);
        if matches!(jitter, Jitter::None | Jitter::Additive(_)) {
            prop_assert!(delay + Duration::from_micros(1) >= initial.min(max));
        }
    }

    #[test]
    fn the_window_agrees_with_counting_by_hand(
        max in 0u32..6, per_ms in 1u64..1000, gaps in proptest::collection::vec(0u64..400, 1..80),
    ) {
        let per = Duration::from_millis(per_ms);
        let mut window = SlidingWindow::default();
        let mut all: Vec<Instant> = Vec::new();
        let mut now = Instant::now();
        for gap in gaps {
            now += Duration::from_millis(gap);
            all.push(now);
            let within = all.iter().filter(|at| now.duration_since(**at) < per).count();
            prop_assert_eq!(window.exceeds(now, max, per), within > max as usize);
            prop_assert!(window.at.len() <= max as usize + 1);
        }
    }

    #[test]
    fn a_budget_is_never_exceeded(max in 1u32..6, per_ms in 1u64..1000, gaps in proptest::collection::vec(0u64..400, 1..80)) {
        let budget = Budget { max, per: Duration::from_millis(per_ms) };
        let mut window = SlidingWindow::default();
        let mut admitted: Vec<Instant> = Vec::new();
        let mut now = Instant::now();
        for gap in gaps {
            now += Duration::from_millis(gap);
            match window.admit(now, budget) {
                Ok(()) => admitted.push(now),
                Err(until) => prop_assert!(until > now && until <= now + budget.per),
            }
            let within = admitted.iter().filter(|at| now.duration_since(**at) < budget.per).count();
            prop_assert!(within <= max as usize);
        }
    }
}

#[test]
fn settings_at_their_limits_are_accepted() {
    let hour = Duration::from_secs(3600);
    let even = BackoffPolicy { initial: hour, max: hour, factor: 1.0, ..BackoffPolicy::default() };
    assert_eq!(even.check(), Ok(()));
    let budget = Budget { max: 1, per: Duration::from_nanos(1) };
    assert_eq!(BackoffPolicy { window: Some(budget), ..BackoffPolicy::default() }.check(), Ok(()));
    for jitter in [Jitter::Additive(0.0), Jitter::Additive(1.0), Jitter::Symmetric(1.0)] {
        assert_eq!(BackoffPolicy { jitter, ..BackoffPolicy::default() }.check(), Ok(()));
    }
}
