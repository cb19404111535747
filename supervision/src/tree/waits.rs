//! Who waits for whom.

use std::collections::BTreeMap;

use crate::path::ActorPath;
use crate::tree::TreeStore;

/// An actor's callback waits for another actor's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitView {
    /// The number of the node that waits.
    pub from: u64,
    /// Where it stands.
    pub from_path: ActorPath,
    /// The number of the node that is to answer.
    pub to: u64,
    /// Where that stands.
    pub to_path: ActorPath,
    /// Since when, in epoch milliseconds.
    pub since: i64,
}

impl TreeStore {
    /// All callbacks of this tree that wait for another actor of it, those that have waited longest first.
    #[must_use]
    pub fn waits(&self) -> Vec<WaitView> {
        let (now, edges) = (self.now_ms(), crate::call::waits());
        let inner = self.lock();
        let find = |uid: u64| inner.by_wait_id.get(&uid).and_then(|id| inner.nodes.get(id)).map(|node| &node.view);
        let mut waits: Vec<WaitView> = edges
            .into_iter()
            .filter_map(|(caller, callee, since)| {
                let (from, to) = (find(caller)?, find(callee)?);
                let waited = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
                Some(WaitView {
                    from: from.id,
                    from_path: from.path.clone(),
                    to: to.id,
                    to_path: to.path.clone(),
                    since: now.saturating_sub(waited),
                })
            })
            .collect();
        waits.sort_by_key(|wait| (wait.since, wait.from, wait.to));
        waits
    }

    /// The numbers of those each node has been waiting for since `before` or longer.
    pub(super) fn long_waits(&self, before: i64) -> BTreeMap<u64, Vec<u64>> {
        let mut long: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for wait in self.waits().into_iter().filter(|wait| wait.since <= before) {
            let waits = long.entry(wait.from).or_default();
            waits.push(wait.to);
        }
        for waits in long.values_mut() {
            waits.sort_unstable();
            waits.dedup();
        }
        long
    }

    /// Cycles of calls refused since this was asked last, if all in them are of this tree.
    pub(super) fn new_cycles(&self) -> Vec<Vec<ActorPath>> {
        let mut inner = self.lock();
        let (latest, cycles) = crate::call::refused_cycles(inner.cycles_seen);
        inner.cycles_seen = latest;
        let path = |uid: &u64| Some(inner.nodes.get(inner.by_wait_id.get(uid)?)?.view.path.clone());
        cycles.iter().filter_map(|cycle| cycle.iter().map(path).collect()).collect()
    }
}
