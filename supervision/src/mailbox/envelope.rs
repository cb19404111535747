//! What travels in a mailbox: the message, its permit, its deadline and when it was sent.

use std::sync::{Arc, Weak};

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::actor::ChildExit;
use crate::address::SlotInner;
use crate::exit::BoxError;
use crate::telemetry::meter::Meter;

/// What an actor's mailbox carries.
pub(crate) enum Wire<M: Send + 'static> {
    /// A message.
    User(Env<M>),
    /// A child of this worker ended.
    Child(ChildExit),
    /// Something that belongs to this actor failed: a scoped task panicked, or what it held back cannot be released.
    Crash(BoxError),
}

/// A message on its way.
pub(crate) struct Env<M: Send + 'static> {
    message: Option<M>,
    sent: Instant,
    deadline: Option<Instant>,
    meter: Arc<Meter>,
    /// Where the message goes if no incarnation opens it.
    home: Option<Weak<SlotInner<M>>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl<M: Send + 'static> Env<M> {
    pub(crate) fn new(
        message: M,
        deadline: Option<Instant>,
        meter: Arc<Meter>,
        home: Option<Weak<SlotInner<M>>>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let sent = Instant::now();
        meter.enqueued(sent);
        Self { message: Some(message), sent, deadline, meter, home, _permit: permit }
    }

    /// Takes the message out to be handled. `None` if its deadline has passed: nobody waits for it any more.
    pub(crate) fn open(&mut self) -> Option<M> {
        let message = self.message.take();
        self.meter.dequeued(self.sent);
        match self.deadline {
            Some(deadline) if deadline <= Instant::now() => None,
            Some(_) | None => message,
        }
    }

    /// Takes the message back after it could not be queued.
    pub(crate) fn refuse(mut self) -> M {
        self.meter.dropped_unopened();
        match self.message.take() {
            Some(message) => message,
            None => unreachable!("only an unopened envelope can be refused"),
        }
    }
}

impl<M: Send + 'static> Drop for Env<M> {
    fn drop(&mut self) {
        self.meter.left();
        let Some(message) = self.message.take() else { return };
        self.meter.dropped_unopened();
        if let Some(home) = self.home.take().and_then(|home| home.upgrade()) {
            home.undelivered(message);
        }
    }
}
