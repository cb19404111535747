//! What a run does after a failed model call: plain data in, the next step out.
//!
//! Knows neither clocks nor credentials; the caller says whether another credential is free and brings the randomness.
//! Invariants: an abort by a person is never answered with another call; the number of calls of a run is bounded.

use std::time::Duration;

use super::catalog::ModelRef;
use super::contract::{ErrorClass, ModelError};

/// Calls of one model after a rate limit, when there is nowhere else to go.
const RATE_LIMIT_RETRIES: u32 = 10;
/// Calls of one model after other passing trouble.
const TRANSIENT_RETRIES: u32 = 8;
/// All passing trouble of one model together may take this long.
const TRANSIENT_BUDGET: Duration = Duration::from_secs(90);
/// First wait between two calls, doubling.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait between two calls.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A provider that asks for more than this is left for a fallback, if there is one.
const LONGEST_ASKED: Duration = Duration::from_secs(60);
/// Failed calls of one run, whatever happens: so many, and so many more for each credential, up to a limit.
const CALLS: (u32, u32, u32) = (24, 8, 160);

/// How a call came to nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// A person stopped the run.
    Aborted,
    /// The call failed.
    Failed(ModelError),
    /// No credential of the provider may be used for this long.
    CoolingDown(Duration),
    /// The provider has no usable credential at all.
    NoCredential,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Call the same model again after a wait.
    Retry {
        /// How long.
        after: Duration,
    },
    /// Report the failure on the credential and take another one of the same provider.
    NextProfile,
    /// Go on with this model.
    Model(ModelRef),
    /// Shorten the conversation, then call the same model.
    Compact,
    /// Send the conversation anew without what the provider forgot.
    Rebuild,
    /// Nothing left to try: tell the user.
    GiveUp,
    /// Say nothing more: the run was aborted.
    Stop,
}

/// The models to try, in order: the first choice, then the fallbacks, each once.
#[must_use]
pub fn candidates(primary: ModelRef, fallbacks: impl IntoIterator<Item = ModelRef>) -> Vec<ModelRef> {
    let mut out = vec![primary];
    for model in fallbacks {
        if !out.iter().any(|known| known.same_model(&model)) {
            out.push(model);
        }
    }
    out
}

/// The state of one run's way through its candidates.
#[derive(Debug, Clone)]
pub struct Failover {
    candidates: Vec<ModelRef>,
    current: usize,
    calls: u32,
    most_calls: u32,
    rotations: u32,
    retries: u32,
    waited: Duration,
    rebuilt: bool,
    barred: Vec<String>,
}

impl Failover {
    /// Starts with the first of `candidates`; `None` when there is none.
    #[must_use]
    pub fn new(candidates: Vec<ModelRef>) -> Option<Self> {
        (!candidates.is_empty()).then_some(Self {
            candidates,
            current: 0,
            calls: 0,
            most_calls: CALLS.2,
            rotations: 0,
            retries: 0,
            waited: Duration::ZERO,
            rebuilt: false,
            barred: Vec::new(),
        })
    }

    /// Bounds the failed calls of the run by the number of credentials its provider has.
    pub fn bound_by(&mut self, credentials: usize) {
        let credentials = u32::try_from(credentials.max(1)).unwrap_or(u32::MAX);
        self.most_calls = credentials.saturating_mul(CALLS.1).saturating_add(CALLS.0).min(CALLS.2);
    }

    /// The model to call now.
    #[must_use]
    pub fn model(&self) -> &ModelRef {
        &self.candidates[self.current]
    }

    /// A call succeeded: its successors in the same run start with fresh budgets on the same model.
    pub fn succeeded(&mut self) {
        self.rotations = 0;
        self.retries = 0;
        self.waited = Duration::ZERO;
        self.rebuilt = false;
    }

    /// The call that failed took this long. What follows the first failure of a model counts against its budget, so that a
    /// server that hangs is not waited for many times over.
    pub fn took(&mut self, time: Duration) {
        if self.retries > 0 {
            self.waited += time;
        }
    }

