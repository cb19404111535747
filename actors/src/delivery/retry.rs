//! What follows from a failed send. Pure.

use std::time::Duration;

use crate::channels::contract::SendError;

/// What to do with a piece whose outcome is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnknown {
    /// Send it again, marked and counted: rather twice than never.
    #[default]
    Resend,
    /// Keep it aside: rather never than twice.
    Hold,
}

/// How failures are dealt with. The defaults are OpenClaw's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Wait after the first, second, … failure; the last one repeats.
    pub delays: [Duration; 5],
    /// Failures after which a message is dead.
    pub max_attempts: u32,
    /// Age after which a message is dead, whatever kept it.
    pub max_age: Duration,
    /// Wait while the platform refuses the account.
    pub account_down: Duration,
    /// What to do when nobody knows whether a piece was sent.
    pub on_unknown: OnUnknown,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            delays: [5, 25, 120, 600, 600].map(Duration::from_secs),
            max_attempts: 5,
            max_age: Duration::from_secs(24 * 60 * 60),
            account_down: Duration::from_secs(60),
            on_unknown: OnUnknown::Resend,
        }
    }
}

/// What becomes of a message after a failed send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consequence {
    /// Tried again after the wait, with so many failures counted.
    Retry {
        /// Failures as they count now.
        attempt: u32,
        /// The wait.
        after: Duration,
    },
    /// The whole lane waits; no failure is counted.
    LaneWaits {
        /// The wait.
        after: Duration,
    },
    /// Never sent.
    Dead,
    /// Kept for an operator.
    Hold,
}

impl RetryPolicy {
    /// The consequence of `error` for a message with `attempt` failures before, `age` old.
    #[must_use]
    pub fn after_failure(&self, error: &SendError, attempt: u32, age: Duration) -> Consequence {
        let consequence = match error {
            SendError::Rejected(_) => return Consequence::Dead,
            SendError::RateLimited { after } => Consequence::Retry { attempt, after: *after },
            SendError::AccountDown(_) => Consequence::LaneWaits { after: self.account_down },
            SendError::NotSent(_) => self.charged(attempt),
            SendError::Unknown(_) => match self.on_unknown {
                OnUnknown::Resend => self.charged(attempt),
                OnUnknown::Hold => return Consequence::Hold,
            },
        };
        if age >= self.max_age { Consequence::Dead } else { consequence }
    }

    fn charged(&self, attempt: u32) -> Consequence {
        let failures = attempt.saturating_add(1);
        if failures > self.max_attempts {
            return Consequence::Dead;
        }
        let index = usize::try_from(attempt).unwrap_or(usize::MAX).min(self.delays.len() - 1);
        Consequence::Retry { attempt: failures, after: self.delays[index] }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const YOUNG: Duration = Duration::from_secs(1);

    fn not_sent() -> SendError {
        SendError::NotSent("refused".into())
    }

    #[test]
    fn a_message_is_tried_six_times_with_growing_waits() {
        let policy = RetryPolicy::default();
        let mut attempt = 0;
        let mut waits = Vec::new();
        while let Consequence::Retry { attempt: next, after } = policy.after_failure(&not_sent(), attempt, YOUNG) {
            waits.push(after.as_secs());
            attempt = next;
        }
        assert_eq!(waits, [5, 25, 120, 600, 600]);
        assert_eq!(policy.after_failure(&not_sent(), attempt, YOUNG), Consequence::Dead);
    }

    #[test]
    fn a_rate_limit_counts_no_failure() {
        let error = SendError::RateLimited { after: Duration::from_secs(3) };
        let expected = Consequence::Retry { attempt: 4, after: Duration::from_secs(3) };
        assert_eq!(RetryPolicy::default().after_failure(&error, 4, YOUNG), expected);
    }

    #[test]
    fn an_unknown_outcome_follows_the_policy() {
        let error = SendError::Unknown("cut".into());
        let hold = RetryPolicy { on_unknown: OnUnknown::Hold, ..RetryPolicy::default() };
        assert_eq!(hold.after_failure(&error, 0, YOUNG), Consequence::Hold);
        assert!(matches!(
            RetryPolicy::default().after_failure(&error, 0, YOUNG),
            Consequence::Retry { attempt: 1, .. }
        ));
    }

    #[test]
    fn a_refused_account_keeps_messages_until_they_are_too_old() {
        let policy = RetryPolicy::default();
        let error = SendError::AccountDown("401".into());
        assert!(matches!(policy.after_failure(&error, 0, YOUNG), Consequence::LaneWaits { .. }));
        assert_eq!(policy.after_failure(&error, 0, policy.max_age), Consequence::Dead);
    }

    #[test]
    fn a_refused_message_is_dead_at_once() {
        let error = SendError::Rejected("403 blocked".into());
        assert_eq!(RetryPolicy::default().after_failure(&error, 0, YOUNG), Consequence::Dead);
    }

    proptest! {
        #[test]
        fn failures_end_for_every_count(attempt in any::<u32>()) {
            let consequence = RetryPolicy::default().after_failure(&not_sent(), attempt, YOUNG);
            if let Consequence::Retry { attempt: next, .. } = consequence {
                prop_assert!(next <= 5);
            } else {
                prop_assert_eq!(consequence, Consequence::Dead);
            }
        }
    }
}
