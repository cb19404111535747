//! The records of the store. Fields may be added with a default; none may change its meaning.

use serde::{Deserialize, Serialize};

use crate::clock::EpochMs;
use crate::message::{Message, Usage, UserContent};

/// Where a message came from and where its answer goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Route {
    /// Channel id.
    pub channel: String,
    /// Account of the channel.
    pub account: String,
    /// Chat, room or user to answer.
    pub to: String,
    /// Thread or topic within it.
    #[serde(default)]
    pub thread_id: Option<String>,
    /// The platform's id of the message that is answered.
    #[serde(default)]
    pub reply_to: Option<String>,
}

impl Route {
    /// The source of input that came this way, as it is named in dedupe keys and run ids.
    #[must_use]
    pub fn source(&self) -> String {
        format!("{}:{}", self.channel, self.account)
    }
}

/// Input that was accepted and is not in a transcript yet. Key: `accept/<session>/<seq>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AcceptRecord {
    /// Order of acceptance within the session.
    pub seq: u64,
    /// The session it belongs to.
    pub session: String,
    /// Id of the run it will get; for RPC input the client's idempotency key.
    pub run_id: String,
    /// Key of the dedupe record written with it.
    pub dedupe: String,
    /// What the person wrote, with notes on what could not be carried.
    pub text: String,
    /// Absent for input whose answer goes to control-plane clients only.
    #[serde(default)]
    pub route: Option<Route>,
    /// The model that was asked for.
    #[serde(default)]
    pub model: Option<String>,
    /// True when its sender is an owner.
    #[serde(default)]
    pub owner: bool,
    /// Who sent it, for people, where several write.
    #[serde(default)]
    pub sender: Option<String>,
    /// What was asked to happen while the session is busy: the name of a queue mode.
    #[serde(default)]
    pub queue_mode: Option<String>,
    /// An owner's word that goes before everything that waits.
    #[serde(default)]
    pub priority: bool,
    /// True when a leading slash is text, not a command.
    #[serde(default)]
    pub literal: bool,
    /// A line of each message that gave way before this one was run.
    #[serde(default)]
    pub overflow: Vec<String>,
    /// When it was accepted.
    pub at: EpochMs,
    /// Epoch of the daemon that accepted it.
    pub epoch: u64,
}

/// What was accepted under an idempotency key. Key: `dedupe/<source>/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DedupeRecord {
    /// The session it went to.
    pub session: String,
    /// The run it got.
    pub run_id: String,
    /// SHA-256 of the input, to tell a repeat from a clash.
    pub fingerprint: String,
    /// When the record may be forgotten.
    pub expires_at: EpochMs,
}

/// How far a run got. Key: `run/<run id>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The session it belongs to.
    pub session: String,
    /// State and, once ended, the answer.
    pub state: RunState,
    /// Starts of the run actor so far.
    pub attempts: u32,
    /// Runs of messages that were taken into this one, and end with it.
    #[serde(default)]
    pub joined: Vec<String>,
    /// True when an owner started it.
    #[serde(default)]
    pub owner: bool,
    /// When the first attempt started.
    pub started_at: EpochMs,
    /// Where the answer goes besides control-plane clients.
    #[serde(default)]
    pub route: Option<Route>,
    /// The model that was asked for.
    #[serde(default)]
    pub model: Option<String>,
    /// The history is to be shortened instead of answered; what to pay attention to.
    #[serde(default)]
    pub compact: Option<String>,
    /// What was sent of an answer before it was complete.
    #[serde(default)]
    pub streamed: Option<Streamed>,
    /// When the record may be forgotten; absent while the run is open.
    #[serde(default)]
    pub expires_at: Option<EpochMs>,
}

/// How much of a message's text was sent in blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streamed {
    /// Which message of the conversation: how many were before it.
    pub at: u64,
    /// Bytes of its text that were sent.
    pub bytes: u64,
    /// Digest of these bytes.
    pub digest: String,
}

/// State of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RunState {
    /// The input is in the transcript, the answer is not.
    Open,
    /// Ended, in one of the ways below.
    Ended(Box<RunEnd>),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEnd {
    /// In which way.
    pub status: RunStatus,
    /// Text of the answer; what was there when it was aborted.
    pub text: String,
    /// The failure, in words for a person.
    #[serde(default)]
    pub error: Option<String>,
    /// Provider and model of the last call.
    #[serde(default)]
    pub provider: String,
    /// Model of the last call.
    #[serde(default)]
    pub model: String,
    /// Tokens of all calls.
    #[serde(default)]
    pub usage: Usage,
    /// When.
    pub ended_at: EpochMs,
    /// When its first attempt started.
    #[serde(default)]
    pub started_at: EpochMs,
    /// The session's generation.
    #[serde(default)]
    pub session_id: String,
    /// Tools that were called with success.
    #[serde(default)]
    pub tools: Vec<String>,
}

