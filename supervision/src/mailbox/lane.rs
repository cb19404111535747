//! One lane of a stable queue: its bound, its share, and its items in the order they came.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// Names an item of one queue; never used twice, and later items have greater ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemId(pub(super) u64);

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What happens to one more item when a lane is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LanePolicy {
    /// It is refused.
    #[default]
    Reject,
    /// The oldest waiting item makes room. Refused only if all of the lane's items are in hand.
    DropOldest,
}

/// One lane: lanes are listed from the most to the least urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// At most this many items are in it, those in hand included; at least 1.
    pub bound: usize,
    /// How many items it may give in a row while others wait; at least 1. So no lane starves.
    pub weight: u32,
    /// What happens to one more.
    pub policy: LanePolicy,
}

impl Lane {
    /// Room for `bound` items; one more is refused.
    #[must_use]
    pub const fn reject(bound: usize) -> Self {
        Self { bound, weight: 1, policy: LanePolicy::Reject }
    }

    /// Room for `bound` items; one more displaces the oldest.
    #[must_use]
    pub const fn drop_oldest(bound: usize) -> Self {
        Self { bound, weight: 1, policy: LanePolicy::DropOldest }
    }

    /// Lets it give this many items in a row while others wait.
    #[must_use]
    pub const fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }
}

/// How full a lane, or a whole queue, is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// How many items wait.
    pub waiting: usize,
    /// How many items are in hand.
    pub in_hand: usize,
    /// How long the oldest waiting item has been in the queue.
    pub oldest: Option<Duration>,
}

/// An item and its history.
pub(super) struct Item<T> {
    pub(super) id: ItemId,
    pub(super) key: Option<Arc<str>>,
    pub(super) item: Arc<T>,
    /// In how many crashes it was in hand.
    pub(super) crashes: u32,
    /// In how many of them it was in hand alone, since it was last released.
    pub(super) strikes: u32,
    pub(super) since: Instant,
}

/// What a lane holds.
pub(super) struct LaneState<T> {
    pub(super) rules: Lane,
    pub(super) credit: u32,
    pub(super) in_hand: usize,
    /// Sorted by id: whatever comes back goes to its old place.
    waiting: VecDeque<Item<T>>,
    /// Of the waiting items with a key, in order.
    keys: HashMap<Arc<str>, Vec<ItemId>>,
}

impl<T> LaneState<T> {
    pub(super) fn new(mut rules: Lane) -> Self {
        rules.bound = rules.bound.max(1);
        rules.weight = rules.weight.max(1);
        Self { rules, credit: rules.weight, in_hand: 0, waiting: VecDeque::new(), keys: HashMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn front(&self) -> Option<&Item<T>> {
        self.waiting.front()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Item<T>> {
        self.waiting.iter()
    }

    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() + self.in_hand < self.rules.bound
    }

    /// Puts an item in its place.
    pub(super) fn insert(&mut self, item: Item<T>) {
        if let Some(key) = &item.key {
            let ids = self.keys.entry(Arc::clone(key)).or_default();
            let at = ids.partition_point(|id| *id < item.id);
            ids.insert(at, item.id);
        }
        let at = self.waiting.partition_point(|other| other.id < item.id);
        self.waiting.insert(at, item);
    }

    pub(super) fn pop_front(&mut self) -> Option<Item<T>> {
        let item = self.waiting.pop_front()?;
        self.forget_key(&item);
        Some(item)
    }

    pub(super) fn remove(&mut self, id: ItemId) -> Option<Item<T>> {
        let at = self.waiting.binary_search_by_key(&id, |item| item.id).ok()?;
        let item = self.waiting.remove(at)?;
        self.forget_key(&item);
        Some(item)
    }

    /// The newest waiting item with this key.
    pub(super) fn with_key(&mut self, key: &str) -> Option<&mut Item<T>> {
        let id = *self.keys.get(key)?.last()?;
        let at = self.waiting.binary_search_by_key(&id, |item| item.id).ok()?;
        self.waiting.get_mut(at)
    }

    pub(super) fn depth(&self, now: Instant) -> Depth {
        Depth {
            waiting: self.waiting.len(),
            in_hand: self.in_hand,
            oldest: self.waiting.front().map(|item| now.saturating_duration_since(item.since)),
        }
    }

    fn forget_key(&mut self, item: &Item<T>) {
        let Some(key) = &item.key else { return };
        let Some(ids) = self.keys.get_mut(key) else { return };
        ids.retain(|id| *id != item.id);
        if ids.is_empty() {
            self.keys.remove(key);
        }
    }
}
