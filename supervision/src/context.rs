//! What an actor can do besides handling messages: its own tasks, timers, children, and what it shows of itself.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use ractor::{ActorCell, ActorStatus};
use tokio_util::sync::CancellationToken;

use crate::actor::ChildExit;
use crate::address::{Address, Live};
use crate::checkpoint::Checkpoint;
use crate::child_spec::ChildSpec;
use crate::exit::{BoxError, ExitReason};
use crate::gate::Gate;
use crate::incarnation::StartInfo;
use crate::path::{ActorPath, ChildId};
use crate::scope::Scope;
use crate::shell::nursery::Nursery;
use crate::shell::seat::Desk;
use crate::shell::tree_link::{NodeLink, TreeShared};
use crate::telemetry::meter::Meter;
use crate::trace::TraceId;

/// The part of an incarnation that does not depend on its message type.
pub(crate) struct Core {
    pub(crate) path: ActorPath,
    pub(crate) incarnation: u64,
    pub(crate) attempt: u32,
    pub(crate) last_exit: Option<Arc<ExitReason>>,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) scope: Scope,
    pub(crate) node: NodeLink,
    pub(crate) shared: Arc<TreeShared>,
    pub(crate) cell: ActorCell,
    pub(crate) meter: Arc<Meter>,
    pub(crate) nursery: Mutex<Option<Nursery>>,
    pub(crate) crash: Box<dyn Fn(BoxError) + Send + Sync>,
    pub(crate) child_exit: Arc<dyn Fn(ChildExit) + Send + Sync>,
    /// In a tree that is armed for faults on purpose.
    pub(crate) chaos: Option<crate::chaos::Marked>,
    /// Asked to drain before it was up.
    pub(crate) drain_wanted: AtomicBool,
    pub(crate) handler_limit: Option<Duration>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) gate: OnceLock<Gate>,
}

impl Core {
    pub(crate) fn spawn_scoped(self: &Arc<Self>, future: impl Future<Output = ()> + Send + 'static) {
        let core = Arc::clone(self);
        self.scope.spawn(future, move |panic| (core.crash)(panic.into()));
    }

    /// An actor that drains before it is up would fail to start, so that waits until it is.
    pub(crate) fn drain(&self) {
        self.drain_wanted.store(true, Ordering::SeqCst);
        if self.cell.get_status() >= ActorStatus::Running {
            drop(self.cell.drain());
        }
    }

    pub(crate) fn gate(&self) -> &Gate {
        self.gate.get_or_init(Gate::new)
    }

    pub(crate) fn nursery(&self) -> Option<Nursery> {
        self.nursery.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Up, with nothing in hand, nothing queued, no task and no child.
    pub(crate) fn is_idle(&self) -> bool {
        self.cell.get_status() == ActorStatus::Running
            && self.meter.depth() == 0
            && self.scope.len() == 0
            && !self.node.is_busy()
            && self.nursery().is_none_or(|nursery| nursery.children() == 0)
    }
}

/// What an actor is given with every callback.
pub struct Ctx<M: Send + 'static> {
    pub(crate) core: Arc<Core>,
    pub(crate) live: Arc<Live<M>>,
    pub(crate) address: Address<M>,
}