/// The three ways to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunStatus {
    /// Answered.
    Ok,
    /// Failed.
    Error,
    /// Aborted by a person or by shutdown.
    Aborted,
}

/// A tool call that was about to start and has no result yet. Key: `intent/<session>\0<run>\0<call>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentRecord {
    /// The session it belongs to.
    pub session: String,
    /// The run that makes it.
    pub run_id: String,
    /// The provider's id of the call.
    pub call_id: String,
    /// Its name among the calls of its step; ends the key.
    pub key: String,
    /// The tool.
    pub tool: String,
    /// What the call does to the world.
    pub effect: EffectClass,
    /// SHA-256 of its arguments, in hex.
    pub arguments: String,
    /// When it was written.
    pub at: EpochMs,
    /// Epoch of the daemon that wrote it.
    pub epoch: u64,
}

/// What a tool call does to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EffectClass {
    /// Something that is recognised when it is asked for again with the same key.
    Keyed,
    /// Something that must not happen twice.
    Once,
}

/// A delivery that is to reach a channel. Key: `outbox/<channel>/<account>/<seq>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutboxRecord {
    /// Order within the account.
    pub seq: u64,
    /// Where it goes.
    pub route: Route,
    /// Markdown text.
    pub text: String,
    /// The session and run that made it.
    pub session: String,
    /// The run that made it.
    pub run_id: String,
    /// How far it got.
    pub state: OutboxState,
    /// Chunks that were sent, and the platform's ids of them.
    #[serde(default)]
    pub sent: Vec<Option<String>>,
    /// Failed attempts so far.
    #[serde(default)]
    pub attempts: u32,
    /// Not to be tried before this time.
    #[serde(default)]
    pub not_before: EpochMs,
    /// The last failure.
    #[serde(default)]
    pub error: Option<String>,
    /// When it was made.
    pub at: EpochMs,
}

/// State of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutboxState {
    /// Waits for its turn.
    Queued,
    /// Chunk number `0` was handed to the platform; found after a restart it is unknown whether it arrived.
    Sending(u32),
    /// Given up; kept to be looked at.
    Dead,
    /// May have been sent or not, and is not sent again; kept to be looked at.
    Held,
}

/// What `sessions.json` of an agent holds, by its SHA-256. Key: `meta/projection/<agent>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectionRecord {
    /// What was written last.
    pub written: Vec<u8>,
    /// What is being written in its place; the same when nothing is.
    pub writing: Vec<u8>,
}

/// Lines of a transcript that its file may lack after a loss of power. Key: `lines/<path>/<seq>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineRecord {
    /// Where in the file they begin.
    pub offset: u64,
    /// Whole lines, each with its newline.
    pub text: String,
}

/// An entry of a transcript, as far as this program writes it. See [`super::transcripts`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum EntryBody {
    /// A message of the conversation.
    Message {
        /// The message.
        message: Message,
    },
    /// The conversation starts anew behind this line.
    Reset {
        /// `new`, `reset`, `idle`, `daily`.
        reason: String,
    },
    /// The history behind this line is shorter: the summary stands for all that is before an entry.
    Compaction {
        /// What stands for it.
        summary: String,
        /// The first entry that is still shown as it is.
        #[serde(default)]
        first_kept_entry_id: Option<String>,
        /// Tokens before.
        #[serde(default)]
        tokens_before: u64,
        /// Tokens after.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens_after: Option<u64>,
        /// Facts beside the summary.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        details: Option<serde_json::Value>,
    },
    /// A fact for people and tools, never sent to a model.
    Custom {
        /// What kind of fact.
        custom_type: String,
        /// The fact.
        #[serde(default)]
        data: serde_json::Value,
    },
    /// What OpenClaw or one of its plugins tells the model.
    CustomMessage {
        /// Text, or parts.
        content: UserContent,
    },
    /// What stands for a branch that was left.
    BranchSummary {
        /// Its summary.
        summary: String,
    },
    /// The conversation goes on behind another entry.
    Leaf {
        /// Which.
        target_id: String,
    },
    /// An entry of a kind that only OpenClaw writes; kept in the file, not used here.
    #[serde(other)]
    Other,
}
