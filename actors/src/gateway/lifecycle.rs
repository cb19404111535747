//! Where the daemon stands: starting, ready, draining.
//!
//! Parent: `root` · Restart: permanent · Mailbox: 16, reject
//! Survives a restart: the phase, which outlives the actor. Lost: nothing.
//! Fails when: never by itself.

use std::sync::Arc;

use supervision::{Actor, ActorResult, Address, BoxError, ChildSpec, Ctx, Mailbox, Slot};
use tokio::sync::watch;

/// Where the daemon stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The tree comes up.
    Starting,
    /// Work is taken.
    Ready,
    /// No new work; what runs may finish.
    Draining,
}

/// What the actor is told.
#[derive(Debug)]
pub enum LifecycleMessage {
    /// The daemon goes on to this phase. There is no way back from draining.
    Enter(Phase),
}

pub(super) struct LifecycleState {
    phase: Arc<watch::Sender<Phase>>,
}

struct LifecycleActor;

/// A cheap handle; reading the phase asks nobody.
#[derive(Clone)]
pub struct LifecycleHandle {
    address: Address<LifecycleMessage>,
    phase: watch::Receiver<Phase>,
}

impl std::fmt::Debug for LifecycleHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LifecycleHandle").field("phase", &*self.phase.borrow()).finish_non_exhaustive()
    }
}

impl LifecycleHandle {
    /// Where the daemon stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Changes of the phase.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Phase> {
        self.phase.clone()
    }

    /// Goes on to a phase; returns when everybody can see it.
    pub async fn enter(&self, phase: Phase) {
        // Without the actor there is no tree, and nothing to tell.
        if self.address.cast(LifecycleMessage::Enter(phase)).await.is_ok() {
            let mut changes = self.phase.clone();
            let wait = changes.wait_for(|now| *now == phase || *now == Phase::Draining);
            drop(tokio::time::timeout(std::time::Duration::from_secs(1), wait).await);
        }
    }
}

/// The spec, and the handle.
#[must_use]
pub fn child_spec() -> (ChildSpec, LifecycleHandle) {
    let (sender, phase) = watch::channel(Phase::Starting);
    let sender = Arc::new(sender);
    let slot = Slot::new();
    let handle = LifecycleHandle { address: slot.address(), phase };
    let spec = ChildSpec::actor("lifecycle", "lifecycle", &slot, move |_| (LifecycleActor, Arc::clone(&sender)))
        .mailbox(Mailbox::reject(16))
        .handler_limit(crate::HANDLER_LIMIT);
    (spec, handle)
}

impl Actor for LifecycleActor {
    type Message = LifecycleMessage;
    type Args = Arc<watch::Sender<Phase>>;
    type State = LifecycleState;

    async fn pre_start(
        &self,
        phase: Arc<watch::Sender<Phase>>,
        ctx: &Ctx<LifecycleMessage>,
    ) -> Result<LifecycleState, BoxError> {
        ctx.set_detail("phase", format!("{:?}", *phase.borrow()).to_lowercase());
        Ok(LifecycleState { phase })
    }

    async fn handle(
        &self,
        state: &mut LifecycleState,
        message: LifecycleMessage,
        ctx: &Ctx<LifecycleMessage>,
    ) -> ActorResult {
        match message {
            LifecycleMessage::Enter(phase) => {
                state.phase.send_if_modified(|now| {
                    let moves = *now != phase && *now != Phase::Draining;
                    if moves {
                        *now = phase;
                    }
                    moves
                });
                ctx.set_detail("phase", format!("{:?}", *state.phase.borrow()).to_lowercase());
            }
        }
        Ok(())
    }
}
