//! Letting idle actors go. They end after their queue is empty, so nothing is lost; the next message brings them back.

use std::hash::Hash;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use tokio::time::Instant;

use crate::address::Live;
use crate::registry::DirectoryError;
use crate::registry::directory::DirectoryInner;
use crate::registry::entry::Entry;

impl<K: Hash + Eq + Clone + Send + Sync + 'static, M: Send + 'static> DirectoryInner<K, M> {
    pub(super) fn sweep(&self) -> usize {
        let (now, tick) = (Instant::now(), self.tick());
        let idle_ms = u64::try_from(self.options.idle_after.as_millis()).unwrap_or(u64::MAX);
        let mut asked = 0;
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, entry| {
                if let Some(live) = idle(entry)
                    && tick.saturating_sub(entry.last_used()) >= idle_ms
                {
                    drop(live.cell.drain());
                    asked += 1;
                    return true;
                }
                match entry.gate.try_acquire() {
                    Ok(_gate) => !entry.retire(now),
                    Err(_) => true,
                }
            });
        }
        asked
    }

    /// Lets the actor that has been idle for longest go, if there are as many as there may be.
    pub(super) async fn make_room(&self) -> Result<(), DirectoryError> {
        if self.live.load(Ordering::Relaxed) < self.options.max_live {
            return Ok(());
        }
        let Some(live) = self.idle_longest() else { return Err(DirectoryError::Crowded) };
        drop(live.cell.drain());
        match live.cell.wait(Some(self.options.patience)).await {
            Ok(()) => Ok(()),
            Err(_) => Err(DirectoryError::Crowded),
        }
    }

    fn idle_longest(&self) -> Option<Arc<Live<M>>> {
        let mut longest: Option<(u64, Arc<Live<M>>)> = None;
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for entry in shard.values() {
                let used = entry.last_used();
                if longest.as_ref().is_none_or(|(oldest, _)| used < *oldest)
                    && let Some(live) = idle(entry)
                {
                    longest = Some((used, live));
                }
            }
        }
        longest.map(|(_, live)| live)
    }
}

/// The entry's incarnation, if it has nothing to do.
fn idle<M: Send + 'static>(entry: &Entry<M>) -> Option<Arc<Live<M>>> {
    entry.ready().filter(|live| live.core.is_idle())
}
