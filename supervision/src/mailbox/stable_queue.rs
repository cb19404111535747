//! A queue that outlives the actor it feeds.
//!
//! Items wait outside the incarnation, in bounded lanes. The one being worked on stays recorded until it is done, so a
//! crash loses nothing; an item that keeps crashing its actor is set aside.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Names an item of one queue; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemId(u64);

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One lane: lanes are listed from the most to the least urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// At most this many items wait in it.
    pub bound: usize,
    /// How many items it may give in a row while others wait; at least 1. So no lane starves.
    pub weight: u32,
}

/// The rules of a queue.
#[derive(Clone, Debug)]
pub struct StableQueueOptions {
    /// The lanes, the most urgent first.
    pub lanes: Vec<Lane>,
    /// An item that was in hand in this many crashes is set aside.
    pub quarantine_after: u32,
}

impl Default for StableQueueOptions {
    /// One lane of 64, quarantine after three crashes.
    fn default() -> Self {
        Self { lanes: vec![Lane { bound: 64, weight: 1 }], quarantine_after: 3 }
    }
}

/// An item there was no room for, given back.
#[derive(thiserror::Error)]
#[error("the lane is full")]
pub struct Full<T>(pub T);

impl<T> fmt::Debug for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full")
    }
}

/// An item being worked on. It stays in the queue's books until [`StableQueue::done`] or [`StableQueue::put_back`].
#[derive(Debug)]
pub struct InHand<T> {
    /// Its name.
    pub id: ItemId,
    /// The lane it came from.
    pub lane: usize,
    /// The item.
    pub item: Arc<T>,
    /// In how many crashes it was in hand.
    pub crashes: u32,
}

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

/// What a new incarnation finds.
#[derive(Debug)]
pub struct Recovered<T> {
    /// How many items went back to the front of their lanes.
    pub returned: usize,
    /// Items that were set aside just now.
    pub quarantined: Vec<Quarantined<T>>,
}

struct Entry<T> {
    id: ItemId,
    item: Arc<T>,
    crashes: u32,
    since: Instant,
}

struct LaneState<T> {
    rules: Lane,
    credit: u32,
    items: VecDeque<Entry<T>>,
}

struct Inner<T> {
    lanes: Vec<LaneState<T>>,
    in_hand: Vec<(usize, Entry<T>)>,
    quarantine_after: u32,
    next: u64,
}

/// The queue. Cheap to clone; clones are the same queue.
pub struct StableQueue<T>(Arc<Mutex<Inner<T>>>);

impl<T> StableQueue<T> {
    /// An empty queue. Without lanes it gets the default one.
    #[must_use]
    pub fn new(options: StableQueueOptions) -> Self {
        let StableQueueOptions { mut lanes, quarantine_after } = options;
        if lanes.is_empty() {
            lanes = StableQueueOptions::default().lanes;
        }
        let lanes = lanes
            .into_iter()
            .map(|rules| LaneState { rules, credit: rules.weight.max(1), items: VecDeque::new() })
            .collect();
        Self(Arc::new(Mutex::new(Inner {
            lanes,
            in_hand: Vec::new(),
            quarantine_after: quarantine_after.max(1),
            next: 0,
        })))
    }

    /// Adds an item at the end of a lane; an unknown lane means the last one.
    ///
    /// # Errors
    /// The item comes back if the lane is full.
    pub fn push(&self, lane: usize, item: T) -> Result<ItemId, Full<T>> {
        let mut inner = self.lock();
        let at = lane.min(inner.lanes.len() - 1);
        let id = ItemId(inner.next);
        let state = &mut inner.lanes[at];
        if state.items.len() >= state.rules.bound {
            return Err(Full(item));
        }
        state.items.push_back(Entry { id, item: Arc::new(item), crashes: 0, since: Instant::now() });
        inner.next += 1;
        Ok(id)
    }

