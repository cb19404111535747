//! Who lives below an actor, for whoever has to clear up when that actor is killed.
//!
//! The runtime kills what is below a killed actor, but without waiting, and not what is already stopping. So each
//! supervisor's own supervisor sees to it that nothing of the old subtree lives when a new one is started.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use ractor::ActorCell;
use tokio_util::task::TaskTracker;

use crate::machine::Key;
use crate::path::ActorPath;
use crate::shell::ids::ById;
use crate::shell::seat::Desk;
use crate::tree::NodeId;

/// A running child.
pub(crate) struct Member {
    pub(crate) key: Key,
    pub(crate) inc: u64,
    pub(crate) cell: ActorCell,
    pub(crate) path: ActorPath,
    pub(crate) node: NodeId,
    pub(crate) desk: Arc<Desk>,
}

/// Somebody who was killed and does not die.
pub(crate) struct Survivor {
    pub(crate) cell: ActorCell,
    pub(crate) path: ActorPath,
    pub(crate) node: NodeId,
}

/// The running children of one incarnation of a supervisor, by the number of their actor.
#[derive(Default)]
pub(crate) struct Brood {
    members: Mutex<ById<Member>>,
    /// Starts under way as tasks.
    pub(crate) starts: TaskTracker,
    closed: AtomicBool,
}

impl Brood {
    pub(crate) fn insert(&self, member: Member) {
        self.lock().insert(member.cell.get_id().pid(), member);
    }

    pub(crate) fn remove(&self, actor: u64) -> Option<(Key, u64)> {
        self.lock().remove(&actor).map(|member| (member.key, member.inc))
    }

    pub(crate) fn key_of(&self, actor: u64) -> Option<Key> {
        self.lock().get(&actor).map(|member| member.key)
    }

    /// True if nobody is left, and nobody is about to come.
    pub(crate) fn is_empty(&self) -> bool {
        self.starts.is_empty() && self.lock().is_empty()
    }

    /// The supervisor is over: whoever comes up now is killed by its start.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.starts.close();
        for member in self.lock().values() {
            member.cell.kill();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Kills all that live here and below and waits for it, at most `limit`. Returns who does not die.
    pub(crate) fn clear(self: Arc<Self>, limit: Duration) -> BoxFuture<'static, Vec<Survivor>> {
        Box::pin(async move {
            self.close();
            drop(tokio::time::timeout(limit, self.starts.wait()).await);
            let members: Vec<Member> = self.lock().drain().map(|(_, member)| member).collect();
            let mut left = Vec::new();
            for Member { cell, path, node, desk, .. } in members {
                cell.kill();
                // All were killed together, so the first wait is as good as the only one.
                if cell.wait(Some(limit)).await.is_err() {
                    left.push(Survivor { cell, path, node });
                }
                if let Some(below) = desk.brood() {
                    left.extend(below.clear(limit).await);
                }
            }
            left
        })
    }

    fn lock(&self) -> MutexGuard<'_, ById<Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
