//! Stable addresses: they are made before the actor, find its live incarnation and survive restarts.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use ractor::{ActorCell, ActorId, ActorStatus, MessagingErr};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::call::{CallError, Reply, WaitEdge, within};
use crate::clock::later;
use crate::context::Core;
use crate::deadlines::Deadlines;
use crate::exit::ExitReason;
use crate::mailbox::admission::{Permit, Refused};
use crate::mailbox::envelope::{Env, Postage, Wire};
use crate::mailbox::inbox::Inbox;
use crate::shell::seat::ErasedSlot;

/// A message that was not accepted, given back.
#[derive(thiserror::Error)]
pub enum CastError<M> {
    /// The mailbox is full.
    #[error("the actor is busy")]
    Busy(M),
    /// Nobody is there to take it.
    #[error("no such actor")]
    NoProc(M),
}

impl<M> CastError<M> {
    /// The message.
    pub fn into_message(self) -> M {
        match self {
            Self::Busy(message) | Self::NoProc(message) => message,
        }
    }

    /// True if there was no room.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy(_))
    }
}

impl<M> fmt::Debug for CastError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy(_) => "Busy",
            Self::NoProc(_) => "NoProc",
        })
    }
}

/// What somebody who owns a slot wants to know of it.
pub(crate) trait SlotHooks<M>: Send + Sync {
    /// No incarnation opened this message; the one that had it is `from`.
    fn undelivered(&self, message: M, from: ActorId);
    /// An incarnation is live.
    fn published(&self);
    /// The live incarnation ended.
    fn exited(&self, reason: &ExitReason);
    /// Its place is free.
    fn vacated(&self);
}

/// The place a live incarnation is published in.
pub(crate) struct SlotInner<M: Send + 'static> {
    uid: u64,
    live: ArcSwapOption<Live<M>>,
    hooks: OnceLock<Box<dyn SlotHooks<M>>>,
    pub(crate) published: Notify,
}

/// One incarnation, as senders see it.
pub(crate) struct Live<M: Send + 'static> {
    pub(crate) cell: ActorCell,
    pub(crate) inbox: Arc<Inbox<M>>,
    pub(crate) core: Arc<Core>,
    /// A message came back: the queue is closed, though the runtime may not say so yet.
    closed: AtomicBool,
    /// Taken back already; its supervisor and its own end may both try.
    withdrawn: AtomicBool,
    message: PhantomData<fn(M)>,
}

impl<M: Send + 'static> Live<M> {
    pub(crate) fn new(cell: ActorCell, inbox: Arc<Inbox<M>>, core: Arc<Core>) -> Self {
        Self {
            cell,
            inbox,
            core,
            closed: AtomicBool::new(false),
            withdrawn: AtomicBool::new(false),
            message: PhantomData,
        }
    }

    /// Accepts no messages any more.
    pub(crate) fn is_ending(&self) -> bool {
        self.closed.load(Ordering::Relaxed) || self.cell.get_status() >= ActorStatus::Draining
    }

    /// The table that calls to this actor leave their deadlines in.
    pub(crate) fn deadlines(&self) -> Arc<Deadlines> {
        Arc::clone(&self.core.shared.deadlines)
    }

    /// Takes room for a message, at once.
    pub(crate) fn try_enter(&self) -> Result<Permit<'_>, Refused> {
        self.inbox.admission.try_enter()
    }

    /// Takes room for a message, waiting for it if the mailbox is one to wait for.
    pub(crate) async fn enter(&self) -> Result<Permit<'_>, Refused> {
        self.inbox.admission.enter().await
    }

    /// Queues a message of the actor's own, past the bound; gives it back if the incarnation is over.
    pub(crate) fn report(&self, message: M) -> Result<(), M> {
        self.deliver(message, Postage { permit: None, deadline: None, returns: false })
    }

    /// Queues a message that an incarnation before took in but did not open, past the bound; gives it back if this one
    /// is over too.
    pub(crate) fn redeliver(&self, message: M) -> Result<(), M> {
        self.deliver(message, Postage { permit: None, deadline: None, returns: true })
    }

    /// Queues a message; gives it back if the incarnation is over.
    pub(crate) fn deliver(&self, message: M, postage: Postage<'_>) -> Result<(), M> {
        let env = Env::new(message, &self.inbox, postage);
        match self.cell.send_message(Wire::User(env)) {
            Ok(()) => Ok(()),
            Err(MessagingErr::SendErr(Wire::User(env))) => {
                self.closed.store(true, Ordering::Relaxed);
                Err(env.refuse())
            }
            Err(
                MessagingErr::SendErr(Wire::Child(_) | Wire::Crash(_) | Wire::Nudge)
                | MessagingErr::ChannelClosed
                | MessagingErr::InvalidActorType,
            ) => {
                unreachable!("a slot only publishes actors of its own message type, and sending returns what was sent")
            }
        }
    }
}

