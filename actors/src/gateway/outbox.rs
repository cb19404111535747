//! The outbox of all lanes, over the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::channels::contract::Receipt;
use crate::delivery::contract::{ChatKey, EntryState, LaneId, OutboxEntry, OutboxError, OutboxPort, Retry};
use crate::store::records::{OutboxRecord, OutboxState};
use crate::store::{Commit, StoreError, StoreHandle, keys};

/// Records looked at in one go.
const PAGE: usize = 64;

/// The outbox. Remembers under which lane the deliveries in hand are kept.
#[derive(Debug, Clone)]
pub struct StoreOutbox {
    store: StoreHandle,
    in_hand: Arc<Mutex<HashMap<u64, String>>>,
}

fn folder_of(lane: &LaneId) -> String {
    format!("{}/{}", lane.channel, lane.account)
}

impl StoreOutbox {
    /// The outbox in `store`.
    #[must_use]
    pub fn new(store: StoreHandle) -> Self {
        Self { store, in_hand: Arc::default() }
    }

    fn in_hand(&self) -> MutexGuard<'_, HashMap<u64, String>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, id: u64) -> Result<Vec<u8>, OutboxError> {
        let folder = self.in_hand().get(&id).cloned();
        folder
            .map(|folder| keys::numbered(keys::OUTBOX, &folder, id))
            .ok_or_else(|| OutboxError(format!("delivery {id} was not handed out")))
    }

    /// Number of deliveries of a lane that are still to be made, up to `limit`.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn open(&self, lane: &LaneId, limit: usize) -> Result<usize, StoreError> {
        let folder = keys::folder(keys::OUTBOX, &folder_of(lane));
        let records: Vec<(Vec<u8>, OutboxRecord)> = self.store.scan(folder, None, limit).await?;
        Ok(records.iter().filter(|(_, record)| is_open(record)).count())
    }

    async fn change(&self, id: u64, change: impl FnOnce(&mut OutboxRecord) + Send) -> Result<(), OutboxError> {
        let key = self.key(id)?;
        let found: Option<OutboxRecord> = self.store.get(key.clone()).await.map_err(unavailable)?;
        let Some(mut record) = found else { return Ok(()) };
        change(&mut record);
        self.store.put(key, &record).await.map_err(unavailable)
    }

    async fn find(&self, lane: &LaneId, skip: &[ChatKey]) -> Result<Option<OutboxEntry>, StoreError> {
        let mut after = None;
        loop {
            let page: Vec<(Vec<u8>, OutboxRecord)> =
                self.store.scan(keys::folder(keys::OUTBOX, &folder_of(lane)), after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(None) };
            after = Some(last.clone());
            let wanted = page
                .into_iter()
                .map(|(_, record)| record)
                .filter(is_open)
                .find(|record| !skip.contains(&chat_of(record)));
            if let Some(record) = wanted {
                self.in_hand().insert(record.seq, folder_of(lane));
                return Ok(Some(entry(record)));
            }
        }
    }
}

/// Still to be delivered.
fn is_open(record: &OutboxRecord) -> bool {
    match record.state {
        OutboxState::Queued | OutboxState::Sending(_) => true,
        OutboxState::Dead | OutboxState::Held => false,
    }
}

fn unavailable(error: StoreError) -> OutboxError {
    OutboxError(error.to_string())
}

fn chat_of(record: &OutboxRecord) -> ChatKey {
    ChatKey { to: record.route.to.clone(), thread_id: record.route.thread_id.clone() }
}

fn entry(record: OutboxRecord) -> OutboxEntry {
    OutboxEntry {
        id: record.seq,
        chat: chat_of(&record),
        reply_to: record.route.reply_to.clone(),
        chunks_sent: u32::try_from(record.sent.len()).unwrap_or(u32::MAX),
        attempt: record.attempts,
        state: match record.state {
            OutboxState::Sending(chunk) => EntryState::Sending { chunk },
            OutboxState::Queued | OutboxState::Dead | OutboxState::Held => EntryState::Queued,
        },
        not_before_ms: record.not_before,
        created_ms: record.at,
        text: record.text,
    }
}

impl OutboxPort for StoreOutbox {
    fn next<'a>(
        &'a self,
        lane: &'a LaneId,
        skip: Vec<ChatKey>,
    ) -> BoxFuture<'a, Result<Option<OutboxEntry>, OutboxError>> {
        async move { self.find(lane, &skip).await.map_err(unavailable) }.boxed()
    }

    fn mark_sending(&self, id: u64, chunk: u32) -> BoxFuture<'_, Result<(), OutboxError>> {
        self.change(id, move |record| record.state = OutboxState::Sending(chunk)).boxed()
    }

    fn mark_sent(&self, id: u64, chunk: u32, receipt: Receipt) -> BoxFuture<'_, Result<(), OutboxError>> {
        self.change(id, move |record| {
            record.state = OutboxState::Queued;
            record.sent.truncate(chunk as usize);
            record.sent.push(receipt.message_id);
        })
        .boxed()
    }

    fn done(&self, id: u64) -> BoxFuture<'_, Result<(), OutboxError>> {
        async move {
            self.store.commit(Commit::new().delete(self.key(id)?)).await.map_err(unavailable)?;
            self.in_hand().remove(&id);
            Ok(())
        }
        .boxed()
    }

    fn retry(&self, id: u64, retry: Retry) -> BoxFuture<'_, Result<(), OutboxError>> {
        self.change(id, move |record| {
            record.state = OutboxState::Queued;
            record.attempts = retry.attempt;
            record.not_before = retry.not_before_ms;
            record.error = Some(retry.error);
        })
        .boxed()
    }

    fn dead(&self, id: u64, error: String) -> BoxFuture<'_, Result<(), OutboxError>> {
        tracing::error!(delivery = id, error = %error, "a message will not be delivered");
        self.change(id, move |record| {
            record.state = OutboxState::Dead;
            record.error = Some(error);
        })
        .boxed()
    }

    fn hold(&self, id: u64, chunk: u32, error: String) -> BoxFuture<'_, Result<(), OutboxError>> {
        tracing::error!(delivery = id, chunk, error = %error, "a message is held: it may have been sent");
        self.change(id, move |record| {
            record.state = OutboxState::Held;
            record.error = Some(error);
        })
        .boxed()
    }
}
