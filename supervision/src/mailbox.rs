//! Bounded mailboxes: admission before the queue, since the queue below has no bound of its own.

use std::fmt;

pub(crate) mod admission;
mod books;
mod dead_letters;
pub(crate) mod envelope;
mod feeder;
pub(crate) mod inbox;
mod lane;
mod quarantine;
mod stable_queue;

pub use books::{InHand, Recovered};
pub use dead_letters::{DeadLetter, DeadLetterCause, DeadLetters};
pub use feeder::Feeder;
pub use lane::{Depth, ItemId, Lane, LanePolicy};
pub use quarantine::{Quarantined, ReleaseError};
pub use stable_queue::{Full, Pushed, StableQueue, StableQueueOptions};

/// How many messages an actor may have waiting, the one in hand included, and what happens to one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mailbox {
    bound: usize,
    overflow: Overflow,
}

/// What happens when a mailbox is full.
///
/// Dropping the oldest message or merging messages needs a queue that can be reached into, which a mailbox cannot: that
/// is [`StableQueue`], with [`LanePolicy::DropOldest`] and [`StableQueue::push_coalesce`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The sender is told at once.
    Reject,
    /// The sender waits, if it can. Only for senders that the receiver never waits for.
    Wait,
}

impl Mailbox {
    /// Room for `bound` messages; more are refused.
    #[must_use]
    pub const fn reject(bound: usize) -> Self {
        Self { bound, overflow: Overflow::Reject }
    }

    /// Room for `bound` messages; senders wait for it.
    #[must_use]
    pub const fn wait(bound: usize) -> Self {
        Self { bound, overflow: Overflow::Wait }
    }

    /// How many messages there is room for.
    #[must_use]
    pub const fn bound(&self) -> usize {
        self.bound
    }

    /// What happens to one more.
    #[must_use]
    pub const fn overflow(&self) -> Overflow {
        self.overflow
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        Self::reject(64)
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.overflow {
            Overflow::Reject => write!(f, "{} reject", self.bound),
            Overflow::Wait => write!(f, "{} wait", self.bound),
        }
    }
}
