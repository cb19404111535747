//! Who may read what is personal: names, labels, details and reasons of nodes that work for one person.
//!
//! A node's class comes from its spec and reaches everything below it. Whoever may not read it sees a pseudonym, the
//! same as long as the store lives, so that the node can still be followed; it says nothing about the name, not even to
//! somebody who guesses it.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::child_spec::Redaction;
use crate::path::{ActorPath, ChildId};
use crate::tree::facts::Plain;
use crate::tree::{BusyView, Detail, ExitRecord, NodeFacts, NodeView};

/// What stands in place of a text that may not be read.
pub const WITHHELD: &str = "withheld";

/// Who looks at the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// May read what is personal.
    pub personal: bool,
}

impl Viewer {
    /// Sees everything.
    #[must_use]
    pub const fn full() -> Self {
        Self { personal: true }
    }

    /// Sees pseudonyms in place of what is personal.
    #[must_use]
    pub const fn plain() -> Self {
        Self { personal: false }
    }

    /// Where a node stands, as this viewer sees it.
    pub(crate) fn path(self, facts: &NodeFacts) -> &ActorPath {
        match &facts.veil {
            Some(veil) if !self.personal => &veil.path,
            Some(_) | None => &facts.path,
        }
    }

    /// A node as this viewer sees it.
    pub(crate) fn see(self, facts: &Arc<NodeFacts>) -> Arc<NodeFacts> {
        if self.personal || !hides(facts) {
            return Arc::clone(facts);
        }
        Arc::clone(facts.plain.0.get_or_init(|| plain(facts)))
    }

    /// The same with counters.
    pub(crate) fn see_view(self, mut view: NodeView) -> NodeView {
        if !self.personal {
            view.facts = self.see(&view.facts);
        }
        view
    }
}

/// A node as somebody sees it who may not read what is personal.
fn plain(facts: &NodeFacts) -> Arc<NodeFacts> {
    let last_exit = facts.last_exit.as_ref().map(|exit| Arc::new(withheld(exit)));
    let Some(veil) = &facts.veil else {
        return Arc::new(NodeFacts { last_exit, ..NodeFacts::clone(facts) });
    };
    let withheld = |busy: &Arc<BusyView>| Arc::new(BusyView { what: WITHHELD.to_owned(), since: busy.since });
    // Field by field, so that nothing comes through that was not thought of, and nothing hidden is copied first.
    Arc::new(NodeFacts {
        id: facts.id,
        parent: facts.parent,
        path: veil.path.clone(),
        name: veil.name.clone().into(),
        kind: facts.kind,
        is_supervisor: facts.is_supervisor,
        redaction: facts.redaction,
        state: facts.state,
        incarnation: facts.incarnation,
        started_at: facts.started_at,
        restarts: facts.restarts,
        attempt: facts.attempt,
        max_attempts: facts.max_attempts,
        last_exit,
        restart: facts.restart,
        strategy: facts.strategy,
        intensity: facts.intensity,
        label: facts.label.is_some().then(|| veil.name.as_str().into()),
        detail: Detail::default(),
        busy: facts.busy.as_ref().map(withheld),
        alerts: facts.alerts.clone(),
        flags: facts.flags,
        veil: None,
        plain: Plain::default(),
    })
}

/// A supervisor's reason may name the child that brought it down.
fn hides(facts: &NodeFacts) -> bool {
    facts.veil.is_some() || (facts.is_supervisor && facts.last_exit.is_some())
}

/// An exit without its words.
pub(crate) fn withheld(exit: &ExitRecord) -> ExitRecord {
    ExitRecord { text: WITHHELD.to_owned(), ..exit.clone() }
}

/// How a personal node looks to whoever may not see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Veil {
    pub(crate) path: ActorPath,
    pub(crate) name: ChildId,
}

/// Makes pseudonyms. Its key is drawn at random and never leaves it.
pub(crate) struct Veiler(RandomState);

impl Veiler {
    pub(crate) fn new() -> Self {
        Self(RandomState::new())
    }

    /// The veil of a node that is personal, or stands below one that is.
    pub(crate) fn veil(
        &self,
        class: Redaction,
        parent: Option<&NodeFacts>,
        path: &ActorPath,
        kind: &str,
    ) -> Option<Arc<Veil>> {
        let above = parent.and_then(|parent| parent.veil.as_deref());
        if class == Redaction::Public && above.is_none() {
            return None;
        }
        // The low half: eight digits.
        let digest = self.0.hash_one(path) & u64::from(u32::MAX);
        let name = ChildId::from(format!("{kind}-{digest:08x}"));
        let visible = above.map(|veil| &veil.path).or_else(|| parent.map(|parent| &parent.path));
        let path = visible.map_or_else(|| ActorPath::root(&name), |visible| visible.join(&name));
        Some(Arc::new(Veil { path, name }))
    }
}
