//! Counters of one incarnation's mailbox. Written by the actor with relaxed atomics, read by whoever takes a snapshot.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;

/// Counters of one child; they go on over its incarnations.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Messages sent and not yet dropped, the one in hand included.
    depth: AtomicU64,
    /// Messages sent and not yet taken out.
    waiting: AtomicU64,
    handled: AtomicU64,
    failed: AtomicU64,
    /// Tick the message in hand was taken out at; 0 = idle.
    busy_since: AtomicU64,
    /// Tick of the oldest waiting message; 0 = none. A message taken out leaves its own time as a lower bound.
    oldest: AtomicU64,
    bound: AtomicU64,
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

/// Ends the measuring of a message when dropped, so that a killed handler is not shown as busy for ever.
pub(crate) struct Busy<'a> {
    meter: &'a Meter,
    failed: bool,
}

impl Busy<'_> {
    pub(crate) fn fail(&mut self) {
        self.failed = true;
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.meter.busy_since.store(0, Relaxed);
        self.meter.handled.fetch_add(1, Relaxed);
        if self.failed {
            self.meter.failed.fetch_add(1, Relaxed);
        }
    }
}

impl Meter {
    pub(crate) fn set_bound(&self, bound: usize) {
        self.bound.store(bound as u64, Relaxed);
    }

    pub(crate) fn enqueued(&self, at: Instant) {
        self.depth.fetch_add(1, Relaxed);
        if self.waiting.fetch_add(1, Relaxed) == 0 {
            self.oldest.store(tick(at), Relaxed);
        }
    }

    pub(crate) fn dequeued(&self, sent: Instant) {
        let before = self.waiting.fetch_sub(1, Relaxed);
        self.oldest.store(if before > 1 { tick(sent) } else { 0 }, Relaxed);
    }

    /// A message never taken out is gone.
    pub(crate) fn dropped_unopened(&self) {
        if self.waiting.fetch_sub(1, Relaxed) == 1 {
            self.oldest.store(0, Relaxed);
        }
    }

    pub(crate) fn left(&self) {
        self.depth.fetch_sub(1, Relaxed);
    }

    pub(crate) fn begin(&self) -> Busy<'_> {
        self.busy_since.store(tick(Instant::now()), Relaxed);
        Busy { meter: self, failed: false }
    }

    pub(crate) fn depth(&self) -> u64 {
        self.depth.load(Relaxed)
    }

    pub(crate) fn read(&self) -> Reading {
        let now = tick(Instant::now());
        let since = |at: u64| (at != 0).then(|| now.saturating_sub(at));
        Reading {
            depth: self.depth.load(Relaxed),
            bound: self.bound.load(Relaxed),
            handled: self.handled.load(Relaxed),
            failed: self.failed.load(Relaxed),
            busy_ms: since(self.busy_since.load(Relaxed)),
            oldest_ms: since(self.oldest.load(Relaxed)),
        }
    }
}

/// Milliseconds on the runtime's clock since the first use, plus one so that zero can mean "none".
fn tick(at: Instant) -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(|| at);
    u64::try_from(at.saturating_duration_since(*start).as_millis()).unwrap_or(u64::MAX - 1) + 1
}
