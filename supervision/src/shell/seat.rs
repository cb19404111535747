//! What a start needs of its supervisor, and what a supervisor needs of a slot whose message type it does not know.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use ractor::{ActorCell, ActorId};
use tokio::sync::Notify;

use crate::cancel::LazyToken;
use crate::context::Core;
use crate::exit::ExitReason;
use crate::incarnation::StartInfo;
use crate::mailbox::Mailbox;
use crate::panics::bury;
use crate::shell::actor::Link;
use crate::shell::brood::Brood;
use crate::shell::tree_link::{NodeLink, TreeShared};
use crate::supervisor::SupervisorSlot;
use crate::telemetry::meter::Meter;

/// What one incarnation is built into.
#[derive(Clone)]
pub(crate) struct Seating {
    pub(crate) supervisor: ActorCell,
    pub(crate) shared: Arc<TreeShared>,
    pub(crate) node: NodeLink,
    pub(crate) meter: Arc<Meter>,
    pub(crate) mailbox: Mailbox,
    pub(crate) handler_limit: Option<Duration>,
    pub(crate) desk: Arc<Desk>,
}

/// State that goes from one incarnation to the next.
pub(crate) type Carried = Box<dyn Any + Send>;

/// Where an incarnation, its start and its supervisor leave things for each other.
#[derive(Default)]
pub(crate) struct Desk {
    /// A supervisor as soon as it exists, before its children are up, so that it can be stopped in order.
    pub(crate) early: OnceLock<ActorCell>,
    /// The actor that was started for this child.
    pub(crate) spawned: OnceLock<ActorCell>,
    /// The incarnation, for as long as anything of it is there.
    pub(crate) core: OnceLock<Weak<Core>>,
    /// Cancelled when the incarnation is to stop, and when it is over.
    pub(crate) cancel: LazyToken,
    /// Told when the start has to be given up at once, however it goes.
    pub(crate) give_up: Notify,
    /// The incarnation's own children, if it can have any.
    brood: OnceLock<Arc<Brood>>,
    /// Whether the state is to be left here after a clean stop.
    carry: bool,
    papers: Mutex<Papers>,
}

#[derive(Default)]
struct Papers {
    info: Option<StartInfo>,
    given: Option<Carried>,
    left: Option<Carried>,
}

impl Drop for Papers {
    /// In a supervisor's hands, which a panic must not harm.
    fn drop(&mut self) {
        bury((self.info.take(), self.given.take(), self.left.take()));
    }
}

impl Desk {
    pub(crate) fn new(carry: bool, given: Option<Carried>) -> Arc<Self> {
        let papers = Mutex::new(Papers { given, info: None, left: None });
        Arc::new(Self { carry, papers, ..Self::default() })
    }

    /// An incarnation that is over but has tasks which have not noticed yet; they are told.
    pub(crate) fn unfinished(&self) -> Option<Arc<Core>> {
        let core = self.core.get()?.upgrade()?;
        core.scope.end();
        (core.scope.len() > 0).then_some(core)
    }

    pub(crate) fn set_info(&self, info: StartInfo) {
        self.lock().info = Some(info);
    }

    pub(crate) fn take_info(&self) -> Option<StartInfo> {
        self.lock().info.take()
    }

    /// The state of the incarnation before, if it is a `T`; given once.
    pub(crate) fn take_given<T: Any>(&self) -> Option<T> {
        let given = self.lock().given.take()?;
        given.downcast::<T>().ok().map(|state| *state)
    }

    /// Keeps the state for the next incarnation, or gives it back to be dropped.
    pub(crate) fn leave<T: Any + Send>(&self, state: T) -> Option<T> {
        if !self.carry {
            return Some(state);
        }
        self.lock().left = Some(Box::new(state));
        None
    }

    pub(crate) fn set_brood(&self, brood: &Arc<Brood>) {
        drop(self.brood.set(Arc::clone(brood)));
    }

    pub(crate) fn brood(&self) -> Option<Arc<Brood>> {
        self.brood.get().cloned()
    }

    pub(crate) fn take_left(&self) -> Option<Carried> {
        self.lock().left.take()
    }

    fn lock(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("carry", &self.carry).finish_non_exhaustive()
    }
}

impl Link {
    /// Keeps the state that an incarnation left for the next one, unless it ended in a way that makes it doubtful.
    pub(crate) fn carry(&mut self, left: Option<Carried>, reason: &ExitReason) {
        bury(std::mem::replace(&mut self.carried, left));
        if !reason.is_clean() {
            bury(self.carried.take());
        }
    }
}

/// A place an incarnation was published in.
pub(crate) trait ErasedSlot: Send + Sync {
    /// Takes the incarnation back if it is still the one published.
    fn unpublish(&self, actor: ActorId, reason: &ExitReason);

    /// By which the place is known in the graph of who waits for whom.
    fn wait_id(&self) -> Option<u64> {
        None
    }
}

impl ErasedSlot for SupervisorSlot {
    fn unpublish(&self, actor: ActorId, reason: &ExitReason) {
        self.withdraw(actor, reason);
    }
}
