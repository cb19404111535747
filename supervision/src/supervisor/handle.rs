//! Asking a supervisor for things.

use std::time::Duration;

use ractor::ActorCell;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::child_spec::{ChildSpec, SpecView, SupervisorSpec};
use crate::exit::ExitReason;
use crate::incarnation::{ActorId, Started};
use crate::machine::{AdminError, Request};
use crate::path::{ActorPath, ChildId};
use crate::shell::messages::{Answering, SupMsg, Who};
use crate::supervisor::{
    ChildCount, ChildInfo, ROOT, ReconfigureOptions, ReconfigureReport, ShutdownReport, SupervisorSlot,
};
use crate::tree::TreeStore;

/// How long a root may take to end after its budget before it is killed itself.
const ROOT_GRACE: Duration = Duration::from_secs(3);

/// Asks a supervisor for things; finds its live incarnation. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SupervisorHandle {
    pub(super) slot: SupervisorSlot,
}

impl SupervisorHandle {
    pub(crate) fn tree(&self) -> Option<TreeStore> {
        self.slot.tree()
    }

    /// Adds a child and starts it.
    ///
    /// # Errors
    /// If the id is taken, the start fails (the spec is then forgotten, unless the child is isolated) or the
    /// supervisor will not take it.
    pub async fn start_child(&self, spec: ChildSpec) -> Result<Started, AdminError> {
        let started = self.ask(|reply| SupMsg::Add(Box::new(spec), Some(reply))).await?;
        started.ok_or(AdminError::Terminated)
    }

    /// Stops a child, if it is up, and leaves it down; a temporary one is forgotten. Cancels a pending retry.
    ///
    /// # Errors
    /// If there is no such child.
    pub async fn terminate_child(&self, id: &ChildId) -> Result<(), AdminError> {
        self.admin(Request::Terminate(id.clone())).await
    }

    /// Stops the child that runs as this incarnation, like [`SupervisorHandle::terminate_child`]. One that is over
    /// already counts as stopped; if the child is about to be started again after it, that is cancelled.
    ///
    /// # Errors
    /// If the incarnation is not of this supervisor.
    pub async fn terminate_actor(&self, actor: ActorId) -> Result<(), AdminError> {
        self.ask(|reply| SupMsg::TerminateActor(actor, reply)).await.map(|_| ())
    }

    /// Starts a child that is down, budgets reset.
    ///
    /// # Errors
    /// If it is up, is being restarted or does not start.
    pub async fn restart_child(&self, id: &ChildId) -> Result<Started, AdminError> {
        let started = self.ask(|reply| SupMsg::Admin(Request::Restart(id.clone()), Some(reply))).await?;
        started.ok_or(AdminError::Terminated)
    }

    /// Starts a child that is down or waiting for a retry, budgets reset.
    ///
    /// # Errors
    /// If it is up or does not start.
    pub async fn start_now(&self, id: &ChildId) -> Result<(), AdminError> {
        self.admin(Request::StartNow(id.clone())).await
    }

    /// Forgets a child that is down.
    ///
    /// # Errors
    /// If it is not down.
    pub async fn delete_child(&self, id: &ChildId) -> Result<(), AdminError> {
        self.admin(Request::Delete(id.clone())).await
    }

    /// Stops a child, if it is up, and starts it again. Budgets are reset and no restart is counted.
    ///
    /// # Errors
    /// If there is no such child or it does not start again.
    pub async fn cycle_child(&self, id: &ChildId) -> Result<(), AdminError> {
        self.admin(Request::Cycle(id.clone())).await
    }

    /// Keeps a child from being restarted until resumed. If it is up it stays up.
    ///
    /// # Errors
    /// If there is no such child.
    pub async fn suspend(&self, id: &ChildId) -> Result<(), AdminError> {
        self.admin(Request::Suspend(id.clone())).await
    }

    /// Undoes [`SupervisorHandle::suspend`]; a child that ended meanwhile is started.
    ///
    /// # Errors
    /// If there is no such child or it does not start.
    pub async fn resume(&self, id: &ChildId) -> Result<(), AdminError> {
        self.admin(Request::Resume(id.clone())).await
    }

    /// Attempts and windows of a child start over; a waiting one is tried at once.
    ///
    /// # Errors
    /// If there is no such child.
    pub async fn reset_backoff(&self, id: &ChildId) -> Result<(), AdminError> {
        self.admin(Request::ResetBackoff(id.clone())).await
    }

    /// The children in start order.
    ///
    /// # Errors
    /// If the supervisor is not running.
    pub async fn which_children(&self) -> Result<Vec<ChildInfo>, AdminError> {
        self.ask(SupMsg::Which).await
    }

    /// One child.
    ///
    /// # Errors
    /// If there is no such child.
    pub async fn which_child(&self, id: &ChildId) -> Result<ChildInfo, AdminError> {
        self.ask(|reply| SupMsg::Find(Who::Id(id.clone()), reply)).await
    }

    /// The child that runs as this incarnation.
    ///
    /// # Errors
    /// If there is no such child.
    pub async fn which_actor(&self, actor: ActorId) -> Result<ChildInfo, AdminError> {
        self.ask(|reply| SupMsg::Find(Who::Actor(actor), reply)).await
    }

