//! What the fake knows: updates, messages, faults, requests.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Fault, Recorded, Sent};

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) token: String,
    pub(super) queue: BTreeMap<i64, Value>,
    pub(super) history: BTreeMap<i64, Value>,
    pub(super) offset: i64,
    pub(super) sent: Vec<Sent>,
    pub(super) requests: Vec<Recorded>,
    pub(super) faults: VecDeque<(String, Fault)>,
    pub(super) lasting: Vec<(String, Fault)>,
    pub(super) blocked: BTreeSet<i64>,
    /// Which poll is the current one; an older one is told so.
    pub(super) poll: u64,
    /// Polls up to this one are cut.
    pub(super) cut: u64,
    /// Connections that are open.
    pub(super) open: usize,
    /// Every poll is cut: who polled is dead.
    pub(super) settling: bool,
    last_update_id: i64,
    last_message_id: i64,
}

#[derive(Debug)]
pub(super) struct Shared {
    world: Mutex<World>,
    changes: watch::Sender<u64>,
    closed: watch::Sender<bool>,
}

impl Shared {
    pub(super) fn new(token: &str) -> Self {
        let world = World { token: token.to_owned(), last_update_id: 1000, last_message_id: 10, ..World::default() };
        Self { world: Mutex::new(world), changes: watch::Sender::new(0), closed: watch::Sender::new(false) }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn close(&self) {
        self.closed.send_replace(true);
    }

    pub(super) async fn closed(&self) {
        let mut closed = self.closed.subscribe();
        // An error means that the fake is gone, which is as closed as can be.
        drop(closed.wait_for(|closed| *closed).await);
    }

    pub(super) async fn wait_until(&self, condition: impl Fn(&World) -> bool) {
        let mut changes = self.subscribe();
        while !condition(&self.world()) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    pub(super) fn next_message_id(&self) -> i64 {
        let mut world = self.world();
        world.last_message_id += 1;
        world.last_message_id
    }

    pub(super) fn push_update(&self, mut update: Value) -> i64 {
        let mut world = self.world();
        let id = update.get("update_id").and_then(Value::as_i64).unwrap_or(world.last_update_id + 1);
        world.last_update_id = world.last_update_id.max(id);
        if let Some(members) = update.as_object_mut() {
            // As on the wire: the id comes first.
            let rest = std::mem::take(members);
            members.insert("update_id".to_owned(), json!(id));
            members.extend(rest);
        }
        world.history.insert(id, update.clone());
        world.queue.insert(id, update);
        drop(world);
        self.changed();
        id
    }

    pub(super) fn repeat(&self, id: i64) {
        let mut world = self.world();
        if let Some(update) = world.history.get(&id).cloned() {
            world.offset = world.offset.min(id);
            world.queue.insert(id, update);
        }
        drop(world);
        self.changed();
    }

    pub(super) fn cut_polls(&self) {
        let mut world = self.world();
        world.cut = world.poll;
        drop(world);
        self.changed();
    }

    /// Records a request and takes the fault that waits for it.
    pub(super) fn record(&self, method: &str, body: &Value) -> Option<Fault> {
        let mut world = self.world();
        let index = u64::try_from(world.requests.len()).unwrap_or(u64::MAX);
        world.requests.push(Recorded { index, method: method.to_owned(), body: body.clone() });
        let fits = |name: &str| name == method || name == "*";
        let next = world.faults.iter().position(|(name, _)| fits(name));
        let fault = match next {
            Some(place) => world.faults.remove(place).map(|(_, fault)| fault),
            None => world.lasting.iter().find(|(name, _)| fits(name)).map(|(_, fault)| fault.clone()),
        };
        drop(world);
        self.changed();
        fault
    }
}

/// The fake's own tasks end with the fake.
#[expect(clippy::disallowed_methods, reason = "a fake server stands outside the supervision tree, like the real one")]
pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}
