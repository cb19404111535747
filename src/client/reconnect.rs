//! When to try again.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// First delay.
const FIRST: Duration = Duration::from_secs(1);
/// Longest delay.
const LONGEST: Duration = Duration::from_secs(30);
/// Share of a delay by which it varies, so that many clients do not come back at once.
const JITTER: f64 = 0.2;

/// Delays before reconnecting: one second, doubling to thirty, varied a little; for as long as it takes.
#[derive(Debug)]
pub struct Reconnect(ExponentialBackoff);

impl Default for Reconnect {
    fn default() -> Self {
        Self::new(FIRST, LONGEST)
    }
}

impl Reconnect {
    /// Delays from `first`, doubling to `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self(ExponentialBackoff {
            current_interval: first,
            initial_interval: first,
            multiplier: 2.0,
            max_interval: longest,
            randomization_factor: JITTER,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        })
    }

    /// How long to wait before the next attempt. A server that named a time is taken at its word if that is longer.
    pub fn next_delay(&mut self, asked_for: Option<Duration>) -> Duration {
        // `None` would mean that the time for retrying is over, which has no limit here.
        let own = self.0.next_backoff().unwrap_or(LONGEST);
        asked_for.map_or(own, |asked| own.max(asked))
    }

    /// It worked: the next failure starts from the first delay.
    pub fn succeeded(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(reconnect: &mut Reconnect, n: usize) -> Vec<f64> {
        (0..n).map(|_| reconnect.next_delay(None).as_secs_f64()).collect()
    }

    #[test]
    fn delays_double_to_thirty_seconds_within_their_jitter() {
        let mut reconnect = Reconnect::default();
        for (delay, base) in seconds(&mut reconnect, 8).into_iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]) {
            assert!(delay >= base * 0.79 && delay <= base * 1.21, "{delay} for {base}");
        }
    }

    #[test]
    fn success_starts_over_and_a_named_time_is_kept() {
        let mut reconnect = Reconnect::default();
        seconds(&mut reconnect, 5);
        reconnect.succeeded();
        assert!(seconds(&mut reconnect, 1)[0] < 1.3);
        assert_eq!(reconnect.next_delay(Some(Duration::from_secs(90))), Duration::from_secs(90));
    }
}
