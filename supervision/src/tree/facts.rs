//! All that is followed of a node. Shared by the store, its batches and everybody who looks: a change makes a new one.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::child_spec::{Redaction, Restart, Strategy};
use crate::path::{ActorPath, ChildId};
use crate::tree::redact::Veil;
use crate::tree::{
    Alerts, BusyView, Detail, ExitRecord, IntensityView, MailboxView, NodeFlags, NodeMetrics, NodeState,
};

/// The last part of a node's path, as it is: the child's id, or a pseudonym.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShownName(ChildId);

impl From<ChildId> for ShownName {
    fn from(id: ChildId) -> Self {
        Self(id)
    }
}

impl Deref for ShownName {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq<str> for ShownName {
    fn eq(&self, text: &str) -> bool {
        **self == *text
    }
}

impl PartialEq<&str> for ShownName {
    fn eq(&self, text: &&str) -> bool {
        **self == **text
    }
}

impl fmt::Display for ShownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for ShownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// What is known of a node and followed by batches: everything but its counters.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeFacts {
    /// Its number; never used twice.
    pub id: u64,
    /// The number of its parent; the root has none.
    pub parent: Option<u64>,
    /// Where it stands.
    pub path: ActorPath,
    /// Its id under its parent.
    pub name: ShownName,
    /// What sort of thing it is.
    pub kind: &'static str,
    /// Whether it supervises others.
    pub is_supervisor: bool,
    /// Who may read its name and what it says.
    pub redaction: Redaction,
    /// What it is doing.
    pub state: NodeState,
    /// The current or last incarnation; 0 before the first start.
    pub incarnation: u64,
    /// When this incarnation came up, in epoch milliseconds.
    pub started_at: Option<i64>,
    /// Automatic restarts so far.
    pub restarts: u64,
    /// Retries in a row.
    pub attempt: u32,
    /// How many there will be at most.
    pub max_attempts: Option<u32>,
    /// How the last incarnation ended.
    pub last_exit: Option<Arc<ExitRecord>>,
    /// Its restart type; the root has none.
    pub restart: Option<Restart>,
    /// The strategy of a supervisor.
    pub strategy: Option<Strategy>,
    /// The restart intensity of a supervisor.
    pub intensity: Option<IntensityView>,
    /// A name for people.
    pub label: Option<Arc<str>>,
    /// What it shows of itself.
    pub detail: Detail,
    /// What it says it is busy with.
    pub busy: Option<Arc<BusyView>>,
    /// What the watchdog found; nothing if all is well.
    pub alerts: Option<Arc<Alerts>>,
    /// Switches.
    pub flags: NodeFlags,
    /// How it looks to whoever may not see it.
    pub(crate) veil: Option<Arc<Veil>>,
    /// The same as such a viewer sees it, once one has looked.
    pub(crate) plain: Plain,
}

impl NodeFacts {
    /// To be changed: a copy if anybody else holds it. What was derived from it is forgotten.
    pub(crate) fn edit(this: &mut Arc<Self>) -> &mut Self {
        let facts = Arc::make_mut(this);
        facts.plain = Plain::default();
        facts
    }
}

/// Made when first needed; a changed copy has to make its own.
#[derive(Default)]
pub(crate) struct Plain(pub(crate) OnceLock<Arc<NodeFacts>>);

impl Clone for Plain {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Plain {
    /// It follows from the rest.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

/// A node of the tree: what is followed of it, and its counters at the moment it was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// What is followed. Its fields are those of the view, too.
    pub facts: Arc<NodeFacts>,
    /// Its mailbox; a supervisor shows none.
    pub mailbox: Option<MailboxView>,
    /// Messages handled over all incarnations.
    pub handled: u64,
    /// Those among them that ended an incarnation.
    pub failed: u64,
    /// How long the message in hand has been worked on.
    pub in_hand: Option<Duration>,
}

impl NodeView {
    pub(crate) fn measured(facts: Arc<NodeFacts>, metrics: Option<NodeMetrics>) -> Self {
        let mut view = Self::from(facts);
        if let Some(metrics) = metrics {
            view.mailbox = Some(metrics.mailbox);
            view.handled = metrics.handled;
            view.failed = metrics.failed;
            view.in_hand = metrics.in_hand;
        }
        view
    }

    /// Its counters, if it has any.
    #[must_use]
    pub fn metrics(&self) -> Option<NodeMetrics> {
        let (handled, failed, in_hand) = (self.handled, self.failed, self.in_hand);
        Some(NodeMetrics { id: self.facts.id, mailbox: self.mailbox?, handled, failed, in_hand })
    }
}

impl From<Arc<NodeFacts>> for NodeView {
    /// Without counters.
    fn from(facts: Arc<NodeFacts>) -> Self {
        Self { facts, mailbox: None, handled: 0, failed: 0, in_hand: None }
    }
}

impl Deref for NodeView {
    type Target = NodeFacts;

    fn deref(&self) -> &NodeFacts {
        &self.facts
    }
}
