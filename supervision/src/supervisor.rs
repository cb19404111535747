//! Supervisors as seen from outside: their slots, handles and what can be asked of them.

use std::fmt;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use ractor::ActorCell;
use tokio::sync::watch;

use crate::child_spec::{Restart, SpecError};
use crate::exit::ExitReason;
use crate::incarnation::ActorId;
pub use crate::machine::AdminError;
use crate::path::{ActorPath, ChildId};
use crate::shell::tree_link::TreeShared;
use crate::tree::{NodeId, NodeState, TreeStore};

mod handle;
mod start;

pub use handle::SupervisorHandle;
pub use start::Init;
pub use start::Supervisor;
pub(crate) use start::{Blueprint, check};

/// The id of a tree's root.
const ROOT: &str = "root";

/// Why a supervisor did not start. Nothing of it is left.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartError {
    /// The specification makes no sense.
    #[error("the specification was refused")]
    Spec(#[from] SpecError),
    /// A child did not start.
    #[error("child {id} did not start: {reason}")]
    Child {
        /// Which one.
        id: ChildId,
        /// Why.
        reason: ExitReason,
    },
    /// It was stopped while starting.
    #[error("stopped while starting")]
    ShutDown,
    /// The supervisor itself failed.
    #[error("the supervisor failed: {0}")]
    Failed(ExitReason),
}

/// What is known of a child.
#[derive(Clone, Debug)]
pub struct ChildInfo {
    /// Its id.
    pub id: ChildId,
    /// Where it stands.
    pub path: ActorPath,
    /// Its live incarnation.
    pub actor: Option<ActorId>,
    /// What sort of thing it is.
    pub kind: &'static str,
    /// Whether it supervises others.
    pub is_supervisor: bool,
    /// Its restart type.
    pub restart: Restart,
    /// What it is doing.
    pub state: NodeState,
    /// The current or last incarnation; 0 before the first start.
    pub incarnation: u64,
    /// Retries in a row.
    pub attempt: u32,
    /// Automatic restarts so far.
    pub restarts: u64,
    /// How the last incarnation ended.
    pub last_exit: Option<ExitReason>,
}

/// How many children there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildCount {
    /// All known ones, dead or alive; of children made from a template there is one spec, however many there are.
    pub specs: usize,
    /// Those with a process.
    pub active: usize,
    /// Supervisors among the known.
    pub supervisors: usize,
    /// Workers among the known.
    pub workers: usize,
}

/// What [`SupervisorHandle::reconfigure`] does beyond taking over specs.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReconfigureOptions {
    /// Start children that are new.
    pub start_new: bool,
    /// Stop and forget children that are gone.
    pub stop_removed: bool,
}

/// What [`SupervisorHandle::reconfigure`] did.
#[derive(Clone, Debug, Default)]
pub struct ReconfigureReport {
    /// Children that stay and use their new spec from the next start on.
    pub kept: Vec<ChildId>,
    /// Children that are being started.
    pub added: Vec<ChildId>,
    /// Children that are being stopped.
    pub removed: Vec<ChildId>,
}

/// How a shutdown went.
#[derive(Clone, Debug, Default)]
pub struct ShutdownReport {
    /// Who had to be killed, or would not even die.
    pub stragglers: Vec<ActorPath>,
}

pub(crate) struct SupInner {
    live: ArcSwapOption<ActorCell>,
    shared: ArcSwapOption<TreeShared>,
    exit: watch::Sender<Option<ExitReason>>,
    /// Where the supervisor stands.
    path: ArcSwapOption<ActorPath>,
    /// The root's node, which has no supervisor to remove it.
    root: OnceLock<NodeId>,
}

/// Made before its supervisor; each incarnation is published into it. Cheap to clone.
#[derive(Clone)]
pub struct SupervisorSlot(Arc<SupInner>);

impl SupervisorSlot {
    /// An empty slot.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(SupInner {
            live: ArcSwapOption::empty(),
            shared: ArcSwapOption::empty(),
            exit: watch::Sender::new(None),
            path: ArcSwapOption::empty(),
            root: OnceLock::new(),
        }))
    }

    /// A handle on whichever incarnation is live.
    #[must_use]
    pub fn handle(&self) -> SupervisorHandle {
        SupervisorHandle { slot: self.clone() }
    }

    /// The tree it is part of, once started.
    pub(crate) fn tree(&self) -> Option<TreeStore> {
        self.0.shared.load().as_ref().map(|shared| shared.tree.clone())
    }

    pub(crate) fn publish(&self, cell: ActorCell) {
        self.0.exit.send_replace(None);
        self.0.live.store(Some(Arc::new(cell)));
    }

    /// Notes why the live incarnation ends.
    pub(crate) fn finish(&self, reason: &ExitReason) {
        self.0.exit.send_replace(Some(reason.clone()));
    }

    pub(crate) fn withdraw(&self, actor: ractor::ActorId, reason: &ExitReason) {
        let Some(live) = self.0.live.load_full() else { return };
        if live.get_id() == actor {
            self.0.live.store(None);
            if self.0.exit.borrow().is_none() {
                self.finish(reason);
            }
        }
    }

    /// Notes that the incarnation is gone without having said why.
    pub(crate) fn lost(&self, actor: ractor::ActorId) {
        let ours = self.0.live.load().as_ref().is_some_and(|live| live.get_id() == actor);
        if ours && self.0.exit.borrow().is_none() {
            self.finish(&ExitReason::Killed);
        }
    }

    pub(super) fn path(&self) -> Option<ActorPath> {
        self.0.path.load().as_deref().cloned()
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.root.get().is_some()
    }

    /// Takes the root's node out of the tree.
    pub(super) fn bury_root(&self) {
        if let (Some(node), Some(shared)) = (self.0.root.get(), self.0.shared.load_full()) {
            shared.tree.remove(*node);
        }
    }

    pub(super) fn live(&self) -> Option<ActorCell> {
        self.0.live.load_full().map(|cell| ActorCell::clone(&cell))
    }
}

impl Default for SupervisorSlot {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SupervisorSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisorSlot").field("live", &self.live().is_some()).finish()
    }
}
