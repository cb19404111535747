//! An outbox in memory, with the order and the states of the real one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::channels::contract::Receipt;
use crate::delivery::contract::{ChatKey, EntryState, LaneId, OutboxEntry, OutboxError, OutboxPort, Retry};

/// Keeps everything it was told, in order.
#[derive(Debug)]
pub struct MemoryOutbox {
    world: Mutex<World>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct World {
    next_id: u64,
    open: BTreeMap<u64, OutboxEntry>,
    log: Vec<String>,
    dead: Vec<(u64, String)>,
    held: Vec<u64>,
    done: Vec<u64>,
    failing: bool,
    late: bool,
}

impl Default for MemoryOutbox {
    fn default() -> Self {
        Self { world: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl MemoryOutbox {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message in, as if it was accepted at `created_ms`.
    pub fn push(&self, to: &str, text: &str, created_ms: i64) -> u64 {
        let mut world = self.world();
        world.next_id += 1;
        let id = world.next_id;
        let chat = ChatKey { to: to.to_owned(), thread_id: None };
        let entry = OutboxEntry {
            id,
            chat,
            reply_to: None,
            text: text.to_owned(),
            chunks_sent: 0,
            attempt: 0,
            state: EntryState::Queued,
            not_before_ms: 0,
            created_ms,
        };
        world.open.insert(id, entry);
        id
    }

    /// Changes a message that is still open, for example to what a crash left behind.
    pub fn alter(&self, id: u64, change: impl FnOnce(&mut OutboxEntry)) {
        if let Some(entry) = self.world().open.get_mut(&id) {
            change(entry);
        }
    }

    /// A message that is still open.
    #[must_use]
    pub fn entry(&self, id: u64) -> Option<OutboxEntry> {
        self.world().open.get(&id).cloned()
    }

    /// What was written, one line per change.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.world().log.clone()
    }

    /// Messages that were given up, with the reason.
    #[must_use]
    pub fn dead(&self) -> Vec<(u64, String)> {
        self.world().dead.clone()
    }

    /// Messages that are held.
    #[must_use]
    pub fn held(&self) -> Vec<u64> {
        self.world().held.clone()
    }

    /// Messages that were delivered, in that order.
    #[must_use]
    pub fn done_ids(&self) -> Vec<u64> {
        self.world().done.clone()
    }

    /// While true, every call fails.
    pub fn set_failing(&self, failing: bool) {
        self.world().failing = failing;
    }

    /// While true, that nothing is left is said only when one more message is done: as by a store that is slow.
    pub fn set_late(&self, late: bool) {
        self.world().late = late;
    }

    /// Waits until `condition` holds of this outbox.
    pub async fn wait_until(&self, condition: impl Fn(&Self) -> bool) {
        let mut changes = self.changes.subscribe();
        while !condition(self) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn change(&self, line: String, change: impl FnOnce(&mut World)) -> Result<(), OutboxError> {
        let mut world = self.world();
        if world.failing {
            return Err(OutboxError("told to fail".to_owned()));
        }
        world.log.push(line);
        change(&mut world);
        drop(world);
        self.changes.send_modify(|count| *count += 1);
        Ok(())
    }
}

impl OutboxPort for MemoryOutbox {
    fn next<'a>(
        &'a self,
        _lane: &'a LaneId,
        skip: Vec<ChatKey>,
    ) -> BoxFuture<'a, Result<Option<OutboxEntry>, OutboxError>> {
        Box::pin(async move {
            let (found, done, late) = {
                let world = self.world();
                if world.failing {
                    return Err(OutboxError("told to fail".to_owned()));
                }
                let found = world.open.values().find(|entry| !skip.contains(&entry.chat)).cloned();
                (found, world.done.len(), world.late)
            };
            if found.is_none() && late {
                self.wait_until(|outbox| outbox.world().done.len() > done).await;
            }
            Ok(found)
        })
    }

    fn mark_sending(&self, id: u64, chunk: u32) -> BoxFuture<'_, Result<(), OutboxError>> {
        Box::pin(async move {
            self.change(format!("sending {id}/{chunk}"), |world| {
                if let Some(entry) = world.open.get_mut(&id) {
                    entry.state = EntryState::Sending { chunk };
                }
            })
        })
    }

    fn mark_sent(&self, id: u64, chunk: u32, receipt: Receipt) -> BoxFuture<'_, Result<(), OutboxError>> {
        Box::pin(async move {
            let line = format!("sent {id}/{chunk} as {}", receipt.message_id.as_deref().unwrap_or("?"));
            self.change(line, |world| {
                if let Some(entry) = world.open.get_mut(&id) {
                    entry.state = EntryState::Queued;
                    entry.chunks_sent = chunk + 1;
                }
            })
        })
    }

    fn done(&self, id: u64) -> BoxFuture<'_, Result<(), OutboxError>> {
        Box::pin(async move {
            self.change(format!("done {id}"), |world| {
                world.open.remove(&id);
                world.done.push(id);
            })
        })
    }

    fn retry(&self, id: u64, retry: Retry) -> BoxFuture<'_, Result<(), OutboxError>> {
        Box::pin(async move {
            self.change(format!("retry {id} attempt {}", retry.attempt), |world| {
                if let Some(entry) = world.open.get_mut(&id) {
                    entry.state = EntryState::Queued;
                    entry.attempt = retry.attempt;
                    entry.not_before_ms = retry.not_before_ms;
                }
            })
        })
    }

    fn dead(&self, id: u64, error: String) -> BoxFuture<'_, Result<(), OutboxError>> {
        Box::pin(async move {
            self.change(format!("dead {id}"), |world| {
                world.open.remove(&id);
                world.dead.push((id, error));
            })
        })
    }

    fn hold(&self, id: u64, chunk: u32, _error: String) -> BoxFuture<'_, Result<(), OutboxError>> {
        Box::pin(async move {
            self.change(format!("hold {id}/{chunk}"), |world| {
                world.open.remove(&id);
                world.held.push(id);
            })
        })
    }
}
