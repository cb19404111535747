//! One incarnation's mailbox as its senders, its receiver and the tree see it: what may enter, what is in it, since when.
//!
//! Clocks cost more than all the counting, so few are read: a sender reads one where the mailbox was empty or for every
//! sixteenth message, the receiver where the deadline of a message asks for it, or for every sixteenth message while
//! handlers are quick. What is shown is therefore "at most".

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};

use ractor::ActorId;
use tokio::time::Instant;

use crate::address::SlotInner;
use crate::mailbox::Mailbox;
use crate::mailbox::admission::Admission;
use crate::telemetry::meter::{InboxReading, Meter, ReadInbox};

/// One in so many messages is looked at with a clock.
pub(crate) const SAMPLE: u64 = 16;

/// See the module.
pub(crate) struct Inbox<M: Send + 'static> {
    pub(crate) admission: Admission,
    pub(crate) meter: Arc<Meter>,
    /// Where messages go that nobody opened.
    pub(crate) home: Weak<SlotInner<M>>,
    /// The incarnation.
    pub(crate) owner: ActorId,
    /// Tick of the message in hand; 0 = idle.
    pub(crate) busy_since: AtomicU64,
    /// Tick of the oldest waiting message, or of one before it.
    oldest: AtomicU64,
}

impl<M: Send + 'static> Inbox<M> {
    pub(crate) fn new(mailbox: Mailbox, meter: Arc<Meter>, home: Weak<SlotInner<M>>, owner: ActorId) -> Arc<Self> {
        let inbox = Arc::new(Self {
            admission: Admission::new(mailbox),
            meter,
            home,
            owner,
            busy_since: AtomicU64::new(0),
            oldest: AtomicU64::new(0),
        });
        let read: Arc<dyn ReadInbox> = Arc::clone(&inbox) as Arc<dyn ReadInbox>;
        inbox.meter.watch(&read);
        inbox
    }

    /// Notes a message that found `before` others, one of which may be in hand. Returns the tick it counts from.
    #[inline]
    pub(crate) fn entered(&self, before: u64, now: Option<Instant>) -> u64 {
        // With one before, that one is in hand or waits; if it waits, it is the oldest.
        let first = before == 0 || (before == 1 && self.busy_since.load(Relaxed) != 0);
        if first || before.is_multiple_of(SAMPLE) {
            let sent = tick(now.unwrap_or_else(Instant::now));
            if first {
                self.oldest.store(sent, Relaxed);
            }
            return sent;
        }
        match now {
            Some(now) => tick(now),
            None => self.oldest.load(Relaxed),
        }
    }

    /// A message sent at `sent` is taken out: what is left is not older.
    #[inline]
    pub(crate) fn opened(&self, sent: u64) {
        if self.oldest.load(Relaxed) < sent {
            self.oldest.store(sent, Relaxed);
        }
    }
}

impl<M: Send + 'static> ReadInbox for Inbox<M> {
    fn read(&self) -> InboxReading {
        let busy_since = self.busy_since.load(Relaxed);
        let messages = self.admission.messages();
        let waiting = messages.saturating_sub(u64::from(busy_since != 0));
        let now = tick(Instant::now());
        InboxReading {
            messages,
            busy_ms: (busy_since != 0).then(|| now.saturating_sub(busy_since)),
            oldest_ms: (waiting != 0).then(|| now.saturating_sub(self.oldest.load(Relaxed))),
        }
    }

    fn messages(&self) -> u64 {
        self.admission.messages()
    }
}

/// Milliseconds on the runtime's clock since the first use, plus one so that zero can mean "none".
#[inline]
pub(crate) fn tick(at: Instant) -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(|| at);
    u64::try_from(at.saturating_duration_since(*start).as_millis()).unwrap_or(u64::MAX - 1) + 1
}