    /// Takes the next item in hand. Urgent lanes go first, but none longer than its weight while others wait.
    #[must_use]
    pub fn take(&self) -> Option<InHand<T>> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        if inner.lanes.iter().all(|lane| lane.items.is_empty()) {
            return None;
        }
        let ready = |lane: &LaneState<T>| !lane.items.is_empty() && lane.credit > 0;
        if !inner.lanes.iter().any(ready) {
            for lane in &mut inner.lanes {
                lane.credit = lane.rules.weight.max(1);
            }
        }
        let at = inner.lanes.iter().position(ready)?;
        let lane = &mut inner.lanes[at];
        lane.credit -= 1;
        let entry = lane.items.pop_front()?;
        let taken = InHand { id: entry.id, lane: at, item: Arc::clone(&entry.item), crashes: entry.crashes };
        inner.in_hand.push((at, entry));
        Some(taken)
    }

    /// The item is dealt with. False if it is not in hand.
    pub fn done(&self, id: ItemId) -> bool {
        self.lock().release(id).is_some()
    }

    /// The item was not dealt with after all and goes back to the front of its lane. False if it is not in hand.
    pub fn put_back(&self, id: ItemId) -> bool {
        let mut inner = self.lock();
        match inner.release(id) {
            Some((lane, entry)) => {
                inner.lanes[lane].items.push_front(entry);
                true
            }
            None => false,
        }
    }

    /// Removes an item that waits or is in hand.
    pub fn remove(&self, id: ItemId) -> Option<Arc<T>> {
        let mut inner = self.lock();
        if let Some((_, entry)) = inner.release(id) {
            return Some(entry.item);
        }
        inner.lanes.iter_mut().find_map(|lane| {
            let at = lane.items.iter().position(|entry| entry.id == id)?;
            lane.items.remove(at).map(|entry| entry.item)
        })
    }

    /// Called by a new incarnation: what was in hand when the last one ended goes back to the front, in the order it
    /// was taken, unless it has been there too often.
    pub fn recover(&self) -> Recovered<T> {
        let mut inner = self.lock();
        let mut recovered = Recovered { returned: 0, quarantined: Vec::new() };
        let limit = inner.quarantine_after;
        for (lane, mut entry) in std::mem::take(&mut inner.in_hand).into_iter().rev() {
            entry.crashes += 1;
            if entry.crashes >= limit {
                let Entry { id, item, crashes, .. } = entry;
                recovered.quarantined.push(Quarantined { id, lane, item, crashes });
            } else {
                inner.lanes[lane].items.push_front(entry);
                recovered.returned += 1;
            }
        }
        recovered.quarantined.reverse();
        recovered
    }

    /// How many items wait; those in hand do not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().lanes.iter().map(|lane| lane.items.len()).sum()
    }

    /// How many items wait in one lane.
    #[must_use]
    pub fn lane_len(&self, lane: usize) -> usize {
        self.lock().lanes.get(lane).map_or(0, |lane| lane.items.len())
    }

    /// True if nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many items are in hand.
    #[must_use]
    pub fn in_hand(&self) -> usize {
        self.lock().in_hand.len()
    }

    /// How long the oldest waiting item has been in the queue.
    #[must_use]
    pub fn oldest_age(&self) -> Option<Duration> {
        let now = Instant::now();
        let inner = self.lock();
        let oldest = inner.lanes.iter().flat_map(|lane| &lane.items).map(|entry| entry.since).min()?;
        Some(now.saturating_duration_since(oldest))
    }

    /// In how many crashes an item was in hand; 0 for an unknown one.
    #[must_use]
    pub fn crashes(&self, id: ItemId) -> u32 {
        let inner = self.lock();
        let waiting = inner.lanes.iter().flat_map(|lane| &lane.items);
        waiting
            .chain(inner.in_hand.iter().map(|(_, entry)| entry))
            .find(|entry| entry.id == id)
            .map_or(0, |e| e.crashes)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Inner<T> {
    fn release(&mut self, id: ItemId) -> Option<(usize, Entry<T>)> {
        let at = self.in_hand.iter().position(|(_, entry)| entry.id == id)?;
        Some(self.in_hand.remove(at))
    }
}

impl<T> Default for StableQueue<T> {
    fn default() -> Self {
        Self::new(StableQueueOptions::default())
    }
}

impl<T> Clone for StableQueue<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for StableQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StableQueue").field("waiting", &self.len()).field("in_hand", &self.in_hand()).finish()
    }
}
