//! Everything that was seen while the daemon was killed and started, as plain values.

use std::collections::BTreeMap;
use std::time::Duration;

/// A life of the daemon, from its start to its end. The first is 0.
pub(crate) type Life = u32;

/// Where a message came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A client of the control plane.
    Client,
    /// A chat of a platform's account.
    Chat(Chat),
}

/// A chat of an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Chat {
    pub(crate) lane: String,
    pub(crate) to: String,
}

/// What a message makes the model do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Answer.
    Plain,
    /// Answer at length: several pieces on the platform.
    Long,
    /// The message itself is long.
    Big,
    /// Call a tool that changes nothing, then answer.
    Look,
    /// Call a tool that changes a file, then answer.
    Change,
    /// Begin a new conversation and answer in it.
    Reset,
}

/// A message that was offered to the daemon, in the order of offering per key.
#[derive(Debug, Clone)]
pub(crate) struct Offered {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) source: Source,
    pub(crate) kind: Kind,
    /// The daemon said that it has it: its answer came, or the platform's offset moved past it.
    pub(crate) accepted: bool,
    /// How a client was told that its run ended: its text, or the failure.
    pub(crate) told: Option<Told>,
}

/// What a client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Answer(String),
    Failure(String),
}

/// A call of the model.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) life: Life,
    pub(crate) key: String,
    /// The message it was asked about.
    pub(crate) id: String,
    /// Since the first start.
    pub(crate) from: Duration,
    /// When nothing but the last piece of the answer was to be sent, or the daemon left.
    pub(crate) until: Option<Duration>,
}

/// A message the platform took.
#[derive(Debug, Clone)]
pub(crate) struct Delivered {
    pub(crate) life: Life,
    pub(crate) chat: Chat,
    pub(crate) text: String,
}

/// A piece of which nobody knew at a kill whether it had arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sending {
    pub(crate) chat: Chat,
    pub(crate) text: String,
}

/// What the store held when the daemon was dead.
#[derive(Debug, Clone, Default)]
pub(crate) struct Open {
    /// Pieces that were being sent.
    pub(crate) sending: Vec<Sending>,
    /// Calls of tools that were begun and not known to have ended.
    pub(crate) intents: Vec<String>,
    /// Runs without an end.
    pub(crate) runs: Vec<String>,
    /// Accepted messages that wait.
    pub(crate) waiting: usize,
    /// Deliveries that are still to be made.
    pub(crate) outgoing: usize,
}

impl Open {
    /// True when the daemon had something to do.
    pub(crate) fn is_busy(&self) -> bool {
        !self.runs.is_empty() || self.waiting + self.outgoing > 0
    }
}

/// The end of a life by a kill.
#[derive(Debug, Clone)]
pub(crate) struct Kill {
    pub(crate) life: Life,
    /// `after 31 ms`, `store.flush.before:3`.
    pub(crate) how: String,
    /// Messages that had been offered and not been answered.
    pub(crate) unanswered: usize,
    pub(crate) open: Open,
}

/// A file of a conversation: its name and its text.
#[derive(Debug, Clone)]
pub(crate) struct Talk {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    pub(crate) offered: Vec<Offered>,
    pub(crate) asked: Vec<Asked>,
    pub(crate) delivered: Vec<Delivered>,
    pub(crate) kills: Vec<Kill>,
    /// Oldest first, by the time in their headers.
    pub(crate) talks: Vec<Talk>,
    /// How often each call of the changing tool has left its mark.
    pub(crate) effects: BTreeMap<String, usize>,
    /// Answers of the daemon that said no.
    pub(crate) refused: Vec<String>,
}
