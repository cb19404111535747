//! What a supervisor's actor is sent, and the queue its tasks report through.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use ractor::ActorCell;
use tokio::sync::{Notify, oneshot};

use crate::child_spec::{ChildSpec, SpecView, SupervisorSpec};
use crate::exit::ExitReason;
use crate::incarnation::{ActorId, NotUp, Started};
use crate::machine::{AdminError, Key, Request};
use crate::path::ChildId;
use crate::shell::brood::Survivor;
use crate::supervisor::{ChildCount, ChildInfo, ReconfigureOptions, ReconfigureReport};

/// Answers a request of the outside.
pub(crate) type Answering<T> = oneshot::Sender<Result<T, AdminError>>;
/// Answers a request about a child: with how it started, if that was asked for.
pub(crate) type Done = Answering<Option<Started>>;

/// Which child is meant.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// By its id.
    Id(ChildId),
    /// By its incarnation.
    Actor(ActorId),
}

/// A message to a supervisor.
pub(crate) enum SupMsg {
    /// Start the children.
    Boot,
    /// Look at the completion queue and the timers.
    Poke,
    /// Add a child and start it.
    Add(Box<ChildSpec>, Option<Done>),
    /// Do something with a child.
    Admin(Request, Option<Done>),
    /// Stop a child known by its incarnation.
    TerminateActor(ActorId, Done),
    /// List the children.
    Which(Answering<Vec<ChildInfo>>),
    /// Describe one child.
    Find(Who, Answering<ChildInfo>),
    /// Show the spec of one child.
    Spec(Who, Answering<SpecView>),
    /// Make the specs of all children afresh that come from a template.
    Remake(Answering<()>),
    /// Count the children.
    Count(Answering<ChildCount>),
    /// Use other specs and rules.
    Reconfigure(Box<SupervisorSpec>, ReconfigureOptions, Answering<ReconfigureReport>),
    /// A child that is being stopped is gone; said after all ends that can be heard.
    Unheard { key: Key, inc: u64 },
    /// Stop all children, then end.
    Shutdown,
    /// Fail on purpose.
    Fault(crate::chaos::Fault),
}

/// What a task has to report.
pub(crate) enum Completion {
    /// A start has ended.
    Started { key: Key, inc: u64, outcome: Result<ActorCell, NotUp> },
    /// A stop has ended.
    Stopped { key: Key, inc: u64, cell: ActorCell, outcome: StopOutcome },
    /// A zombie ended after all.
    Buried { zombie: u64 },
    /// A child ended before children of its own; they have been cleared away, but for those in `left`.
    Survived { key: Key, inc: u64, reason: ExitReason, left: Vec<Survivor> },
    /// The budget of the whole shutdown is spent.
    BudgetSpent,
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
        self.push_own(completion);
        self.filled.notify_one();
        drop(supervisor.send_message(SupMsg::Poke));
    }

    /// Queues a report of the supervisor's own turn, which reads the queue before it ends.
    pub(crate) fn push_own(&self, completion: Completion) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(completion);
    }

    /// The supervisor is over: whoever was reported up and not yet looked at is nobody's child.
    pub(crate) fn close(&self) {
        while let Some(completion) = self.pop() {
            if let Completion::Started { outcome: Ok(cell), .. } = completion {
                cell.kill();
            }
        }
    }

    pub(crate) fn pop(&self) -> Option<Completion> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }
}
