//! Attempts to break supervisors: requests at the worst moment, values that panic where nobody looks, runtimes that go
//! away, clocks that jump.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails at the spot")]

mod blocking;
mod odd_values;
mod requests;
mod runtime;
mod subtrees;

use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::{Puppet, Recorder};
use supervision::tree::{NodeState, Query};

const BUDGET: Duration = Duration::from_secs(20);

/// Rules that leave room for the restarts of a test.
fn rules(strategy: Strategy, children: Vec<ChildSpec>) -> SupervisorSpec {
    let intensity = Intensity { max_restarts: 500, period: Duration::from_secs(5) };
    SupervisorSpec { strategy, intensity, children, ..SupervisorSpec::default() }
}

async fn root_of(strategy: Strategy, children: Vec<ChildSpec>) -> (SupervisorHandle, TreeStore) {
    let tree = TreeStore::new();
    tree.arm_chaos();
    (Supervisor::start_root(rules(strategy, children), tree.clone()).await.unwrap(), tree)
}

async fn root(children: Vec<ChildSpec>) -> (SupervisorHandle, TreeStore) {
    root_of(Strategy::OneForOne, children).await
}

/// A supervisor child of the given puppets.
fn subtree(id: &str, slot: &SupervisorSlot, puppets: &[&Puppet]) -> ChildSpec {
    let puppets: Vec<Puppet> = puppets.iter().map(|puppet| (*puppet).clone()).collect();
    ChildSpec::supervisor(id, "subtree", slot, move || {
        rules(Strategy::OneForOne, puppets.iter().map(Puppet::spec).collect())
    })
}

/// Waits for the tree to show a state, by following it.
async fn until_state(tree: &TreeStore, path: &str, wanted: impl Fn(&NodeState) -> bool) {
    let mut changes = tree.subscribe();
    let wait = async {
        while !tree.node(&path.into()).is_some_and(|node| wanted(&node.state)) {
            changes.next().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(600), wait).await.is_err() {
        panic!("{path} is {:?}", tree.node(&path.into()));
    }
}

fn is_waiting(state: &NodeState) -> bool {
    matches!(state, NodeState::BackingOff { .. })
}

/// Paths of all nodes there are.
fn paths(tree: &TreeStore) -> Vec<String> {
    tree.snapshot(&Query::default()).nodes.iter().map(|node| node.path.to_string()).collect()
}

/// Kills an actor, whatever it is.
fn kill(tree: &TreeStore, path: &str) {
    tree.chaos().unwrap().inject(path, supervision::chaos::Fault::Kill).unwrap();
}

/// How often each line was noted, for those noted more than once.
fn count(record: &Recorder, line: &str) -> usize {
    record.lines().iter().filter(|known| *known == line).count()
}

/// Retries after `delay`, again and again.
fn every(delay: Duration) -> BackoffPolicy {
    BackoffPolicy {
        initial: delay,
        max: delay,
        factor: 1.0,
        jitter: Jitter::None,
        max_attempts: None,
        reset_after: ResetRule::Never,
        window: None,
        on_exhausted: Exhausted::GiveUp,
    }
}
