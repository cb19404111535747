//! Reading the tree: by somebody who may see all of it, or not.

use crate::path::ActorPath;
use crate::tree::node::Node;
use crate::tree::redact::withheld;
use crate::tree::snapshot::Taking;
use crate::tree::store::{History, TreeStore};
use crate::tree::{ExitRecord, NodeMetrics, NodeView, Query, Snapshot, TreeSubscription, View, Viewer};

/// The tree as one viewer sees it. Paths given to it are understood as this viewer writes them, so that nobody learns
/// whether a name exists by asking for it.
#[derive(Clone, Debug)]
pub struct TreeReader {
    pub(super) store: TreeStore,
    pub(super) viewer: Viewer,
}

impl TreeReader {
    /// Who looks.
    #[must_use]
    pub fn viewer(&self) -> Viewer {
        self.viewer
    }

    /// The nodes asked for, counters included. Taken in chunks between which others get at the tree, and nevertheless
    /// exactly the tree as of the snapshot's number.
    #[must_use]
    pub fn snapshot(&self, query: &Query) -> Snapshot {
        let mut taking = Taking::begin(self, query);
        loop {
            while taking.chunk() {
                self.store.let_others_in();
            }
            match taking.finish() {
                Ok(snapshot) => return snapshot,
                Err(again) => taking = *again,
            }
        }
    }

    /// The same, also letting other tasks run between the chunks.
    pub async fn snapshot_yielding(&self, query: &Query) -> Snapshot {
        let mut taking = Taking::begin(self, query);
        loop {
            while taking.chunk() {
                tokio::task::yield_now().await;
            }
            match taking.finish() {
                Ok(snapshot) => return snapshot,
                Err(again) => taking = *again,
            }
        }
    }

    /// Follows a part of the tree: from now on, or from what somebody already has as of a batch of a life of the store.
    /// Begins with a reset if the batches since are no longer known.
    #[must_use]
    pub fn subscribe(&self, view: View, from: Option<(u64, u64)>) -> TreeSubscription {
        self.store.flush_all();
        let shared = &self.store.0;
        let news = shared.news.subscribe();
        let latest = shared.feed.latest();
        let known = from.map(|(epoch, seq)| (epoch == shared.epoch && shared.feed.since(seq).is_some()).then_some(seq));
        let start = known.flatten().unwrap_or(latest);
        TreeSubscription {
            feed: shared.feed.clone(),
            news,
            view,
            viewer: self.viewer,
            epoch: shared.epoch,
            start,
            read: start,
            told: start,
            missed: known == Some(None),
            pending: Default::default(),
        }
    }

    /// One node, counters included.
    #[must_use]
    pub fn node(&self, path: &ActorPath) -> Option<NodeView> {
        let inner = self.store.lock();
        let view = inner.nodes.get(&inner.find(path, self.viewer)?)?.measured();
        drop(inner);
        Some(self.viewer.see_view(view))
    }

    /// The direct children of a node in start order, counters included.
    #[must_use]
    pub fn children(&self, path: &ActorPath) -> Vec<NodeView> {
        let query = Query { root: Some(path.clone()), depth: Some(1), ..Query::default() };
        self.snapshot(&query).nodes.into_iter().filter(|node| node.path != *path).collect()
    }

    /// A page of the direct children of a node in start order: at most `size` of those after the child numbered `after`,
    /// and the number to ask for the next page with, if there is one.
    #[must_use]
    pub fn children_page(&self, path: &ActorPath, after: Option<u64>, size: usize) -> (Vec<NodeView>, Option<u64>) {
        let inner = self.store.lock();
        let Some(parent) = inner.find(path, self.viewer).and_then(|id| inner.nodes.get(&id)) else {
            return (Vec::new(), None);
        };
        let from = after.map_or(0, |after| after.saturating_add(1));
        let mut ids = parent.children.range(from..);
        let page: Vec<NodeView> =
            ids.by_ref().take(size).filter_map(|id| inner.nodes.get(id)).map(Node::measured).collect();
        let next = ids.next().and(page.last()).map(|last| last.id);
        drop(inner);
        (page.into_iter().map(|view| self.viewer.see_view(view)).collect(), next)
    }

