//! Taking a snapshot while the tree goes on living.
//!
//! The nodes are read in chunks with the lock released in between, so each chunk shows the tree as of some number. What
//! has changed from there to the number of the last chunk is known, since every change is in a batch, and is brought
//! in at the end: the result is the tree as of that number, though nobody was kept from writing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::tree::node::NodeId;
use crate::tree::store::Inner;
use crate::tree::summary::Crowd;
use crate::tree::{NodeFacts, NodeView, Query, Snapshot, TreeReader, View};

/// Most nodes read under one hold of the lock. Few in this crate's own tests, so that snapshots are taken in chunks.
pub(super) const CHUNK: usize = if cfg!(test) { 7 } else { 2000 };

/// A snapshot under way.
pub(super) struct Taking<'a> {
    reader: &'a TreeReader,
    query: &'a Query,
    view: View,
    /// Nodes that came later are brought in at the end.
    newest: NodeId,
    walk: Walk,
    /// The number before the first chunk.
    first: u64,
    /// The number the last chunk shows.
    last: u64,
    /// Up to where in `nodes` a chunk reaches, and its number.
    chunks: Vec<(usize, u64)>,
    nodes: Vec<NodeView>,
    /// Nodes that are gone while no batch has said so yet: as of the last number they are there.
    ghosts: Vec<Arc<NodeFacts>>,
    crowds: Vec<Crowd>,
    /// There is more than was asked for.
    cut: bool,
    done: bool,
    tries: usize,
}

/// How the nodes are come by.
enum Walk {
    /// All, by number.
    All(NodeId),
    /// These.
    Ids(std::vec::IntoIter<NodeId>),
    /// From some nodes down: what is still to be looked at, and how deep it stands.
    Down(Vec<(NodeId, usize)>),
}

impl<'a> Taking<'a> {
    pub(super) fn begin(reader: &'a TreeReader, query: &'a Query) -> Self {
        reader.store.flush_all();
        Self::again(reader, query, 0)
    }

    fn again(reader: &'a TreeReader, query: &'a Query, tries: usize) -> Self {
        let view = query.view();
        let inner = reader.store.lock();
        let walk = if let Some(ids) = &query.ids {
            Walk::Ids(ids.iter().copied().collect::<Vec<_>>().into_iter())
        } else if query.root.is_none() && query.depth.is_none() && query.closed.is_empty() && query.summarise.is_none()
        {
            Walk::All(query.after.map_or(0, |after| after.saturating_add(1)))
        } else {
            let roots: Vec<NodeId> = match &query.root {
                Some(path) => inner.find(path, reader.viewer).into_iter().collect(),
                None => inner.roots.iter().copied().collect(),
            };
            Walk::Down(roots.into_iter().rev().map(|id| (id, 0)).collect())
        };
        let (newest, first) = (inner.next_id, inner.seq);
        drop(inner);
        Self {
            reader,
            query,
            view,
            newest,
            walk,
            first,
            last: first,
            chunks: Vec::new(),
            nodes: Vec::new(),
            ghosts: Vec::new(),
            crowds: Vec::new(),
            cut: false,
            done: false,
            tries,
        }
    }

    /// Reads some nodes; true if there are more.
    pub(super) fn chunk(&mut self) -> bool {
        let store = self.reader.store.clone();
        let inner = store.lock();
        self.last = inner.seq;
        // If the changes during a walk could not be told from the ring again and again, all is read in one go.
        let room = if self.tries > 2 { usize::MAX } else { CHUNK };
        self.done = match &mut self.walk {
            Walk::All(from) => {
                let from = *from;
                self.by_number(&inner, from, room)
            }
            Walk::Ids(_) | Walk::Down(_) => (0..room).any(|_| !self.step(&inner)),
        };
        if self.done && !self.cut {
            self.ghosts = inner.removed.iter().cloned().collect();
        }
        drop(inner);
        self.chunks.push((self.nodes.len(), self.last));
        !self.done
    }

    /// Reads the next nodes by number; true if those were the last.
    fn by_number(&mut self, inner: &Inner, from: NodeId, room: usize) -> bool {
        // Without filters it is known when there are enough for a page, and one more to know that there is a next.
        let enough = match self.query.limit {
            Some(limit) if !self.query.filters() => limit.saturating_add(1),
            Some(_) | None => usize::MAX,
        };
        for (read, (id, node)) in inner.nodes.range(from..self.newest.max(from)).enumerate() {
            if self.nodes.len() >= enough {
                self.cut = true;
                return true;
            }
            if read >= room {
                self.walk = Walk::All(*id);
                return false;
            }
            if let Some(facts) = &node.published {
                self.nodes.push(NodeView::measured(Arc::clone(facts), node.metrics()));
            }
        }
        true
    }

