//! Who is live in a directory, and who of them has been idle for long.
//!
//! To make room, the roster is not sorted by use, which every message would have to keep up. It looks at live actors in
//! random order until it has met a few idle ones, and gives the one of them used least recently. So up to [`SAMPLE`]
//! live actors the choice is exact, beyond it is nearly always among the oldest, and its cost does not depend on how
//! many there are.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::Rng;
use tokio::sync::Semaphore;

use crate::address::Live;
use crate::registry::entry::Entry;
use crate::telemetry::event::TelemetryEvent;

/// Among how many idle actors the one to go is chosen.
const SAMPLE: usize = 16;
/// How many actors are looked at to find them: all may be busy.
const LOOKS: usize = 1024;

/// An idle actor.
type Idle<M> = (Arc<Entry<M>>, Arc<Live<M>>);

/// The live actors of a directory.
pub(super) struct Roster<M: Send + 'static> {
    /// In no order. Whoever is here is published, and whoever is not cannot be asked to go.
    entries: Mutex<Vec<Arc<Entry<M>>>>,
    /// One permit for each actor there may still be.
    pub(super) seats: Semaphore,
    /// Actors beyond the bound, brought back by their supervisor.
    debt: AtomicUsize,
    /// Actors asked to go that have not gone yet.
    pub(super) leaving: AtomicUsize,
    /// Starts that wait for a seat.
    pub(super) waiting: AtomicUsize,
}

impl<M: Send + 'static> Roster<M> {
    pub(super) fn new(max_live: usize) -> Self {
        Self {
            entries: Mutex::default(),
            seats: Semaphore::new(max_live.min(Semaphore::MAX_PERMITS)),
            debt: AtomicUsize::new(0),
            leaving: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Entry<M>>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// An incarnation is live: in the seat taken for it, or in one more.
    pub(super) fn enter(&self, entry: Arc<Entry<M>>) {
        if !entry.unreserve() {
            match self.seats.try_acquire() {
                Ok(seat) => seat.forget(),
                Err(_) => drop(self.debt.fetch_add(1, Ordering::AcqRel)),
            }
        }
        let mut entries = self.lock();
        entry.set_place(entries.len());
        entries.push(entry);
    }

    /// It is over.
    pub(super) fn leave(&self, entry: &Entry<M>) {
        let mut entries = self.lock();
        let at = entry.place();
        if entries.get(at).is_none_or(|there| !std::ptr::eq(Arc::as_ptr(there), entry)) {
            return;
        }
        let gone = entries.swap_remove(at);
        if let Some(moved) = entries.get(at) {
            moved.set_place(at);
        }
        if entry.has_left() {
            self.leaving.fetch_sub(1, Ordering::AcqRel);
        }
        drop(entries);
        drop(gone);
        self.free_seat();
    }

    /// How many there are beyond the bound.
    pub(super) fn beyond(&self) -> usize {
        self.debt.load(Ordering::Acquire)
    }

    pub(super) fn free_seat(&self) {
        if self.debt.fetch_update(Ordering::AcqRel, Ordering::Acquire, |debt| debt.checked_sub(1)).is_err() {
            self.seats.add_permits(1);
        }
    }

    /// Asks an actor to go once it has done what it has taken in. It is idle, so that is at once. False if it is over,
    /// or was asked already.
    pub(super) fn ask(&self, entry: &Entry<M>, live: &Arc<Live<M>>) -> bool {
        let entries = self.lock();
        let is_it = entry.slot.0.live().is_some_and(|now| Arc::ptr_eq(&now, live));
        let asked = is_it && entries.get(entry.place()).is_some_and(|there| std::ptr::eq(Arc::as_ptr(there), entry));
        let asked = asked && self.claim(entry);
        drop(entries);
        if asked {
            live.core.node.tell(TelemetryEvent::Passivated);
            drop(live.cell.drain());
        }
        asked
    }

    /// Asks an actor to go that has been idle for long. False if none is idle.
    pub(super) fn ask_one(&self) -> bool {
        let entries = self.lock();
        let mut met = 0;
        let mut longest: Option<(u64, &Arc<Entry<M>>, _)> = None;
        for at in Shuffled::below(entries.len()).take(LOOKS) {
            let entry = &entries[at];
            let Some(live) = entry.idle().filter(|_| !entry.is_leaving()) else { continue };
            let used = entry.last_used();
            if longest.as_ref().is_none_or(|(oldest, ..)| used < *oldest) {
                longest = Some((used, entry, live));
            }
            met += 1;
            if met == SAMPLE {
                break;
            }
        }
        // Claimed before anybody else can choose it too: each that waits for a seat has asked somebody of its own.
        let claimed = longest.filter(|(_, entry, _)| self.claim(entry)).map(|(_, _, live)| live);
        drop(entries);
        claimed.is_some_and(|live| {
            live.core.node.tell(TelemetryEvent::Passivated);
            drop(live.cell.drain());
            true
        })
    }

    fn claim(&self, entry: &Entry<M>) -> bool {
        let first = entry.ask_to_leave();
        if first {
            self.leaving.fetch_add(1, Ordering::AcqRel);
        }
        first
    }

    /// The actors that have been idle for longest, at most `n`.
    pub(super) fn idle_longest(&self, n: usize) -> Vec<Idle<M>> {
        let all = self.lock().clone();
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

/// The numbers below one, each once, far from each other, from a random one on: a stride that shares no factor with
/// their count meets all of them, and one near the golden section of it spreads the first few evenly.
struct Shuffled {
    count: usize,
    at: usize,
    stride: usize,
    left: usize,
}

impl Shuffled {
    fn below(count: usize) -> Self {
        let golden = (count.saturating_mul(618) / 1000).max(1);
        let stride = (golden..).find(|stride| greatest_common_divisor(*stride, count) <= 1).unwrap_or(1);
        Self { count, at: rand::rng().random_range(0..count.max(1)), stride, left: count }
    }
}

impl Iterator for Shuffled {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        self.at = (self.at + self.stride) % self.count;
        Some(self.at)
    }
}

fn greatest_common_divisor(mut a: usize, mut b: usize) -> usize {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::Shuffled;

    #[test]
    fn every_number_is_met_once() {
        for count in 0..200 {
            let mut met: Vec<usize> = Shuffled::below(count).collect();
            met.sort_unstable();
            assert_eq!(met, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_few_are_spread_over_all() {
        for count in [100, 618, 1000, 10_000, 99_991] {
            let parts: std::collections::HashSet<usize> =
                Shuffled::below(count).take(super::SAMPLE).map(|at| at * 4 / count).collect();
            assert_eq!(parts.len(), 4, "a quarter of {count} was not met");
        }
    }
}
