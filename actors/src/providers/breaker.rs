//! Whether a provider is asked at all: plain state over absolute times.
//!
//! After a row of failures to reach the provider, calls are refused at once for a while, so that a run moves on to a
//! fallback instead of waiting for the same silence again. Any answer, even a refusal, shows that it is reachable.
//! When the pause is over, one call at a time tries it.

use std::time::Duration;

use super::contract::ErrorClass;
use crate::clock::EpochMs;

/// Failures in a row before calls are refused. More than the retries of one call would leave a dead provider tried.
const THRESHOLD: u32 = 5;
/// First pause.
const PAUSE: Duration = Duration::from_secs(5);
/// Longest pause, reached by doubling.
const MAX_PAUSE: Duration = Duration::from_secs(120);
/// A trial call that never reports (its run was killed) makes room for the next after this.
const TRIAL: Duration = Duration::from_secs(30);

/// The state of one provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Breaker {
    failures: u32,
    pauses: u32,
    gate: Gate,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Gate {
    #[default]
    Closed,
    Open {
        until: EpochMs,
    },
    /// One call tries; if nothing is heard of it until then, another may.
    Trying {
        until: EpochMs,
    },
}

/// What the breaker says to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// Go.
    Yes,
    /// Go, as the one that tries.
    Trial,
    /// Not before this.
    No {
        /// When to come back.
        until: EpochMs,
    },
}

fn after(now: EpochMs, wait: Duration) -> EpochMs {
    now.saturating_add(EpochMs::try_from(wait.as_millis()).unwrap_or(EpochMs::MAX))
}

impl Breaker {
    /// Decides about one call.
    pub fn admit(&mut self, now: EpochMs) -> Admit {
        match self.gate {
            Gate::Closed => Admit::Yes,
            Gate::Open { until } | Gate::Trying { until } if until > now => Admit::No { until },
            Gate::Open { .. } | Gate::Trying { .. } => {
                self.gate = Gate::Trying { until: after(now, TRIAL) };
                Admit::Trial
            }
        }
    }

    /// A call ended; `failure` says how it failed, if it did.
    pub fn report(&mut self, failure: Option<ErrorClass>, now: EpochMs) {
        if !failure.is_some_and(unreachable) {
            *self = Self::default();
            return;
        }
        self.failures = self.failures.saturating_add(1);
        match self.gate {
            Gate::Closed if self.failures < THRESHOLD => {}
            // Calls that were under way when the pause began end in it; they don't lengthen it.
            Gate::Open { .. } => {}
            Gate::Closed | Gate::Trying { .. } => {
                let pause = PAUSE.saturating_mul(1 << self.pauses.min(8)).min(MAX_PAUSE);
                self.pauses = self.pauses.saturating_add(1);
                self.gate = Gate::Open { until: after(now, pause) };
            }
        }
    }

    /// In words for the tree.
    #[must_use]
    pub fn describe(&self) -> String {
        match self.gate {
            Gate::Open { until } => format!("open until {}", crate::clock::rfc3339(until)),
            Gate::Trying { .. } => "half-open".to_owned(),
            Gate::Closed if self.failures > 0 => format!("closed, {} failures in a row", self.failures),
            Gate::Closed => "closed".to_owned(),
        }
    }
}

fn unreachable(class: ErrorClass) -> bool {
    match class {
        ErrorClass::Timeout | ErrorClass::ServerError | ErrorClass::Overloaded => true,
        ErrorClass::RateLimit
        | ErrorClass::Billing
        | ErrorClass::Auth
        | ErrorClass::AuthPermanent
        | ErrorClass::TlsCertificate
        | ErrorClass::Format
        | ErrorClass::ContextOverflow
        | ErrorClass::ModelNotFound
        | ErrorClass::SessionExpired
        | ErrorClass::EmptyResponse
        | ErrorClass::NoErrorDetails
        | ErrorClass::Unclassified
        | ErrorClass::Unknown => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: EpochMs = 1_700_000_000_000;

    fn broken(class: ErrorClass, times: u32) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..times {
            breaker.report(Some(class), T0);
        }
        breaker
    }

    #[test]
    fn opens_after_a_row_of_failures_and_lets_one_call_try() {
        assert_eq!(broken(ErrorClass::Timeout, 4).admit(T0), Admit::Yes);
        let mut breaker = broken(ErrorClass::Timeout, 5);
        let until = T0 + 5_000;
        assert_eq!(breaker.admit(T0), Admit::No { until });
        assert_eq!(breaker.admit(until), Admit::Trial);
        assert_eq!(breaker.admit(until), Admit::No { until: until + 30_000 });
        assert_eq!(breaker.admit(until + 30_000), Admit::Trial);
    }

    #[test]
    fn failed_trials_double_the_pause_up_to_its_limit() {
        let mut breaker = broken(ErrorClass::ServerError, 5);
        let mut now = T0;
        let mut pauses = Vec::new();
        for _ in 0..7 {
            let Admit::No { until } = breaker.admit(now) else { panic!("open") };
            pauses.push((until - now) / 1000);
            now = until;
            assert_eq!(breaker.admit(now), Admit::Trial);
            breaker.report(Some(ErrorClass::Timeout), now);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 120, 120]);
    }

    #[test]
    fn calls_under_way_do_not_lengthen_a_pause() {
        let mut breaker = broken(ErrorClass::Timeout, 5);
        for _ in 0..20 {
            breaker.report(Some(ErrorClass::Timeout), T0 + 4_000);
        }
        assert_eq!(breaker.admit(T0 + 4_500), Admit::No { until: T0 + 5_000 });
    }

    #[test]
    fn any_answer_closes_it() {
        for answer in [None, Some(ErrorClass::Auth), Some(ErrorClass::RateLimit), Some(ErrorClass::Format)] {
            let mut breaker = broken(ErrorClass::Overloaded, 5);
            breaker.report(answer, T0);
            assert_eq!(breaker.admit(T0), Admit::Yes, "{answer:?}");
        }
    }
}
