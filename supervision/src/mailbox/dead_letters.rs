//! What could not be delivered, in a bounded ring. Only what it was, never what it said.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::sync::{Mutex, MutexGuard, PoisonError};

/// How many are kept.
const KEPT: usize = 1000;

/// Why something was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeadLetterCause {
    /// Nobody would take it.
    Undeliverable,
    /// Its deadline passed in the queue.
    Expired,
    /// It crashed its actor too often.
    Quarantined,
    /// A newer one took its room.
    Dropped,
    /// It was given up after it had been set aside.
    Discarded,
}

/// Something that was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// To whom.
    pub to: String,
    /// The type of the message.
    pub kind: &'static str,
    /// Why not.
    pub cause: DeadLetterCause,
}

#[derive(Default)]
struct Ring {
    letters: VecDeque<DeadLetter>,
    total: u64,
}

/// The last thousand undelivered messages. Cheap to clone.
#[derive(Clone, Default)]
pub struct DeadLetters(Arc<Mutex<Ring>>);

impl DeadLetters {
    /// An empty ring.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one; the oldest makes room.
    pub fn push(&self, letter: DeadLetter) {
        let mut ring = self.lock();
        if ring.letters.len() >= KEPT {
            ring.letters.pop_front();
        }
        ring.letters.push_back(letter);
        ring.total += 1;
    }

    /// Those still kept, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<DeadLetter> {
        self.lock().letters.iter().cloned().collect()
    }

    /// How many there have been.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters").field("total", &self.total()).finish()
    }
}
