//! Numbered batches of changes as the store keeps them: before and after, told to each follower in its own words.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::tree::delta::{diff, merge};
use crate::tree::{NodeFacts, TreeOp, View, Viewer};

// This crate's own tests use small numbers, so that every boundary is met.

/// Batches kept for followers that are behind or come back.
const BATCHES: usize = if cfg!(test) { 96 } else { 4096 };
/// Changes kept in all of them.
const CHANGES: usize = 16_384;
/// Changes in one batch.
pub(crate) const BATCH: usize = if cfg!(test) { 6 } else { 2000 };

/// A node before and after.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) before: Option<Arc<NodeFacts>>,
    pub(crate) after: Option<Arc<NodeFacts>>,
}

/// What has one number.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) seq: u64,
    pub(crate) changes: Vec<Change>,
}

impl Change {
    /// What a follower is told of it.
    fn op(&self, view: &View, viewer: Viewer) -> Option<TreeOp> {
        let facts = self.after.as_ref().or(self.before.as_ref())?;
        if !view.contains(facts, viewer) {
            return None;
        }
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                let fields = diff(&viewer.see(before), &viewer.see(after));
                (!fields.is_empty()).then_some(TreeOp::Patch { id: after.id, fields })
            }
            (None, Some(after)) => Some(TreeOp::Add(viewer.see(after))),
            (Some(before), None) => Some(TreeOp::Remove(before.id)),
            (None, None) => None,
        }
    }
}

impl Batch {
    /// What a follower is told of it.
    pub(crate) fn ops(&self, view: &View, viewer: Viewer) -> Vec<TreeOp> {
        self.changes.iter().filter_map(|change| change.op(view, viewer)).collect()
    }
}

/// Several batches as one; `None` if that makes more than `most` changes.
pub(crate) fn coalesce(batches: &[Arc<Batch>], view: &View, viewer: Viewer, most: usize) -> Option<Vec<TreeOp>> {
    let mut by_node: BTreeMap<u64, TreeOp> = BTreeMap::new();
    for batch in batches {
        for change in &batch.changes {
            let Some(op) = change.op(view, viewer) else { continue };
            let id = match &op {
                TreeOp::Add(facts) => facts.id,
                TreeOp::Remove(id) | TreeOp::Patch { id, .. } => *id,
            };
            match by_node.get_mut(&id) {
                Some(earlier) => merge(earlier, op),
                None => drop(by_node.insert(id, op)),
            }
            if by_node.len() > most {
                return None;
            }
        }
    }
    // Children go before their parents and come after them: they have the higher numbers.
    let (mut ops, rest): (Vec<_>, Vec<_>) = by_node.into_values().partition(|op| matches!(op, TreeOp::Remove(_)));
    ops.reverse();
    ops.extend(rest);
    Some(ops)
}

/// The last batches. Has a lock of its own, so that followers do not get in the way of writers.
#[derive(Debug, Default)]
pub(crate) struct Feed(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    batches: VecDeque<Arc<Batch>>,
    changes: usize,
    latest: u64,
}

impl Feed {
    pub(crate) fn push(&self, batch: Batch) {
        let mut dropped = Vec::new();
        let mut ring = self.lock();
        ring.latest = batch.seq;
        ring.changes += batch.changes.len();
        ring.batches.push_back(Arc::new(batch));
        while ring.batches.len() > BATCHES || (ring.changes > CHANGES && ring.batches.len() > 1) {
            let Some(oldest) = ring.batches.pop_front() else { break };
            ring.changes -= oldest.changes.len();
            dropped.push(oldest);
        }
        drop(ring);
    }

    /// The number of the last batch.
    pub(crate) fn latest(&self) -> u64 {
        self.lock().latest
    }

    /// The batches after `seq`; `None` if not all of them are known.
    pub(crate) fn since(&self, seq: u64) -> Option<Vec<Arc<Batch>>> {
        let ring = self.lock();
        if seq > ring.latest {
            return None;
        }
        let missing = usize::try_from(ring.latest - seq).unwrap_or(usize::MAX);
        let skip = ring.batches.len().checked_sub(missing)?;
        Some(ring.batches.iter().skip(skip).cloned().collect())
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
