//! A queue that outlives the actor it feeds.
//!
//! Items wait outside the incarnation, in bounded lanes. What is being worked on stays recorded until it is done, so a
//! crash loses nothing: it goes back to its old place, and each lane keeps its order.
//!
//! **Poison.** An item that keeps crashing its actor is set aside. A crash with several items in hand proves nothing
//! against any one of them, so it counts against none; but whatever has been in hand in a crash is from then on handed
//! out alone, with nothing beside it. The next crash then names the culprit, and the innocent are done with. So an item
//! is set aside after `quarantine_after` crashes alone in hand, and an item that never was is never set aside.
//!
//! **Coalescing.** A new item may be merged into the newest one of its key that still waits in the lane. One in hand is
//! being worked on and takes no more in.
//!
//! **Wakes.** A consumer bound by [`StableQueue::feed`] has at most one wake on its way, and one whenever there is
//! something it could take.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::mailbox::books::{Books, Consumer, InHand, Recovered, Wake};
use crate::mailbox::lane::{Depth, Item, ItemId, Lane, LanePolicy, LaneState};
use crate::mailbox::quarantine::{Quarantined, ReleaseError};
use crate::mailbox::{DeadLetter, DeadLetterCause, DeadLetters};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The rules of a queue.
#[derive(Clone, Debug)]
pub struct StableQueueOptions {
    /// Whose queue it is, as dead letters call it.
    pub name: Arc<str>,
    /// The lanes, the most urgent first.
    pub lanes: Vec<Lane>,
    /// How many items may be in hand at once; at least 1.
    pub hands: usize,
    /// An item is set aside after this many crashes in which it alone was in hand; at least 1.
    pub quarantine_after: u32,
    /// How many items are kept aside; the oldest is discarded for one more.
    pub quarantine_bound: usize,
    /// Where items that are dropped, set aside or discarded are noted.
    pub dead_letters: Option<DeadLetters>,
}

