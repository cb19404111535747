//! Times an actor's handlers, reading as few clocks as it can: every sixteenth message while they are quick, each one as
//! soon as they are not.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use crate::mailbox::envelope::Stub;
use crate::mailbox::inbox::{Inbox, SAMPLE, tick};

/// A handler that takes longer is not quick.
const QUICK: Duration = Duration::from_micros(200);

/// What an actor knows of its handlers.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    turn: u64,
    /// The latest tick heard of.
    latest: u64,
    /// The last handler took long, or waited for something.
    slow: bool,
}

/// One handler at work. However it ends, its message then leaves the mailbox and is no longer shown as in hand.
pub(crate) struct Beat<M: Send + 'static> {
    inbox: Arc<Inbox<M>>,
    began: Option<Instant>,
    permit: bool,
    /// It stands for others that were not timed.
    sampled: bool,
    waited: bool,
    failed: bool,
}

impl Pulse {
    /// A message is taken out.
    pub(crate) fn beat<M: Send + 'static>(&mut self, stub: Stub<M>) -> Beat<M> {
        let Stub { inbox, permit, sent, now } = stub;
        let timed = self.slow || self.turn.is_multiple_of(SAMPLE);
        self.turn = self.turn.wrapping_add(1);
        let began = if timed { Some(now.unwrap_or_else(Instant::now)) } else { None };
        self.latest = self.latest.max(began.map_or(sent, tick));
        inbox.busy_since.store(self.latest, Relaxed);
        Beat { inbox, began, permit, sampled: !self.slow, waited: false, failed: false }
    }
}

impl<M: Send + 'static> Beat<M> {
    /// The handler has to wait for something.
    #[inline]
    pub(crate) fn waits(&mut self) {
        self.waited = true;
    }

    /// The handler has come to an end.
    pub(crate) fn end(&mut self, pulse: &mut Pulse, failed: bool) {
        self.failed = failed;
        if self.began.is_some() || self.waited {
            self.look(pulse);
        }
    }

    fn look(&self, pulse: &mut Pulse) {
        let now = Instant::now();
        pulse.latest = tick(now);
        pulse.slow = self.waited;
        if let Some(began) = self.began {
            let spent = now.saturating_duration_since(began);
            pulse.slow |= spent > QUICK;
            if let Some(kind) = self.inbox.meter.kind() {
                kind.record(spent, if self.sampled { SAMPLE } else { 1 });
            }
        }
    }
}

impl<M: Send + 'static> Drop for Beat<M> {
    fn drop(&mut self) {
        self.inbox.busy_since.store(0, Relaxed);
        self.inbox.meter.handled(self.failed);
        self.inbox.admission.leave(self.permit);
    }
}
