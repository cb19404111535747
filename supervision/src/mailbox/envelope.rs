//! What travels in a mailbox: the message, its permit, its deadline, its trace and when it was sent.

use std::sync::Arc;

use tokio::time::Instant;

use crate::actor::ChildExit;
use crate::exit::BoxError;
use crate::mailbox::admission::Permit;
use crate::mailbox::inbox::Inbox;
use crate::panics::Frame;
use crate::trace::TraceId;

/// What an actor's mailbox carries.
pub(crate) enum Wire<M: Send + 'static> {
    /// A message.
    User(Env<M>),
    /// A child of this worker ended.
    Child(ChildExit),
    /// Something that belongs to this actor failed: a scoped task panicked, a commit it rested on was refused.
    Crash(BoxError),
    /// Nothing, for a fault on purpose to strike at.
    Nudge,
}

/// How a message is sent.
pub(crate) struct Postage<'a> {
    /// `None`: it passes by the bound.
    pub(crate) permit: Option<Permit<'a>>,
    /// A time just read and the time after which nobody waits for it.
    pub(crate) deadline: Option<(Instant, Instant)>,
    /// Whether it goes back to its address if no incarnation opens it.
    pub(crate) returns: bool,
}

/// A message on its way.
pub(crate) struct Env<M: Send + 'static> {
    message: Option<M>,
    /// Told when the message has left. `None` once somebody else tells it.
    inbox: Option<Arc<Inbox<M>>>,
    deadline: Option<Instant>,
    trace: Option<TraceId>,
    /// The tick it counts as sent at.
    sent: u64,
    permit: bool,
    returns: bool,
}

/// A message taken out to be handled.
pub(crate) struct Opened<M: Send + 'static> {
    pub(crate) message: M,
    pub(crate) trace: Option<TraceId>,
    pub(crate) stub: Stub<M>,
}

/// What is left of an envelope while its message is handled. Whoever takes it apart tells the inbox when the message has
/// left.
pub(crate) struct Stub<M: Send + 'static> {
    pub(crate) inbox: Arc<Inbox<M>>,
    pub(crate) permit: bool,
    /// The tick the message counts as sent at.
    pub(crate) sent: u64,
    /// The time, if it was looked at.
    pub(crate) now: Option<Instant>,
}

impl<M: Send + 'static> Env<M> {
    pub(crate) fn new(message: M, inbox: &Arc<Inbox<M>>, postage: Postage<'_>) -> Self {
        let Postage { permit, deadline, returns } = postage;
        let (before, permit) = match permit {
            Some(permit) => (permit.ride(), true),
            None => (inbox.admission.pass_by(), false),
        };
        Self {
            message: Some(message),
            inbox: Some(Arc::clone(inbox)),
            deadline: deadline.map(|(_, deadline)| deadline),
            trace: Frame::trace(),
            sent: inbox.entered(before, deadline.map(|(now, _)| now)),
            permit,
            returns,
        }
    }

    /// Takes the message out to be handled. `None` if its deadline has passed: nobody waits for it any more.
    pub(crate) fn open(mut self) -> Option<Opened<M>> {
        let message = self.message.take()?;
        let now = self.deadline.map(|_| Instant::now());
        if matches!((self.deadline, now), (Some(deadline), Some(now)) if deadline <= now) {
            return None;
        }
        let inbox = self.inbox.take()?;
        inbox.opened(self.sent);
        let stub = Stub { inbox, permit: self.permit, sent: self.sent, now };
        Some(Opened { message, trace: self.trace, stub })
    }

    /// Takes the message back after it could not be queued.
    pub(crate) fn refuse(mut self) -> M {
        match self.message.take() {
            Some(message) => message,
            None => unreachable!("only an unopened envelope can be refused"),
        }
    }
}

impl<M: Send + 'static> Drop for Env<M> {
    fn drop(&mut self) {
        let Some(inbox) = self.inbox.take() else { return };
        // Last, and whatever happens: as long as it counts, whoever owns the address knows that it may come back.
        let leave = Leave { inbox: &inbox, permit: self.permit };
        if let Some(message) = self.message.take()
            && let Some(home) = self.returns.then(|| inbox.home.upgrade()).flatten()
        {
            home.undelivered(message, inbox.owner);
        }
        drop(leave);
    }
}

/// Tells the inbox when dropped that a message has left.
struct Leave<'a, M: Send + 'static> {
    inbox: &'a Inbox<M>,
    permit: bool,
}

impl<M: Send + 'static> Drop for Leave<'_, M> {
    fn drop(&mut self) {
        self.inbox.admission.leave(self.permit);
    }
}
