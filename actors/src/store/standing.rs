//! What everybody may know of the store without asking its actor.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::error::StoreError;
use super::opening::Past;

/// Shared by the actor, its next incarnations and all handles.
#[derive(Debug, Default)]
pub(super) struct Standing {
    epoch: AtomicU64,
    trouble: Mutex<Option<StoreError>>,
    past: Mutex<Past>,
}

impl Standing {
    /// How often the store was opened; 0 before the first time.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The store is open.
    pub(super) fn opened(&self, epoch: u64) {
        *self.past.lock().unwrap_or_else(PoisonError::into_inner) = Past { was_open: true, distrust: false };
        self.set_trouble(None);
        self.epoch.store(epoch, Ordering::Release);
    }

    /// What the next opening has to know.
    pub(super) fn past(&self) -> Past {
        *self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A write or a sync failed.
    pub(super) fn distrust(&self) {
        self.past.lock().unwrap_or_else(PoisonError::into_inner).distrust = true;
    }

    /// Why nothing can be stored.
    pub(super) fn trouble(&self) -> Option<StoreError> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_trouble(&self, trouble: Option<StoreError>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}
