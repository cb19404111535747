//! Items that crashed their actor too often, kept for somebody to look at.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::mailbox::lane::{Item, ItemId};

/// An item that was set aside.
#[derive(Debug)]
pub struct Quarantined<T> {
    /// Its name.
    pub id: ItemId,
    /// The lane it was in.
    pub lane: usize,
    /// The item.
    pub item: Arc<T>,
    /// In how many crashes it was in hand.
    pub crashes: u32,
}

impl<T> Quarantined<T> {
    pub(super) fn of(lane: usize, item: &Item<T>) -> Self {
        Self { id: item.id, lane, item: Arc::clone(&item.item), crashes: item.crashes }
    }
}

/// Why an item could not be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// It is not in quarantine.
    #[error("no such item in quarantine")]
    NotThere,
    /// Its lane is full; it stays in quarantine.
    #[error("the lane is full")]
    Full,
}

/// The bounded list of them, oldest first.
pub(super) struct Quarantine<T> {
    bound: usize,
    kept: VecDeque<(usize, Item<T>)>,
}

impl<T> Quarantine<T> {
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, kept: VecDeque::new() }
    }

    /// Adds one; gives back whatever there is no room for any more.
    pub(super) fn push(&mut self, lane: usize, item: Item<T>) -> Option<Item<T>> {
        self.kept.push_back((lane, item));
        if self.kept.len() > self.bound { self.kept.pop_front().map(|(_, item)| item) } else { None }
    }

    pub(super) fn list(&self) -> Vec<Quarantined<T>> {
        self.kept.iter().map(|(lane, item)| Quarantined::of(*lane, item)).collect()
    }

    pub(super) fn find(&self, id: ItemId) -> Option<&(usize, Item<T>)> {
        self.kept.iter().find(|(_, item)| item.id == id)
    }

    pub(super) fn take(&mut self, id: ItemId) -> Option<(usize, Item<T>)> {
        let at = self.kept.iter().position(|(_, item)| item.id == id)?;
        self.kept.remove(at)
    }
}
