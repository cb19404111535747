//! Input on its way into a session: what is submitted, how a repeat is recognised, what is answered.

use ring::digest;

use crate::clock::EpochMs;
use crate::config::QueueMode;
use crate::ids::{RunId, SessionKey};
use crate::store::records::{DedupeRecord, Route, RunEnd};
use crate::store::{StoreError, keys};

/// How long a repeat of an input is recognised at least (a day covers any client's retry).
pub const REMEMBERED_MS: EpochMs = 24 * 60 * 60 * 1000;

/// Input for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Id of the run it will get.
    pub run: RunId,
    /// Who sent it: `rpc`, or `<channel>:<account>`.
    pub source: String,
    /// Id of the input at its source: the idempotency key, or the platform's event id.
    pub event_id: String,
    /// What the person wrote.
    pub text: String,
    /// Where the answer goes besides control-plane clients.
    pub route: Option<Route>,
    /// The one model to ask, as `<provider>/<model>`; none: the agent's, with its fallbacks.
    pub model: Option<String>,
    /// True when the sender is an owner: a client with `operator.admin`, or a sender the configuration names.
    pub owner: bool,
    /// Who sent it, for people, where several write.
    pub sender: Option<String>,
    /// What is to happen while the session is busy; none: what the session's settings say.
    pub queue_mode: Option<QueueMode>,
    /// An owner's word that goes before everything that waits.
    pub priority: bool,
    /// True when a leading slash is text, not a command.
    pub literal: bool,
}

impl Submission {
    /// Key of its dedupe record.
    #[must_use]
    pub fn dedupe_key(&self) -> Vec<u8> {
        keys::named(keys::DEDUPE, &format!("{}/{}", self.source, self.event_id))
    }

    /// Tells a repeat from a clash of keys.
    #[must_use]
    pub fn fingerprint(&self, session: &SessionKey) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in [session.as_str(), self.text.as_str()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        context.finish().as_ref().iter().fold(String::with_capacity(64), |hex, byte| hex + &format!("{byte:02x}"))
    }

    /// The record that remembers it.
    #[must_use]
    pub fn dedupe_record(&self, session: &SessionKey, now: EpochMs) -> DedupeRecord {
        DedupeRecord {
            session: session.to_string(),
            run_id: self.run.to_string(),
            fingerprint: self.fingerprint(session),
            expires_at: now + REMEMBERED_MS,
        }
    }
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq)]
pub enum SubmitAck {
    /// It is durable and will be run.
    Accepted,
    /// It was accepted before and is not done yet.
    InFlight,
    /// It was accepted before and is done.
    Ended(Box<RunEnd>),
    /// It was an abort command; these runs were told to stop.
    Stopped(Vec<RunId>),
}

/// Why a submission was refused. Nothing was kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// The id was used before for other input.
    #[error("this message id was already used for different input")]
    Conflict,
    /// Too many messages wait in this session.
    #[error("{0} messages wait in this session already")]
    Full(usize),
    /// It commands what only an owner may.
    #[error("{0} needs operator.admin")]
    OwnersOnly(&'static str),
    /// The daemon goes down.
    #[error("the gateway is stopping; send the message again when it is back")]
    Stopping,
    /// The store refused.
    #[error("the message could not be stored")]
    Store(#[source] StoreError),
    /// The session did not answer; the message may have been accepted, so the caller repeats it with the same id.
    #[error("the session does not answer")]
    Unavailable,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AgentId;

    fn submission(text: &str) -> Submission {
        Submission {
            run: RunId::parse("r").unwrap(),
            source: "rpc".into(),
            event_id: "r".into(),
            text: text.into(),
            route: None,
            model: None,
            owner: true,
            sender: None,
            queue_mode: None,
            priority: false,
            literal: false,
        }
    }

    #[test]
    fn a_fingerprint_differs_by_text_and_session() {
        let agent = AgentId::normalised("main");
        let (a, b) = (SessionKey::main(&agent), SessionKey::under(&agent, "other").unwrap());
        assert_eq!(submission("x").fingerprint(&a), submission("x").fingerprint(&a));
        assert_ne!(submission("x").fingerprint(&a), submission("y").fingerprint(&a));
        assert_ne!(submission("x").fingerprint(&a), submission("x").fingerprint(&b));
    }
}
