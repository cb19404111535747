//! Acting on a node by its path.

use crate::machine::{AdminError, Request};
use crate::path::ActorPath;
use crate::supervisor::SupervisorHandle;
use crate::tree::TreeStore;

/// What can be done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Stop it, if it is up, and start it; budgets start over.
    Restart,
    /// Stop it and leave it down.
    Stop,
    /// Start it if it is down or waits for a retry; budgets start over.
    Start,
    /// Keep it from being restarted.
    Suspend,
    /// Undo `Suspend`, and start it if it ended meanwhile.
    Resume,
    /// Attempts and windows start over; if it waits, it is tried at once.
    ResetBackoff,
}

/// Why an action was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ActError {
    /// There is no such node.
    #[error("no such node")]
    NotFound,
    /// The node does not take this action: the root takes none, a worker's own child can only be stopped.
    #[error("the node does not take this action")]
    NotSupported,
    /// The supervisor refused.
    #[error(transparent)]
    Refused(#[from] AdminError),
}

impl TreeStore {
    /// Does something to a node. Resolves when it is done.
    ///
    /// # Errors
    /// If there is no such node, it does not take the action, or the supervisor refuses.
    pub async fn act(&self, path: &ActorPath, action: Action) -> Result<(), ActError> {
        let (_, controller) = self.controller(path).ok_or(ActError::NotFound)?;
        let (slot, id, worker_child) = controller.ok_or(ActError::NotSupported)?;
        let supervisor: SupervisorHandle = slot.handle();
        if worker_child && action != Action::Stop {
            return Err(ActError::NotSupported);
        }
        let outcome = match action {
            Action::Restart => supervisor.operate(Request::Cycle(id)).await,
            Action::Stop => supervisor.operate(Request::Terminate(id)).await,
            Action::Start => supervisor.operate(Request::StartNow(id)).await,
            Action::Suspend => supervisor.operate(Request::Suspend(id)).await,
            Action::Resume => supervisor.operate(Request::Resume(id)).await,
            Action::ResetBackoff => supervisor.operate(Request::ResetBackoff(id)).await,
        };
        outcome.map_err(|error| {
            if matches!(error, AdminError::NotFound) { ActError::NotFound } else { ActError::Refused(error) }
        })
    }

    /// Like [`TreeStore::act`] with [`Action::Stop`], without waiting for the end. False if there is nobody to ask.
    pub fn ask_to_stop(&self, path: &ActorPath) -> bool {
        match self.controller(path) {
            Some((_, Some((slot, id, _)))) => slot.handle().tell(Request::Terminate(id)),
            Some((_, None)) | None => false,
        }
    }
}
