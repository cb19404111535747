//! Instants that may lie further ahead than the clock can count.

use std::time::Duration;

use tokio::time::Instant;

/// As good as never, and far from any overflow.
const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);

/// `wait` after `at`; for ever is thirty years.
pub(crate) fn later(at: Instant, wait: Duration) -> Instant {
    at.checked_add(wait).unwrap_or_else(|| at + FAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_there_is_does_not_overflow() {
        let now = Instant::now();
        assert_eq!(later(now, Duration::from_secs(5)), now + Duration::from_secs(5));
        assert!(later(now, Duration::MAX) > now + Duration::from_secs(86_400 * 365));
    }
}
