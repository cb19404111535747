//! All timers of a supervisor behind one sleeping task.

use std::collections::BTreeSet;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::machine::Token;
use crate::scope::spawn;
use crate::shell::ids::ById;

/// Armed timers, earliest first.
#[derive(Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Instant, Token)>,
    at: ById<Instant>,
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

    /// Makes sure that `wake` runs when the earliest timer is due. A sleeper that wakes before that stays: it costs
    /// one look, while a task for each of many short-lived timers would cost more than they do.
    pub(crate) fn settle(&mut self, wake: impl FnOnce() + Send + 'static) {
        let Some(next) = self.due.first().map(|(at, _)| *at) else { return };
        // One whose time has come has woken us already, or is about to, and will not do so again.
        let now = Instant::now();
        let armed = self.sleeper.as_ref().filter(|(at, task)| *at > now && !task.is_finished()).map(|(at, _)| *at);
        if armed.is_some_and(|at| at <= next) {
            return;
        }
        if let Some((_, task)) = self.sleeper.take() {
            task.abort();
        }
        let task = spawn(async move {
            tokio::time::sleep_until(next).await;
            wake();
        });
        self.sleeper = Some((next, task));
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        if let Some((_, task)) = self.sleeper.take() {
            task.abort();
        }
    }
}
