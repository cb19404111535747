//! Faults on purpose, by actor path, in one tree that was armed for it.
//!
//! A tree is armed before it is started ([`TreeStore::arm_chaos`]) or never. Only an armed tree keeps a list of its
//! actors and looks for faults; in any other a message costs one look at an empty option, and nothing can be injected.
//! Two trees in one process share nothing.
//!
//! Most faults wait for something to strike: the next message, start or stop. [`ChaosPort::strike`] also wakes an actor
//! that has nothing to do.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ractor::ActorCell;

use crate::exit::{BoxError, ExitReason};
use crate::panics::guard;
use crate::path::ActorPath;
use crate::shell::messages::SupMsg;
use crate::tree::{NodeState, TreeStore};

mod fault;

use fault::Stage;
pub use fault::{Fault, InjectError};

/// Faults of a tree that wait at most. More are refused.
const MOST_PENDING: usize = 4096;

/// Injects faults into one tree. Cheap to clone.
#[derive(Clone)]
pub struct ChaosPort {
    tree: TreeStore,
    table: Arc<Table>,
}

impl TreeStore {
    /// Allows faults on purpose in this tree. To be called before its root is started: actors that run already are not
    /// reached.
    pub fn arm_chaos(&self) -> ChaosPort {
        let table = self.chaos_cell().get_or_init(Arc::default);
        ChaosPort { tree: self.clone(), table: Arc::clone(table) }
    }

    /// The way to inject faults, if this tree is armed for it.
    #[must_use]
    pub fn chaos(&self) -> Option<ChaosPort> {
        self.chaos_table().map(|table| ChaosPort { tree: self.clone(), table })
    }

    pub(crate) fn chaos_table(&self) -> Option<Arc<Table>> {
        self.chaos_cell().get().cloned()
    }
}

impl ChaosPort {
    /// Lets the actor at `path` fail: at its next message, start or stop, or now for [`Fault::Kill`] and at supervisors.
    ///
    /// A fault stays with its path: if the incarnation ends before, the next one meets it.
    ///
    /// # Errors
    /// If there is no such actor, it is not up (for what strikes now), or the fault makes no sense for it.
    pub fn inject(&self, path: impl Into<ActorPath>, fault: Fault) -> Result<(), InjectError> {
        let path = path.into();
        let node = self.tree.node(&path).filter(|node| node.state != NodeState::Zombie);
        let Some(node) = node else { return Err(InjectError::NotFound(path)) };
        match (fault.stage(), node.is_supervisor) {
            (Stage::Now, true | false) => {
                self.table.now(path.clone(), |live| live.cell.kill())?;
                self.table.note(&path, fault);
                Ok(())
            }
            (Stage::Message, true) if fault != Fault::Hang => {
                self.table.now(path.clone(), |live| (live.reach)(Some(fault)))?;
                self.table.note(&path, fault);
                Ok(())
            }
            (Stage::Message | Stage::Stop, true) => Err(InjectError::Supervisor(path)),
            (Stage::Message | Stage::Stop, false) | (Stage::Start, true | false) => self.table.queue(path, fault),
        }
    }

    /// As [`Self::inject`], and if the actor has nothing in its mailbox, the fault strikes at once.
    ///
    /// # Errors
    /// As [`Self::inject`]; a fault of a message also needs an incarnation that is up.
    pub fn strike(&self, path: impl Into<ActorPath>, fault: Fault) -> Result<(), InjectError> {
        let path = path.into();
        let worker = self.tree.node(&path).is_some_and(|node| !node.is_supervisor);
        if fault.stage() != Stage::Message || !worker {
            return self.inject(path, fault);
        }
        if !self.table.is_live(&path) {
            return Err(InjectError::NotRunning(path));
        }
        self.inject(path.clone(), fault)?;
        // One that has ended meanwhile leaves the fault to its successor.
        self.table.wake(&path);
        Ok(())
    }

    /// Faults that have not struck yet, by path, oldest first.
    #[must_use]
    pub fn pending(&self) -> Vec<(ActorPath, Fault)> {
        let targets = self.table.lock();
        let by_path: BTreeMap<&str, &Arc<Target>> = targets.iter().map(|(path, of)| (path.as_str(), of)).collect();
        let faults = |target: &Target| target.lock().faults.iter().copied().collect::<Vec<_>>();
        by_path.into_values().flat_map(|of| faults(of).into_iter().map(|fault| (of.path.clone(), fault))).collect()
    }

