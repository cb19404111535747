//! What the machine keeps of one child.

use tokio::time::Instant;

use crate::backoff::SlidingWindow;
use crate::child_spec::Policy;
use crate::exit::ExitReason;
use crate::machine::{Ticket, Token};
use crate::path::ChildId;

/// A child's part in the machine.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) id: ChildId,
    pub(crate) policy: Policy,
    pub(crate) phase: Phase,
    /// The current or last incarnation; 0 before the first start.
    pub(crate) inc: u64,
    /// Retries in a row.
    pub(crate) attempt: u32,
    /// Automatic restarts since it was added.
    pub(crate) restarts: u64,
    /// Restarts are suspended by hand.
    pub(crate) suspended: bool,
    /// Stopped by an operator, so nothing but a start by hand brings it back.
    pub(crate) held: bool,
    /// It has never been up, and a failed start is reported to whoever asked for it.
    pub(crate) fresh: bool,
    pub(crate) retries: SlidingWindow,
    pub(crate) last_exit: Option<ExitReason>,
    pub(crate) start_waiters: Vec<Ticket>,
    pub(crate) stop_waiters: Vec<Ticket>,
}

impl Child {
    pub(crate) fn new(id: ChildId, policy: Policy) -> Self {
        Self {
            id,
            policy,
            phase: Phase::Down(Down::Exited),
            inc: 0,
            attempt: 0,
            restarts: 0,
            suspended: false,
            held: false,
            fresh: true,
            retries: SlidingWindow::default(),
            last_exit: None,
            start_waiters: Vec::new(),
            stop_waiters: Vec::new(),
        }
    }

    /// A start under way that nobody asked for by hand follows an end: the child is between two incarnations.
    pub(crate) fn is_coming_back(&self) -> bool {
        self.phase == Phase::Starting && !self.fresh && self.start_waiters.is_empty()
    }

    /// Budgets start over, because somebody acted.
    pub(crate) fn reset_budgets(&mut self) {
        self.attempt = 0;
        self.retries.clear();
        self.suspended = false;
        self.held = false;
    }
}

/// What a child is doing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Phase {
    /// No process and none coming by itself.
    Down(Down),
    /// Its start is under way.
    Starting,
    /// It is up.
    Running { since: Instant },
    /// It is being stopped.
    Stopping { then: Then },
    /// It will be started at `at`.
    Waiting { token: Token, at: Instant, cooling: bool, reset: bool },
    /// A round will start it.
    Queued,
}

/// Why a child is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Down {
    /// It ended and is not to be restarted, or was stopped by hand.
    Exited,
    /// It failed and stays down until somebody acts.
    Failed,
    /// It ended while its restarts were suspended.
    Suspended,
    /// Its start said that there is nothing to run.
    Ignored,
}

/// What follows a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It stays down; a temporary child is forgotten.
    Terminate,
    /// Its spec is forgotten.
    Delete,
    /// It is started again.
    Cycle,
    /// A round starts it again; a temporary child is forgotten.
    Round,
    /// The supervisor ends.
    Shutdown,
}
