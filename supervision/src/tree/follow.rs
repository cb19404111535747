//! Following the tree, or a part of it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use crate::tree::batch::{Batch, Feed, coalesce};
use crate::tree::{TreeDelta, TreeUpdate, View, Viewer};

/// A follower more batches behind than this gets them as one. Fewer in this crate's own tests.
const MERGE_AFTER: usize = if cfg!(test) { 4 } else { 32 };
/// Most changes of one merged batch; more are a reset.
const MERGED: usize = 16_384;

/// Follows the tree. What it has not read yet is not queued for it but read from the store's ring, several batches as
/// one if it is far behind; a follower the ring has left behind is told to start over.
pub struct TreeSubscription {
    pub(crate) feed: Arc<Feed>,
    pub(crate) news: watch::Receiver<u64>,
    pub(crate) view: View,
    pub(crate) viewer: Viewer,
    pub(crate) epoch: u64,
    pub(crate) start: u64,
    /// What was read up to.
    pub(crate) read: u64,
    /// What was told up to.
    pub(crate) told: u64,
    pub(crate) missed: bool,
    pub(crate) pending: VecDeque<Arc<Batch>>,
}

impl TreeSubscription {
    /// Which life of the store this follows.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The number of the batch this starts after.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.start
    }

    /// The part of the tree this follows.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The next batch, or the news that batches were missed. After a reset, batches up to the new snapshot's number
    /// may still come and are to be skipped. `None` when the store is gone.
    pub async fn next(&mut self) -> Option<TreeUpdate> {
        loop {
            if let Some(update) = self.ready() {
                return Some(update);
            }
            self.news.changed().await.ok()?;
        }
    }

    /// The next update if there is one already.
    pub fn ready(&mut self) -> Option<TreeUpdate> {
        if std::mem::take(&mut self.missed) {
            return Some(TreeUpdate::Reset);
        }
        loop {
            if self.pending.is_empty() {
                self.news.mark_unchanged();
                match self.feed.since(self.read) {
                    Some(batches) if batches.is_empty() => return None,
                    Some(batches) => self.pending = batches.into(),
                    None => return Some(self.start_over()),
                }
            }
            let (seq, ops) = if self.pending.len() > MERGE_AFTER {
                // Those that have come meanwhile, too.
                if let Some(batches) = self.feed.since(self.read) {
                    self.pending = batches.into();
                }
                let Some(last) = self.pending.back().map(|last| last.seq) else { return Some(self.start_over()) };
                let batches = std::mem::take(&mut self.pending);
                let merged = coalesce(&Vec::from(batches), &self.view, self.viewer, MERGED);
                let Some(ops) = merged else { return Some(self.start_over()) };
                (last, ops)
            } else {
                let Some(batch) = self.pending.pop_front() else { continue };
                (batch.seq, batch.ops(&self.view, self.viewer))
            };
            self.read = seq;
            if !ops.is_empty() || self.view.is_whole() {
                let prev = std::mem::replace(&mut self.told, seq);
                return Some(TreeUpdate::Delta(TreeDelta { prev, seq, ops }));
            }
        }
    }

    fn start_over(&mut self) -> TreeUpdate {
        self.pending.clear();
        self.read = self.feed.latest();
        self.told = self.read;
        TreeUpdate::Reset
    }
}

impl fmt::Debug for TreeSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeSubscription").field("epoch", &self.epoch).field("read", &self.read).finish_non_exhaustive()
    }
}
