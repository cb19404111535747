//! Starting supervisors: a root, or a child of another one.

use std::sync::Arc;

use ractor::ActorCell;
use tokio::sync::oneshot;

use crate::child_spec::{ChildKind, ChildSpec, SpecError, StartCtx, StartFn, SupervisorSpec, check_specs};
use crate::exit::{BoxError, ExitReason};
use crate::incarnation::NotUp;
use crate::machine::Family;
use crate::path::{ActorPath, ChildId};
use crate::scope::spawn;
use crate::shell::actor::{Role, ShellActor, ShellArgs};
use crate::shell::exits::SHUTDOWN;
use crate::shell::messages::SupMsg;
use crate::shell::seat::ErasedSlot;
use crate::shell::spawns::start_error;
use crate::shell::tree_link::TreeShared;
use crate::supervisor::{ROOT, StartError, SupervisorHandle, SupervisorSlot};
use crate::tree::{NewNode, TreeStore};

/// Starts supervision trees.
#[derive(Debug)]
pub struct Supervisor;

impl Supervisor {
    /// Starts a tree. Resolves when all its children are up.
    ///
    /// # Errors
    /// If a spec is refused or a child does not start; then all that had started has been stopped again, in reverse
    /// order. The same happens if the future is dropped before it resolves.
    pub async fn start_root(spec: SupervisorSpec, tree: TreeStore) -> Result<SupervisorHandle, StartError> {
        crate::panics::install_hook();
        check(&spec)?;
        let slot = SupervisorSlot::new();
        let shared = TreeShared::new(tree);
        slot.0.shared.store(Some(Arc::clone(&shared)));
        let id = ChildId::from(ROOT);
        let path = ActorPath::root(&id);
        let (node, _) = shared.tree.insert(NewNode::root(&id, &path));
        if slot.0.root.set(node).is_err() {
            unreachable!("the slot was made just now");
        }
        let (booted, boot) = oneshot::channel();
        let args = ShellArgs {
            spec,
            family: Family::Static,
            max_children: None,
            path,
            node,
            shared: Arc::clone(&shared),
            slot: slot.clone(),
            booted: Some(booted),
            role: Role::Supervisor,
            brood: Arc::default(),
        };
        let spawned = ractor::Actor::spawn(None, ShellActor, args).await;
        let cell = match spawned {
            Ok((actor, _)) => actor.get_cell(),
            Err(error) => {
                shared.tree.remove(node);
                return Err(StartError::Failed(match start_error(error) {
                    NotUp::Failed(reason) => reason,
                    NotUp::Ignored => ExitReason::shutdown(SHUTDOWN),
                }));
            }
        };
        shared.tree.show_running(node);
        let (watched, root) = (cell.clone(), slot.clone());
        spawn(async move {
            drop(watched.wait(None).await);
            root.withdraw(watched.get_id(), &ExitReason::Killed);
            root.bury_root();
        });
        // Given up here, nobody could stop the tree any more.
        let mut given_up = StopOnDrop(Some(cell.clone()));
        let outcome = boot.await;
        given_up.0 = None;
        match outcome {
            Ok(Ok(())) => Ok(slot.handle()),
            Ok(Err(error)) => {
                drop(cell.wait(None).await);
                shared.tree.remove(node);
                Err(error)
            }
            Err(_) => Err(StartError::Failed(ExitReason::Killed)),
        }
    }
}

struct StopOnDrop(Option<ActorCell>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(cell) = self.0.take() {
            drop(cell.send_message(SupMsg::Shutdown));
        }
    }
}

/// Checks a supervisor's rules and all its specs.
pub(crate) fn check(spec: &SupervisorSpec) -> Result<(), SpecError> {
    if spec.intensity.period.is_zero() {
        return Err(SpecError::ZeroPeriod);
    }
    check_specs(&spec.children, spec.auto_shutdown)
}

/// What a supervisor child's rules came to at a start.
#[derive(Debug)]
pub enum Init {
    /// Supervise these.
    Run(SupervisorSpec),
    /// There is nothing to supervise now, and that is no failure (OTP's `ignore`).
    Ignore,
}

