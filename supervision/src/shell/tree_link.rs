//! What all actors of one tree share, and an actor's link to its node.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::deadlines::Deadlines;
use crate::path::ActorPath;
use crate::telemetry::event::{self, TelemetryEvent, Whom};
use crate::tree::{NodeId, Soft, TreeStore};

/// Shared by all supervisors under one root.
pub(crate) struct TreeShared {
    pub(crate) tree: TreeStore,
    /// When whatever still runs is killed; set once a shutdown has a budget.
    pub(crate) hard: watch::Sender<Option<Instant>>,
    /// The tree is being shut down.
    ending: AtomicBool,
    stragglers: Mutex<Vec<ActorPath>>,
    /// Of the calls to this tree's actors.
    pub(crate) deadlines: Arc<Deadlines>,
}

impl TreeShared {
    pub(crate) fn new(tree: TreeStore) -> Arc<Self> {
        Arc::new(Self {
            tree,
            hard: watch::Sender::new(None),
            ending: AtomicBool::new(false),
            stragglers: Mutex::new(Vec::new()),
            deadlines: Arc::default(),
        })
    }

    /// From now on whoever has to be killed is reported at the end.
    pub(crate) fn begin_shutdown(&self) {
        self.ending.store(true, Ordering::SeqCst);
    }

    /// Notes who had to be killed.
    pub(crate) fn straggler(&self, path: ActorPath) {
        event::stopped_late(&self.tree, &path);
        if !self.ending.load(Ordering::SeqCst) {
            return;
        }
        self.stragglers.lock().unwrap_or_else(PoisonError::into_inner).push(path);
    }

    pub(crate) fn stragglers(&self) -> Vec<ActorPath> {
        self.stragglers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Completes when the hard deadline, if there is ever one, has passed.
    pub(crate) async fn past_hard_deadline(&self) {
        let mut hard = self.hard.subscribe();
        loop {
            let at = *hard.borrow_and_update();
            match at {
                None => {
                    if hard.changed().await.is_err() {
                        return std::future::pending().await;
                    }
                }
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => return,
                    changed = hard.changed() => {
                        if changed.is_err() {
                            return tokio::time::sleep_until(at).await;
                        }
                    }
                },
            }
        }
    }

    pub(crate) fn hard_deadline_passed(&self) -> bool {
        self.hard.borrow().is_some_and(|at| at <= Instant::now())
    }
}

/// An actor's link to its node in the tree.
#[derive(Clone)]
pub(crate) struct NodeLink {
    pub(crate) tree: TreeStore,
    pub(crate) id: NodeId,
    pub(crate) soft: Arc<Soft>,
}

impl NodeLink {
    pub(crate) fn set_detail(&self, key: &'static str, value: String) {
        if self.soft.set_detail(key, value) {
            self.tree.soft_changed(self.id);
        }
    }

    pub(crate) fn clear_detail(&self, key: &'static str) {
        if self.soft.clear_detail(key) {
            self.tree.soft_changed(self.id);
        }
    }

    pub(crate) fn set_busy(&self, what: Option<String>) {
        if self.soft.set_busy(what, self.tree.now_ms()) {
            self.tree.soft_changed(self.id);
        }
    }

    /// Tells observers of something that happened to this actor.
    pub(crate) fn tell(&self, event: impl FnOnce(Whom) -> TelemetryEvent) {
        self.tree.tell_of(self.id, event);
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.soft.is_busy()
    }
}