impl<M: Send + 'static> SlotInner<M> {
    fn new() -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            uid: NEXT.fetch_add(1, Ordering::Relaxed),
            live: ArcSwapOption::empty(),
            hooks: OnceLock::new(),
            published: Notify::new(),
        })
    }

    pub(crate) fn uid(&self) -> u64 {
        self.uid
    }

    pub(crate) fn live(&self) -> Option<Arc<Live<M>>> {
        self.live.load_full()
    }

    /// Sends if there is room now; says what `note` makes of the receiver.
    fn try_send<T>(
        &self,
        message: M,
        deadline: Option<(Instant, Instant)>,
        note: impl FnOnce(&Live<M>) -> T,
    ) -> Result<T, CastError<M>> {
        let live = self.live.load();
        let Some(live) = live.as_deref() else { return Err(CastError::NoProc(message)) };
        match live.try_enter() {
            Ok(permit) => {
                let postage = Postage { permit: Some(permit), deadline, returns: true };
                live.deliver(message, postage).map_err(CastError::NoProc).map(|()| note(live))
            }
            Err(Refused::Full) => Err(CastError::Busy(message)),
            Err(Refused::Closed) => Err(CastError::NoProc(message)),
        }
    }

    pub(crate) fn publish(&self, live: Arc<Live<M>>) {
        self.live.store(Some(live));
        if let Some(hooks) = self.hooks.get() {
            hooks.published();
        }
        self.published.notify_waiters();
    }

    /// Sets who is told of messages nobody opened. Only the first call counts.
    pub(crate) fn set_hooks(&self, hooks: Box<dyn SlotHooks<M>>) {
        drop(self.hooks.set(hooks));
    }

    pub(crate) fn undelivered(&self, message: M, from: ActorId) {
        if let Some(hooks) = self.hooks.get() {
            hooks.undelivered(message, from);
        }
    }
}

impl<M: Send + 'static> ErasedSlot for SlotInner<M> {
    fn unpublish(&self, actor: ActorId, reason: &ExitReason) {
        let Some(live) = self.live.load_full() else { return };
        if live.cell.get_id() != actor || live.withdrawn.swap(true, Ordering::AcqRel) {
            return;
        }
        live.inbox.admission.close();
        // Told before the place is free, so that nobody starts a successor unaware of how this one ended.
        if let Some(hooks) = self.hooks.get() {
            hooks.exited(reason);
        }
        self.live.store(None);
        if let Some(hooks) = self.hooks.get() {
            hooks.vacated();
        }
        self.published.notify_waiters();
    }

    fn wait_id(&self) -> Option<u64> {
        Some(self.uid)
    }
}

/// Made before its actor; the spec publishes each incarnation into it.
pub struct Slot<M: Send + 'static>(pub(crate) Arc<SlotInner<M>>);

