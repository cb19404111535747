//! Who may enter a mailbox. A permit rides in the envelope, so it cannot leak: whatever drops the message frees it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::mailbox::{Mailbox, Overflow};

/// The bound of one incarnation's mailbox.
#[derive(Debug)]
pub(crate) struct Admission {
    mailbox: Mailbox,
    room: Arc<Semaphore>,
}

/// Why there is no permit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No room.
    Full,
    /// The incarnation is over.
    Closed,
}

impl Admission {
    pub(crate) fn new(mailbox: Mailbox) -> Self {
        Self { mailbox, room: Arc::new(Semaphore::new(mailbox.bound().min(Semaphore::MAX_PERMITS))) }
    }

    pub(crate) fn try_enter(&self) -> Result<OwnedSemaphorePermit, Refused> {
        Arc::clone(&self.room).try_acquire_owned().map_err(|error| match error {
            TryAcquireError::NoPermits => Refused::Full,
            TryAcquireError::Closed => Refused::Closed,
        })
    }

    /// Waits for room, if the mailbox is one to wait for.
    pub(crate) async fn enter(&self) -> Result<OwnedSemaphorePermit, Refused> {
        match self.mailbox.overflow() {
            Overflow::Reject => self.try_enter(),
            Overflow::Wait => Arc::clone(&self.room).acquire_owned().await.map_err(|_| Refused::Closed),
        }
    }

    /// Wakes everybody who waits; nobody enters any more.
    pub(crate) fn close(&self) {
        self.room.close();
    }
}
