//! Owns the tree. Written by supervisors, under one short lock, without waiting for anybody.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::child_spec::{ChildSpec, Strategy};
use crate::path::{ActorPath, ChildId};
use crate::tree::node::{ChildState, Controller, NewNode, Node, NodeId};
use crate::tree::soft::Soft;
use crate::tree::{
    ExitRecord, IntensityView, NodeMetrics, NodeState, NodeView, Query, Snapshot, TreeDelta, TreeSubscription,
};

/// Batches a follower may be behind.
const FOLLOWER_LAG: usize = 1024;
/// Exits kept of each path.
const HISTORY: usize = 20;
/// Paths whose exits are kept.
const HISTORY_PATHS: usize = 8192;
/// Life-cycle changes within this time of the last batch share the next one.
const LIFECYCLE_TICK: Duration = Duration::from_millis(20);
/// The same for what actors show of themselves.
const SOFT_TICK: Duration = Duration::from_millis(250);

/// The tree. Cheap to clone; clones show the same tree.
#[derive(Clone)]
pub struct TreeStore(pub(super) Arc<Shared>);

pub(super) struct Shared {
    epoch: u64,
    clock: Box<dyn Fn() -> i64 + Send + Sync>,
    pub(super) deltas: broadcast::Sender<Arc<TreeDelta>>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) nodes: BTreeMap<NodeId, Node>,
    by_path: HashMap<ActorPath, NodeId>,
    next_id: NodeId,
    pub(super) seq: u64,
    pub(super) ring: VecDeque<Arc<TreeDelta>>,
    pub(super) dirty: BTreeSet<NodeId>,
    pub(super) removed: Vec<NodeId>,
    pub(super) flushed: Option<Instant>,
    pub(super) scheduled: Option<Instant>,
    history: HashMap<ActorPath, VecDeque<ExitRecord>>,
    history_order: VecDeque<ActorPath>,
}

