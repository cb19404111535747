//! An event on its way to many: what it says, and to whom it goes.

use actors::clock::EpochMs;
use serde_json::{Value, json};

use crate::control::connection::context::{ConnContext, ConnId};
use crate::control::connection::outbox::Numbered;
use crate::protocol::event;
use crate::protocol::frame::StateVersion;

/// An event to broadcast.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Its name; one that the protocol does not know goes to nobody.
    pub event: &'static str,
    /// What it says.
    pub payload: Value,
    /// True when a client that reads too slowly may miss it; else such a client is closed.
    pub drop_if_slow: bool,
    /// Counters to carry along.
    pub state_version: Option<StateVersion>,
    /// Only these connections, as far as they may see it.
    pub only: Option<Vec<ConnId>>,
    /// The session it is about: decides together with its name who follows it.
    pub session_key: Option<String>,
}

impl Outgoing {
    /// To everybody who may see it.
    #[must_use]
    pub fn new(event: &'static str, payload: Value) -> Self {
        Self { event, payload, drop_if_slow: false, state_version: None, only: None, session_key: None }
    }

    /// May be missed by a client that reads too slowly.
    #[must_use]
    pub fn droppable(mut self) -> Self {
        self.drop_if_slow = true;
        self
    }

    /// About a session.
    #[must_use]
    pub fn about(mut self, session_key: impl Into<String>) -> Self {
        self.session_key = Some(session_key.into());
        self
    }

    /// To these connections only.
    #[must_use]
    pub fn only_to(mut self, connections: Vec<ConnId>) -> Self {
        self.only = Some(connections);
        self
    }

    pub(super) fn at(mut self, version: StateVersion) -> Self {
        self.state_version = Some(version);
        self
    }

    pub(super) fn tick(now: EpochMs) -> Self {
        Self::new(event::TICK, json!({ "ts": now })).droppable()
    }

    /// True when `connection` is to get it.
    pub(super) fn is_for(&self, connection: &ConnContext) -> bool {
        if !event::admits(self.event, connection.role, &connection.scopes) {
            return false;
        }
        if let Some(only) = &self.only {
            return only.contains(&connection.conn_id);
        }
        if self.is_tool_frame() && !connection.has_cap(TOOL_CAP) {
            return false;
        }
        let follows = connection.follows();
        let follows_session = || self.session_key.as_deref().is_some_and(|key| follows.is_following(key));
        match self.event {
            event::SESSION_MESSAGE => follows_session(),
            event::SESSIONS_CHANGED | event::SESSION_TOOL => {
                follows.is_following_index() && (self.event != event::SESSION_TOOL || self.is_in_scope(connection))
            }
            _ => self.is_in_scope(connection),
        }
    }

    /// What a tool of a run does: many frames, for those who say that they show them.
    fn is_tool_frame(&self) -> bool {
        self.event == event::AGENT && self.payload["stream"] == "tool"
    }

    /// Connections with `session-scoped-events` get run events of the sessions they follow only.
    fn is_in_scope(&self, connection: &ConnContext) -> bool {
        !SESSION_SCOPED.contains(&self.event)
            || !connection.has_cap(SESSION_SCOPED_CAP)
            || self.session_key.as_deref().is_some_and(|key| connection.follows().is_following(key))
    }
}

/// The capability of clients that show the tools of a run.
const TOOL_CAP: &str = "tool-events";
/// The capability that narrows [`SESSION_SCOPED`] events.
const SESSION_SCOPED_CAP: &str = "session-scoped-events";
/// Events it narrows.
const SESSION_SCOPED: &[&str] =
    &[event::AGENT, event::CHAT, "chat.side_result", "session.observer", event::SESSION_TOOL];

/// An event as text, written once for all who get it.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) head: String,
    pub(super) tail: String,
}

