//! What a channel offers and what it needs.
//!
//! The ports are small on purpose: a channel hands over what came in, asks where it stood, says how it fares, and sends
//! one chunk at a time. Whatever it can't do is absent from its [`Capabilities`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::channels::status::Fact;
use crate::clock::{Clock, EpochMs};
use crate::ids::{AccountId, ChannelId};

/// The kind of chat a message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerKind {
    /// One person and the bot.
    Direct,
    /// Several people.
    Group,
    /// One speaks, many read.
    Channel,
}

/// The chat, as the platform names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Peer {
    /// Its kind.
    pub kind: PeerKind,
    /// Its id on the platform.
    pub id: String,
}

/// Who wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// The platform's stable id; the only part that decides access.
    pub id: String,
    /// The display name.
    pub name: Option<String>,
    /// The handle, without `@`.
    pub username: Option<String>,
}

/// A message on its way in, normalised.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inbound {
    /// The channel it came through.
    pub channel: String,
    /// The account it came to.
    pub account: String,
    /// The platform's id of the event: first guard against a repeat.
    pub event_id: String,
    /// The platform's id of the message within its chat: second guard.
    pub message_id: String,
    /// The chat.
    pub peer: Peer,
    /// Who wrote.
    pub sender: Sender,
    /// What was written; may be empty when `notes` are not.
    pub text: String,
    /// What else the message held, in words for the transcript: `[photo: not supported yet]`.
    pub notes: Vec<String>,
    /// When this gateway received it.
    pub received_at: EpochMs,
    /// The topic within the chat.
    pub thread_id: Option<String>,
}

impl Inbound {
    /// Text and notes as one body, a note per line after the text.
    #[must_use]
    pub fn body(&self) -> String {
        let mut parts: Vec<&str> = Vec::with_capacity(self.notes.len() + 1);
        if !self.text.is_empty() {
            parts.push(&self.text);
        }
        parts.extend(self.notes.iter().map(String::as_str));
        parts.join("\n")
    }
}

impl fmt::Debug for Inbound {
    /// Ids and lengths: message text never reaches a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound")
            .field("channel", &self.channel)
            .field("account", &self.account)
            .field("event_id", &self.event_id)
            .field("message_id", &self.message_id)
            .field("peer", &self.peer)
            .field("sender", &self.sender.id)
            .field("text_len", &self.text.len())
            .field("notes", &self.notes.len())
            .finish_non_exhaustive()
    }
}

/// A fixed answer of the channel itself ("I can only read text yet"): it goes out through the outbox like any other
/// message, and at most once per `key`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The channel.
    pub channel: String,
    /// The account.
    pub account: String,
    /// Identifies the answer for ever: a second one with the same key is a duplicate.
    pub key: String,
    /// The chat it goes to.
    pub to: String,
    /// The topic within the chat.
    pub thread_id: Option<String>,
    /// The message it answers.
    pub reply_to: Option<String>,
    /// The text.
    pub text: String,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("key", &self.key).field("to", &self.to).finish_non_exhaustive()
    }
}

/// How something was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is new, and durably kept.
    New,
    /// It was taken in before.
    Duplicate,
}

/// Why something was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// Not now: the platform must keep it until it was tried again.
    #[error("not accepted for now: {0}")]
    Unavailable(String),
    /// Never: trying again changes nothing. The words are for the sender.
    #[error("refused: {0}")]
    Refused(String),
}

/// Where messages go in. Filled by the gateway's wiring.
pub trait InboundSink: Send + Sync + 'static {
    /// Resolves when the message is durably accepted or recognised as a repeat. Only then does the channel confirm it
    /// to the platform.
    fn accept(&self, inbound: Inbound) -> BoxFuture<'_, Result<Accepted, SinkError>>;

    /// Resolves when the channel's own answer is durably in the outbox, or was before.
    fn answer(&self, answer: Answer) -> BoxFuture<'_, Result<Accepted, SinkError>>;
}

/// How far an account has read. Void when identity or endpoint differ from what is connected now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cursor {
    /// Who the account is on the platform, for example the bot's id.
    pub identity: String,
    /// The server it was read from.
    pub endpoint: String,
    /// The next event wanted.
    pub position: i64,
}

/// Keeps the cursor of an account. Durable on return.
pub trait CursorPort: Send + Sync + 'static {
    /// The cursor as last stored.
    fn load<'a>(
        &'a self,
        channel: &'a ChannelId,
        account: &'a AccountId,
    ) -> BoxFuture<'a, Result<Option<Cursor>, SinkError>>;

    /// Stores the cursor.
    fn store<'a>(
        &'a self,
        channel: &'a ChannelId,
        account: &'a AccountId,
        cursor: Cursor,
    ) -> BoxFuture<'a, Result<(), SinkError>>;
}

/// One piece of a message on its way out, within the channel's limit.
#[derive(Clone, PartialEq, Eq)]
pub struct OutboundChunk {
    /// The chat.
    pub to: String,
    /// The topic within the chat.
    pub thread_id: Option<String>,
    /// Markdown source of the piece.
    pub text: String,
    /// The message it answers.
    pub reply_to: Option<String>,
}