impl<M: Send + 'static> Ctx<M> {
    /// The actor's own address, which outlives this incarnation.
    #[must_use]
    pub fn address(&self) -> Address<M> {
        self.address.clone()
    }

    /// Where the actor's own tasks report to this incarnation; never refused for want of room.
    #[must_use]
    pub fn reporter(&self) -> Reporter<M> {
        Reporter { live: Arc::clone(&self.live) }
    }

    /// Where the actor stands.
    #[must_use]
    pub fn path(&self) -> &ActorPath {
        &self.core.path
    }

    /// The how-manieth start of this child it is, counted from 1.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.core.incarnation
    }

    /// How many retries in a row led here; 0 for a first start.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.core.attempt
    }

    /// How the incarnation before ended.
    #[must_use]
    pub fn last_exit(&self) -> Option<&ExitReason> {
        self.core.last_exit.as_deref()
    }

    /// The trace the message in hand belongs to, if it has one; messages sent while it is handled carry it on.
    #[must_use]
    pub fn trace(&self) -> Option<TraceId> {
        TraceId::current()
    }

    /// Cancelled when this incarnation is to stop.
    #[must_use]
    pub fn cancel(&self) -> &CancellationToken {
        self.core.desk.cancel.token()
    }

    /// Runs a task that is aborted when the actor ends, in any way. A panic in it ends the actor.
    pub fn spawn_scoped(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.core.spawn_scoped(future);
    }

    /// Runs blocking work (files, compression) on a bounded pool of threads. `None`: it panicked. The work itself can't be
    /// stopped: it goes on to its end when the actor dies.
    pub fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> BoxFuture<'static, Option<T>> {
        Box::pin(crate::scope::blocking(work))
    }

    /// Sends this incarnation a message later, unless the timer is cancelled or dropped before.
    pub fn send_after(&self, delay: Duration, message: M) -> Timer {
        let token = CancellationToken::new();
        let cancelled = token.clone();
        let live = Arc::clone(&self.live);
        self.core.scope.spawn(
            async move {
                tokio::select! {
                    biased;
                    () = cancelled.cancelled() => {}
                    () = tokio::time::sleep(delay) => drop(live.report(message)),
                }
            },
            |_| {},
        );
        Timer { token, armed: true }
    }

    /// Ends this incarnation cleanly after the current message.
    pub fn stop(&self, reason: &str) {
        self.core.cell.stop(Some(crate::shell::exits::stop_reason(reason)));
    }

    /// Ends this incarnation cleanly after all that is queued; new messages are refused.
    pub fn drain(&self) {
        self.core.drain();
    }

    /// Starts a temporary child of this actor: shown in the tree, stopped with it. Does not wait; a failed start and
    /// the end arrive at [`Actor::child_exited`](crate::Actor::child_exited).
    pub fn start_child(&self, spec: ChildSpec) {
        Nursery::of(&self.core).start(spec);
    }

    /// Stops a child of this actor as its spec says. Does not wait.
    pub fn stop_child(&self, id: &ChildId) {
        if let Some(nursery) = self.core.nursery() {
            nursery.stop(id);
        }
    }

    /// Shows a fact in the tree, cut at 256 bytes.
    pub fn set_detail(&self, key: &'static str, value: impl Into<String>) {
        self.core.node.set_detail(key, value.into());
    }

    /// Takes a fact back.
    pub fn clear_detail(&self, key: &'static str) {
        self.core.node.clear_detail(key);
    }

    /// Shows what the actor is busy with, from now on. A busy actor is not passivated.
    pub fn set_busy(&self, what: Option<String>) {
        self.core.node.set_busy(what);
    }

    /// Soft state for the next incarnation.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.core.checkpoint
    }

    /// The state of the incarnation before, if that ended cleanly, the spec says
    /// [`ChildSpec::carry_state`] and it is an `S`. Given once.
    #[must_use]
    pub fn carried<S: Any + Send>(&self) -> Option<S> {
        self.core.desk.take_given()
    }

    /// Leaves something for whoever started this child; in `pre_start` only, later it is never read.
    pub fn set_start_info(&self, info: StartInfo) {
        self.core.desk.set_info(info);
    }

    /// Holds `effect` back until `commit` is done, and everything held before it has been released: replies and sends
    /// that must not be seen before what they rest on is stored. Waits while 256 effects are held already.
    ///
    /// If `commit` fails, the actor ends with its error, and the effects still held are dropped unseen: whoever waits
    /// for a reply among them is told.
    pub async fn hold(
        &self,
        commit: impl Future<Output = Result<(), BoxError>> + Send + 'static,
        effect: impl FnOnce() + Send + 'static,
    ) {
        self.core.gate().hold(&self.core, commit, effect).await;
    }
}

impl<M: Send + 'static> fmt::Debug for Ctx<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ctx")
            .field("path", &self.core.path)
            .field("incarnation", &self.core.incarnation)
            .finish_non_exhaustive()
    }
}

/// Reports to one incarnation of an actor. For the actor's own tasks: it passes by the mailbox's bound.
pub struct Reporter<M: Send + 'static> {
    live: Arc<Live<M>>,
}

impl<M: Send + 'static> Reporter<M> {
    /// Sends; false if the incarnation is over.
    pub fn send(&self, message: M) -> bool {
        self.live.report(message).is_ok()
    }
}

impl<M: Send + 'static> Clone for Reporter<M> {
    fn clone(&self) -> Self {
        Self { live: Arc::clone(&self.live) }
    }
}

impl<M: Send + 'static> fmt::Debug for Reporter<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reporter").field(&self.live.core.path).finish()
    }
}

/// A message to come. Dropping it cancels it.
#[derive(Debug)]
#[must_use = "a dropped timer does not fire"]
pub struct Timer {
    token: CancellationToken,
    armed: bool,
}

impl Timer {
    /// The message will not come, unless it already has.
    pub fn cancel(self) {
        drop(self);
    }

    /// Lets the timer run until it fires or the actor ends.
    pub fn detach(mut self) {
        self.armed = false;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if self.armed {
            self.token.cancel();
        }
    }
}
