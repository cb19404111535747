//! What a lane needs of the store, and what the outbox holds.

use std::fmt;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::channels::contract::Receipt;
use crate::clock::EpochMs;
use crate::ids::{AccountId, ChannelId};

/// The lane of one channel account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneId {
    /// The channel.
    pub channel: ChannelId,
    /// The account.
    pub account: AccountId,
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.channel, self.account)
    }
}

/// What keeps its order: a chat, or a topic of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChatKey {
    /// The chat.
    pub to: String,
    /// The topic.
    pub thread_id: Option<String>,
}

/// How far a message got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum EntryState {
    /// Waits for its turn.
    Queued,
    /// A piece was about to be sent and nothing was recorded since: after a crash its outcome is unknown.
    Sending {
        /// The piece.
        chunk: u32,
    },
}

/// A message on its way out.
#[derive(Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Its id, growing in the order of acceptance.
    pub id: u64,
    /// The chat it goes to, and the topic.
    pub chat: ChatKey,
    /// The message it answers.
    pub reply_to: Option<String>,
    /// The whole text, Markdown.
    pub text: String,
    /// Pieces the platform has taken.
    pub chunks_sent: u32,
    /// Failed tries so far.
    pub attempt: u32,
    /// How far it got.
    pub state: EntryState,
    /// Not to be tried before.
    pub not_before_ms: EpochMs,
    /// When it was put into the outbox.
    pub created_ms: EpochMs,
}

impl fmt::Debug for OutboxEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxEntry")
            .field("id", &self.id)
            .field("chat", &self.chat)
            .field("text_len", &self.text.len())
            .field("chunks_sent", &self.chunks_sent)
            .field("attempt", &self.attempt)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// When a message is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Failed tries, as they count now.
    pub attempt: u32,
    /// Not before.
    pub not_before_ms: EpochMs,
    /// Why it failed.
    pub error: String,
}

/// What a lane did since it was started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaneStatus {
    /// Messages on their way.
    pub in_flight: usize,
    /// Chats that wait for a retry.
    pub waiting: usize,
    /// Messages delivered.
    pub delivered: u64,
    /// Pieces sent.
    pub pieces: u64,
    /// Sends of which nobody knows whether they arrived.
    pub unknown: u64,
    /// Pieces taken without an id of the platform.
    pub without_id: u64,
    /// Messages given up.
    pub dead: u64,
    /// Messages held for an operator.
    pub held: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// The store could not do it. The lane waits and tries again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("outbox unavailable: {0}")]
pub struct OutboxError(pub String);

/// The outbox. Every change is durable on return. Filled by the gateway's wiring.
pub trait OutboxPort: Send + Sync + 'static {
    /// The oldest message of the lane whose chat is not in `skip`, due or not. Messages that are done, dead or held
    /// are never returned. Within a chat nothing is ever returned out of order.
    fn next<'a>(
        &'a self,
        lane: &'a LaneId,
        skip: Vec<ChatKey>,
    ) -> BoxFuture<'a, Result<Option<OutboxEntry>, OutboxError>>;

    /// Piece `chunk` is about to be sent: state `Sending`.
    fn mark_sending(&self, id: u64, chunk: u32) -> BoxFuture<'_, Result<(), OutboxError>>;

    /// Piece `chunk` was taken: `chunks_sent` is `chunk + 1`, state `Queued`.
    fn mark_sent(&self, id: u64, chunk: u32, receipt: Receipt) -> BoxFuture<'_, Result<(), OutboxError>>;

    /// All pieces were taken: the message may be forgotten.
    fn done(&self, id: u64) -> BoxFuture<'_, Result<(), OutboxError>>;

    /// To be tried again later: state `Queued`.
    fn retry(&self, id: u64, retry: Retry) -> BoxFuture<'_, Result<(), OutboxError>>;

    /// Will never be sent. The session is to be told.
    fn dead(&self, id: u64, error: String) -> BoxFuture<'_, Result<(), OutboxError>>;

    /// Kept aside for an operator: piece `chunk` may have been sent or not, and policy forbids to send it again.
    fn hold(&self, id: u64, chunk: u32, error: String) -> BoxFuture<'_, Result<(), OutboxError>>;
}
