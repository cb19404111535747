//! What a session actor holds of its transcript: where the next line goes and what the model is shown.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::{Clock, EpochMs, rfc3339};
use crate::ids::AgentId;
use crate::message::Message;
use crate::store::records::EntryBody;
use crate::store::transcripts::{self, Entry, Transcript};
use crate::store::{Append, StoreError};

/// Bytes read of a transcript to activate its session: several windows of the largest model.
pub const TAIL_BYTES: u64 = 4 << 20;
/// Ids of user entries kept to see a replay.
const REMEMBERED_ENTRIES: usize = 512;

/// A generation of a session.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// Its id.
    pub session_id: Arc<str>,
    /// Its file.
    pub path: PathBuf,
    header: String,
    leaf: Option<String>,
    messages: Vec<Message>,
    recent_ids: VecDeque<String>,
}

impl Conversation {
    /// A generation that starts now.
    #[must_use]
    pub fn fresh(state_dir: &Path, agent: &AgentId, clock: &Clock) -> Self {
        Self::empty(state_dir, agent, &uuid::Uuid::new_v4().to_string(), clock)
    }

    fn empty(state_dir: &Path, agent: &AgentId, session_id: &str, clock: &Clock) -> Self {
        Self {
            session_id: Arc::from(session_id),
            path: transcripts::path(state_dir, agent, session_id),
            header: transcripts::header(session_id, clock.now_ms(), state_dir),
            leaf: None,
            messages: Vec::new(),
            recent_ids: VecDeque::new(),
        }
    }

    /// A generation that is on disk: reads its tail and cuts a torn last line. Blocking, a few milliseconds.
    ///
    /// # Errors
    /// When the file can't be read or cut.
    pub fn load(state_dir: &Path, agent: &AgentId, session_id: &str, clock: &Clock) -> Result<Self, StoreError> {
        let mut conversation = Self::empty(state_dir, agent, session_id, clock);
        let tail = transcripts::read_tail(&conversation.path, TAIL_BYTES)?;
        transcripts::repair(&conversation.path, &tail)?;
        conversation.take_over(tail);
        Ok(conversation)
    }

    fn take_over(&mut self, tail: Transcript) {
        for entry in tail.entries {
            match entry.body {
                EntryBody::Message { message } => self.messages.push(message),
                EntryBody::Reset { .. } => self.messages.clear(),
                EntryBody::Custom { .. } | EntryBody::Other => {}
            }
            self.remember(&entry.id);
            self.leaf = Some(entry.id);
        }
    }

    fn remember(&mut self, id: &str) {
        if self.recent_ids.len() == REMEMBERED_ENTRIES {
            self.recent_ids.pop_front();
        }
        self.recent_ids.push_back(id.to_owned());
    }

    /// What the model is shown.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// True when an entry of this id is in the file already.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.recent_ids.iter().any(|known| known == id)
    }

    /// Adds a message; the result is what the store has to write. `None` when the entry is there already.
    ///
    /// # Errors
    /// When the message can't be expressed in JSON.
    pub fn push(&mut self, id: String, message: Message, now: EpochMs) -> Result<Option<Append>, StoreError> {
        if self.has(&id) {
            return Ok(None);
        }
        let append = self.line(id, EntryBody::Message { message: message.clone() }, now)?;
        self.messages.push(message);
        Ok(Some(append))
    }

    /// Adds a fact that no model is shown.
    ///
    /// # Errors
    /// When it can't be expressed in JSON.
    pub fn note(&mut self, custom_type: &str, data: serde_json::Value, now: EpochMs) -> Result<Append, StoreError> {
        let id = uuid::Uuid::new_v4().to_string();
        self.line(id, EntryBody::Custom { custom_type: custom_type.to_owned(), data }, now)
    }

    fn line(&mut self, id: String, body: EntryBody, now: EpochMs) -> Result<Append, StoreError> {
        let entry = Entry { body, id: id.clone(), parent_id: self.leaf.clone(), timestamp: rfc3339(now) };
        let line = entry.line()?;
        self.remember(&id);
        self.leaf = Some(id);
        Ok(Append { path: self.path.clone(), lines: vec![line], header: self.header.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_added_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let (agent, clock) = (AgentId::normalised("main"), Clock::fixed(5));
        let mut talk = Conversation::fresh(folder.path(), &agent, &clock);
        let append = talk.push("a".into(), Message::user("hi", 5), 5).unwrap().unwrap();
        assert_eq!(talk.push("a".into(), Message::user("hi", 5), 5).unwrap(), None);
        std::fs::create_dir_all(append.path.parent().unwrap()).unwrap();
        std::fs::write(&append.path, format!("{}\n{}\n{{\"torn", append.header, append.lines[0])).unwrap();

        let loaded = Conversation::load(folder.path(), &agent, &talk.session_id, &clock).unwrap();
        assert_eq!(loaded.messages(), talk.messages());
        assert!(loaded.has("a"));
        assert!(std::fs::read_to_string(&append.path).unwrap().ends_with("}\n"));
    }
}