impl<M: Send + 'static> Slot<M> {
    /// An empty slot.
    #[must_use]
    pub fn new() -> Self {
        Self(SlotInner::new())
    }

    /// The address of whoever is published here.
    #[must_use]
    pub fn address(&self) -> Address<M> {
        Address(Arc::clone(&self.0))
    }
}

impl<M: Send + 'static> Default for Slot<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Send + 'static> Clone for Slot<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: Send + 'static> fmt::Debug for Slot<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slot").field(&self.0.uid).finish()
    }
}

/// Where to send messages to an actor, whichever incarnation of it is live. Cheap to clone.
pub struct Address<M: Send + 'static>(pub(crate) Arc<SlotInner<M>>);

impl<M: Send + 'static> Address<M> {
    /// Sends without waiting.
    ///
    /// # Errors
    /// The message comes back if there is no room or nobody to take it.
    pub fn try_cast(&self, message: M) -> Result<(), CastError<M>> {
        self.0.try_send(message, None, |_| {})
    }

    /// Sends, waiting for room if the mailbox is one to wait for.
    ///
    /// # Errors
    /// The message comes back if there is no room or nobody to take it.
    pub async fn cast(&self, message: M) -> Result<(), CastError<M>> {
        match self.0.try_send(message, None, |_| {}) {
            Err(CastError::Busy(message)) => Box::pin(self.send(message, None, |_| {})).await,
            outcome => outcome,
        }
    }

    /// Asks and waits for the answer, at most `timeout`, room in the mailbox included.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call<R: Send>(&self, build: impl FnOnce(Reply<R>) -> M, timeout: Duration) -> Result<R, CallError> {
        let edge = WaitEdge::enter(self.0.uid)?;
        let now = Instant::now();
        let deadline = later(now, timeout);
        let (reply, answer) = Reply::pair();
        let outcome = match self.0.try_send(build(reply), Some((now, deadline)), Live::deadlines) {
            Ok(table) => within(&table, deadline, answer).await,
            Err(CastError::NoProc(_)) => Err(CallError::NoProc),
            Err(CastError::Busy(message)) => Box::pin(self.call_when_room(message, now, deadline, answer)).await,
        };
        drop(edge);
        outcome
    }

    /// The rest of a call that found the mailbox full.
    async fn call_when_room<R: Send>(
        &self,
        message: M,
        now: Instant,
        deadline: Instant,
        answer: oneshot::Receiver<R>,
    ) -> Result<R, CallError> {
        let sent = tokio::time::timeout_at(deadline, self.send(message, Some((now, deadline)), Live::deadlines));
        match sent.await {
            Ok(Ok(table)) => within(&table, deadline, answer).await,
            Ok(Err(CastError::Busy(_))) => Err(CallError::Busy),
            Ok(Err(CastError::NoProc(_))) => Err(CallError::NoProc),
            Err(_) => Err(CallError::Timeout),
        }
    }

    /// True if an incarnation is live.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.0.live().is_some_and(|live| !live.is_ending())
    }

    /// Waits until an incarnation is live.
    pub async fn wait_live(&self) {
        loop {
            let published = self.0.published.notified();
            if self.is_live() {
                return;
            }
            published.await;
        }
    }

    /// Sends, waiting for room; says what `note` makes of the receiver.
    async fn send<T>(
        &self,
        message: M,
        deadline: Option<(Instant, Instant)>,
        note: impl FnOnce(&Live<M>) -> T,
    ) -> Result<T, CastError<M>> {
        let Some(live) = self.0.live() else { return Err(CastError::NoProc(message)) };
        match live.enter().await {
            Ok(permit) => {
                let postage = Postage { permit: Some(permit), deadline, returns: true };
                live.deliver(message, postage).map_err(CastError::NoProc).map(|()| note(&live))
            }
            Err(Refused::Full) => Err(CastError::Busy(message)),
            Err(Refused::Closed) => Err(CastError::NoProc(message)),
        }
    }
}

impl<M: Send + 'static> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: Send + 'static> fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.0.uid).finish()
    }
}