/// What makes a supervisor child's rules at each start.
pub(crate) struct Blueprint {
    pub(crate) spec: SupervisorSpec,
    pub(crate) family: Family,
    pub(crate) max_children: Option<usize>,
}

impl Blueprint {
    fn fixed(spec: SupervisorSpec) -> Self {
        Self { spec, family: Family::Static, max_children: None }
    }
}

impl ChildSpec {
    /// A supervisor of fixed children. `make` runs at each start.
    pub fn supervisor(
        id: impl Into<ChildId>,
        kind: &'static str,
        slot: &SupervisorSlot,
        make: impl Fn() -> SupervisorSpec + Send + Sync + 'static,
    ) -> Self {
        Self::supervising(id.into(), kind, slot, move |_| Ok(Blueprint::fixed(make())))
    }

    /// A supervisor of fixed children whose rules may be refused or come to nothing. `init` runs at each start; an
    /// error means that the start failed.
    pub fn supervisor_with(
        id: impl Into<ChildId>,
        kind: &'static str,
        slot: &SupervisorSlot,
        init: impl Fn(&StartCtx) -> Result<Init, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self::supervising(id.into(), kind, slot, move |start| match init(start) {
            Ok(Init::Run(spec)) => Ok(Blueprint::fixed(spec)),
            Ok(Init::Ignore) => Err(NotUp::Ignored),
            Err(error) => Err(NotUp::from_box(error)),
        })
    }

    pub(crate) fn supervising(
        id: ChildId,
        kind: &'static str,
        slot: &SupervisorSlot,
        make: impl Fn(&StartCtx) -> Result<Blueprint, NotUp> + Send + Sync + 'static,
    ) -> Self {
        let make = Arc::new(make);
        let place = slot.clone();
        let start: StartFn = Arc::new(move |start| {
            let make = Arc::clone(&make);
            let slot = place.clone();
            Box::pin(async move {
                let blueprint = make(&start)?;
                start_supervisor(start, slot, blueprint).await
            })
        });
        let mut spec = Self::new(id, kind, ChildKind::Supervisor, start);
        spec.slot = Some(Arc::new(slot.clone()) as Arc<dyn ErasedSlot>);
        spec
    }
}

async fn start_supervisor(start: StartCtx, slot: SupervisorSlot, blueprint: Blueprint) -> Result<ActorCell, NotUp> {
    check(&blueprint.spec).map_err(ExitReason::error)?;
    let seating = start.seating;
    slot.0.shared.store(Some(Arc::clone(&seating.shared)));
    slot.0.path.store(Some(Arc::new(start.path.clone())));
    let (booted, boot) = oneshot::channel();
    let brood = Arc::default();
    seating.desk.set_brood(&brood);
    let args = ShellArgs {
        spec: blueprint.spec,
        family: blueprint.family,
        max_children: blueprint.max_children,
        path: start.path,
        node: seating.node.id,
        shared: seating.shared,
        slot,
        booted: Some(booted),
        role: Role::Supervisor,
        brood,
    };
    let (actor, _) =
        ractor::Actor::spawn_linked(None, ShellActor, args, seating.supervisor).await.map_err(start_error)?;
    let cell = actor.get_cell();
    // The start may be given up at any time; then nothing half-started may stay.
    let mut abandoned = KillOnDrop(Some(cell.clone()));
    drop(seating.desk.early.set(cell.clone()));
    if seating.desk.cancel.is_cancelled() {
        drop(cell.send_message(SupMsg::Shutdown));
    }
    match boot.await {
        Ok(Ok(())) => {
            abandoned.0 = None;
            Ok(cell)
        }
        Ok(Err(error)) => {
            abandoned.0 = None;
            drop(cell.wait(None).await);
            Err(ExitReason::error(error).into())
        }
        Err(_) => {
            drop(cell.wait(None).await);
            Err(ExitReason::shutdown(SHUTDOWN).into())
        }
    }
}

struct KillOnDrop(Option<ActorCell>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(cell) = self.0.take() {
            cell.kill();
        }
    }
}
