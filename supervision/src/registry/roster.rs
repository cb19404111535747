//! Who is live in a directory, and who of them has been idle for long.
//!
//! To make room, the roster is not sorted by use, which every message would have to keep up. Like a clock with a hand it
//! goes on from where it stopped, until it has met a few idle actors, and gives the one of them used least recently. So
//! up to [`SAMPLE`] live actors the choice is exact, beyond it is among the oldest with high probability, and its cost
//! does not depend on how many there are.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use crate::address::Live;
use crate::registry::entry::Entry;

/// Among how many idle actors the one to go is chosen.
const SAMPLE: usize = 16;
/// How many actors are looked at to find them: all may be busy.
const LOOKS: usize = 1024;

/// The live actors of a directory.
pub(super) struct Roster<M: Send + 'static> {
    ring: Mutex<Ring<M>>,
    /// One permit for each actor there may still be.
    pub(super) seats: Semaphore,
    /// Actors beyond the bound, brought back by their supervisor.
    debt: AtomicUsize,
    /// Actors asked to go that have not gone yet.
    pub(super) leaving: AtomicUsize,
    /// Starts that wait for a seat.
    pub(super) waiting: AtomicUsize,
}

struct Ring<M: Send + 'static> {
    entries: Vec<Arc<Entry<M>>>,
    hand: usize,
}

impl<M: Send + 'static> Roster<M> {
    pub(super) fn new(max_live: usize) -> Self {
        Self {
            ring: Mutex::new(Ring { entries: Vec::new(), hand: 0 }),
            seats: Semaphore::new(max_live.min(Semaphore::MAX_PERMITS)),
            debt: AtomicUsize::new(0),
            leaving: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring<M>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// An incarnation is live: in the seat taken for it, or in one more.
    pub(super) fn enter(&self, entry: Arc<Entry<M>>) {
        if !entry.unreserve() {
            match self.seats.try_acquire() {
                Ok(seat) => seat.forget(),
                Err(_) => drop(self.debt.fetch_add(1, Ordering::AcqRel)),
            }
        }
        let mut ring = self.lock();
        entry.set_place(ring.entries.len());
        ring.entries.push(entry);
    }

    /// It is over.
    pub(super) fn leave(&self, entry: &Entry<M>) {
        {
            let mut ring = self.lock();
            let at = entry.place();
            if ring.entries.get(at).is_none_or(|there| !std::ptr::eq(Arc::as_ptr(there), entry)) {
                return;
            }
            ring.entries.swap_remove(at);
            if let Some(moved) = ring.entries.get(at) {
                moved.set_place(at);
            }
        }
        if entry.has_left() {
            self.leaving.fetch_sub(1, Ordering::AcqRel);
        }
        self.free_seat();
    }

    pub(super) fn free_seat(&self) {
        if self.debt.fetch_update(Ordering::AcqRel, Ordering::Acquire, |debt| debt.checked_sub(1)).is_err() {
            self.seats.add_permits(1);
        }
    }

    /// Asks an actor to go once it has done what it has taken in. It is idle, so that is at once.
    pub(super) fn ask(&self, entry: &Entry<M>, live: &Live<M>) {
        if entry.is_leaving() {
            self.leaving.fetch_add(1, Ordering::AcqRel);
        }
        drop(live.cell.drain());
    }

    /// An actor that has been idle for long, if any is idle.
    pub(super) fn idle_long(&self) -> Option<(Arc<Entry<M>>, Arc<Live<M>>)> {
        let mut ring = self.lock();
        let count = ring.entries.len();
        let mut met = 0;
        let mut longest: Option<(u64, usize, Arc<Live<M>>)> = None;
        for _ in 0..count.min(LOOKS) {
            ring.hand = (ring.hand + 1) % count;
            let entry = &ring.entries[ring.hand];
            let Some(live) = entry.idle() else { continue };
            let used = entry.last_used();
            if longest.as_ref().is_none_or(|(oldest, ..)| used < *oldest) {
                longest = Some((used, ring.hand, live));
            }
            met += 1;
            if met == SAMPLE {
                break;
            }
        }
        longest.map(|(_, at, live)| (Arc::clone(&ring.entries[at]), live))
    }

    /// The actors that have been idle for longest, at most `n`.
    pub(super) fn idle_longest(&self, n: usize) -> Vec<(Arc<Entry<M>>, Arc<Live<M>>)> {
        let all = self.lock().entries.clone();
        let mut idle: Vec<_> = all
            .into_iter()
            .filter_map(|entry| {
                let live = entry.idle()?;
                Some((entry.last_used(), entry, live))
            })
            .collect();
        idle.sort_unstable_by_key(|(used, ..)| *used);
        idle.into_iter().take(n).map(|(_, entry, live)| (entry, live)).collect()
    }
}