impl Default for StableQueueOptions {
    /// One lane of 64 that refuses more, one item in hand, quarantine for up to 100 after three crashes.
    fn default() -> Self {
        Self {
            name: "queue".into(),
            lanes: vec![Lane::reject(64)],
            hands: 1,
            quarantine_after: 3,
            quarantine_bound: 100,
            dead_letters: None,
        }
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

/// An item was taken in.
#[derive(Debug)]
pub struct Pushed<T> {
    /// Its name; that of the older item if it was merged into one.
    pub id: ItemId,
    /// It was merged into an item that waited.
    pub merged: bool,
    /// The item that made room for it.
    pub dropped: Option<(ItemId, Arc<T>)>,
}

struct Shared<T> {
    name: Arc<str>,
    hands: usize,
    quarantine_after: u32,
    dead_letters: Option<DeadLetters>,
    inner: Mutex<Books<T>>,
}

/// The queue. Cheap to clone; clones are the same queue.
pub struct StableQueue<T>(Arc<Shared<T>>);

impl<T> StableQueue<T> {
    /// An empty queue. Without lanes it gets the default one.
    #[must_use]
    pub fn new(options: StableQueueOptions) -> Self {
        let mut lanes = options.lanes;
        if lanes.is_empty() {
            lanes = StableQueueOptions::default().lanes;
        }
        Self(Arc::new(Shared {
            name: options.name,
            hands: options.hands.max(1),
            quarantine_after: options.quarantine_after.max(1),
            dead_letters: options.dead_letters,
            inner: Mutex::new(Books::new(lanes, options.quarantine_bound)),
        }))
    }

    /// Adds an item at the end of a lane; an unknown lane means the last one.
    ///
    /// # Errors
    /// The item comes back if there is no room.
    pub fn push(&self, lane: usize, item: T) -> Result<Pushed<T>, Full<T>> {
        self.add(self.lock(), lane, None, item)
    }

    /// Merges an item into the newest one of `key` that waits in the lane, in whose place it then stands, or adds it at
    /// the end if there is none. `merge` gets the waiting item and the new one; it must not use the queue.
    ///
    /// # Errors
    /// The item comes back if there is no room.
    pub fn push_coalesce(
        &self,
        lane: usize,
        key: impl Into<Arc<str>>,
        item: T,
        merge: impl FnOnce(&T, T) -> T,
    ) -> Result<Pushed<T>, Full<T>> {
        let key = key.into();
        let mut inner = self.lock();
        let at = inner.at(lane);
        let Some(waiting) = inner.lanes[at].with_key(&key) else { return self.add(inner, at, Some(key), item) };
        let merged = Arc::new(merge(&waiting.item, item));
        let old = std::mem::replace(&mut waiting.item, merged);
        let id = waiting.id;
        drop(inner);
        drop(old);
        Ok(Pushed { id, merged: true, dropped: None })
    }

    fn add(
        &self,
        mut inner: MutexGuard<'_, Books<T>>,
        lane: usize,
        key: Option<Arc<str>>,
        item: T,
    ) -> Result<Pushed<T>, Full<T>> {
        let at = inner.at(lane);
        let id = ItemId(inner.next_id);
        let lane = &mut inner.lanes[at];
        let mut dropped = None;
        if !lane.has_room() {
            dropped = match lane.rules.policy {
                LanePolicy::Reject => None,
                LanePolicy::DropOldest => lane.pop_front(),
            };
            if dropped.is_none() {
                return Err(Full(item));
            }
        }
        lane.insert(Item { id, key, item: Arc::new(item), crashes: 0, strikes: 0, since: Instant::now() });
        inner.next_id += 1;
        self.wake(inner);
        let dropped = dropped.map(|old| {
            self.note(DeadLetterCause::Dropped);
            (old.id, old.item)
        });
        Ok(Pushed { id, merged: false, dropped })
    }

    /// Takes the next item in hand. Urgent lanes go first, but none longer than its weight while others wait. `None`
    /// also if there are enough in hand, or one that must be alone.
    #[must_use]
    pub fn take(&self) -> Option<InHand<T>> {
        self.lock().take(self.0.hands)
    }

    /// The item is dealt with. False if it is no longer in hand: it was removed, or a crash put it back.
    pub fn done(&self, taken: InHand<T>) -> bool {
        let mut inner = self.lock();
        let held = inner.let_go(taken.id, Some(taken.turn));
        self.wake(inner);
        held.is_some()
    }

    /// The item was not dealt with after all and goes back to its place. False if it is no longer in hand.
    pub fn put_back(&self, taken: InHand<T>) -> bool {
        let mut inner = self.lock();
        let Some((lane, item)) = inner.let_go(taken.id, Some(taken.turn)) else { return false };
        inner.lanes[lane].insert(item);
        self.wake(inner);
        true
    }

    /// Removes an item that waits or is in hand.
    #[must_use]
    pub fn remove(&self, id: ItemId) -> Option<Arc<T>> {
        let mut inner = self.lock();
        let item = match inner.let_go(id, None) {
            Some((_, item)) => Some(item),
            None => inner.lanes.iter_mut().find_map(|lane| lane.remove(id)),
        };
        self.wake(inner);
        item.map(|item| item.item)
    }

    /// What is set aside, oldest first.
    #[must_use]
    pub fn quarantined(&self) -> Vec<Quarantined<T>> {
        self.lock().quarantine.list()
    }

    /// Gives an item that was set aside another chance: it goes back to its place in its lane, is handed out alone, and
    /// its crashes are counted anew.
    ///
    /// # Errors
    /// If it is not there, or its lane is full.
    pub fn release(&self, id: ItemId) -> Result<(), ReleaseError> {
        let mut inner = self.lock();
        let lane = inner.quarantine.find(id).ok_or(ReleaseError::NotThere)?.0;
        if !inner.lanes[lane].has_room() {
            return Err(ReleaseError::Full);
        }
        let (lane, mut item) = inner.quarantine.take(id).ok_or(ReleaseError::NotThere)?;
        item.strikes = 0;
        inner.lanes[lane].insert(item);
        self.wake(inner);
        Ok(())
    }

    /// Gives up an item that was set aside.
    #[must_use]
    pub fn discard(&self, id: ItemId) -> Option<Arc<T>> {
        let (_, item) = self.lock().quarantine.take(id)?;
        self.note(DeadLetterCause::Discarded);
        Some(item.item)
    }

    /// How many items wait; those in hand do not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().lanes.iter().map(LaneState::len).sum()
    }

    /// True if nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How full the queue is.
    #[must_use]
    pub fn depth(&self) -> Depth {
        let now = Instant::now();
        let inner = self.lock();
        inner.lanes.iter().map(|lane| lane.depth(now)).fold(Depth::default(), |sum, lane| Depth {
            waiting: sum.waiting + lane.waiting,
            in_hand: sum.in_hand + lane.in_hand,
            oldest: sum.oldest.max(lane.oldest),
        })
    }

    /// How full one lane is.
    #[must_use]
    pub fn lane_depth(&self, lane: usize) -> Option<Depth> {
        let now = Instant::now();
        self.lock().lanes.get(lane).map(|lane| lane.depth(now))
    }

    /// How long the oldest waiting item has been in the queue.
    #[must_use]
    pub fn oldest_age(&self) -> Option<Duration> {
        self.depth().oldest
    }

    /// In how many crashes an item was in hand; 0 for an unknown one.
    #[must_use]
    pub fn crashes(&self, id: ItemId) -> u32 {
        let inner = self.lock();
        let mut known = inner.lanes.iter().flat_map(LaneState::iter).chain(inner.in_hand.iter().map(|held| &held.item));
        let waiting = known.find(|item| item.id == id);
        waiting.or_else(|| inner.quarantine.find(id).map(|(_, item)| item)).map_or(0, |item| item.crashes)
    }

    /// What was in hand when the last consumer ended goes back to its place or is set aside.
    pub(super) fn put_all_back(&self, crashed: bool) -> Recovered<T> {
        self.renew(crashed, None).0
    }

    /// Makes way for a new consumer, then wakes it if there is something to take. Gives its number.
    pub(super) fn attach(&self, crashed: bool, wake: Wake) -> (Recovered<T>, u64) {
        self.renew(crashed, Some(Consumer { wake, pending: false }))
    }

    fn renew(&self, crashed: bool, consumer: Option<Consumer>) -> (Recovered<T>, u64) {
        let mut inner = self.lock();
        let (recovered, given_up) = inner.put_all_back(crashed, self.0.quarantine_after);
        inner.epoch += 1;
        let epoch = inner.epoch;
        let before = std::mem::replace(&mut inner.consumer, consumer);
        self.wake(inner);
        drop(before);
        recovered.quarantined.iter().for_each(|_| self.note(DeadLetterCause::Quarantined));
        given_up.iter().for_each(|_| self.note(DeadLetterCause::Discarded));
        (recovered, epoch)
    }

    /// The wake of consumer `epoch` has arrived: takes the next item and sends another wake if there is more it could
    /// take.
    pub(super) fn take_for(&self, epoch: u64) -> Option<InHand<T>> {
        let mut inner = self.lock();
        if inner.epoch != epoch {
            return None;
        }
        if let Some(consumer) = &mut inner.consumer {
            consumer.pending = false;
        }
        let taken = inner.take(self.0.hands);
        self.wake(inner);
        taken
    }

    /// Sends the consumer a wake if there is something to take and none is on its way.
    fn wake(&self, mut inner: MutexGuard<'_, Books<T>>) {
        if inner.choose(self.0.hands).is_none() {
            return;
        }
        let epoch = inner.epoch;
        let Some(consumer) = inner.consumer.as_mut().filter(|consumer| !consumer.pending) else { return };
        consumer.pending = true;
        let wake = Arc::clone(&consumer.wake);
        drop(inner);
        if !wake() {
            // It is over; what waits is for the next one.
            let mut inner = self.lock();
            if inner.epoch == epoch {
                inner.consumer = None;
            }
        }
    }

    fn note(&self, cause: DeadLetterCause) {
        if let Some(letters) = &self.0.dead_letters {
            letters.push(DeadLetter { to: self.0.name.to_string(), kind: std::any::type_name::<T>(), cause });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Books<T>> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
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
        let Depth { waiting, in_hand, .. } = self.depth();
        f.debug_struct("StableQueue").field("waiting", &waiting).field("in_hand", &in_hand).finish()
    }
}
