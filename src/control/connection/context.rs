//! What is known about one authenticated connection, and how to speak to it alone.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actors::clock::EpochMs;
use serde_json::Value;

use super::outbox::Outbox;
use crate::control::auth::AuthMethod;
use crate::protocol::connect::ClientInfo;
use crate::protocol::frame::{Event, ServerFrame};
use crate::protocol::scope::{Role, Scope};

/// Names one connection; `server.connId` of its hello-ok.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(Arc<str>);

impl ConnId {
    /// A fresh one.
    #[must_use]
    pub fn fresh() -> Self {
        Self(uuid::Uuid::new_v4().to_string().into())
    }

    /// The text of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnId({})", self.0)
    }
}

/// An authenticated connection as handlers see it.
#[derive(Debug)]
pub struct ConnContext {
    /// Its name.
    pub conn_id: ConnId,
    /// What it is.
    pub role: Role,
    /// What it may do; requests are checked against exactly these.
    pub scopes: Vec<String>,
    /// Who it says it is.
    pub client: ClientInfo,
    /// What it says it can do.
    pub caps: Vec<String>,
    /// The device it proved to be.
    pub device_id: Option<String>,
    /// How it was let in.
    pub method: AuthMethod,
    /// Where it comes from.
    pub remote: IpAddr,
    /// When it was let in.
    pub connected_at: EpochMs,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) follows: Follows,
}

impl ConnContext {
    /// True when it says it can do `cap`.
    #[must_use]
    pub fn has_cap(&self, cap: &str) -> bool {
        self.caps.iter().any(|one| one == cap)
    }

    /// True when it may do what `scope` allows.
    #[must_use]
    pub fn holds(&self, scope: Scope) -> bool {
        scope.satisfied_by(&self.scopes)
    }

    /// True when it was let in by its own device token.
    #[must_use]
    pub fn is_by_device_token(&self) -> bool {
        self.method == AuthMethod::DeviceToken
    }

    /// The sessions it follows.
    #[must_use]
    pub fn follows(&self) -> &Follows {
        &self.follows
    }

    /// Sends it an event of its own, without a number.
    pub fn send_event(&self, event: &str, payload: Value) {
        self.outbox.push(ServerFrame::from(Event::direct(event, payload)).to_text());
    }

    /// Sends it an event of its own that may be left out when it reads too slowly: false when it was.
    #[must_use]
    pub fn offer_event(&self, event: &str, payload: Value) -> bool {
        self.outbox.offer(ServerFrame::from(Event::direct(event, payload)).to_text())
    }
}

/// The sessions one connection follows; gone with the connection.
#[derive(Debug, Default)]
pub struct Follows {
    state: Mutex<Followed>,
}

#[derive(Debug, Default)]
struct Followed {
    index: bool,
    sessions: HashSet<String>,
}

/// Sessions one connection may follow.
const MAX_FOLLOWED: usize = 1000;

impl Follows {
    /// From now on it is told of changes to the list of sessions.
    pub fn follow_index(&self) {
        self.lock().index = true;
    }

    /// True when it is told of changes to the list of sessions.
    #[must_use]
    pub fn is_following_index(&self) -> bool {
        self.lock().index
    }

    /// From now on it is told of messages of this session; false when it follows too many.
    pub fn follow(&self, session_key: &str) -> bool {
        let mut state = self.lock();
        if state.sessions.len() >= MAX_FOLLOWED && !state.sessions.contains(session_key) {
            return false;
        }
        state.sessions.insert(session_key.to_owned());
        true
    }

    /// It is no longer told of this session.
    pub fn unfollow(&self, session_key: &str) {
        self.lock().sessions.remove(session_key);
    }

    /// True when it is told of messages of this session.
    #[must_use]
    pub fn is_following(&self, session_key: &str) -> bool {
        self.lock().sessions.contains(session_key)
    }

    fn lock(&self) -> MutexGuard<'_, Followed> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A connection that only its outbox would notice.
    pub(crate) fn context(role: Role, scopes: &[Scope], max_bytes: usize) -> Arc<ConnContext> {
        Arc::new(ConnContext {
            conn_id: ConnId::fresh(),
            role,
            scopes: scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
            client: ClientInfo { id: "cli".to_owned(), mode: "cli".to_owned(), ..ClientInfo::default() },
            caps: Vec::new(),
            device_id: None,
            method: AuthMethod::Token,
            remote: std::net::Ipv4Addr::LOCALHOST.into(),
            connected_at: 0,
            outbox: Arc::new(Outbox::new(max_bytes)),
            follows: Follows::default(),
        })
    }

    #[test]
    fn following_is_per_session_and_bounded() {
        let follows = Follows::default();
        assert!(follows.follow("agent:main:main"));
        assert!(follows.is_following("agent:main:main") && !follows.is_following("agent:main:other"));
        follows.unfollow("agent:main:main");
        assert!(!follows.is_following("agent:main:main"));
        for n in 0..MAX_FOLLOWED {
            assert!(follows.follow(&n.to_string()));
        }
        assert!(!follows.follow("one more") && follows.follow("0"));
    }
}