    /// What the spec of a child says.
    ///
    /// # Errors
    /// If there is no such child.
    pub async fn get_spec(&self, id: &ChildId) -> Result<SpecView, AdminError> {
        self.ask(|reply| SupMsg::Spec(Who::Id(id.clone()), reply)).await
    }

    /// What the spec of the child says that runs as this incarnation.
    ///
    /// # Errors
    /// If there is no such child.
    pub async fn get_spec_of(&self, actor: ActorId) -> Result<SpecView, AdminError> {
        self.ask(|reply| SupMsg::Spec(Who::Actor(actor), reply)).await
    }

    /// Children made from a template take over what it says now.
    pub(crate) async fn remake(&self) -> Result<(), AdminError> {
        self.ask(SupMsg::Remake).await
    }

    /// How many children there are.
    ///
    /// # Errors
    /// If the supervisor is not running.
    pub async fn count_children(&self) -> Result<ChildCount, AdminError> {
        self.ask(SupMsg::Count).await
    }

    /// Takes over new rules and specs. Running children whose id persists stay up and use their new spec from the
    /// next start on. Start order is kept; children that are new come last.
    ///
    /// # Errors
    /// If a spec is refused, or the supervisor is of a sort that can't have it; then nothing has changed.
    pub async fn reconfigure(
        &self,
        spec: SupervisorSpec,
        options: ReconfigureOptions,
    ) -> Result<ReconfigureReport, AdminError> {
        self.ask(|reply| SupMsg::Reconfigure(Box::new(spec), options, reply)).await
    }

    /// Stops all children in reverse order and ends the supervisor. When `budget` is spent, whatever still runs is
    /// killed; a second call with a shorter budget shortens it.
    ///
    /// Meant for the root. Another supervisor is restarted by its own, and once the budget is spent its whole subtree is
    /// killed at once; the report then names the supervisor alone.
    pub async fn shutdown(&self, budget: Duration) -> ShutdownReport {
        let (Some(cell), Some(shared)) = (self.slot.live(), self.slot.0.shared.load_full()) else {
            return ShutdownReport::default();
        };
        if !self.slot.is_root() {
            drop(cell.send_message(SupMsg::Shutdown));
            return self.shut_down_below(&cell, budget).await;
        }
        shared.begin_shutdown();
        drop(cell.send_message(SupMsg::Shutdown));
        // The tree has one budget, which cuts short every stop in it from then on.
        if let Some(at) = Instant::now().checked_add(budget) {
            shared.hard.send_if_modified(|hard| {
                let sooner = hard.is_none_or(|old| at < old);
                if sooner {
                    *hard = Some(at);
                }
                sooner
            });
        }
        let too_late = async {
            shared.past_hard_deadline().await;
            tokio::time::sleep(ROOT_GRACE).await;
        };
        tokio::select! {
            biased;
            _ = cell.wait(None) => {}
            () = too_late => {
                shared.straggler(ActorPath::root(&ROOT.into()));
                cell.kill();
                drop(cell.wait(Some(ROOT_GRACE)).await);
            }
        }
        self.slot.bury_root();
        ShutdownReport { stragglers: shared.stragglers() }
    }

    async fn shut_down_below(&self, cell: &ActorCell, budget: Duration) -> ShutdownReport {
        if tokio::time::timeout(budget, cell.wait(None)).await.is_ok() {
            return ShutdownReport::default();
        }
        cell.kill();
        drop(cell.wait(Some(ROOT_GRACE)).await);
        ShutdownReport { stragglers: self.slot.path().into_iter().collect() }
    }

    /// Waits until the live incarnation ends and says why.
    pub async fn wait(&self) -> ExitReason {
        let mut exit = self.slot.0.exit.subscribe();
        let reason = match exit.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(ExitReason::Killed),
            Err(_) => ExitReason::Killed,
        };
        if let Some(cell) = self.slot.live() {
            drop(cell.wait(None).await);
        }
        self.slot.bury_root();
        reason
    }

    /// Sends a request without waiting for the answer.
    pub(crate) fn tell(&self, request: Request) -> bool {
        let request = Request::Operator(Box::new(request));
        self.slot.live().is_some_and(|cell| cell.send_message(SupMsg::Admin(request, None)).is_ok())
    }

    /// A request of somebody who sees the tree and may name every child in it.
    pub(crate) async fn operate(&self, request: Request) -> Result<(), AdminError> {
        self.admin(Request::Operator(Box::new(request))).await
    }

    async fn admin(&self, request: Request) -> Result<(), AdminError> {
        self.ask(|reply| SupMsg::Admin(request, Some(reply))).await.map(|_| ())
    }

    async fn ask<T: Send>(&self, build: impl FnOnce(Answering<T>) -> SupMsg) -> Result<T, AdminError> {
        let cell = self.slot.live().ok_or(AdminError::NoProc)?;
        let (reply, answer) = oneshot::channel();
        cell.send_message(build(reply)).map_err(|_| AdminError::NoProc)?;
        answer.await.unwrap_or(Err(AdminError::NoProc))
    }
}
