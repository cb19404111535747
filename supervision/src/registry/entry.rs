//! What a directory keeps of one key.

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::address::{Live, Slot, SlotHooks};
use crate::exit::ExitReason;
use crate::registry::directory::DirectoryInner;

/// One key's place.
pub(super) struct Entry<M: Send + 'static> {
    pub(super) slot: Slot<M>,
    /// Held by whoever starts the actor, so that there is one start at a time.
    pub(super) gate: Semaphore,
    last_used: AtomicU64,
    state: Mutex<State<M>>,
}

struct State<M> {
    /// Messages an incarnation took in but never opened.
    backlog: VecDeque<M>,
    /// Until the backlog is delivered, new messages wait behind it.
    recovering: bool,
    /// Somebody who holds the gate is starting the actor and will see to the backlog.
    starting: bool,
    /// A task sees to the backlog.
    reviving: bool,
    /// Taken out of the directory: look the key up again.
    removed: bool,
    crashes: u32,
    blocked_until: Option<Instant>,
    up_since: Option<Instant>,
}

impl<M: Send + 'static> Entry<M> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            slot: Slot::new(),
            gate: Semaphore::new(1),
            last_used: AtomicU64::new(0),
            state: Mutex::new(State {
                backlog: VecDeque::new(),
                recovering: false,
                starting: false,
                reviving: false,
                removed: false,
                crashes: 0,
                blocked_until: None,
                up_since: None,
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The incarnation a message may be sent to at once.
    pub(super) fn ready(&self) -> Option<Arc<Live<M>>> {
        let live = self.slot.0.live().filter(|live| !live.is_ending())?;
        (!self.lock().recovering).then_some(live)
    }

    pub(super) fn touch(&self, tick: u64) {
        self.last_used.store(tick, Ordering::Relaxed);
    }

    pub(super) fn last_used(&self) -> u64 {
        self.last_used.load(Ordering::Relaxed)
    }

    pub(super) fn is_removed(&self) -> bool {
        self.lock().removed
    }

    pub(super) fn blocked_until(&self, now: Instant) -> Option<Instant> {
        self.lock().blocked_until.filter(|until| *until > now)
    }

    /// Marks the entry as removed if nothing is left in it. The gate must be held.
    pub(super) fn retire(&self, now: Instant) -> bool {
        if self.slot.0.live().is_some() {
            return false;
        }
        let mut state = self.lock();
        let blocked = state.blocked_until.is_some_and(|until| until > now);
        if state.recovering || state.starting || blocked {
            return false;
        }
        state.removed = true;
        true
    }

    /// Marks the entry as being started until dropped.
    pub(super) fn starting(&self) -> Starting<'_, M> {
        self.lock().starting = true;
        Starting(self)
    }

    /// Hands the backlog to a new incarnation, in order, before anybody else's messages. False if it died of it.
    pub(super) fn deliver_backlog(&self, live: &Live<M>) -> bool {
        loop {
            let message = {
                let mut state = self.lock();
                match state.backlog.pop_front() {
                    Some(message) => message,
                    None => {
                        state.recovering = false;
                        return true;
                    }
                }
            };
            if let Err(message) = live.deliver(Some(&self.slot.0), message, None, None) {
                self.lock().backlog.push_front(message);
                return false;
            }
        }
    }

    /// Gives the backlog up.
    pub(super) fn abandon_backlog(&self) -> Vec<M> {
        let mut state = self.lock();
        state.recovering = false;
        state.backlog.drain(..).collect()
    }

    pub(super) fn is_recovering(&self) -> bool {
        self.lock().recovering
    }
}

/// See [`Entry::starting`].
pub(super) struct Starting<'a, M: Send + 'static>(&'a Entry<M>);

impl<M: Send + 'static> Drop for Starting<'_, M> {
    fn drop(&mut self) {
        self.0.lock().starting = false;
    }
}

/// Held by the one task that sees to an entry's backlog.
pub(super) struct Reviving<M: Send + 'static>(pub(super) Arc<Entry<M>>);

impl<M: Send + 'static> Reviving<M> {
    /// `None` if there is such a task already.
    pub(super) fn begin(entry: &Arc<Entry<M>>) -> Option<Self> {
        let mut state = entry.lock();
        if std::mem::replace(&mut state.reviving, true) {
            return None;
        }
        drop(state);
        Some(Self(Arc::clone(entry)))
    }
}

impl<M: Send + 'static> Drop for Reviving<M> {
    fn drop(&mut self) {
        self.0.lock().reviving = false;
    }
}

/// Ties a slot to its entry.
pub(super) struct EntryHooks<K, M: Send + 'static> {
    pub(super) key: K,
    pub(super) entry: Weak<Entry<M>>,
    pub(super) directory: Weak<DirectoryInner<K, M>>,
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static, M: Send + 'static> SlotHooks<M> for EntryHooks<K, M> {
    fn undelivered(&self, message: M) {
        let Some(entry) = self.entry.upgrade() else { return };
        let mut state = entry.lock();
        state.backlog.push_back(message);
        state.recovering = true;
    }

    fn published(&self) {
        if let Some(directory) = self.directory.upgrade() {
            directory.live.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(entry) = self.entry.upgrade() {
            entry.lock().up_since = Some(Instant::now());
        }
    }

    fn exited(&self, reason: &ExitReason) {
        let (Some(entry), Some(directory)) = (self.entry.upgrade(), self.directory.upgrade()) else { return };
        directory.live.fetch_sub(1, Ordering::Relaxed);
        let revive = {
            let mut state = entry.lock();
            let now = Instant::now();
            let ran = state.up_since.take().map(|since| now.saturating_duration_since(since)).unwrap_or_default();
            state.blocked_until = None;
            if reason.is_clean() {
                state.crashes = 0;
            } else if let Some(delay) = directory.options.crash_delay(&mut state.crashes, ran) {
                state.blocked_until = Some(now + delay);
            }
            state.recovering && !state.starting
        };
        if revive {
            directory.revive(self.key.clone());
        }
    }
}