impl Written {
    pub(super) fn of(outgoing: &Outgoing) -> Self {
        let name = Value::from(outgoing.event);
        let head = format!(r#"{{"type":"event","event":{name},"payload":{}"#, outgoing.payload);
        let tail = outgoing.state_version.map_or_else(String::new, |version| {
            format!(r#","stateVersion":{{"presence":{},"health":{}}}"#, version.presence, version.health)
        });
        Self { head, tail }
    }

    pub(super) fn numbered(&self) -> Numbered<'_> {
        Numbered { head: &self.head, tail: &self.tail }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::{Context, Waker};

    use super::*;
    use crate::control::connection::context::tests::context;
    use crate::control::connection::outbox::Next;
    use crate::protocol::frame::ServerFrame;
    use crate::protocol::scope::{Role, Scope};

    #[test]
    fn events_go_to_those_who_may_see_and_follow() {
        let reader = context(Role::Operator, &[Scope::Read], 100);
        let node = context(Role::Node, &[], 100);
        let chat = Outgoing::new(event::CHAT, json!({})).about("agent:main:main");
        assert!(chat.is_for(&reader) && !chat.is_for(&node));
        assert!(Outgoing::tick(1).is_for(&node));
        let message = Outgoing::new(event::SESSION_MESSAGE, json!({})).about("agent:main:main");
        assert!(!message.is_for(&reader));
        reader.follows().follow("agent:main:main");
        assert!(message.is_for(&reader));
        let changed = Outgoing::new(event::SESSIONS_CHANGED, json!({}));
        assert!(!changed.is_for(&reader));
        reader.follows().follow_index();
        assert!(changed.is_for(&reader));
        assert!(!Outgoing::new("no.such.event", json!({})).is_for(&reader));
    }

    #[test]
    fn only_names_connections_that_must_still_be_admitted() {
        let reader = context(Role::Operator, &[Scope::Read], 100);
        let other = context(Role::Operator, &[Scope::Read], 100);
        let blind = context(Role::Operator, &[], 100);
        let event = Outgoing::new(event::AGENT, json!({})).only_to(vec![reader.conn_id.clone(), blind.conn_id.clone()]);
        assert!(event.is_for(&reader) && !event.is_for(&other) && !event.is_for(&blind));
    }

    #[test]
    fn a_session_scoped_client_gets_run_events_of_its_sessions_only() {
        let mut scoped = Arc::into_inner(context(Role::Operator, &[Scope::Read], 100)).unwrap();
        scoped.caps.push(SESSION_SCOPED_CAP.to_owned());
        let chat = Outgoing::new(event::CHAT, json!({})).about("agent:main:main");
        assert!(!chat.is_for(&scoped));
        scoped.follows().follow("agent:main:main");
        assert!(chat.is_for(&scoped));
        assert!(Outgoing::new(event::PRESENCE, json!({})).is_for(&scoped));
    }

    #[test]
    fn tool_frames_go_to_those_who_show_them() {
        let plain = context(Role::Operator, &[Scope::Read], 100);
        let mut showing = Arc::into_inner(context(Role::Operator, &[Scope::Read], 100)).unwrap();
        showing.caps.push(TOOL_CAP.to_owned());
        let tool = Outgoing::new(event::AGENT, json!({ "stream": "tool" }));
        assert!(!tool.is_for(&plain) && tool.is_for(&showing));
        assert!(Outgoing::new(event::AGENT, json!({ "stream": "assistant" })).is_for(&plain));
    }

    #[test]
    fn what_is_written_is_a_frame_of_the_protocol() {
        let to = context(Role::Operator, &[Scope::Read], 1000);
        let event =
            Outgoing::new(event::PRESENCE, json!({ "presence": [] })).at(StateVersion { presence: 2, health: 1 });
        to.outbox.push_event(&Written::of(&event).numbered(), false);
        let Next::Frame(text) = to.outbox.next(&Context::from_waker(Waker::noop())) else { panic!("nothing queued") };
        let ServerFrame::Event(read) = ServerFrame::parse(&text).unwrap() else { panic!("no event") };
        assert_eq!((read.event.as_str(), read.seq, read.state_version), ("presence", Some(1), event.state_version));
    }
}