impl TreeStore {
    /// An empty tree on the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(|| {
            let since = UNIX_EPOCH.elapsed().unwrap_or_default();
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
    }

    /// An empty tree that reads epoch milliseconds from `clock`.
    #[must_use]
    pub fn with_clock(clock: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        static LIVES: AtomicU64 = AtomicU64::new(0);
        // Unlike any earlier life, even of a process before this one.
        let epoch = (u64::try_from(clock()).unwrap_or(0) << 8) | (LIVES.fetch_add(1, Ordering::Relaxed) & 0xff);
        Self(Arc::new(Shared {
            // Stays exact when read as a double.
            epoch: epoch & ((1 << 53) - 1),
            clock: Box::new(clock),
            deltas: broadcast::Sender::new(FOLLOWER_LAG),
            inner: Mutex::default(),
        }))
    }

    /// Epoch milliseconds by the tree's clock.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        (self.0.clock)()
    }

    pub(crate) fn epoch_of(&self, at: Instant) -> i64 {
        let ahead = at.saturating_duration_since(Instant::now());
        self.now_ms().saturating_add(i64::try_from(ahead.as_millis()).unwrap_or(i64::MAX))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nodes asked for, counters included.
    #[must_use]
    pub fn snapshot(&self, query: &Query) -> Snapshot {
        let mut inner = self.lock();
        self.flush(&mut inner);
        let mut nodes = Vec::new();
        let roots: Vec<NodeId> = match &query.root {
            Some(path) => inner.by_path.get(path).copied().into_iter().collect(),
            None => inner.nodes.values().filter(|node| node.view.parent.is_none()).map(|node| node.view.id).collect(),
        };
        let limit = query.limit.unwrap_or(usize::MAX);
        let mut pending: Vec<(NodeId, usize)> = roots.into_iter().rev().map(|id| (id, 0)).collect();
        while let Some((id, level)) = pending.pop() {
            if nodes.len() >= limit {
                break;
            }
            let Some(node) = inner.nodes.get(&id) else { continue };
            nodes.push(node.measured());
            if query.depth.is_none_or(|depth| level < depth) {
                pending.extend(node.children.iter().rev().map(|child| (*child, level + 1)));
            }
        }
        Snapshot { epoch: self.0.epoch, seq: inner.seq, at: self.now_ms(), nodes }
    }

    /// Follows all changes from now on.
    #[must_use]
    pub fn subscribe(&self) -> TreeSubscription {
        let mut inner = self.lock();
        self.flush(&mut inner);
        self.follow(&inner, VecDeque::new(), false, inner.seq)
    }

    /// Follows all changes after batch `seq` of life `epoch`; begins with a reset if those are no longer known.
    #[must_use]
    pub fn subscribe_from(&self, epoch: u64, seq: u64) -> TreeSubscription {
        let mut inner = self.lock();
        self.flush(&mut inner);
        let oldest = inner.ring.front().map_or(inner.seq + 1, |delta| delta.seq);
        if epoch != self.0.epoch || seq > inner.seq || seq + 1 < oldest {
            return self.follow(&inner, VecDeque::new(), true, inner.seq);
        }
        let backlog = inner.ring.iter().filter(|delta| delta.seq > seq).cloned().collect();
        self.follow(&inner, backlog, false, seq)
    }

    fn follow(&self, _: &Inner, backlog: VecDeque<Arc<TreeDelta>>, missed: bool, seq: u64) -> TreeSubscription {
        TreeSubscription { backlog, missed, deltas: self.0.deltas.subscribe(), epoch: self.0.epoch, seq }
    }

    /// One node, counters included.
    #[must_use]
    pub fn node(&self, path: &ActorPath) -> Option<NodeView> {
        let inner = self.lock();
        let node = inner.nodes.get(inner.by_path.get(path)?)?;
        let mut view = node.measured();
        (view.detail, view.busy) = node.soft.peek();
        Some(view)
    }

    /// The direct children of a node in start order, counters included.
    #[must_use]
    pub fn children(&self, path: &ActorPath) -> Vec<NodeView> {
        let snapshot = self.snapshot(&Query { root: Some(path.clone()), depth: Some(1), limit: None });
        snapshot.nodes.into_iter().skip(1).collect()
    }

    /// The last 20 exits at a path, oldest first; also of nodes that are gone.
    #[must_use]
    pub fn history(&self, path: &ActorPath) -> Vec<ExitRecord> {
        self.lock().history.get(path).map(|exits| exits.iter().cloned().collect()).unwrap_or_default()
    }

    /// Counters of some nodes, for followers that show them.
    #[must_use]
    pub fn metrics(&self, ids: &[u64]) -> Vec<NodeMetrics> {
        let inner = self.lock();
        ids.iter().filter_map(|id| inner.nodes.get(id)?.metrics()).collect()
    }

    /// Counters of all nodes that have any.
    #[must_use]
    pub fn all_metrics(&self) -> Vec<NodeMetrics> {
        self.lock().nodes.values().filter_map(Node::metrics).collect()
    }

    pub(crate) fn controller(&self, path: &ActorPath) -> Option<(NodeState, Option<Controller>)> {
        let inner = self.lock();
        let node = inner.nodes.get(inner.by_path.get(path)?)?;
        Some((node.view.state, node.controller.clone()))
    }

    pub(crate) fn insert(&self, new: NewNode<'_>) -> (NodeId, Arc<Soft>) {
        let mut inner = self.lock();
        let id = inner.next_id;
        inner.next_id += 1;
        let soft = Arc::new(Soft::default());
        let node = Node {
            view: new.view(id),
            published: None,
            children: BTreeSet::new(),
            soft: Arc::clone(&soft),
            meter: new.meter,
            controller: new.controller,
        };
        if let Some(parent) = new.parent.and_then(|parent| inner.nodes.get_mut(&parent)) {
            parent.children.insert(id);
        }
        inner.by_path.insert(new.path.clone(), id);
        inner.nodes.insert(id, node);
        self.touch(&mut inner, id, LIFECYCLE_TICK);
        (id, soft)
    }

    /// Shows a killed child that does not die, beside its successor.
    pub(crate) fn insert_zombie(&self, parent: NodeId, of: &ActorPath, kind: &'static str, number: u64) -> NodeId {
        let name = ChildId::from(format!("{}~zombie{number}", of.as_str().rsplit('/').next().unwrap_or_default()));
        let path = ActorPath::parse(&format!("{of}~zombie{number}"));
        let (id, _) = self.insert(NewNode {
            parent: Some(parent),
            path: &path,
            name: &name,
            spec: None,
            meter: None,
            controller: None,
        });
        self.change(id, |view| {
            view.kind = kind;
            view.is_supervisor = false;
            view.state = NodeState::Zombie;
        });
        id
    }

    pub(crate) fn show(&self, id: NodeId, child: ChildState) {
        let now = self.now_ms();
        self.change(id, |view| {
            if child.state == NodeState::Running
                && (view.state != NodeState::Running || view.incarnation != child.incarnation)
            {
                view.started_at = Some(now);
            }
            view.state = child.state;
            view.incarnation = child.incarnation;
            view.restarts = child.restarts;
            view.attempt = child.attempt;
            view.max_attempts = child.max_attempts;
            view.flags.suspended = child.suspended;
        });
    }

    pub(crate) fn show_running(&self, id: NodeId) {
        let now = self.now_ms();
        self.change(id, |view| {
            view.state = NodeState::Running;
            view.incarnation = 1;
            view.started_at = Some(now);
        });
    }

    pub(crate) fn show_strategy(&self, id: NodeId, strategy: Strategy) {
        self.change(id, |view| view.strategy = Some(strategy));
    }

    pub(crate) fn show_intensity(&self, id: NodeId, intensity: IntensityView) {
        self.change(id, |view| view.intensity = Some(intensity));
    }

    pub(crate) fn show_spec(&self, id: NodeId, spec: &ChildSpec) {
        self.change(id, |view| {
            view.restart = Some(spec.restart);
            view.label = spec.label.as_deref().map(str::to_owned);
            view.flags.significant = spec.significant;
            view.flags.isolated = spec.policy().isolated();
        });
    }

    pub(crate) fn record_exit(&self, id: NodeId, exit: ExitRecord) {
        let path = {
            let inner = self.lock();
            inner.nodes.get(&id).map(|node| node.view.path.clone())
        };
        let Some(path) = path else { return };
        let last = exit.clone();
        self.change(id, |view| view.last_exit = Some(last));
        let mut inner = self.lock();
        if !inner.history.contains_key(&path) {
            inner.history_order.push_back(path.clone());
            if inner.history_order.len() > HISTORY_PATHS
                && let Some(oldest) = inner.history_order.pop_front()
            {
                inner.history.remove(&oldest);
            }
        }
        let exits = inner.history.entry(path).or_default();
        if exits.len() >= HISTORY {
            exits.pop_front();
        }
        exits.push_back(exit);
    }

    /// Removes a node and all below it.
    pub(crate) fn remove(&self, id: NodeId) {
        let mut inner = self.lock();
        if inner.remove(id) {
            self.schedule(&mut inner, LIFECYCLE_TICK);
        }
    }

    /// Removes all below a node, except zombies: their supervisor's end does not end them.
    pub(crate) fn clear_children(&self, id: NodeId) {
        let mut inner = self.lock();
        let Some(node) = inner.nodes.get(&id) else { return };
        let children: Vec<NodeId> = node.children.iter().copied().collect();
        let mut any = false;
        for child in children {
            any |= inner.remove(child);
        }
        if any {
            self.schedule(&mut inner, LIFECYCLE_TICK);
        }
    }

    /// Something an actor shows of itself has changed.
    pub(crate) fn soft_changed(&self, id: NodeId) {
        let mut inner = self.lock();
        self.touch(&mut inner, id, SOFT_TICK);
    }

    fn change(&self, id: NodeId, change: impl FnOnce(&mut NodeView)) {
        let mut inner = self.lock();
        if let Some(node) = inner.nodes.get_mut(&id) {
            change(&mut node.view);
            self.touch(&mut inner, id, LIFECYCLE_TICK);
        }
    }
}

impl Inner {
    fn remove(&mut self, id: NodeId) -> bool {
        let Some(node) = self.nodes.remove(&id) else { return false };
        for child in &node.children {
            self.remove(*child);
        }
        if self.by_path.get(&node.view.path) == Some(&id) {
            self.by_path.remove(&node.view.path);
        }
        if let Some(parent) = node.view.parent.and_then(|parent| self.nodes.get_mut(&parent)) {
            parent.children.remove(&id);
        }
        self.dirty.remove(&id);
        if node.published.is_some() {
            self.removed.push(id);
        }
        true
    }
}

impl Default for TreeStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TreeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.lock();
        f.debug_struct("TreeStore").field("nodes", &inner.nodes.len()).field("seq", &inner.seq).finish_non_exhaustive()
    }
}
