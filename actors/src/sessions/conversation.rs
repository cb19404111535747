//! What a session actor holds of its transcript: where the next line goes and what the model is shown.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::agents::compaction::{Compacted, Details, is_summary, summary_message};
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
    /// The entry of each message; a summary has none.
    entries: Vec<Option<String>>,
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
            entries: Vec::new(),
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
        // Entries that are no messages, with the number of messages before them.
        let mut marks: Vec<(String, usize)> = Vec::new();
        for entry in tail.entries {
            let at = chrono::DateTime::parse_from_rfc3339(&entry.timestamp);
            let at = at.map(|at| at.timestamp_millis()).unwrap_or_default();
            match entry.body {
                EntryBody::Message { message } => self.shown(&entry.id, message),
                EntryBody::Reset { .. } => {
                    self.messages.clear();
                    self.entries.clear();
                    marks.clear();
                }
                EntryBody::Compaction { summary, first_kept_entry_id, details, .. } => {
                    let place = |id: &String| {
                        let message = self.entries.iter().position(|entry| entry.as_ref() == Some(id));
                        message.or_else(|| marks.iter().find(|(mark, _)| mark == id).map(|(_, at)| *at))
                    };
                    // An entry that was not read lies before all that was.
                    let from = first_kept_entry_id.as_ref().and_then(place).unwrap_or(0);
                    let details = details.and_then(|details| serde_json::from_value::<Details>(details).ok());
                    let request = details.and_then(|details| details.latest_unresolved_user_request);
                    self.replace_before(from, summary_message(&summary, request.as_deref(), at));
                    marks = vec![(entry.id.clone(), 0)];
                }
                EntryBody::CustomMessage { content } => {
                    self.shown(&entry.id, Message::User { content, timestamp: at, idempotency_key: None });
                }
                EntryBody::BranchSummary { summary } => self.shown(&entry.id, Message::user(summary, at)),
                EntryBody::Custom { .. } | EntryBody::Leaf { .. } | EntryBody::Other => {
                    marks.push((entry.id.clone(), self.messages.len()));
                }
            }
            self.remember(&entry.id);
            self.leaf = Some(entry.id);
        }
    }

    /// A message that the model is shown, and its entry.
    fn shown(&mut self, entry: &str, message: Message) {
        self.messages.push(message);
        self.entries.push(Some(entry.to_owned()));
    }

    /// Puts a summary in the place of the first `count` messages, and of an earlier summary in any case.
    fn replace_before(&mut self, count: usize, summary: Message) {
        let count = count.max(usize::from(self.messages.first().is_some_and(is_summary)));
        self.messages.splice(..count, [summary]);
        self.entries.splice(..count, [None]);
    }

    /// Shortens the history; the result is what the store has to write. `None` when the conversation is not the one that
    /// was shortened.
    ///
    /// # Errors
    /// When it can't be expressed in JSON.
    pub fn compact(&mut self, compacted: &Compacted) -> Result<Option<Append>, StoreError> {
        if compacted.of != self.messages.len() || compacted.kept == 0 || compacted.kept > self.messages.len() {
            return Ok(None);
        }
        let first = self.messages.len() - compacted.kept;
        let Some(Some(first_kept)) = self.entries.get(first).cloned() else { return Ok(None) };
        let id = uuid::Uuid::new_v4().to_string();
        let details = serde_json::to_value(&compacted.details)
            .map_err(|error| StoreError::Record { key: id.clone(), why: error.to_string() })?;
        let body = EntryBody::Compaction {
            summary: compacted.summary.clone(),
            first_kept_entry_id: Some(first_kept),
            tokens_before: compacted.tokens_before,
            tokens_after: Some(compacted.tokens_after),
            details: Some(details),
        };
        let append = self.line(id, body, compacted.at)?;
        let request = compacted.details.latest_unresolved_user_request.as_deref();
        self.replace_before(first, summary_message(&compacted.summary, request, compacted.at));
        Ok(Some(append))
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
        let append = self.line(id.clone(), EntryBody::Message { message: message.clone() }, now)?;
        self.messages.push(message);
        self.entries.push(Some(id));
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

    /// A file of these lines, and the conversation that is read of it.
    fn loaded(lines: &[String]) -> (tempfile::TempDir, Conversation) {
        let folder = tempfile::tempdir().unwrap();
        let (agent, clock) = (AgentId::normalised("main"), Clock::fixed(5));
        let path = transcripts::path(folder.path(), &agent, "s");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let header = transcripts::header("s", 0, folder.path());
        std::fs::write(&path, format!("{header}\n{}\n", lines.join("\n"))).unwrap();
        let conversation = Conversation::load(folder.path(), &agent, "s", &clock).unwrap();
        (folder, conversation)
    }

    fn texts(conversation: &Conversation) -> Vec<String> {
        conversation.messages().iter().map(Message::text).collect()
    }

    fn said(id: &str) -> String {
        format!(
            r#"{{"type":"message","id":"{id}","parentId":null,"timestamp":"2026-01-01T00:00:00Z","message":{{"role":"user","content":"{id}","timestamp":1}}}}"#
        )
    }

    fn compaction(id: &str, first_kept: &str, rest: &str) -> String {
        format!(
            r#"{{"type":"compaction","id":"{id}","parentId":null,"timestamp":"2026-01-01T00:00:00Z","summary":"sum of {id}","firstKeptEntryId":"{first_kept}","tokensBefore":9{rest}}}"#
        )
    }

    #[test]
    fn a_summary_found_in_a_file_stands_for_all_before_its_first_kept_entry() {
        let request =
            r#","details":{"readFiles":[],"modifiedFiles":[],"latestUnresolvedUserRequest":"find it"},"fromHook":true"#;
        let (_folder, talk) = loaded(&[said("a"), said("b"), said("c"), compaction("k", "c", request), said("d")]);
        let texts = texts(&talk);
        assert_eq!(texts.len(), 3);
        assert!(is_summary(&talk.messages()[0]) && texts[0].contains("sum of k") && texts[0].ends_with("find it"));
        assert_eq!(texts[1..], ["c", "d"]);
    }

    #[test]
    fn a_later_summary_replaces_an_earlier_one_and_entries_of_others_can_be_the_first_kept() {
        let label =
            String::from(r#"{"type":"label","id":"l","parentId":null,"timestamp":"t","targetId":"b","label":"x"}"#);
        let (_folder, talk) = loaded(&[
            said("a"),
            compaction("k1", "a", ""),
            said("b"),
            label,
            said("c"),
            compaction("k2", "l", ""),
            said("d"),
        ]);
        assert!(texts(&talk)[0].contains("sum of k2"));
        assert_eq!(texts(&talk)[1..], ["c", "d"]);
        let (_folder, talk) = loaded(&[said("a"), compaction("k", "gone", ""), said("b")]);
        assert_eq!(texts(&talk)[1..], ["a", "b"], "what the summary leaves in is not lost");
    }

    #[test]
    fn a_shortened_conversation_is_read_back_as_it_was_shown() {
        let (folder, mut talk) = loaded(&[said("a"), said("b"), said("c")]);
        let mut compacted = Compacted {
            summary: "sum".into(),
            kept: 1,
            of: 3,
            tokens_before: 100,
            tokens_after: 10,
            details: Details { latest_unresolved_user_request: Some("b".into()), ..Details::default() },
            at: 1_767_225_600_000,
        };
        let append = talk.compact(&compacted).unwrap().unwrap();
        let later = talk.push("d".into(), Message::user("d", 9), 9).unwrap().unwrap();
        let text = std::fs::read_to_string(&talk.path).unwrap();
        std::fs::write(&talk.path, format!("{text}{}\n{}\n", append.lines[0], later.lines[0])).unwrap();
        let clock = Clock::fixed(5);
        let again = Conversation::load(folder.path(), &AgentId::normalised("main"), "s", &clock).unwrap();
        assert_eq!(again.messages(), talk.messages());
        assert_eq!(again.messages().len(), 3);

        compacted = Compacted { of: 2, ..compacted };
        assert_eq!(talk.compact(&compacted).unwrap(), None, "the conversation has gone on");
        compacted = Compacted { of: 3, kept: 3, ..compacted };
        assert_eq!(talk.compact(&compacted).unwrap(), None, "a summary is not an entry to begin with");
        assert_eq!(talk.messages(), again.messages());
    }
}
