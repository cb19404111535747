//! The children of a worker: a supervisor of temporary children that belongs to one incarnation and reports to it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ractor::{ActorCell, ActorRuntime};

use crate::actor::ChildExit;
use crate::child_spec::{ChildSpec, Intensity, Restart};
use crate::context::Core;
use crate::exit::ExitReason;
use crate::machine::{Family, Request};
use crate::path::ChildId;
use crate::shell::actor::{Role, ShellActor, ShellArgs};
use crate::shell::messages::SupMsg;
use crate::supervisor::SupervisorSlot;

/// A worker's handle on its children.
#[derive(Clone)]
pub(crate) struct Nursery {
    cell: Option<ActorCell>,
    count: Arc<AtomicUsize>,
    report: Arc<dyn Fn(ChildExit) + Send + Sync>,
}

impl Nursery {
    /// The worker's nursery, made when first needed.
    pub(crate) fn of(core: &Arc<Core>) -> Self {
        let mut place = core.nursery.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(nursery) = place.as_ref() {
            return nursery.clone();
        }
        let count = Arc::new(AtomicUsize::new(0));
        let report = Arc::clone(&core.child_exit);
        let args = ShellArgs {
            spec: crate::child_spec::SupervisorSpec { intensity: Intensity::default(), ..Default::default() },
            family: Family::Dynamic,
            max_children: None,
            path: core.path.clone(),
            node: core.node.id,
            shared: Arc::clone(&core.shared),
            slot: SupervisorSlot::new(),
            booted: None,
            role: Role::Nursery(Arc::clone(&report)),
            brood: Arc::default(),
        };
        core.desk.set_brood(&args.brood);
        let cell = ActorRuntime::<ShellActor>::spawn_linked_instant(None, ShellActor, args, core.cell.clone())
            .ok()
            .map(|(actor, _)| actor.get_cell());
        let nursery = Self { cell, count, report };
        *place = Some(nursery.clone());
        nursery
    }

    /// Starts a temporary child.
    pub(crate) fn start(&self, spec: ChildSpec) {
        let spec = spec.restart(Restart::Temporary);
        let id = spec.id.clone();
        self.count.fetch_add(1, Ordering::Relaxed);
        let sent = self.cell.as_ref().is_some_and(|cell| cell.send_message(SupMsg::Add(Box::new(spec), None)).is_ok());
        if !sent {
            (self.report)(ChildExit {
                id,
                incarnation: 0,
                reason: ExitReason::shutdown("the parent is stopping").at_init(),
            });
        }
    }

    /// Stops a child as its spec says.
    pub(crate) fn stop(&self, id: &ChildId) {
        if let Some(cell) = &self.cell {
            drop(cell.send_message(SupMsg::Admin(Request::Terminate(id.clone()), None)));
        }
    }

    /// How many children have not been reported as ended.
    pub(crate) fn children(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn forget_one(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Stops all children as their specs say and waits for it.
    pub(crate) async fn shut_down(&self) {
        if let Some(cell) = &self.cell {
            if cell.send_message(SupMsg::Shutdown).is_err() {
                cell.stop(None);
            }
            drop(cell.wait(None).await);
        }
    }

    /// Kills all children and waits a while for it.
    pub(crate) async fn kill(&self, limit: Duration) {
        let Some(cell) = &self.cell else { return };
        let children = cell.get_children();
        cell.kill();
        for child in &children {
            child.kill();
        }
        let all = async {
            drop(cell.wait(None).await);
            for child in &children {
                drop(child.wait(None).await);
            }
        };
        drop(tokio::time::timeout(limit, all).await);
    }
}