    /// Looks at one more node; false if there is none.
    fn step(&mut self, inner: &Inner) -> bool {
        let (id, level) = match &mut self.walk {
            Walk::All(_) => return false,
            Walk::Ids(ids) => match ids.next() {
                Some(id) => (id, 0),
                None => return false,
            },
            Walk::Down(pending) => match pending.pop() {
                Some(found) => found,
                None => return false,
            },
        };
        let Some(node) = inner.nodes.get(&id) else { return true };
        if id >= self.newest {
            return true;
        }
        let Some(facts) = &node.published else { return true };
        if self.view.contains(facts, self.reader.viewer) {
            self.nodes.push(NodeView::measured(Arc::clone(facts), node.metrics()));
        }
        let Walk::Down(pending) = &mut self.walk else { return true };
        let path = self.reader.viewer.path(facts);
        if self.query.depth.is_some_and(|depth| level >= depth) || self.query.closed.contains(path) {
            return true;
        }
        if let Some(rule) = &self.query.summarise
            && node.children.len() > rule.over
            && !rule.expanded.contains(path)
        {
            self.view.closed.insert(path.clone());
            self.crowds.push(Crowd { parent: id, path: path.clone() });
            return true;
        }
        pending.extend(node.children.iter().rev().map(|child| (*child, level + 1)));
        true
    }

    /// The number the last chunk shows.
    #[cfg(test)]
    pub(super) fn number(&self) -> u64 {
        self.last
    }

    /// Brings in what has changed meanwhile. Gives itself back, to be taken anew, if that is not known any more.
    pub(super) fn finish(mut self) -> Result<Snapshot, Box<Self>> {
        if self.first < self.last && !self.catch_up() {
            return Err(Box::new(Self::again(self.reader, self.query, self.tries + 1)));
        }
        self.bring_back();
        let viewer = self.reader.viewer;
        let query = self.query;
        let mut nodes: Vec<NodeView> = match viewer.personal {
            true => self.nodes,
            false => self.nodes.into_iter().map(|node| viewer.see_view(node)).collect(),
        };
        if query.filters() {
            nodes.retain(|node| query.passes(node));
        }
        if query.after.is_some() {
            nodes.sort_unstable_by_key(|node| node.id);
            nodes.retain(|node| Some(node.id) > query.after);
        }
        let mut next = None;
        if let Some(limit) = query.limit
            && (nodes.len() > limit || self.cut)
        {
            nodes.truncate(limit);
            next = nodes.last().map(|last| last.id);
        }
        let store = &self.reader.store;
        let summaries = match &query.summarise {
            Some(rule) => self.crowds.iter().map(|crowd| crowd.count(self.reader, rule)).collect(),
            None => Vec::new(),
        };
        let (epoch, view) = (store.0.epoch, self.view);
        Ok(Snapshot { epoch, seq: self.last, at: store.now_ms(), view, nodes, summaries, next })
    }

    /// Adds nodes that went before they were read, and whose end belongs to a later number.
    fn bring_back(&mut self) {
        self.ghosts.retain(|facts| self.view.contains(facts, self.reader.viewer));
        if self.ghosts.is_empty() {
            return;
        }
        let read: HashSet<u64> = self.nodes.iter().map(|node| node.id).collect();
        let missing = self.ghosts.drain(..).filter(|facts| !read.contains(&facts.id));
        self.nodes.extend(missing.map(NodeView::from));
        // By number, parents come before children and siblings in start order.
        self.nodes.sort_unstable_by_key(|node| node.id);
    }

    /// Brings the nodes from the numbers they were read at to the last one.
    fn catch_up(&mut self) -> bool {
        let Some(batches) = self.reader.store.0.feed.since(self.first) else { return false };
        // The last word on each node, and its number.
        let mut news: HashMap<u64, (u64, Option<&Arc<NodeFacts>>)> = HashMap::new();
        for batch in batches.iter().take_while(|batch| batch.seq <= self.last) {
            for change in &batch.changes {
                if let Some(facts) = change.after.as_ref().or(change.before.as_ref()) {
                    news.insert(facts.id, (batch.seq, change.after.as_ref()));
                }
            }
        }
        let mut chunks = std::mem::take(&mut self.chunks).into_iter();
        let (mut end, mut seen) = chunks.next().unwrap_or((0, 0));
        let mut at = 0;
        self.nodes.retain_mut(|node| {
            while at >= end {
                let Some(next) = chunks.next() else { break };
                (end, seen) = next;
            }
            at += 1;
            match news.remove(&node.id) {
                Some((seq, after)) if seq > seen => match after {
                    Some(facts) => {
                        node.facts = Arc::clone(facts);
                        true
                    }
                    None => false,
                },
                Some(_) | None => true,
            }
        });
        if self.cut {
            return true;
        }
        let mut added: Vec<&Arc<NodeFacts>> = news.into_values().filter_map(|(_, after)| after).collect();
        added.retain(|facts| self.view.contains(facts, self.reader.viewer));
        added.sort_unstable_by_key(|facts| facts.id);
        let late = !added.is_empty();
        self.nodes.extend(added.into_iter().map(|facts| NodeView::from(Arc::clone(facts))));
        if late {
            // By number, parents come before children and siblings in start order.
            self.nodes.sort_unstable_by_key(|node| node.id);
        }
        true
    }
}
