//! What the runs of a session do to the world: written down before it happens, crossed out with the result.
//!
//! After a crash this is what tells an effect that may have happened from one that did not. A call with a note and no
//! result: of a kind that whoever is asked recognises, it is carried out again with the same key; of any other kind its
//! outcome is unknown, and the model, the watchers and the tree are told. A call without a note was not started.
//! At every point where no run is at work each call has exactly one result.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use supervision::{ActorResult, BoxError};
use tokio::sync::oneshot;

use super::session::{Kept, SessionState, Stored};
use super::synthetic::{open_calls, told_result};
use crate::agents::{Intent, RunEventKind, Unsettled};
use crate::clock::EpochMs;
use crate::failpoint::failpoint;
use crate::ids::{RunId, SessionKey};
use crate::message::Message;
use crate::store::records::{EffectClass, IntentRecord};
use crate::store::{Commit, StoreError, StoreHandle, keys, value};
use crate::tools::contract::{Effect, Fate};

/// Notes of one session at once; calls that do something go one after the other, so there is one, or few after a crash.
const PAGE: usize = 256;

const UNKNOWN: &str = "The call was interrupted after it had started, and whether it took effect is not known. Look \
                       before you repeat it.";
const NOT_STARTED: &str = "The call was interrupted before it had any effect. Make it again if it is still wanted.";

/// The notes that are open, and how many effects nobody knows about.
#[derive(Debug, Default)]
pub(super) struct Effects {
    open: Vec<IntentRecord>,
    /// Effects that may have happened or not, as told since this incarnation began.
    pub(super) unknown: u64,
}

impl Effects {
    /// Reads the open notes of a session.
    pub(super) async fn read(store: &StoreHandle, session: &SessionKey) -> Result<Self, StoreError> {
        let found: Vec<(Vec<u8>, IntentRecord)> =
            store.scan(keys::folder(keys::INTENT, session.as_str()), None, PAGE).await?;
        Ok(Self { open: found.into_iter().map(|(_, record)| record).collect(), unknown: 0 })
    }

    /// Adds to the commit of a result that its note is crossed out.
    pub(super) fn settle(&mut self, session: &SessionKey, message: &Message, commit: Commit) -> Commit {
        let Message::ToolResult { tool_call_id, .. } = message else { return commit };
        match self.open.iter().position(|intent| intent.call_id == *tool_call_id) {
            Some(at) => commit.delete(intent_key(session, &self.open.remove(at))),
            None => commit,
        }
    }

    /// What kind of effect a call may have had.
    fn of(&self, run: &RunId, call_id: &str) -> Option<EffectClass> {
        let mut intents = self.open.iter();
        intents.find(|intent| intent.run_id == run.as_str() && intent.call_id == call_id).map(|intent| intent.effect)
    }
}

impl Unsettled {
    /// What is told of it when its run ends without another attempt.
    pub(super) fn given_up(self) -> Self {
        match self {
            Self::Repeat(request) => Self::Told { request, fate: Fate::Unknown, text: UNKNOWN.to_owned() },
            told @ Self::Told { .. } => told,
        }
    }
}

impl SessionState {
    /// Notes a call that is about to start.
    pub(super) fn intend(&mut self, run: &RunId, intent: Intent, done: oneshot::Sender<bool>) -> ActorResult {
        let effect = match intent.effect {
            Effect::Pure => None,
            Effect::Keyed => Some(EffectClass::Keyed),
            Effect::Once => Some(EffectClass::Once),
        };
        let Some(effect) = effect else {
            done.send(false).ok();
            return Ok(());
        };
        let record = IntentRecord {
            session: self.key.to_string(),
            run_id: run.to_string(),
            call_id: intent.call_id,
            key: intent.key,
            tool: intent.tool,
            effect,
            arguments: intent.arguments,
            at: self.services.run.clock.now_ms(),
            epoch: self.writer.epoch(),
        };
        let commit = Commit::new().put(intent_key(&self.key, &record), value::encode(&record)?);
        self.effects.open.retain(|open| open.run_id != record.run_id || open.key != record.key);
        self.effects.open.push(record);
        failpoint!("intent.before");
        self.write(Stored::Append(Kept::Intent, done), commit)
    }

    /// The calls of the last message that have no result, and what is to become of each.
    pub(super) fn unsettled(&self, run: &RunId) -> Vec<Unsettled> {
        open_calls(self.conversation.messages())
            .into_iter()
            .map(|request| match self.effects.of(run, &request.id) {
                Some(EffectClass::Keyed) => Unsettled::Repeat(request),
                Some(EffectClass::Once) => Unsettled::Told { request, fate: Fate::Unknown, text: UNKNOWN.to_owned() },
                None => Unsettled::Told { request, fate: Fate::NotStarted, text: NOT_STARTED.to_owned() },
            })
            .collect()
    }

    /// Gives calls that are not carried out (again) their results, tells watchers, and crosses out all notes of the run.
    pub(super) fn tell_unsettled(
        &mut self,
        run: &RunId,
        unsettled: Vec<Unsettled>,
        seq: &Arc<AtomicU64>,
        mut commit: Commit,
        now: EpochMs,
    ) -> Result<Commit, BoxError> {
        for call in unsettled {
            let Unsettled::Told { request, fate, text } = call else { continue };
            if fate == Fate::Unknown {
                self.effects.unknown += 1;
                tracing::warn!(run_id = %run, session_key = %self.key, tool = request.name, call = request.id, "unknown effect");
            }
            let message = told_result(&request, fate, &text, now);
            commit.appends.extend(self.conversation.push(uuid::Uuid::new_v4().to_string(), message, now)?);
            let mut job = self.job_of(run, now);
            job.seq = Arc::clone(seq);
            let (call_id, name) = (request.id, request.name);
            let ended = RunEventKind::ToolEnded { call_id, name, text, is_error: true, started_at: now };
            job.publish(&self.services.run, ended);
        }
        let key = self.key.clone();
        let crossed_out = std::mem::take(&mut self.effects.open);
        Ok(crossed_out.iter().fold(commit, |commit, intent| commit.delete(intent_key(&key, intent))))
    }
}

/// Key of a note.
fn intent_key(session: &SessionKey, intent: &IntentRecord) -> Vec<u8> {
    let mut key = keys::folder(keys::INTENT, session.as_str());
    key.extend_from_slice(intent.run_id.as_bytes());
    key.push(0);
    key.extend_from_slice(intent.key.as_bytes());
    key
}
