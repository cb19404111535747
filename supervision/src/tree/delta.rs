//! Changes of the tree in numbered batches, and how to follow them.

use std::collections::BTreeMap;
use std::mem::discriminant;
use std::sync::Arc;

use crate::child_spec::{Restart, Strategy};
use crate::tree::{Alerts, BusyView, Detail, ExitRecord, IntensityView, NodeFacts, NodeFlags, NodeState, NodeView};

/// One batch of changes, or several that were put together.
///
/// It leads from any number in `prev..seq` to `seq`: whoever has the tree as of `n` applies it if `prev <= n < seq`, skips
/// it if `seq <= n`, and takes a new snapshot if `n < prev`. Followers of the whole tree who keep up get `prev + 1 ==
/// seq` each time; a follower of a part gets no empty batches, so its numbers have gaps, which `prev` covers.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeDelta {
    /// The number of the tree it is applied to, at the earliest.
    pub prev: u64,
    /// The number of the tree it leads to.
    pub seq: u64,
    /// The changes, in order.
    pub ops: Vec<TreeOp>,
}

/// A change of the tree.
#[derive(Clone, Debug, PartialEq)]
pub enum TreeOp {
    /// A node appeared.
    Add(Arc<NodeFacts>),
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
    /// See [`NodeFacts::state`].
    State(NodeState),
    /// See [`NodeFacts::incarnation`].
    Incarnation(u64),
    /// See [`NodeFacts::started_at`].
    StartedAt(Option<i64>),
    /// See [`NodeFacts::restarts`].
    Restarts(u64),
    /// See [`NodeFacts::attempt`] and [`NodeFacts::max_attempts`].
    Attempt(u32, Option<u32>),
    /// See [`NodeFacts::last_exit`].
    LastExit(Option<Arc<ExitRecord>>),
    /// See [`NodeFacts::restart`].
    Restart(Option<Restart>),
    /// See [`NodeFacts::strategy`].
    Strategy(Option<Strategy>),
    /// See [`NodeFacts::intensity`].
    Intensity(Option<IntensityView>),
    /// See [`NodeFacts::label`].
    Label(Option<Arc<str>>),
    /// See [`NodeFacts::detail`].
    Detail(Detail),
    /// See [`NodeFacts::busy`].
    Busy(Option<Arc<BusyView>>),
    /// See [`NodeFacts::alerts`].
    Alerts(Option<Arc<Alerts>>),
    /// See [`NodeFacts::flags`].
    Flags(NodeFlags),
}

/// What following the tree brings.
#[derive(Clone, Debug, PartialEq)]
pub enum TreeUpdate {
    /// The next batch.
    Delta(TreeDelta),
    /// Batches were missed; take a new snapshot.
    Reset,
}

/// The fields in which `new` differs from `old`. Counters are not among them: they are read, not followed.
pub(crate) fn diff(old: &NodeFacts, new: &NodeFacts) -> Vec<NodeField> {
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
    note(old.alerts != new.alerts, &|| NodeField::Alerts(new.alerts.clone()));
    note(old.flags != new.flags, &|| NodeField::Flags(new.flags));
    fields
}

impl NodeFacts {
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
            NodeField::Alerts(alerts) => self.alerts = alerts,
            NodeField::Flags(flags) => self.flags = flags,
        }
    }
}

/// Puts a later change of a node on top of an earlier one. What comes out holds whether or not the earlier one was
/// applied before.
pub(crate) fn merge(earlier: &mut TreeOp, later: TreeOp) {
    match (earlier, later) {
        (TreeOp::Add(facts), TreeOp::Patch { fields, .. }) => {
            let facts = NodeFacts::edit(facts);
            fields.into_iter().for_each(|field| facts.set(field));
        }
        (TreeOp::Patch { fields: before, .. }, TreeOp::Patch { fields, .. }) => {
            for field in fields {
                match before.iter_mut().find(|old| discriminant(*old) == discriminant(&field)) {
                    Some(old) => *old = field,
                    None => before.push(field),
                }
            }
        }
        (earlier, later) => *earlier = later,
    }
}

/// Applies a batch to nodes by id, as a client would.
pub fn apply(nodes: &mut BTreeMap<u64, NodeView>, delta: &TreeDelta) {
    for op in &delta.ops {
        match op {
            TreeOp::Add(facts) => {
                nodes.insert(facts.id, NodeView::from(Arc::clone(facts)));
            }
            TreeOp::Remove(id) => {
                nodes.remove(id);
            }
            TreeOp::Patch { id, fields } => {
                if let Some(node) = nodes.get_mut(id) {
                    let facts = NodeFacts::edit(&mut node.facts);
                    fields.iter().for_each(|field| facts.set(field.clone()));
                }
            }
        }
    }
}
