//! Sending changes on: at once when nothing was sent for a while, else together with what follows shortly.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::tree::batch::{BATCH, Batch, Change};
use crate::tree::node::NodeId;
use crate::tree::store::{Inner, TreeStore};

impl TreeStore {
    pub(super) fn touch(&self, inner: &mut Inner, id: NodeId, tick: Duration) {
        inner.dirty.insert(id);
        self.schedule(inner, tick);
    }

    /// Sends what has changed: now if nothing was sent for a tick, else at the tick's end.
    pub(super) fn schedule(&self, inner: &mut Inner, tick: Duration) {
        let now = Instant::now();
        let due = inner.flushed.map_or(now, |last| last + tick);
        if inner.scheduled.is_some_and(|at| at <= due.max(now)) {
            return;
        }
        if due <= now && !self.flush(inner) {
            return;
        }
        if tokio::runtime::Handle::try_current().is_err() {
            while self.flush(inner) {}
            return;
        }
        let due = due.max(now);
        inner.scheduled = Some(due);
        let store = self.clone();
        crate::scope::spawn(async move {
            tokio::time::sleep_until(due).await;
            while store.flush_scheduled(due) {
                tokio::task::yield_now().await;
            }
        });
    }

    /// One batch of what was due then; true if there is more of it.
    fn flush_scheduled(&self, due: Instant) -> bool {
        let mut inner = self.lock();
        if inner.scheduled != Some(due) {
            return false;
        }
        let more = self.flush(&mut inner);
        if more {
            inner.scheduled = Some(due);
        }
        more
    }

    /// Sends all that has changed before now, letting others in after each batch.
    pub(super) fn flush_all(&self) {
        let mut rounds = None;
        loop {
            let mut inner = self.lock();
            let waiting = inner.dirty.len() + inner.removed.len();
            let left: usize = rounds.unwrap_or_else(|| 2 * waiting.div_ceil(BATCH) + 2);
            if waiting == 0 || !self.flush(&mut inner) {
                return;
            }
            if left == 0 {
                // Others write faster than this; what is new since is not waited for.
                self.schedule(&mut inner, Duration::ZERO);
                return;
            }
            rounds = Some(left - 1);
            drop(inner);
            self.let_others_in();
        }
    }

    /// Sends one batch; true if there is more to send.
    pub(super) fn flush(&self, inner: &mut Inner) -> bool {
        inner.scheduled = None;
        inner.flushed = Some(Instant::now());
        let gone = inner.removed.len().min(BATCH);
        let mut changes: Vec<Change> =
            inner.removed.drain(..gone).map(|facts| Change { before: Some(facts), after: None }).collect();
        while changes.len() < BATCH
            && let Some(id) = inner.dirty.pop_first()
        {
            let Some(node) = inner.nodes.get_mut(&id) else { continue };
            node.take_up_soft();
            if node.published.as_ref().is_some_and(|old| Arc::ptr_eq(old, &node.view) || **old == *node.view) {
                // Equal: followers need not hear, and one copy will do.
                node.published = Some(Arc::clone(&node.view));
                continue;
            }
            let before = node.published.replace(Arc::clone(&node.view));
            changes.push(Change { before, after: Some(Arc::clone(&node.view)) });
        }
        if !changes.is_empty() {
            inner.seq += 1;
            self.0.feed.push(Batch { seq: inner.seq, changes });
            self.0.news.send_replace(inner.seq);
        }
        !(inner.dirty.is_empty() && inner.removed.is_empty())
    }
}
