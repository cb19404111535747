//! All timers of a supervisor behind one sleeping task.

use std::collections::{BTreeSet, HashMap};

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::machine::Token;
use crate::scope::spawn;

/// Armed timers, earliest first.
#[derive(Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Instant, Token)>,
    at: HashMap<Token, Instant>,
    sleeper: Option<(Instant, JoinHandle<()>)>,
}

impl Timers {
    pub(crate) fn arm(&mut self, token: Token, at: Instant) {
        self.disarm(token);
        self.due.insert((at, token));
        self.at.insert(token, at);
    }

    pub(crate) fn disarm(&mut self, token: Token) {
        if let Some(at) = self.at.remove(&token) {
            self.due.remove(&(at, token));
        }
    }

    /// Takes one timer that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Token> {
        let (at, token) = self.due.first().copied().filter(|(at, _)| *at <= now)?;
        self.due.remove(&(at, token));
        self.at.remove(&token);
        Some(token)
    }

    /// Makes sure that `wake` runs when the earliest timer is due.
    pub(crate) fn settle(&mut self, wake: impl FnOnce() + Send + 'static) {
        let next = self.due.first().map(|(at, _)| *at);
        let armed = self.sleeper.as_ref().filter(|(_, task)| !task.is_finished()).map(|(at, _)| *at);
        if next == armed {
            return;
        }
        if let Some((_, task)) = self.sleeper.take() {
            task.abort();
        }
        if let Some(at) = next {
            let task = spawn(async move {
                tokio::time::sleep_until(at).await;
                wake();
            });
            self.sleeper = Some((at, task));
        }
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        if let Some((_, task)) = self.sleeper.take() {
            task.abort();
        }
    }
}
