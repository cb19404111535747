//! Who may enter a mailbox. A permit rides in the envelope, so it cannot leak: whatever drops the message frees it.

use tokio::sync::{Semaphore, TryAcquireError};

use crate::mailbox::{Mailbox, Overflow};
use crate::sync::{AtomicU64, Ordering};

/// One message, as the word counts it.
const MESSAGE: u64 = 1;
/// One permit, as the word counts it. Permits stand above the messages and below the closing mark.
const PERMIT: u64 = 1 << 32;
const MESSAGES: u64 = PERMIT - 1;
const PERMITS: u64 = CLOSED - PERMIT;
const CLOSED: u64 = 1 << 63;

/// The bound of one incarnation's mailbox, and how much is in it. Messages may pass by the bound; they count as messages
/// but hold no permit.
#[derive(Debug)]
pub(crate) struct Admission {
    /// Messages, permits and the closing mark in one word, so that a message costs one atomic operation each way.
    word: AtomicU64,
    bound: u64,
    /// Where senders wait for room, if they do.
    room: Option<Box<Semaphore>>,
}

/// Why there is no permit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No room.
    Full,
    /// The incarnation is over.
    Closed,
}

/// The right to queue one message. Given back when dropped, unless it [rides](Permit::ride) with the message.
#[derive(Debug)]
#[must_use = "a dropped permit is given back"]
pub(crate) struct Permit<'a> {
    admission: &'a Admission,
    before: u64,
}

impl Permit<'_> {
    /// Goes with the message from now on; whoever holds that calls [`Admission::leave`] when it is dropped. Returns how
    /// many messages were there before.
    pub(crate) fn ride(self) -> u64 {
        let before = self.before;
        std::mem::forget(self);
        before
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.admission.leave(true);
    }
}

impl Admission {
    pub(crate) fn new(mailbox: Mailbox) -> Self {
        let bound = (mailbox.bound() as u64).min(PERMITS / PERMIT);
        let room = match mailbox.overflow() {
            Overflow::Reject => None,
            Overflow::Wait => Some(Box::new(Semaphore::new(mailbox.bound().min(Semaphore::MAX_PERMITS)))),
        };
        Self { word: AtomicU64::new(0), bound, room }
    }

    /// Enters if there is room.
    #[inline]
    pub(crate) fn try_enter(&self) -> Result<Permit<'_>, Refused> {
        let Some(room) = &self.room else { return self.count_in() };
        match room.try_acquire() {
            Ok(permit) => {
                permit.forget();
                Ok(self.waited_in())
            }
            Err(TryAcquireError::NoPermits) => Err(Refused::Full),
            Err(TryAcquireError::Closed) => Err(Refused::Closed),
        }
    }

    /// Waits for room, if the mailbox is one to wait for.
    pub(crate) async fn enter(&self) -> Result<Permit<'_>, Refused> {
        let Some(room) = &self.room else { return self.count_in() };
        room.acquire().await.map_err(|_| Refused::Closed)?.forget();
        Ok(self.waited_in())
    }

    /// Counts a message that passes by the bound. Returns how many messages were there before.
    #[inline]
    pub(crate) fn pass_by(&self) -> u64 {
        self.word.fetch_add(MESSAGE, Ordering::AcqRel) & MESSAGES
    }

    /// A message is gone, and its permit with it if it had one.
    #[inline]
    pub(crate) fn leave(&self, permit: bool) {
        self.word.fetch_sub(if permit { MESSAGE + PERMIT } else { MESSAGE }, Ordering::AcqRel);
        if let Some(room) = self.room.as_ref().filter(|_| permit) {
            room.add_permits(1);
        }
    }

    /// Wakes everybody who waits; nobody enters any more.
    pub(crate) fn close(&self) {
        self.word.fetch_or(CLOSED, Ordering::AcqRel);
        if let Some(room) = &self.room {
            room.close();
        }
    }

    /// How many messages are in the mailbox, the one in hand included.
    #[inline]
    pub(crate) fn messages(&self) -> u64 {
        self.word.load(Ordering::Acquire) & MESSAGES
    }

    /// Takes one of the permits, never more than there are.
    #[inline]
    fn count_in(&self) -> Result<Permit<'_>, Refused> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if word & CLOSED != 0 {
                return Err(Refused::Closed);
            }
            if (word & PERMITS) / PERMIT >= self.bound {
                return Err(Refused::Full);
            }
            let more = word + MESSAGE + PERMIT;
            match self.word.compare_exchange_weak(word, more, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(before) => return Ok(Permit { admission: self, before: before & MESSAGES }),
                Err(now) => word = now,
            }
        }
    }

    /// The semaphore has let this one in.
    fn waited_in(&self) -> Permit<'_> {
        let before = self.word.fetch_add(MESSAGE + PERMIT, Ordering::AcqRel);
        Permit { admission: self, before: before & MESSAGES }
    }
}