    /// Decides after a failure. `other_profile`: another credential of the provider is free. `random` is in 0..1.
    pub fn after(&mut self, failure: &Failure, other_profile: bool, random: f64) -> Next {
        self.calls += 1;
        if matches!(failure, Failure::Aborted) {
            return Next::Stop;
        }
        if self.calls >= self.most_calls {
            return Next::GiveUp;
        }
        match failure {
            Failure::Aborted => Next::Stop,
            Failure::NoCredential => self.next_model(),
            Failure::CoolingDown(wait) => self.cooling(*wait),
            Failure::Failed(error) => self.failed(error, other_profile, random),
        }
    }

    fn failed(&mut self, error: &ModelError, other_profile: bool, random: f64) -> Next {
        match error.class {
            ErrorClass::RateLimit | ErrorClass::Overloaded => {
                if other_profile && self.rotations == 0 {
                    self.rotations += 1;
                    return Next::NextProfile;
                }
                if self.has_next() {
                    return self.next_model();
                }
                let limit = if error.class == ErrorClass::RateLimit { RATE_LIMIT_RETRIES } else { TRANSIENT_RETRIES };
                self.retry(limit, None, error.retry_after, random).unwrap_or(Next::GiveUp)
            }
            ErrorClass::Timeout | ErrorClass::ServerError => {
                let retry = self.retry(TRANSIENT_RETRIES, Some(TRANSIENT_BUDGET), error.retry_after, random);
                retry.unwrap_or_else(|| self.next_model())
            }
            ErrorClass::Billing | ErrorClass::Auth if other_profile => Next::NextProfile,
            ErrorClass::Billing | ErrorClass::Auth => self.next_model(),
            ErrorClass::AuthPermanent if other_profile => Next::NextProfile,
            ErrorClass::AuthPermanent => {
                self.barred.push(self.model().provider.clone());
                self.next_model()
            }
            ErrorClass::ModelNotFound
            | ErrorClass::EmptyResponse
            | ErrorClass::NoErrorDetails
            | ErrorClass::Unclassified
            | ErrorClass::Unknown => self.next_model(),
            ErrorClass::ContextOverflow => Next::Compact,
            ErrorClass::SessionExpired if !self.rebuilt => {
                self.rebuilt = true;
                Next::Rebuild
            }
            ErrorClass::SessionExpired | ErrorClass::TlsCertificate | ErrorClass::Format => Next::GiveUp,
        }
    }

    fn cooling(&mut self, wait: Duration) -> Next {
        if self.has_next() {
            return self.next_model();
        }
        if self.retries >= RATE_LIMIT_RETRIES || wait > LONGEST_ASKED {
            return Next::GiveUp;
        }
        self.retries += 1;
        Next::Retry { after: wait }
    }

    fn retry(&mut self, limit: u32, budget: Option<Duration>, asked: Option<Duration>, random: f64) -> Option<Next> {
        if self.retries >= limit || asked.is_some_and(|asked| asked > LONGEST_ASKED) {
            return None;
        }
        let doubled = FIRST_WAIT.saturating_mul(1 << self.retries.min(16)).min(LONGEST_WAIT);
        // Half fixed, half random: calls that failed together don't come back together, and none comes back at once.
        let jittered = doubled.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0));
        let wait = jittered.max(asked.unwrap_or_default());
        if budget.is_some_and(|budget| self.waited + wait > budget) {
            return None;
        }
        self.retries += 1;
        self.waited += wait;
        Some(Next::Retry { after: wait })
    }

    fn next_index(&self) -> Option<usize> {
        (self.current + 1..self.candidates.len()).find(|&index| !self.barred.contains(&self.candidates[index].provider))
    }

    fn has_next(&self) -> bool {
        self.next_index().is_some()
    }

    fn next_model(&mut self) -> Next {
        let Some(index) = self.next_index() else { return Next::GiveUp };
        self.current = index;
        self.succeeded();
        Next::Model(self.candidates[index].clone())
    }
}

#[cfg(test)]
mod tests;
