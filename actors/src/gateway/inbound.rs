//! From channels into sessions: which session a message belongs to, and its acceptance.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::channels::contract::{Accepted, Answer, Cursor, CursorPort, Inbound, InboundSink, PeerKind, SinkError};
use crate::clock::Clock;
use crate::config::ConfigHandle;
use crate::ids::{AccountId, AgentId, ChannelId, RunId, SessionKey};
use crate::sessions::accept::REMEMBERED_MS;
use crate::sessions::directory::DeliveryPort as _;
use crate::sessions::dm_scope::Chat;
use crate::sessions::{SessionsHandle, Submission, SubmitAck, SubmitError, dm_scope};
use crate::store::records::{DedupeRecord, OutboxRecord, OutboxState, Route};
use crate::store::{Commit, Outcome, StoreError, StoreHandle, keys, value};

use super::deliveries::Deliveries;

/// The sink of all channel accounts.
#[derive(Clone)]
pub struct Intake {
    /// Where messages go.
    pub sessions: SessionsHandle,
    /// Where the channel's own answers go.
    pub store: StoreHandle,
    /// Scope rules and agents.
    pub config: ConfigHandle,
    /// Lanes to wake.
    pub deliveries: Deliveries,
    /// Numbers of deliveries.
    pub sequence: Arc<AtomicU64>,
    /// Wall clock.
    pub clock: Clock,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Intake")
    }
}

impl Intake {
    fn session_of(&self, inbound: &Inbound) -> Result<SessionKey, SinkError> {
        let config = self.config.current();
        let agent = default_agent(&config.config.agents);
        let chat = Chat {
            channel: &ChannelId::new(&inbound.channel),
            account: &AccountId::normalised(&inbound.account),
            kind: inbound.peer.kind,
            peer: &inbound.peer.id,
        };
        dm_scope::session_key(&agent, chat, &config.config.session)
            .map_err(|error| SinkError::Refused(error.to_string()))
    }

    async fn take(&self, inbound: Inbound) -> Result<Accepted, SinkError> {
        let session = self.session_of(&inbound)?;
        let source = format!("{}:{}", inbound.channel, inbound.account);
        let run = RunId::parse(&format!("{source}:{}", inbound.event_id))
            .map_err(|error| SinkError::Refused(error.to_string()))?;
        let group = inbound.peer.kind != PeerKind::Direct;
        let submission = Submission {
            run,
            source,
            event_id: inbound.event_id.clone(),
            text: inbound.body(),
            route: Some(Route {
                channel: inbound.channel.clone(),
                account: inbound.account.clone(),
                to: inbound.peer.id.clone(),
                thread_id: inbound.thread_id.clone(),
                reply_to: group.then(|| inbound.message_id.clone()),
            }),
            model: None,
            owner: self.config.current().config.commands.is_owner(&inbound.channel, &inbound.sender.id),
            sender: inbound.sender.name.clone().or_else(|| inbound.sender.username.clone()),
            queue_mode: None,
            priority: false,
            literal: false,
        };
        match self.sessions.submit(&session, submission).await {
            Ok(SubmitAck::Accepted | SubmitAck::Stopped(_)) => Ok(Accepted::New),
            Ok(SubmitAck::InFlight | SubmitAck::Ended(_)) => Ok(Accepted::Duplicate),
            // The platform gave one id to two texts: an edit that came as a new event keeps its first text.
            Err(SubmitError::Conflict) => Ok(Accepted::Duplicate),
            Err(error @ SubmitError::OwnersOnly(_)) => Err(SinkError::Refused(error.to_string())),
            Err(SubmitError::Full(waiting)) => {
                Err(SinkError::Refused(format!("{waiting} messages wait here already; please try again later")))
            }
            Err(error @ (SubmitError::Stopping | SubmitError::Store(_) | SubmitError::Unavailable)) => {
                Err(SinkError::Unavailable(error.to_string()))
            }
        }
    }

    async fn put_answer(&self, answer: Answer) -> Result<Accepted, SinkError> {
        let now = self.clock.now_ms();
        let dedupe = keys::named(keys::DEDUPE, &format!("{}:{}/answer:{}", answer.channel, answer.account, answer.key));
        let memory = DedupeRecord {
            session: String::new(),
            run_id: String::new(),
            fingerprint: String::new(),
            expires_at: now + REMEMBERED_MS,
        };
        let record = OutboxRecord {
            seq: self.sequence.fetch_add(1, Ordering::Relaxed),
            route: Route {
                channel: answer.channel,
                account: answer.account,
                to: answer.to,
                thread_id: answer.thread_id,
                reply_to: answer.reply_to,
            },
            text: answer.text,
            session: String::new(),
            run_id: String::new(),
            state: OutboxState::Queued,
            sent: Vec::new(),
            attempts: 0,
            not_before: 0,
            error: None,
            at: now,
        };
        let commit = || -> Result<Commit, StoreError> {
            let folder = format!("{}/{}", record.route.channel, record.route.account);
            Ok(Commit::new()
                .expect_absent(dedupe.clone())
                .put(dedupe.clone(), value::encode(&memory)?)
                .put(keys::numbered(keys::OUTBOX, &folder, record.seq), value::encode(&record)?))
        };
        match self.store.accept(commit().map_err(unavailable)?).await.map_err(unavailable)? {
            Outcome::Committed => {
                self.deliveries.wake(&record.route.channel, &record.route.account);
                Ok(Accepted::New)
            }
            Outcome::Conflict { .. } => Ok(Accepted::Duplicate),
        }
    }
}

fn unavailable(error: StoreError) -> SinkError {
    SinkError::Unavailable(error.to_string())
}

/// The agent that answers where nothing else is said.
#[must_use]
pub fn default_agent(agents: &crate::config::AgentsConfig) -> AgentId {
    agents
        .entries
        .iter()
        .find(|entry| entry.default)
        .or_else(|| agents.entries.first())
        .map_or_else(|| AgentId::normalised("main"), |entry| entry.id.clone())
}

impl InboundSink for Intake {
    fn accept(&self, inbound: Inbound) -> BoxFuture<'_, Result<Accepted, SinkError>> {
        self.take(inbound).boxed()
    }

    fn answer(&self, answer: Answer) -> BoxFuture<'_, Result<Accepted, SinkError>> {
        self.put_answer(answer).boxed()
    }
}

impl CursorPort for Intake {
    fn load<'a>(
        &'a self,
        channel: &'a ChannelId,
        account: &'a AccountId,
    ) -> BoxFuture<'a, Result<Option<Cursor>, SinkError>> {
        async move { self.store.get(cursor_key(channel, account)).await.map_err(unavailable) }.boxed()
    }

    fn store<'a>(
        &'a self,
        channel: &'a ChannelId,
        account: &'a AccountId,
        cursor: Cursor,
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        async move { self.store.put(cursor_key(channel, account), &cursor).await.map_err(unavailable) }.boxed()
    }
}

fn cursor_key(channel: &ChannelId, account: &AccountId) -> Vec<u8> {
    keys::named(keys::CURSOR, &format!("{channel}/{account}"))
}