impl fmt::Debug for OutboundChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundChunk")
            .field("to", &self.to)
            .field("text_len", &self.text.len())
            .finish_non_exhaustive()
    }
}

/// What the platform said to a piece it took.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The platform's id; a success without one is never repeated.
    pub message_id: Option<String>,
}

/// How a send failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The platform said no to this message; it will say so again.
    #[error("rejected: {0}")]
    Rejected(String),
    /// Too fast: nothing was sent.
    #[error("rate limited for {after:?}")]
    RateLimited {
        /// How long to wait.
        after: Duration,
    },
    /// Proven not to have been sent.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The platform refuses the account, whatever the message.
    #[error("account refused: {0}")]
    AccountDown(String),
    /// It may have been sent or not.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

/// Sends for one account. Only the account's delivery lane calls it.
pub trait OutboundPort: Send + Sync + 'static {
    /// What may be sent.
    fn capabilities(&self) -> &'static Capabilities;

    /// Sends one piece.
    fn send(&self, chunk: OutboundChunk) -> BoxFuture<'_, Result<Receipt, SendError>>;

    /// Shows "is typing" for a few seconds.
    fn typing(&self, to: String, thread_id: Option<String>) -> BoxFuture<'_, Result<(), SendError>>;
}

/// The unit in which a platform counts the length of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextUnit {
    /// UTF-16 code units.
    Utf16,
    /// Unicode scalar values.
    Chars,
    /// UTF-8 bytes.
    Bytes,
}

impl TextUnit {
    /// Length of `text` in this unit.
    #[must_use]
    pub fn len_of(self, text: &str) -> usize {
        match self {
            Self::Utf16 => text.encode_utf16().count(),
            Self::Chars => text.chars().count(),
            Self::Bytes => text.len(),
        }
    }

    /// Length of one character in this unit.
    #[must_use]
    pub fn len_of_char(self, c: char) -> usize {
        match self {
            Self::Utf16 => c.len_utf16(),
            Self::Chars => 1,
            Self::Bytes => c.len_utf8(),
        }
    }
}

/// How fast a platform lets an account send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between two messages to one direct chat.
    pub per_chat: Duration,
    /// Between two messages to one group.
    pub per_group: Duration,
    /// Messages per second over all chats.
    pub per_second: u32,
}

/// What a channel can do. What is not in here it does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The kinds of chat that give turns.
    pub chat_types: &'static [PeerKind],
    /// Longest piece of text, in `text_unit`, that the delivery lane hands over.
    pub text_limit: usize,
    /// The unit of `text_limit`.
    pub text_unit: TextUnit,
    /// Pieces are Markdown source: fences and links are kept whole where they fit.
    pub markdown: bool,
    /// A message can answer another.
    pub reply: bool,
    /// A message can go to a topic of its chat.
    pub threads: bool,
    /// "Is typing" can be shown.
    pub typing: bool,
    /// How fast it may send.
    pub pace: Pace,
    /// Silence on the connection after which the account is restarted. None for a channel that can't tell.
    pub stall_after: Option<Duration>,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChannelEnd {
    /// Worth another try: the supervisor's ladder decides when.
    #[error("connection lost: {0}")]
    Lost(String),
    /// Not before an operator acts or the configuration changes.
    #[error("{0}")]
    Fatal(String),
}

/// What a running connection is given.
#[derive(Clone)]
pub struct Link {
    /// The account's channel.
    pub channel: ChannelId,
    /// The account.
    pub account: AccountId,
    /// Where messages go in.
    pub sink: Arc<dyn InboundSink>,
    /// How far was read.
    pub cursor: Arc<dyn CursorPort>,
    /// Says how the connection fares.
    pub report: Arc<dyn Fn(Fact) + Send + Sync>,
    /// Cancelled when the connection is to end.
    pub cancel: CancellationToken,
    /// The wall clock.
    pub clock: Clock,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("channel", &self.channel).field("account", &self.account).finish_non_exhaustive()
    }
}

/// One account of a channel, configured. Made afresh at each start of its actor.
pub trait Channel: Send + Sync + 'static {
    /// What it can do.
    fn capabilities(&self) -> &'static Capabilities;

    /// Runs the connection until it ends. Returning is always an end: a connection that is to stay up does not return.
    fn run(self: Box<Self>, link: Link) -> BoxFuture<'static, Result<(), ChannelEnd>>;
}

/// A configured account: makes what its actor and its lane need, afresh at each start.
pub trait Connection: fmt::Debug + Send + Sync + 'static {
    /// The receiving side.
    fn channel(&self) -> Box<dyn Channel>;

    /// The sending side.
    ///
    /// # Errors
    /// When the configuration can't work at all.
    fn outbound(&self) -> Result<Arc<dyn OutboundPort>, ChannelEnd>;

    /// Differs when the configuration does. Never stored.
    fn fingerprint(&self) -> u64;

    /// Facts for the tree; no secrets.
    fn details(&self) -> Vec<(&'static str, String)>;
}
