//! Whether the gateway takes work: starting, ready, draining, and what fails meanwhile.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Where the gateway is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not everything is up: clients are told to come back soon.
    Starting,
    /// Work is taken.
    Ready,
    /// No new clients; those that are here finish.
    Draining,
}

/// The shared view of it. Cheap to clone; whoever starts and stops the gateway writes it, probes read it.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    started: Instant,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    failing: BTreeSet<String>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Readiness {
    /// Starting, and nothing fails.
    #[must_use]
    pub fn new() -> Self {
        let state = Mutex::new(State { phase: Phase::Starting, failing: BTreeSet::new() });
        Self(Arc::new(Inner { state, started: Instant::now() }))
    }

    /// Enters a phase. Draining is never left.
    pub fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        if state.phase != Phase::Draining {
            state.phase = phase;
        }
    }

    /// Where the gateway is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// Names something that does not work: the gateway is not ready meanwhile.
    pub fn fail(&self, what: impl Into<String>) {
        self.lock().failing.insert(what.into());
    }

    /// It works again.
    pub fn mend(&self, what: &str) {
        self.lock().failing.remove(what);
    }

    /// What keeps the gateway from being ready; empty when it is.
    #[must_use]
    pub fn failing(&self) -> Vec<String> {
        let state = self.lock();
        let phase = match state.phase {
            Phase::Starting => Some("starting"),
            Phase::Ready => None,
            Phase::Draining => Some("draining"),
        };
        phase.map(str::to_owned).into_iter().chain(state.failing.iter().cloned()).collect()
    }

    /// How long the gateway has been up.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// [`Readiness::uptime`] in milliseconds.
    #[must_use]
    pub fn uptime_ms(&self) -> u64 {
        u64::try_from(self.uptime().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_named_until_it_is_mended_and_draining_is_final() {
        let readiness = Readiness::new();
        assert_eq!(readiness.failing(), ["starting"]);
        readiness.enter(Phase::Ready);
        readiness.fail("store");
        assert_eq!(readiness.failing(), ["store"]);
        readiness.mend("store");
        assert!(readiness.failing().is_empty());
        readiness.enter(Phase::Draining);
        readiness.enter(Phase::Ready);
        assert_eq!(readiness.failing(), ["draining"]);
    }
}
