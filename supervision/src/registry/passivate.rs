//! Letting idle actors go. They end after their queue is empty, so nothing is lost; the next message brings them back.

use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use tokio::time::Instant;

use crate::registry::DirectoryError;
use crate::registry::directory::DirectoryInner;
use crate::registry::entry::Entry;

impl<K: Hash + Eq + Clone + Send + Sync + 'static, M: Send + 'static> DirectoryInner<K, M> {
    pub(super) fn sweep(&self) -> usize {
        let (now, tick) = (Instant::now(), self.tick());
        let idle_after = u64::try_from(self.options.idle_after.as_micros()).unwrap_or(u64::MAX);
        let mut asked = 0;
        for shard in &self.shards {
            let (mut idle, mut forgotten) = (Vec::new(), Vec::new());
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, entry| {
                if let Some(live) = entry.idle() {
                    if tick.saturating_sub(entry.last_used()) >= idle_after {
                        idle.push((Arc::clone(entry), live));
                    }
                    return true;
                }
                let retired = entry.gate.try_acquire().is_ok_and(|_gate| entry.retire(now));
                if retired {
                    forgotten.push(Arc::clone(entry));
                }
                !retired
            });
            // What is dropped may come back here, so not under the lock.
            drop(shard);
            asked += idle.iter().filter(|(entry, live)| self.roster.ask(entry, live)).count();
        }
        asked
    }

    pub(super) fn relieve(&self, n: usize) -> usize {
        self.roster.idle_longest(n).iter().filter(|(entry, live)| self.roster.ask(entry, live)).count()
    }

    /// Takes a seat for a start of `entry`. If there are as many actors as there may be, one that has been idle for
    /// long makes room.
    pub(super) async fn take_seat(&self, entry: &Entry<M>) -> Result<(), DirectoryError> {
        let roster = &self.roster;
        if self.try_take_seat(entry) {
            return Ok(());
        }
        // Whoever leaves makes up first for one beyond the bound.
        let beyond = roster.beyond();
        let mut asked = true;
        for _ in 0..=beyond {
            asked &= roster.ask_one();
        }
        let waiting = Waiting::begin(&roster.waiting);
        // Nobody is idle, but somebody may be on the way out that nobody waits for.
        if !asked && roster.leaving.load(Ordering::Acquire) < waiting.how_many() + beyond {
            return if self.try_take_seat(entry) { Ok(()) } else { Err(DirectoryError::Crowded) };
        }
        match tokio::time::timeout(self.options.patience, roster.seats.acquire()).await {
            Ok(Ok(seat)) => {
                seat.forget();
                entry.reserve();
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(DirectoryError::Crowded),
        }
    }

    fn try_take_seat(&self, entry: &Entry<M>) -> bool {
        let seat = self.roster.seats.try_acquire();
        seat.map(|seat| {
            seat.forget();
            entry.reserve();
        })
        .is_ok()
    }

    /// A start of `entry` has ended, in whatever way: if its seat was not used, it is free again.
    pub(super) fn leave_seat(&self, entry: &Entry<M>) {
        if entry.unreserve() {
            self.roster.free_seat();
        }
    }
}

/// Counts a start that waits for a seat.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }

    fn how_many(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
