//! Owns the tree: one lock, held shortly, and a feed of what has changed.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::UNIX_EPOCH;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::path::ActorPath;
use crate::telemetry::latency::KindMeters;
use crate::telemetry::observers::Observers;
use crate::tree::batch::Feed;
use crate::tree::kinds::KindStats;
use crate::tree::node::{Controller, Node, NodeId};
use crate::tree::redact::{Veil, Veiler};
use crate::tree::{ExitRecord, NodeFacts, NodeState, TreeReader, Viewer};

/// How often a reader steps aside for those who wait for the lock.
const TURNS: usize = 1000;

/// The tree. Cheap to clone; clones show the same tree.
#[derive(Clone)]
pub struct TreeStore(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) epoch: u64,
    clock: Box<dyn Fn() -> i64 + Send + Sync>,
    pub(super) feed: Arc<Feed>,
    /// The number of the last batch, for followers that wait for the next.
    pub(super) news: watch::Sender<u64>,
    pub(super) veiler: Veiler,
    pub(super) observers: Observers,
    pub(super) latency: KindMeters,
    inner: Mutex<Inner>,
    /// How many wait for the lock.
    queue: AtomicUsize,
    /// Empty unless the tree was armed for faults on purpose.
    chaos: OnceLock<Arc<crate::chaos::Table>>,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) nodes: BTreeMap<NodeId, Node>,
    pub(super) roots: BTreeSet<NodeId>,
    pub(super) by_path: HashMap<ActorPath, NodeId>,
    /// Personal nodes by their pseudonyms.
    pub(super) by_veil: HashMap<ActorPath, NodeId>,
    pub(super) by_wait_id: HashMap<u64, NodeId>,
    pub(super) next_id: NodeId,
    pub(super) seq: u64,
    pub(super) dirty: BTreeSet<NodeId>,
    /// As followers knew them, children before parents.
    pub(super) removed: VecDeque<Arc<NodeFacts>>,
    pub(super) flushed: Option<Instant>,
    pub(super) scheduled: Option<Instant>,
    pub(super) history: HashMap<ActorPath, History>,
    pub(super) history_order: VecDeque<ActorPath>,
    pub(super) kinds: BTreeMap<&'static str, KindStats>,
    /// The last refused cycle of calls that was looked at.
    pub(super) cycles_seen: u64,
}

/// The last exits at a path.
#[derive(Default)]
pub(super) struct History {
    pub(super) exits: VecDeque<Arc<ExitRecord>>,
    pub(super) veil: Option<Arc<Veil>>,
    pub(super) is_supervisor: bool,
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
            feed: Arc::default(),
            news: watch::Sender::new(0),
            veiler: Veiler::new(),
            observers: Observers::default(),
            latency: KindMeters::default(),
            inner: Mutex::default(),
            queue: AtomicUsize::new(0),
            chaos: OnceLock::new(),
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

    pub(crate) fn chaos_cell(&self) -> &OnceLock<Arc<crate::chaos::Table>> {
        &self.0.chaos
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        match self.0.inner.try_lock() {
            Ok(inner) => inner,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.0.queue.fetch_add(1, Ordering::SeqCst);
                let inner = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
                self.0.queue.fetch_sub(1, Ordering::SeqCst);
                inner
            }
        }
    }

    /// Called between two holds of the lock by somebody who has long work to do: the lock itself is not fair, and
    /// whoever takes it again at once would keep everybody else out.
    pub(super) fn let_others_in(&self) {
        for _ in 0..TURNS {
            if self.0.queue.load(Ordering::SeqCst) == 0 {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// The tree as somebody may see it. The methods of the store itself see everything.
    #[must_use]
    pub fn seen_by(&self, viewer: Viewer) -> TreeReader {
        TreeReader { store: self.clone(), viewer }
    }

    pub(crate) fn id_at(&self, path: &ActorPath) -> Option<NodeId> {
        self.lock().by_path.get(path).copied()
    }

    pub(crate) fn controller(&self, path: &ActorPath) -> Option<(NodeState, Option<Controller>)> {
        let inner = self.lock();
        let node = inner.nodes.get(inner.by_path.get(path)?)?;
        Some((node.view.state, node.controller.clone()))
    }
}

impl Inner {
    /// The node at a path, as `viewer` writes it.
    pub(super) fn find(&self, path: &ActorPath, viewer: Viewer) -> Option<NodeId> {
        let veiled = |id: &&NodeId| self.nodes.get(*id).is_none_or(|node| node.view.veil.is_some());
        if viewer.personal {
            return self.by_path.get(path).copied();
        }
        self.by_veil.get(path).or_else(|| self.by_path.get(path).filter(|id| !veiled(id))).copied()
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
