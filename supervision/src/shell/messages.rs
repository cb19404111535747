//! What a supervisor's actor is sent, and the queue its tasks report through.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use ractor::ActorCell;
use tokio::sync::{Notify, oneshot};

use crate::child_spec::{ChildSpec, SupervisorSpec};
use crate::exit::ExitReason;
use crate::machine::{AdminError, Key, Request};
use crate::supervisor::{ChildCount, ChildInfo, ReconfigureOptions, ReconfigureReport};

/// Answers a request of the outside.
pub(crate) type Answering<T> = oneshot::Sender<Result<T, AdminError>>;

/// A message to a supervisor.
pub(crate) enum SupMsg {
    /// Start the children.
    Boot,
    /// Look at the completion queue and the timers.
    Poke,
    /// Add a child and start it.
    Add(Box<ChildSpec>, Option<Answering<()>>),
    /// Do something with a child.
    Admin(Request, Option<Answering<()>>),
    /// List the children.
    Which(Answering<Vec<ChildInfo>>),
    /// Count the children.
    Count(Answering<ChildCount>),
    /// Use other specs and rules.
    Reconfigure(Box<SupervisorSpec>, ReconfigureOptions, Answering<ReconfigureReport>),
    /// Stop all children, then end.
    Shutdown,
}

/// What a task has to report.
pub(crate) enum Completion {
    /// A start has ended.
    Started { key: Key, inc: u64, outcome: Result<ActorCell, ExitReason> },
    /// A stop has ended.
    Stopped { key: Key, inc: u64, cell: ActorCell, outcome: StopOutcome },
    /// A zombie ended after all.
    Buried { zombie: u64 },
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopOutcome {
    /// It ended in time.
    Gone,
    /// It had to be killed.
    Killed,
    /// It does not even die.
    Zombie,
}

/// Reports of tasks. Read by the handler, and by the end of the supervisor when its mailbox is closed already.
#[derive(Default)]
pub(crate) struct Completions {
    queue: Mutex<VecDeque<Completion>>,
    pub(crate) filled: Notify,
}

impl Completions {
    /// Queues a report and wakes the supervisor.
    pub(crate) fn push(&self, supervisor: &ActorCell, completion: Completion) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(completion);
        self.filled.notify_one();
        drop(supervisor.send_message(SupMsg::Poke));
    }

    pub(crate) fn pop(&self) -> Option<Completion> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }
}
