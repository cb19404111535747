//! Which part of the tree somebody asks for, and the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::path::ActorPath;
use crate::tree::{NodeFacts, NodeView, Viewer};

/// The part of the tree a follower wants to hear of. Whether a node is in it never changes. The default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Only what stands at this path and below it.
    pub root: Option<ActorPath>,
    /// Only this many levels below the root; 0 = the root alone.
    pub depth: Option<usize>,
    /// Nodes nothing below which is wanted: those that are shown as a summary.
    pub closed: BTreeSet<ActorPath>,
    /// Only these nodes.
    pub ids: Option<BTreeSet<u64>>,
}

impl View {
    /// True if nothing is left out.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a node is in the view, as `viewer` sees it.
    pub(crate) fn contains(&self, facts: &NodeFacts, viewer: Viewer) -> bool {
        if self.ids.as_ref().is_some_and(|ids| !ids.contains(&facts.id)) {
            return false;
        }
        if self.root.is_none() && self.depth.is_none() && self.closed.is_empty() {
            return true;
        }
        let path = viewer.path(facts).as_str();
        let level = match &self.root {
            Some(root) => levels_below(path, root.as_str()),
            None => Some(path.matches('/').count()),
        };
        level.is_some_and(|level| self.depth.is_none_or(|depth| level <= depth))
            && !self.closed.iter().any(|closed| levels_below(path, closed.as_str()).is_some_and(|level| level > 0))
    }
}

/// How many levels `path` stands below `root`; `None` if it does not.
fn levels_below(path: &str, root: &str) -> Option<usize> {
    let rest = path.strip_prefix(root)?;
    (rest.is_empty() || rest.starts_with('/')).then(|| rest.matches('/').count())
}

/// Which nodes to show. The default is all.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Only this node and what is below it.
    pub root: Option<ActorPath>,
    /// Only this many levels below the root; 0 = the root alone.
    pub depth: Option<usize>,
    /// At most this many nodes.
    pub limit: Option<usize>,
    /// Nodes nothing below which is wanted.
    pub closed: BTreeSet<ActorPath>,
    /// Only these nodes.
    pub ids: Option<BTreeSet<u64>>,
    /// Only nodes of these kinds; empty = all.
    pub kinds: Vec<String>,
    /// Only nodes in these states, by [`NodeState::as_str`](crate::tree::NodeState::as_str); empty = all.
    pub states: Vec<String>,
    /// Only nodes with this text in their path or label, whatever its case.
    pub text: Option<String>,
    /// Only nodes with a number above this one, in the order of their numbers: the page after that node. The size of a
    /// page is `limit`.
    pub after: Option<u64>,
    /// Shows the children of crowded nodes as a summary.
    pub summarise: Option<Summarise>,
}

/// When and how children are shown as a summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summarise {
    /// Nodes with more direct children than this.
    pub over: usize,
    /// Not these nodes.
    pub expanded: BTreeSet<ActorPath>,
    /// How many children are shown nevertheless.
    pub top: usize,
    /// Which of them.
    pub by: TopBy,
}

impl Default for Summarise {
    fn default() -> Self {
        Self { over: 500, expanded: BTreeSet::new(), top: 10, by: TopBy::Worst }
    }
}

/// By what the children shown with a summary are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TopBy {
    /// The worst state first.
    #[default]
    Worst,
    /// The fullest mailbox first.
    Depth,
    /// The longest wait in the mailbox first.
    Oldest,
    /// The most restarts first.
    Restarts,
    /// The longest time on one message first.
    InHand,
}

impl TopBy {
    /// The higher, the further up.
    pub(crate) fn rank(self, node: &NodeView) -> u64 {
        let millis = |time: Option<Duration>| time.map_or(0, |time| time.as_millis().try_into().unwrap_or(u64::MAX));
        match self {
            Self::Worst => u64::from(node.state.severity()),
            Self::Depth => node.mailbox.map_or(0, |mailbox| mailbox.depth),
            Self::Oldest => millis(node.mailbox.and_then(|mailbox| mailbox.oldest)),
            Self::Restarts => node.restarts,
            Self::InHand => millis(node.in_hand),
        }
    }
}

/// The children of a crowded node. Counted while the tree goes on living, so it is no part of what batches continue.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildrenSummary {
    /// Whose children.
    pub parent: u64,
    /// Where it stands.
    pub path: ActorPath,
    /// How many there are.
    pub children: usize,
    /// How many are in which state.
    pub states: BTreeMap<&'static str, usize>,
    /// The foremost among them, by what was asked for; of equals, the one started first.
    pub top: Vec<NodeView>,
}

/// The tree at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Which life of the store this is; numbers of another life mean nothing here.
    pub epoch: u64,
    /// The number of the last batch that is in it.
    pub seq: u64,
    /// When it was taken, in epoch milliseconds.
    pub at: i64,
    /// What to follow to keep it as it is, filters aside.
    pub view: View,
    /// The nodes: parents before children, siblings in start order.
    pub nodes: Vec<NodeView>,
    /// What is shown in place of crowded children.
    pub summaries: Vec<ChildrenSummary>,
    /// If there is more than a page holds: the number to ask the next one with.
    pub next: Option<u64>,
}

impl From<View> for Query {
    fn from(view: View) -> Self {
        Self { root: view.root, depth: view.depth, closed: view.closed, ids: view.ids, ..Self::default() }
    }
}

impl Query {
    /// The part this query is about, filters aside.
    #[must_use]
    pub fn view(&self) -> View {
        View { root: self.root.clone(), depth: self.depth, closed: self.closed.clone(), ids: self.ids.clone() }
    }

    /// Whether a node passes the filters. What the viewer may not read is not searched.
    pub(crate) fn passes(&self, facts: &NodeFacts) -> bool {
        (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == facts.kind))
            && (self.states.is_empty() || self.states.iter().any(|state| state == facts.state.as_str()))
            && self.text.as_ref().is_none_or(|text| {
                let text = text.to_lowercase();
                let has = |place: &str| place.to_lowercase().contains(&text);
                has(facts.path.as_str()) || facts.label.as_deref().is_some_and(has)
            })
    }

    pub(crate) fn filters(&self) -> bool {
        !self.kinds.is_empty() || !self.states.is_empty() || self.text.is_some()
    }
}
