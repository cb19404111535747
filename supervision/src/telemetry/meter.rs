//! Counters of one child. Written by its incarnations with relaxed atomics, read by whoever takes a snapshot.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use crate::telemetry::latency::KindMeter;

/// Counters of one child; they go on over its incarnations.
#[derive(Default)]
pub(crate) struct Meter {
    handled: AtomicU64,
    failed: AtomicU64,
    bound: AtomicU64,
    /// The mailbox of the latest incarnation.
    inbox: Mutex<Option<Weak<dyn ReadInbox>>>,
    kind: OnceLock<Arc<KindMeter>>,
}

/// Counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) depth: u64,
    pub(crate) bound: u64,
    pub(crate) handled: u64,
    pub(crate) failed: u64,
    pub(crate) busy_ms: Option<u64>,
    pub(crate) oldest_ms: Option<u64>,
}

/// A mailbox at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InboxReading {
    pub(crate) messages: u64,
    pub(crate) busy_ms: Option<u64>,
    pub(crate) oldest_ms: Option<u64>,
}

/// A mailbox whose message type the reader does not know.
pub(crate) trait ReadInbox: Send + Sync {
    /// All there is to see.
    fn read(&self) -> InboxReading;
    /// How many messages are in it, the one in hand included.
    fn messages(&self) -> u64;
}

impl Meter {
    pub(crate) fn set_bound(&self, bound: usize) {
        self.bound.store(bound as u64, Relaxed);
    }

    /// Where the times of its handlers are collected. Only the first call counts.
    pub(crate) fn set_kind(&self, kind: Arc<KindMeter>) {
        drop(self.kind.set(kind));
    }

    pub(crate) fn kind(&self) -> Option<&KindMeter> {
        self.kind.get().map(Arc::as_ref)
    }

    /// The mailbox to read from now on.
    pub(crate) fn watch(&self, inbox: &Arc<dyn ReadInbox>) {
        *self.inbox.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::downgrade(inbox));
    }

    #[inline]
    pub(crate) fn handled(&self, failed: bool) {
        self.handled.fetch_add(1, Relaxed);
        if failed {
            self.failed.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn depth(&self) -> u64 {
        self.inbox().map_or(0, |inbox| inbox.messages())
    }

    pub(crate) fn read(&self) -> Reading {
        let inbox = self.inbox().map(|inbox| inbox.read()).unwrap_or_default();
        Reading {
            depth: inbox.messages,
            bound: self.bound.load(Relaxed),
            handled: self.handled.load(Relaxed),
            failed: self.failed.load(Relaxed),
            busy_ms: inbox.busy_ms,
            oldest_ms: inbox.oldest_ms,
        }
    }

    fn inbox(&self) -> Option<Arc<dyn ReadInbox>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(Weak::upgrade)
    }
}
