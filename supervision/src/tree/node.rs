//! A node as the store keeps it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::child_spec::{ChildKind, ChildSpec, Redaction};
use crate::path::{ActorPath, ChildId};
use crate::supervisor::SupervisorSlot;
use crate::telemetry::meter::Meter;
use crate::tree::redact::Veil;
use crate::tree::soft::Soft;
use crate::tree::{MailboxView, NodeFacts, NodeFlags, NodeMetrics, NodeState, NodeView};

/// A node's number.
pub(crate) type NodeId = u64;

/// Who can act on a node: its supervisor, under which id, and whether that is a worker's nursery.
pub(crate) type Controller = (SupervisorSlot, ChildId, bool);

pub(super) struct Node {
    pub(super) view: Arc<NodeFacts>,
    /// As followers know it; the same as the view while nothing has changed.
    pub(super) published: Option<Arc<NodeFacts>>,
    pub(super) children: BTreeSet<NodeId>,
    pub(super) soft: Arc<Soft>,
    pub(super) meter: Option<Arc<Meter>>,
    pub(super) controller: Option<Controller>,
    /// By which it is known in the graph of who waits for whom.
    pub(super) wait_id: Option<u64>,
}

/// A node to be.
pub(crate) struct NewNode<'a> {
    pub(crate) parent: Option<NodeId>,
    pub(crate) path: &'a ActorPath,
    pub(crate) name: &'a ChildId,
    pub(crate) spec: Option<&'a ChildSpec>,
    pub(crate) meter: Option<Arc<Meter>>,
    pub(crate) controller: Option<Controller>,
}

/// What a supervisor says of a child.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChildState {
    pub(crate) state: NodeState,
    pub(crate) incarnation: u64,
    pub(crate) restarts: u64,
    pub(crate) attempt: u32,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) suspended: bool,
}

impl Node {
    /// As it is now, whether or not followers know.
    pub(super) fn measured(&self) -> NodeView {
        let mut view = Arc::clone(&self.view);
        let (detail, busy) = self.soft.peek();
        if view.detail != detail || view.busy != busy {
            let facts = NodeFacts::edit(&mut view);
            (facts.detail, facts.busy) = (detail, busy);
        }
        NodeView::measured(view, self.metrics())
    }

    /// Brings into the view what the actor shows of itself.
    pub(super) fn take_up_soft(&mut self) {
        let (detail, busy) = self.soft.read();
        if self.view.detail != detail || self.view.busy != busy {
            let facts = NodeFacts::edit(&mut self.view);
            (facts.detail, facts.busy) = (detail, busy);
        }
    }

    pub(super) fn metrics(&self) -> Option<NodeMetrics> {
        let read = self.meter.as_ref().filter(|_| !self.view.is_supervisor)?.read();
        let mailbox =
            MailboxView { depth: read.depth, bound: read.bound, oldest: read.oldest_ms.map(Duration::from_millis) };
        Some(NodeMetrics {
            id: self.view.id,
            mailbox,
            handled: read.handled,
            failed: read.failed,
            in_hand: read.busy_ms.map(Duration::from_millis),
        })
    }
}

impl NewNode<'_> {
    pub(crate) fn root<'a>(id: &'a ChildId, path: &'a ActorPath) -> NewNode<'a> {
        NewNode { parent: None, path, name: id, spec: None, meter: None, controller: None }
    }

    pub(super) fn facts(&self, id: NodeId, redaction: Redaction, veil: Option<Arc<Veil>>) -> NodeFacts {
        NodeFacts {
            id,
            parent: self.parent,
            path: self.path.clone(),
            name: self.name.clone().into(),
            kind: self.kind(),
            is_supervisor: self.spec.is_none_or(|spec| spec.child_kind == ChildKind::Supervisor),
            redaction,
            state: NodeState::Starting,
            incarnation: 0,
            started_at: None,
            restarts: 0,
            attempt: 0,
            max_attempts: None,
            last_exit: None,
            restart: self.spec.map(|spec| spec.restart),
            strategy: None,
            intensity: None,
            label: self.spec.and_then(|spec| spec.label.clone()),
            detail: Default::default(),
            busy: None,
            alerts: None,
            flags: NodeFlags {
                significant: self.spec.is_some_and(|spec| spec.significant),
                suspended: false,
                worker_child: self.controller.as_ref().is_some_and(|(_, _, nursery)| *nursery),
                isolated: self.spec.is_some_and(|spec| spec.policy().isolated()),
            },
            veil,
            plain: Default::default(),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        self.spec.map_or("root", |spec| spec.kind)
    }
}
