//! Crowded children, counted instead of listed.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::path::ActorPath;
use crate::tree::node::NodeId;
use crate::tree::snapshot::CHUNK;
use crate::tree::{ChildrenSummary, NodeView, Summarise, TopBy, TreeReader};

/// A node with too many children to list.
pub(super) struct Crowd {
    pub(super) parent: NodeId,
    pub(super) path: ActorPath,
}

impl Crowd {
    pub(super) fn count(&self, reader: &TreeReader, rule: &Summarise) -> ChildrenSummary {
        let mut summary = ChildrenSummary {
            parent: self.parent,
            path: self.path.clone(),
            children: 0,
            states: BTreeMap::new(),
            top: Vec::new(),
        };
        let mut from = 0;
        while let Some(last) = look(reader, self.parent, from, rule, &mut summary) {
            from = last + 1;
            reader.store.let_others_in();
        }
        for node in &mut summary.top {
            node.facts = reader.viewer.see(&node.facts);
        }
        summary
    }
}

/// Counts some children from one on; says which was the last, if there were any.
fn look(
    reader: &TreeReader,
    parent: NodeId,
    from: NodeId,
    rule: &Summarise,
    into: &mut ChildrenSummary,
) -> Option<NodeId> {
    let inner = reader.store.lock();
    let mut last = None;
    for id in inner.nodes.get(&parent)?.children.range(from..).take(CHUNK) {
        last = Some(*id);
        let Some(node) = inner.nodes.get(id) else { continue };
        into.children += 1;
        *into.states.entry(node.view.state.as_str()).or_default() += 1;
        // Most are not among the foremost: those are told by their rank alone.
        let view = NodeView::measured(node.view.clone(), node.metrics());
        let worst = into.top.last().map(|last| rule.by.rank(last));
        if into.top.len() < rule.top || worst.is_some_and(|worst| rule.by.rank(&view) > worst) {
            place(&mut into.top, view, rule.by, rule.top);
        }
    }
    last
}

fn place(top: &mut Vec<NodeView>, view: NodeView, by: TopBy, most: usize) {
    let rank = Reverse(by.rank(&view));
    let at = top.partition_point(|other| Reverse(by.rank(other)) <= rank);
    top.insert(at, view);
    top.truncate(most);
}
