//! Changes of the tree in numbered batches, and how to follow them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::child_spec::{Restart, Strategy};
use crate::tree::{BusyView, ExitRecord, IntensityView, NodeFlags, NodeState, NodeView};

/// One batch of changes.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeDelta {
    /// One higher than the batch before.
    pub seq: u64,
    /// The changes, in order.
    pub ops: Vec<TreeOp>,
}

/// A change of the tree.
#[derive(Clone, Debug, PartialEq)]
pub enum TreeOp {
    /// A node appeared.
    Add(Box<NodeView>),
    /// A node disappeared; its children have done so before.
    Remove(u64),
    /// Fields of a node changed.
    Patch {
        /// The node.
        id: u64,
        /// The fields that changed.
        fields: Vec<NodeField>,
    },
}

/// A field of a node with its new value.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeField {
    /// See [`NodeView::state`].
    State(NodeState),
    /// See [`NodeView::incarnation`].
    Incarnation(u64),
    /// See [`NodeView::started_at`].
    StartedAt(Option<i64>),
    /// See [`NodeView::restarts`].
    Restarts(u64),
    /// See [`NodeView::attempt`] and [`NodeView::max_attempts`].
    Attempt(u32, Option<u32>),
    /// See [`NodeView::last_exit`].
    LastExit(Option<ExitRecord>),
    /// See [`NodeView::restart`].
    Restart(Option<Restart>),
    /// See [`NodeView::strategy`].
    Strategy(Option<Strategy>),
    /// See [`NodeView::intensity`].
    Intensity(Option<IntensityView>),
    /// See [`NodeView::label`].
    Label(Option<String>),
    /// See [`NodeView::detail`].
    Detail(BTreeMap<&'static str, String>),
    /// See [`NodeView::busy`].
    Busy(Option<BusyView>),
    /// See [`NodeView::flags`].
    Flags(NodeFlags),
}

/// What following the tree brings.
#[derive(Clone, Debug, PartialEq)]
pub enum TreeUpdate {
    /// The next batch.
    Delta(Arc<TreeDelta>),
    /// Batches were missed; take a new snapshot.
    Reset,
}

/// The fields in which `new` differs from `old`. Counters are not among them: they are read, not followed.
pub(crate) fn diff(old: &NodeView, new: &NodeView) -> Vec<NodeField> {
    let mut fields = Vec::new();
    let mut note = |differs: bool, field: &dyn Fn() -> NodeField| {
        if differs {
            fields.push(field());
        }
    };
    note(old.state != new.state, &|| NodeField::State(new.state));
    note(old.incarnation != new.incarnation, &|| NodeField::Incarnation(new.incarnation));
    note(old.started_at != new.started_at, &|| NodeField::StartedAt(new.started_at));
    note(old.restarts != new.restarts, &|| NodeField::Restarts(new.restarts));
    note((old.attempt, old.max_attempts) != (new.attempt, new.max_attempts), &|| {
        NodeField::Attempt(new.attempt, new.max_attempts)
    });
    note(old.last_exit != new.last_exit, &|| NodeField::LastExit(new.last_exit.clone()));
    note(old.restart != new.restart, &|| NodeField::Restart(new.restart));
    note(old.strategy != new.strategy, &|| NodeField::Strategy(new.strategy));
    note(old.intensity != new.intensity, &|| NodeField::Intensity(new.intensity));
    note(old.label != new.label, &|| NodeField::Label(new.label.clone()));
    note(old.detail != new.detail, &|| NodeField::Detail(new.detail.clone()));
    note(old.busy != new.busy, &|| NodeField::Busy(new.busy.clone()));
    note(old.flags != new.flags, &|| NodeField::Flags(new.flags));
    fields
}

impl NodeView {
    /// Sets a field to its new value.
    pub fn set(&mut self, field: NodeField) {
        match field {
            NodeField::State(state) => self.state = state,
            NodeField::Incarnation(incarnation) => self.incarnation = incarnation,
            NodeField::StartedAt(at) => self.started_at = at,
            NodeField::Restarts(restarts) => self.restarts = restarts,
            NodeField::Attempt(attempt, max) => (self.attempt, self.max_attempts) = (attempt, max),
            NodeField::LastExit(exit) => self.last_exit = exit,
            NodeField::Restart(restart) => self.restart = restart,
            NodeField::Strategy(strategy) => self.strategy = strategy,
            NodeField::Intensity(intensity) => self.intensity = intensity,
            NodeField::Label(label) => self.label = label,
            NodeField::Detail(detail) => self.detail = detail,
            NodeField::Busy(busy) => self.busy = busy,
            NodeField::Flags(flags) => self.flags = flags,
        }
    }
}

/// Applies a batch to nodes by id, as a client would.
pub fn apply(nodes: &mut BTreeMap<u64, NodeView>, delta: &TreeDelta) {
    for op in &delta.ops {
        match op {
            TreeOp::Add(node) => {
                nodes.insert(node.id, NodeView::clone(node));
            }
            TreeOp::Remove(id) => {
                nodes.remove(id);
            }
            TreeOp::Patch { id, fields } => {
                if let Some(node) = nodes.get_mut(id) {
                    for field in fields {
                        node.set(field.clone());
                    }
                }
            }
        }
    }
}

/// Follows the tree. Bounded: a follower that is too slow is told to start over.
#[derive(Debug)]
pub struct TreeSubscription {
    pub(crate) backlog: std::collections::VecDeque<Arc<TreeDelta>>,
    pub(crate) missed: bool,
    pub(crate) deltas: broadcast::Receiver<Arc<TreeDelta>>,
    pub(crate) epoch: u64,
    pub(crate) seq: u64,
}

impl TreeSubscription {
    /// Which life of the store this follows.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The number of the batch this starts after.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The next batch, or the news that batches were missed. After a reset, batches up to the new snapshot's number
    /// may still come and are to be skipped. `None` when the store is gone.
    pub async fn next(&mut self) -> Option<TreeUpdate> {
        if std::mem::take(&mut self.missed) {
            return Some(TreeUpdate::Reset);
        }
        if let Some(delta) = self.backlog.pop_front() {
            return Some(TreeUpdate::Delta(delta));
        }
        match self.deltas.recv().await {
            Ok(delta) => Some(TreeUpdate::Delta(delta)),
            Err(RecvError::Lagged(_)) => {
                self.deltas = self.deltas.resubscribe();
                Some(TreeUpdate::Reset)
            }
            Err(RecvError::Closed) => None,
        }
    }
}
