//! A sink and a cursor in memory, with the promises of the real ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::channels::contract::{Accepted, Answer, Cursor, CursorPort, Inbound, InboundSink, SinkError};
use crate::ids::{AccountId, ChannelId};

/// Accepts everything once, unless told to refuse.
#[derive(Debug)]
pub struct MemorySink {
    world: Mutex<World>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct World {
    accepted: Vec<Inbound>,
    answers: Vec<Answer>,
    seen: BTreeSet<String>,
    cursors: BTreeMap<String, Cursor>,
    duplicates: usize,
    refusals: usize,
    refuse_with: Option<SinkError>,
}

impl Default for MemorySink {
    fn default() -> Self {
        Self { world: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl MemorySink {
    /// One that has accepted nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was accepted, in order.
    #[must_use]
    pub fn accepted(&self) -> Vec<Inbound> {
        self.world().accepted.clone()
    }

    /// The channel's own answers, in order.
    #[must_use]
    pub fn answers(&self) -> Vec<Answer> {
        self.world().answers.clone()
    }

    /// Repeats that were recognised.
    #[must_use]
    pub fn duplicates(&self) -> usize {
        self.world().duplicates
    }

    /// Tries that were refused.
    #[must_use]
    pub fn refusals(&self) -> usize {
        self.world().refusals
    }

    /// The cursor of an account.
    #[must_use]
    pub fn cursor(&self, channel: &str, account: &str) -> Option<Cursor> {
        self.world().cursors.get(&format!("{channel}:{account}")).cloned()
    }

    /// Sets the cursor of an account.
    pub fn set_cursor(&self, channel: &str, account: &str, cursor: Cursor) {
        self.world().cursors.insert(format!("{channel}:{account}"), cursor);
    }

    /// Refuses messages (not the channel's own answers, unless nothing can be kept now) with this from now on; none to
    /// end it.
    pub fn refuse_with(&self, error: Option<SinkError>) {
        self.world().refuse_with = error;
    }

    /// Waits until `condition` holds of this sink.
    pub async fn wait_until(&self, condition: impl Fn(&Self) -> bool) {
        let mut changes = self.changes.subscribe();
        while !condition(self) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn take(&self, key: String, keep: impl FnOnce(&mut World)) -> Result<Accepted, SinkError> {
        let mut world = self.world();
        let applies = |error: &SinkError| key.starts_with("in:") || matches!(error, SinkError::Unavailable(_));
        let outcome = if let Some(error) = world.refuse_with.clone().filter(applies) {
            world.refusals += 1;
            Err(error)
        } else if world.seen.insert(key) {
            keep(&mut world);
            Ok(Accepted::New)
        } else {
            world.duplicates += 1;
            Ok(Accepted::Duplicate)
        };
        drop(world);
        self.changes.send_modify(|count| *count += 1);
        outcome
    }
}

impl InboundSink for MemorySink {
    fn accept(&self, inbound: Inbound) -> BoxFuture<'_, Result<Accepted, SinkError>> {
        let key = format!("in:{}:{}:{}", inbound.channel, inbound.account, inbound.event_id);
        Box::pin(async move { self.take(key, |world| world.accepted.push(inbound)) })
    }

    fn answer(&self, answer: Answer) -> BoxFuture<'_, Result<Accepted, SinkError>> {
        let key = format!("out:{}:{}:{}", answer.channel, answer.account, answer.key);
        Box::pin(async move { self.take(key, |world| world.answers.push(answer)) })
    }
}

impl CursorPort for MemorySink {
    fn load<'a>(
        &'a self,
        channel: &'a ChannelId,
        account: &'a AccountId,
    ) -> BoxFuture<'a, Result<Option<Cursor>, SinkError>> {
        Box::pin(async move { Ok(self.cursor(channel.as_str(), account.as_str())) })
    }

    fn store<'a>(
        &'a self,
        channel: &'a ChannelId,
        account: &'a AccountId,
        cursor: Cursor,
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            self.set_cursor(channel.as_str(), account.as_str(), cursor);
            self.changes.send_modify(|count| *count += 1);
            Ok(())
        })
    }
}