    /// Forgets faults that have not struck yet; how many there were.
    pub fn clear(&self) -> usize {
        let mut forgotten = 0;
        self.table.lock().retain(|_, target| {
            let mut seat = target.lock();
            forgotten += seat.faults.len();
            seat.faults.clear();
            seat.wake = false;
            target.waiting.store(0, Ordering::SeqCst);
            seat.live.is_some()
        });
        self.table.pending.fetch_sub(forgotten, Ordering::SeqCst);
        forgotten
    }

    /// How many faults have struck since the tree was armed.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.table.struck.load(Ordering::Relaxed)
    }

    /// How many actors can be reached.
    #[must_use]
    pub fn actors(&self) -> usize {
        self.table.lock().values().filter(|target| target.lock().live.is_some()).count()
    }
}

impl fmt::Debug for ChaosPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChaosPort").field("pending", &self.table.pending).finish_non_exhaustive()
    }
}

/// The actors of an armed tree and the faults that wait for them.
#[derive(Default)]
pub(crate) struct Table {
    targets: Mutex<HashMap<ActorPath, Arc<Target>>>,
    pending: AtomicUsize,
    struck: AtomicU64,
}

/// A path that faults can strike at.
pub(crate) struct Target {
    path: ActorPath,
    /// Faults that wait for a message, so that one costs a load while there are none.
    waiting: AtomicUsize,
    seat: Mutex<Seat>,
}

#[derive(Default)]
struct Seat {
    live: Option<Live>,
    faults: VecDeque<Fault>,
    /// A fault is to strike without waiting for a message; the next incarnation is woken for it as well.
    wake: bool,
}

/// The incarnation that is up.
struct Live {
    cell: ActorCell,
    reach: Reach,
}

/// Tells a supervisor to fail, or wakes a worker.
type Reach = Box<dyn Fn(Option<Fault>) + Send + Sync>;

impl Table {
    fn lock(&self) -> MutexGuard<'_, HashMap<ActorPath, Arc<Target>>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the seat at a path, which is made if need be. The list stays locked: a seat without incarnation and
    /// fault is taken off it.
    fn with_seat(&self, path: &ActorPath, change: impl FnOnce(&mut Seat)) -> Arc<Target> {
        let mut targets = self.lock();
        let target = targets.entry(path.clone()).or_insert_with(|| {
            Arc::new(Target { path: path.clone(), waiting: AtomicUsize::new(0), seat: Mutex::default() })
        });
        change(&mut target.lock());
        Arc::clone(target)
    }

    fn is_live(&self, path: &ActorPath) -> bool {
        self.lock().get(path).is_some_and(|target| target.lock().live.is_some())
    }

    fn now(&self, path: ActorPath, act: impl FnOnce(&Live)) -> Result<(), InjectError> {
        let target = self.lock().get(&path).cloned();
        let done = target.and_then(|target| target.lock().live.as_ref().map(act));
        done.ok_or(InjectError::NotRunning(path))
    }

    fn wake(&self, path: &ActorPath) {
        let Some(target) = self.lock().get(path).cloned() else { return };
        let mut seat = target.lock();
        seat.wake = true;
        if let Some(live) = &seat.live {
            (live.reach)(None);
        }
    }

    fn queue(&self, path: ActorPath, fault: Fault) -> Result<(), InjectError> {
        if self.pending.fetch_add(1, Ordering::SeqCst) >= MOST_PENDING {
            self.pending.fetch_sub(1, Ordering::SeqCst);
            return Err(InjectError::Full);
        }
        let target = self.with_seat(&path, |seat| seat.faults.push_back(fault));
        target.waiting.store(target.messages_waited_for(), Ordering::SeqCst);
        Ok(())
    }

    /// An incarnation is there.
    pub(crate) fn enter(self: &Arc<Self>, path: &ActorPath, cell: &ActorCell, reach: Reach) -> Marked {
        let target = self.with_seat(path, |seat| {
            if seat.wake {
                reach(None);
            }
            seat.live = Some(Live { cell: cell.clone(), reach });
        });
        Marked { table: Arc::clone(self), target, cell: cell.clone() }
    }

