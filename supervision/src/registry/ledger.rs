//! What is decided about a key under its lock: what waits for its next incarnation, what is remembered of its crashes,
//! and whether it may be forgotten.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::sync::{Mutex, MutexGuard, PoisonError};

/// One key's books.
pub(super) struct Ledger<M>(Mutex<State<M>>);

struct State<M> {
    /// Messages the last incarnation took in but never opened.
    backlog: VecDeque<M>,
    /// Behind those: what was left before and has not been handed to it.
    undealt: VecDeque<M>,
    /// Until the backlog is delivered, new messages wait behind it.
    recovering: bool,
    /// The last incarnation that left one; later ones have greater numbers.
    left_by: Option<u64>,
    /// A task sees to the backlog.
    reviving: bool,
    /// Its supervisor will start it again by itself, in the same slot.
    owed: bool,
    /// Taken out of the directory: look the key up again.
    removed: bool,
    crashes: u32,
    blocked_until: Option<Instant>,
    /// The last crash is of no interest any more from then on.
    remember_until: Option<Instant>,
    up_since: Option<Instant>,
}

/// How an incarnation ended, as far as its key is concerned.
pub(super) struct Ending {
    /// No crash.
    pub(super) clean: bool,
    /// Its supervisor will start it again.
    pub(super) owed: bool,
    /// How long a crash is remembered.
    pub(super) memory: Duration,
}

impl<M> Ledger<M> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            backlog: VecDeque::new(),
            undealt: VecDeque::new(),
            recovering: false,
            left_by: None,
            reviving: false,
            owed: false,
            removed: false,
            crashes: 0,
            blocked_until: None,
            remember_until: None,
            up_since: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_recovering(&self) -> bool {
        self.lock().recovering
    }

    pub(super) fn is_removed(&self) -> bool {
        self.lock().removed
    }

    pub(super) fn blocked_until(&self, now: Instant) -> Option<Instant> {
        self.lock().blocked_until.filter(|until| *until > now)
    }

    /// Keeps a message that incarnation `from` did not open for the next one. It comes back if the key was forgotten
    /// meanwhile.
    pub(super) fn keep(&self, message: M, from: u64) -> Result<(), M> {
        let mut state = self.lock();
        if state.removed {
            return Err(message);
        }
        state.backlog.push_back(message);
        state.recovering = true;
        state.left_by = state.left_by.max(Some(from));
        Ok(())
    }

    /// True if that incarnation has left messages unopened: it is over, whatever it says.
    pub(super) fn was_left_by(&self, incarnation: u64) -> bool {
        self.lock().left_by == Some(incarnation)
    }

    /// An incarnation is there.
    pub(super) fn published(&self, now: Instant) {
        let mut state = self.lock();
        state.up_since = Some(now);
        state.owed = false;
    }

    /// The incarnation is over; `delay` says how long the key is refused after one more crash.
    pub(super) fn exited(
        &self,
        now: Instant,
        ending: &Ending,
        delay: impl FnOnce(&mut u32, Duration) -> Option<Duration>,
    ) {
        let mut state = self.lock();
        let ran = state.up_since.take().map(|since| now.saturating_duration_since(since)).unwrap_or_default();
        state.blocked_until = None;
        state.owed = ending.owed;
        if ending.clean {
            state.crashes = 0;
            state.remember_until = None;
        } else {
            state.blocked_until = delay(&mut state.crashes, ran).map(|delay| crate::clock::later(now, delay));
            state.remember_until = (state.crashes > 0).then(|| crate::clock::later(now, ending.memory));
        }
    }

    /// Marks the key as forgotten if nothing is known of it. The gate must be held and no incarnation be there.
    pub(super) fn retire(&self, now: Instant) -> bool {
        let mut state = self.lock();
        let remembered = state.blocked_until.max(state.remember_until).is_some_and(|until| until > now);
        if state.recovering || state.owed || remembered {
            return false;
        }
        state.removed = true;
        true
    }

    /// Hands the backlog to incarnation `to`, in order, before anybody else's messages. False if it died of it.
    pub(super) fn deliver_backlog(&self, to: u64, mut deliver: impl FnMut(M) -> Result<(), M>) -> bool {
        loop {
            let message = {
                let mut state = self.lock();
                // What it gives back while it is dying is older than what it has not been given.
                if state.left_by == Some(to) {
                    return false;
                }
                while let Some(message) = state.backlog.pop_back() {
                    state.undealt.push_front(message);
                }
                match state.undealt.pop_front() {
                    Some(message) => message,
                    None => {
                        state.recovering = false;
                        return true;
                    }
                }
            };
            if let Err(message) = deliver(message) {
                self.lock().undealt.push_front(message);
                return false;
            }
        }
    }

    /// Gives the backlog up.
    pub(super) fn abandon_backlog(&self) -> Vec<M> {
        let mut state = self.lock();
        state.recovering = false;
        let backlog = std::mem::take(&mut state.backlog);
        backlog.into_iter().chain(std::mem::take(&mut state.undealt)).collect()
    }

    /// For the one task that sees to the backlog. False if there is such a task already.
    pub(super) fn begin_reviving(&self) -> bool {
        !std::mem::replace(&mut self.lock().reviving, true)
    }

    pub(super) fn end_reviving(&self) {
        self.lock().reviving = false;
    }
}
