//! What an actor shows of itself. Written by the actor, bounded, read when the tree is looked at.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::text::cut;
use crate::tree::{BusyView, Detail};

/// Longest value shown.
const MAX_VALUE: usize = 256;
/// Most facts shown.
const MAX_FACTS: usize = 32;

/// The changeable part of a node.
#[derive(Debug, Default)]
pub(crate) struct Soft {
    /// Set while the store knows that there is something to look at.
    noted: AtomicBool,
    busy_flag: AtomicBool,
    data: Mutex<Data>,
}

#[derive(Debug, Default)]
struct Data {
    detail: Detail,
    busy: Option<Arc<BusyView>>,
}

impl Soft {
    /// True if the store has to be told.
    pub(crate) fn set_detail(&self, key: &'static str, mut value: String) -> bool {
        cut(&mut value, MAX_VALUE);
        let mut data = self.lock();
        if data.detail.get(key) == Some(&value) || (data.detail.len() >= MAX_FACTS && !data.detail.contains_key(key)) {
            return false;
        }
        data.detail.set(key, value);
        self.note()
    }

    /// True if the store has to be told.
    pub(crate) fn clear_detail(&self, key: &'static str) -> bool {
        self.lock().detail.unset(key) && self.note()
    }

    /// True if the store has to be told.
    pub(crate) fn set_busy(&self, what: Option<String>, now: i64) -> bool {
        let mut data = self.lock();
        if what.is_none() && data.busy.is_none() {
            return false;
        }
        self.busy_flag.store(what.is_some(), Ordering::Relaxed);
        data.busy = what.map(|mut what| {
            cut(&mut what, MAX_VALUE);
            Arc::new(BusyView { what, since: now })
        });
        self.note()
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.busy_flag.load(Ordering::Relaxed)
    }

    /// Reads it and expects to be told of the next change.
    pub(crate) fn read(&self) -> (Detail, Option<Arc<BusyView>>) {
        self.noted.store(false, Ordering::SeqCst);
        let data = self.lock();
        (data.detail.clone(), data.busy.clone())
    }

    /// Reads it without marking it as seen.
    pub(crate) fn peek(&self) -> (Detail, Option<Arc<BusyView>>) {
        let data = self.lock();
        (data.detail.clone(), data.busy.clone())
    }

    fn note(&self) -> bool {
        !self.noted.swap(true, Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