    /// What the start of an actor at this path meets.
    pub(crate) async fn strike_start(&self, path: &ActorPath) -> Result<(), ExitReason> {
        let target = self.lock().get(path).cloned();
        let Some(target) = target else { return Ok(()) };
        let Some(fault) = self.take(&target, Stage::Start) else { return Ok(()) };
        fail_on_purpose(fault).await.map_err(ExitReason::from_box)
    }

    fn take(&self, target: &Target, stage: Stage) -> Option<Fault> {
        let mut seat = target.lock();
        let at = seat.faults.iter().position(|fault| fault.stage() == stage)?;
        let fault = seat.faults.get(at).copied()?;
        match seat.faults.get_mut(at) {
            Some(Fault::FailStart(left)) if *left > 1 => *left -= 1,
            Some(_) | None => {
                seat.faults.remove(at);
                self.pending.fetch_sub(1, Ordering::SeqCst);
            }
        }
        seat.wake &= seat.faults.iter().any(|fault| fault.stage() == Stage::Message);
        drop(seat);
        target.waiting.store(target.messages_waited_for(), Ordering::SeqCst);
        self.note(&target.path, fault);
        Some(fault)
    }

    fn note(&self, path: &ActorPath, fault: Fault) {
        self.struck.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(target: "supervision", %path, ?fault, "injected fault");
    }
}

impl Target {
    fn lock(&self) -> MutexGuard<'_, Seat> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn messages_waited_for(&self) -> usize {
        self.lock().faults.iter().filter(|fault| fault.stage() == Stage::Message).count()
    }
}

/// An incarnation of an armed tree, on the list for as long as it lives.
pub(crate) struct Marked {
    table: Arc<Table>,
    target: Arc<Target>,
    cell: ActorCell,
}

impl Marked {
    /// Runs before every message.
    pub(crate) async fn strike(&self) -> Result<(), BoxError> {
        if self.target.waiting.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        match self.table.take(&self.target, Stage::Message) {
            Some(fault) => carry_out(fault).await,
            None => Ok(()),
        }
    }

    /// Runs before `post_stop`.
    pub(crate) async fn strike_stop(&self) -> Result<(), BoxError> {
        match self.table.take(&self.target, Stage::Stop) {
            Some(fault) => carry_out(fault).await,
            None => Ok(()),
        }
    }

    /// Takes the incarnation off the list.
    pub(crate) fn leave(&self) {
        let mut targets = self.table.lock();
        let mut seat = self.target.lock();
        // A successor may be on the list already.
        seat.live.take_if(|live| live.cell.get_id() == self.cell.get_id());
        let gone = seat.live.is_none() && seat.faults.is_empty();
        drop(seat);
        // Told twice, the second time perhaps after a successor has been given a place of its own.
        if gone && targets.get(&self.target.path).is_some_and(|there| Arc::ptr_eq(there, &self.target)) {
            targets.remove(&self.target.path);
        }
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Puts a supervisor of an armed tree on the list.
pub(crate) fn mark_supervisor(tree: &TreeStore, path: &ActorPath, cell: &ActorCell) -> Option<Marked> {
    let reached = cell.clone();
    let reach = move |fault: Option<Fault>| {
        if let Some(fault) = fault {
            drop(reached.send_message(SupMsg::Fault(fault)));
        }
    };
    Some(tree.chaos_table()?.enter(path, cell, Box::new(reach)))
}

/// Does what a fault says to a supervisor.
pub(crate) async fn fail_on_purpose(fault: Fault) -> Result<(), BoxError> {
    guard(|| carry_out(fault)).await.unwrap_or_else(|panic| Err(panic.into()))
}

/// Does what a fault says, here and now.
async fn carry_out(fault: Fault) -> Result<(), BoxError> {
    match fault {
        Fault::Panic | Fault::PanicAtStart | Fault::PanicAtStop => panic!("injected panic"),
        Fault::Error | Fault::FailStart(_) => Err("injected error".into()),
        Fault::Hang | Fault::HangAtStart | Fault::HangAtStop => std::future::pending().await,
        Fault::Block(time) => {
            std::thread::sleep(time);
            Ok(())
        }
        Fault::Kill => Ok(()),
    }
}
