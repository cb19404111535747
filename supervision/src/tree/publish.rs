//! Sending changes on: at once when nothing was sent for a while, else together with what follows shortly.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::tree::delta::diff;
use crate::tree::node::NodeId;
use crate::tree::store::{Inner, TreeStore};
use crate::tree::{TreeDelta, TreeOp};

/// Batches kept for followers that come back.
const RING: usize = 4096;

impl TreeStore {
    pub(super) fn touch(&self, inner: &mut Inner, id: NodeId, tick: Duration) {
        inner.dirty.insert(id);
        self.schedule(inner, tick);
    }

    /// Sends what has changed: now if nothing was sent for a tick, else at the tick's end.
    pub(super) fn schedule(&self, inner: &mut Inner, tick: Duration) {
        let now = Instant::now();
        let due = inner.flushed.map_or(now, |last| last + tick);
        if due <= now {
            self.flush(inner);
            return;
        }
        if inner.scheduled.is_some_and(|at| at <= due) {
            return;
        }
        if tokio::runtime::Handle::try_current().is_err() {
            self.flush(inner);
            return;
        }
        inner.scheduled = Some(due);
        let store = self.clone();
        crate::scope::spawn(async move {
            tokio::time::sleep_until(due).await;
            let mut inner = store.lock();
            if inner.scheduled == Some(due) {
                store.flush(&mut inner);
            }
        });
    }

    pub(super) fn flush(&self, inner: &mut Inner) {
        inner.scheduled = None;
        inner.flushed = Some(Instant::now());
        let mut ops: Vec<TreeOp> = std::mem::take(&mut inner.removed).into_iter().map(TreeOp::Remove).collect();
        for id in std::mem::take(&mut inner.dirty) {
            let Some(node) = inner.nodes.get_mut(&id) else { continue };
            (node.view.detail, node.view.busy) = node.soft.read();
            match &node.published {
                None => ops.push(TreeOp::Add(Box::new(node.view.clone()))),
                Some(old) => {
                    let fields = diff(old, &node.view);
                    if fields.is_empty() {
                        continue;
                    }
                    ops.push(TreeOp::Patch { id, fields });
                }
            }
            node.published = Some(node.view.clone());
        }
        if ops.is_empty() {
            return;
        }
        inner.seq += 1;
        let delta = Arc::new(TreeDelta { seq: inner.seq, ops });
        if inner.ring.len() >= RING {
            inner.ring.pop_front();
        }
        inner.ring.push_back(Arc::clone(&delta));
        // Nobody listening is fine.
        drop(self.0.deltas.send(delta));
    }
}