    /// The last 20 exits at a path, oldest first; also of nodes that are gone.
    #[must_use]
    pub fn history(&self, path: &ActorPath) -> Vec<ExitRecord> {
        let inner = self.store.lock();
        let read = |history: &History| -> Vec<ExitRecord> {
            let hide = !self.viewer.personal && (history.veil.is_some() || history.is_supervisor);
            history.exits.iter().map(|exit| if hide { withheld(exit) } else { ExitRecord::clone(exit) }).collect()
        };
        if !self.viewer.personal {
            let veiled = |history: &&History| history.veil.as_ref().is_some_and(|veil| veil.path == *path);
            if let Some(history) = inner.history.values().find(veiled) {
                return read(history);
            }
        }
        let public = |history: &&History| self.viewer.personal || history.veil.is_none();
        inner.history.get(path).filter(public).map(read).unwrap_or_default()
    }

    /// Counters of the nodes in `view` that have any, and of no others.
    #[must_use]
    pub fn view_metrics(&self, view: &View) -> Vec<NodeMetrics> {
        if view.is_whole() {
            return self.store.all_metrics();
        }
        self.snapshot(&view.clone().into()).nodes.iter().filter_map(NodeView::metrics).collect()
    }

    /// Counters of some nodes, for followers that show them.
    #[must_use]
    pub fn metrics(&self, ids: &[u64]) -> Vec<NodeMetrics> {
        let inner = self.store.lock();
        ids.iter().filter_map(|id| inner.nodes.get(id)?.metrics()).collect()
    }
}

impl TreeStore {
    /// The nodes asked for, counters included. See [`TreeReader::snapshot`].
    #[must_use]
    pub fn snapshot(&self, query: &Query) -> Snapshot {
        self.seen_by(Viewer::full()).snapshot(query)
    }

    /// The same, also letting other tasks run meanwhile.
    pub async fn snapshot_yielding(&self, query: &Query) -> Snapshot {
        self.seen_by(Viewer::full()).snapshot_yielding(query).await
    }

    /// Follows all changes from now on.
    #[must_use]
    pub fn subscribe(&self) -> TreeSubscription {
        self.subscribe_view(View::default(), None)
    }

    /// Follows all changes after batch `seq` of life `epoch`; begins with a reset if those are no longer known.
    #[must_use]
    pub fn subscribe_from(&self, epoch: u64, seq: u64) -> TreeSubscription {
        self.subscribe_view(View::default(), Some((epoch, seq)))
    }

    /// Follows a part of the tree. See [`TreeReader::subscribe`].
    #[must_use]
    pub fn subscribe_view(&self, view: View, from: Option<(u64, u64)>) -> TreeSubscription {
        self.seen_by(Viewer::full()).subscribe(view, from)
    }

    /// One node, counters included.
    #[must_use]
    pub fn node(&self, path: &ActorPath) -> Option<NodeView> {
        self.seen_by(Viewer::full()).node(path)
    }

    /// The direct children of a node in start order, counters included.
    #[must_use]
    pub fn children(&self, path: &ActorPath) -> Vec<NodeView> {
        self.seen_by(Viewer::full()).children(path)
    }

    /// The last 20 exits at a path, oldest first; also of nodes that are gone.
    #[must_use]
    pub fn history(&self, path: &ActorPath) -> Vec<ExitRecord> {
        self.seen_by(Viewer::full()).history(path)
    }

    /// Counters of some nodes, for followers that show them.
    #[must_use]
    pub fn metrics(&self, ids: &[u64]) -> Vec<NodeMetrics> {
        self.seen_by(Viewer::full()).metrics(ids)
    }

    /// Counters of all nodes that have any.
    #[must_use]
    pub fn all_metrics(&self) -> Vec<NodeMetrics> {
        let mut all = Vec::new();
        let mut from = 0;
        loop {
            let inner = self.lock();
            let mut last = None;
            for (id, node) in inner.nodes.range(from..).take(super::snapshot::CHUNK) {
                all.extend(node.metrics());
                last = Some(*id);
            }
            drop(inner);
            match last {
                Some(last) => from = last + 1,
                None => return all,
            }
            self.let_others_in();
        }
    }
}
