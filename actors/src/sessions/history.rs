//! What a transcript says, for people and clients.

use std::path::Path;
use std::sync::Arc;

use crate::agents::reply::says_nothing;
use crate::clock::EpochMs;
use crate::ids::RunId;
use crate::message::Message;
use crate::store::records::EntryBody;
use crate::store::rows::SessionRow;
use crate::store::{StoreError, transcripts};

/// Messages of a session.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The generation; absent when there is no session.
    pub session_id: Option<Arc<str>>,
    /// The row.
    pub row: Option<SessionRow>,
    /// The newest messages, oldest first.
    pub items: Vec<HistoryItem>,
    /// Messages in the file.
    pub total: usize,
    /// The run that is at work.
    pub active: Option<InFlight>,
}

/// One message with its place.
#[derive(Debug, Clone)]
pub struct HistoryItem {
    /// Id of the entry.
    pub id: String,
    /// Number of the record, from 1.
    pub seq: u64,
    /// When it was written.
    pub recorded: String,
    /// The message.
    pub message: Message,
}

/// A run that is at work.
#[derive(Debug, Clone)]
pub struct InFlight {
    /// Its id.
    pub run: RunId,
    /// When its first attempt started.
    pub started_at: EpochMs,
}

impl History {
    /// Reads the newest `limit` messages of a file. Blocking.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn read(path: &Path, limit: usize) -> Result<Self, StoreError> {
        let transcript = transcripts::read(path)?;
        let mut items = Vec::new();
        for (at, entry) in transcript.entries.into_iter().enumerate() {
            match entry.body {
                EntryBody::Message { message } if says_nothing(&message) => {}
                EntryBody::Message { message } => {
                    items.push(HistoryItem { id: entry.id, seq: at as u64 + 1, recorded: entry.timestamp, message });
                }
                EntryBody::Reset { .. }
                | EntryBody::Compaction { .. }
                | EntryBody::Custom { .. }
                | EntryBody::CustomMessage { .. }
                | EntryBody::BranchSummary { .. }
                | EntryBody::Leaf { .. }
                | EntryBody::Other => {}
            }
        }
        let total = items.len();
        items.drain(..total.saturating_sub(limit));
        Ok(Self { items, total, ..Self::default() })
    }
}
