//! How long to wait before a restart, how often to try, and what to do when that is used up. Data and arithmetic only.

use std::collections::VecDeque;
use std::time::Duration;

use rand::{Rng, RngCore};
use tokio::time::Instant;

use crate::clock::later;

/// When and how often a failing child is started again.
#[derive(Clone, Debug, PartialEq)]
pub struct BackoffPolicy {
    /// Delay before the first retry.
    pub initial: Duration,
    /// No delay is longer than this; applied after jitter.
    pub max: Duration,
    /// Each delay is this many times the one before. At least 1.
    pub factor: f64,
    /// How delays are spread.
    pub jitter: Jitter,
    /// Retries before `on_exhausted`; `None` = without end.
    pub max_attempts: Option<u32>,
    /// What makes the attempts count start over.
    pub reset_after: ResetRule,
    /// At most this many retries in a time; beyond it the child cools down until the window has room.
    pub window: Option<Budget>,
    /// What happens after `max_attempts`.
    pub on_exhausted: Exhausted,
}

/// How delays are spread, so that many children do not retry in step. Fractions are in `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Jitter {
    /// Exact delays.
    None,
    /// Up to this fraction longer.
    Additive(f64),
    /// Up to this fraction longer or shorter.
    Symmetric(f64),
    /// Anything from zero to the nominal delay.
    Full,
}

/// What makes the attempts count start over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetRule {
    /// Every successful start.
    OnStart,
    /// Having run this long before the next failure.
    Stable(Duration),
    /// Only a start by hand.
    Never,
}

/// At most `max` within any stretch of `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many.
    pub max: u32,
    /// In what time.
    pub per: Duration,
}

/// What happens when all attempts are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// The supervisor itself ends, as if its restart intensity were exceeded.
    Escalate,
    /// The child stays down, shown as failed, until it is started by hand or reconfigured.
    GiveUp,
    /// The child rests for `wait` and is then tried again.
    Cooldown {
        /// How long it rests.
        wait: Duration,
        /// Whether the attempts count starts over afterwards; if not, every further failure cools down again.
        then_reset: bool,
    },
}

/// A setting that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackoffError {
    /// The factor is below 1 or not a number.
    #[error("backoff factor must be at least 1")]
    Factor,
    /// A jitter fraction is outside `[0, 1]`.
    #[error("jitter must be between 0 and 1")]
    Jitter,
    /// `max` is shorter than `initial`.
    #[error("the longest delay is shorter than the first")]
    Range,
    /// A budget of nothing, or over no time.
    #[error("a retry budget needs a count and a period above zero")]
    Budget,
}

impl Default for BackoffPolicy {
    /// 1 s doubling to 60 s with 10 % jitter, without end, reset after a stable minute.
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(60),
            factor: 2.0,
            jitter: Jitter::Additive(0.1),
            max_attempts: None,
            reset_after: ResetRule::Stable(Duration::from_secs(60)),
            window: None,
            on_exhausted: Exhausted::GiveUp,
        }
    }
}

impl BackoffPolicy {
    /// Refuses settings that make no sense.
    ///
    /// # Errors
    /// The first setting found to be wrong.
    pub fn check(&self) -> Result<(), BackoffError> {
        if !self.factor.is_finite() || self.factor < 1.0 {
            return Err(BackoffError::Factor);
        }
        match self.jitter {
            Jitter::None | Jitter::Full => {}
            Jitter::Additive(j) | Jitter::Symmetric(j) => {
                if !(0.0..=1.0).contains(&j) {
                    return Err(BackoffError::Jitter);
                }
            }
        }
        if self.max < self.initial {
            return Err(BackoffError::Range);
        }
        match self.window {
            Some(budget) if budget.max == 0 || budget.per.is_zero() => Err(BackoffError::Budget),
            Some(_) | None => Ok(()),
        }
    }

    /// The delay before retry number `attempt`, counted from 1.
    #[must_use]
    pub fn delay(&self, attempt: u32, rng: &mut dyn RngCore) -> Duration {
        let max = self.max.as_secs_f64();
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let base = (self.initial.as_secs_f64() * self.factor.powi(exponent)).min(max);
        let unit: f64 = rng.random();
        let spread = match self.jitter {
            Jitter::None => base,
            Jitter::Additive(j) => base + base * j * unit,
            Jitter::Symmetric(j) => base * (1.0 + j * (2.0 * unit - 1.0)),
            Jitter::Full => base * unit,
        };
        Duration::try_from_secs_f64(spread).unwrap_or(self.max).min(self.max)
    }
}

/// Instants inside a sliding window; never more than `max + 1` of them.
#[derive(Debug, Default)]
pub(crate) struct SlidingWindow {
    at: VecDeque<Instant>,
}

impl SlidingWindow {
    /// Records one more and says whether there are now more than `max` within `per`.
    pub(crate) fn exceeds(&mut self, now: Instant, max: u32, per: Duration) -> bool {
        self.prune(now, per);
        self.at.push_back(now);
        let max = max as usize;
        if self.at.len() > max + 1 {
            self.at.pop_front();
        }
        self.at.len() > max
    }

    /// Records one more if there is room, else records it for when there will be and says when that is.
    pub(crate) fn admit(&mut self, now: Instant, budget: Budget) -> Result<(), Instant> {
        self.prune(now, budget.per);
        let max = budget.max as usize;
        if self.at.len() >= max {
            let until = later(self.at.front().copied().unwrap_or(now), budget.per);
            if self.at.len() == max {
                self.at.push_back(until);
            }
            return Err(until);
        }
        self.at.push_back(now);
        Ok(())
    }

    /// How many are within `per` of `now`.
    pub(crate) fn count(&mut self, now: Instant, per: Duration) -> usize {
        self.prune(now, per);
        self.at.len()
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.at.clear();
    }

    fn prune(&mut self, now: Instant, per: Duration) {
        while self.at.front().is_some_and(|at| now.saturating_duration_since(*at) >= per) {
            self.at.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
