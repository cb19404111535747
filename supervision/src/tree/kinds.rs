//! Counters by kind of node, over the life of the store.

use std::collections::BTreeMap;

use crate::exit::ExitClass;
use crate::telemetry::latency::KindLatency;
use crate::tree::TreeStore;

/// What has happened to the nodes of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindStats {
    /// How many there are, in whatever state.
    pub nodes: u64,
    /// Incarnations begun.
    pub spawned: u64,
    /// Automatic restarts.
    pub restarts: u64,
    /// Ends by class, failed starts included.
    pub exits: BTreeMap<&'static str, u64>,
}

impl KindStats {
    pub(super) fn ended(&mut self, class: ExitClass) {
        *self.exits.entry(class.as_str()).or_default() += 1;
    }

    /// Ends of one class.
    #[must_use]
    pub fn exits_of(&self, class: ExitClass) -> u64 {
        self.exits.get(class.as_str()).copied().unwrap_or(0)
    }
}

impl TreeStore {
    /// Counters by kind; they only grow, except for the number of nodes there are.
    #[must_use]
    pub fn kind_stats(&self) -> BTreeMap<&'static str, KindStats> {
        self.lock().kinds.clone()
    }

    /// How long handlers took, by kind. Kinds that nobody was started of are missing.
    #[must_use]
    pub fn kind_latency(&self) -> BTreeMap<&'static str, KindLatency> {
        self.0.latency.read()
    }
}
