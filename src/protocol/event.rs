//! Events: which exist, and who may see them.
//!
//! An event that is not in the table is delivered to nobody.

use super::scope::{Role, Scope};

/// Who may see an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Sent to one connection by name; never broadcast.
    Direct,
    /// Every authenticated connection, nodes included.
    Everyone,
    /// Operators who hold one of these.
    AnyOf(&'static [Scope]),
}

impl Gate {
    /// True when a broadcast may go to a connection of this role with these scopes.
    #[must_use]
    pub fn admits(self, role: Role, scopes: &[String]) -> bool {
        match self {
            Self::Direct => false,
            Self::Everyone => true,
            Self::AnyOf(any) => role == Role::Operator && any.iter().any(|scope| scope.satisfied_by(scopes)),
        }
    }
}

/// Keep-alive.
pub const TICK: &str = "tick";
/// The health snapshot.
pub const HEALTH: &str = "health";
/// The whole presence list.
pub const PRESENCE: &str = "presence";
/// The gateway goes away.
pub const SHUTDOWN: &str = "shutdown";
/// A run's inner life.
pub const AGENT: &str = "agent";
/// A run as a conversation sees it.
pub const CHAT: &str = "chat";
/// The configuration file was written.
pub const CONFIG_CHANGED: &str = "config.changed";
/// The session list changed.
pub const SESSIONS_CHANGED: &str = "sessions.changed";
/// A message was added to a session.
pub const SESSION_MESSAGE: &str = "session.message";
/// A tool of a run, for those who follow sessions.
pub const SESSION_TOOL: &str = "session.tool";
/// The supervision tree moved.
pub const TREE_DELTA: &str = "tree.delta";
/// A device wants to be approved.
pub const DEVICE_PAIR_REQUESTED: &str = "device.pair.requested";
/// A pairing request was decided.
pub const DEVICE_PAIR_RESOLVED: &str = "device.pair.resolved";
/// Device records changed.
pub const DEVICE_PAIR_CHANGED: &str = "device.pair.changed";

const READ: Gate = Gate::AnyOf(&[Scope::Read]);
const ADMIN: Gate = Gate::AnyOf(&[Scope::Admin]);
const APPROVALS: Gate = Gate::AnyOf(&[Scope::Approvals]);
const QUESTIONS: Gate = Gate::AnyOf(&[Scope::Questions]);
const PAIRING: Gate = Gate::AnyOf(&[Scope::Pairing]);
const TALK: Gate = Gate::AnyOf(&[Scope::Talk]);
const WRITE: Gate = Gate::AnyOf(&[Scope::Write]);

/// Every event of the protocol, by name.
const EVENTS: &[(&str, Gate)] = &[
    ("agent", READ),
    ("board.changed", READ),
    ("board.command", READ),
    ("chat", READ),
    ("chat.metadata.changed", Gate::AnyOf(&[Scope::Read, Scope::SessionsRead])),
    ("chat.send_timing", READ),
    ("chat.side_result", READ),
    ("config.changed", READ),
    ("connect.challenge", Gate::Direct),
    ("controlUi.sessionPullRequests.changed", READ),
    ("cron", READ),
    ("device.pair.changed", PAIRING),
    ("device.pair.requested", PAIRING),
    ("device.pair.resolved", PAIRING),
    ("device.pair.setup.completed", PAIRING),
    ("device.pair.setup.deliveryUncertain", PAIRING),
    ("exec.approval.requested", APPROVALS),
    ("exec.approval.resolved", APPROVALS),
    ("gateway.suspension", Gate::Everyone),
    ("health", Gate::Everyone),
    ("heartbeat", Gate::Everyone),
    ("mentions.changed", READ),
    ("models.snapshot", Gate::Direct),
    ("node.hostStats", READ),
    ("node.invoke.cancel", Gate::Direct),
    ("node.invoke.input", Gate::Direct),
    ("node.invoke.request", Gate::Direct),
    ("node.pair.requested", PAIRING),
    ("node.pair.resolved", PAIRING),
    ("node.presence", READ),
    ("node.runnerInventory.changed", READ),
    ("openclaw.approval.requested", APPROVALS),
    ("openclaw.approval.resolved", APPROVALS),
    ("plugin.approval.requested", APPROVALS),
    ("plugin.approval.resolved", APPROVALS),
    ("plugins.changed", READ),
    ("plugins.controlUi.changed", READ),
    ("plugins.install.progress", ADMIN),
    ("portal.changed", READ),
    ("presence", READ),
    ("progressCard.changed", READ),
    ("question.requested", QUESTIONS),
    ("question.resolved", QUESTIONS),
    ("session.approval", APPROVALS),
    ("session.message", READ),
    ("session.observer", READ),
    ("session.operation", READ),
    ("session.sharing", READ),
    ("session.sharing.evidence", READ),
    ("session.suggestion", READ),
    ("session.tool", READ),
    ("session.typing", READ),
    ("sessions.catalog.host", READ),
    ("sessions.changed", READ),
    ("shutdown", Gate::Everyone),
    ("skills.changed", READ),
    ("talk.event", READ),
    ("talk.mode", TALK),
    ("talk.voice.change", TALK),
    ("task", READ),
    ("task.suggestion", READ),
    ("terminal.data", ADMIN),
    ("terminal.exit", ADMIN),
    ("tick", Gate::Everyone),
    ("tree.delta", READ),
    ("ui.command", READ),
    ("update.available", Gate::Everyone),
    ("update.run.changed", ADMIN),
    ("users.prefs.changed", READ),
    ("voicewake.changed", READ),
    ("voicewake.routing.changed", READ),
];

/// Events this gateway sends today; `hello-ok` lists them.
pub const SERVED: &[&str] = &[
    super::connect::CHALLENGE_EVENT,
    AGENT,
    CHAT,
    SESSION_MESSAGE,
    SESSION_TOOL,
    SESSIONS_CHANGED,
    PRESENCE,
    TICK,
    SHUTDOWN,
    HEALTH,
    DEVICE_PAIR_CHANGED,
    DEVICE_PAIR_REQUESTED,
    DEVICE_PAIR_RESOLVED,
    CONFIG_CHANGED,
    TREE_DELTA,
];

/// The gate of an event; `None` when it does not exist and must go to nobody.
#[must_use]
pub fn gate(name: &str) -> Option<Gate> {
    if let Ok(at) = EVENTS.binary_search_by(|(known, _)| (*known).cmp(name)) {
        return Some(EVENTS[at].1);
    }
    // Events of plugins that registered no gate of their own.
    name.strip_prefix("plugin.").filter(|rest| rest.contains('.')).map(|_| WRITE)
}

/// True when a broadcast of `name` may go to a connection of this role with these scopes.
#[must_use]
pub fn admits(name: &str, role: Role, scopes: &[String]) -> bool {
    gate(name).is_some_and(|gate| gate.admits(role, scopes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_holds_what_we_serve() {
        assert!(EVENTS.is_sorted_by(|a, b| a.0 < b.0));
        for name in SERVED {
            assert!(gate(name).is_some(), "{name}");
        }
    }

    #[test]
    fn gates_admit_by_role_and_scope() {
        let held = |scope: Scope| vec![scope.as_str().to_owned()];
        for (event, role, scopes, expected) in [
            ("tick", Role::Node, vec![], true),
            ("tick", Role::Operator, vec![], true),
            ("chat", Role::Operator, held(Scope::Read), true),
            ("chat", Role::Operator, held(Scope::Write), true),
            ("chat", Role::Operator, held(Scope::Pairing), false),
            ("chat", Role::Node, held(Scope::Admin), false),
            ("chat.metadata.changed", Role::Operator, held(Scope::SessionsRead), true),
            ("device.pair.requested", Role::Operator, held(Scope::Write), false),
            ("device.pair.requested", Role::Operator, held(Scope::Admin), true),
            ("exec.approval.requested", Role::Operator, held(Scope::Approvals), true),
            ("plugin.weather.rain", Role::Operator, held(Scope::Write), true),
            ("plugin.weather.rain", Role::Operator, held(Scope::Read), false),
            ("connect.challenge", Role::Operator, held(Scope::Admin), false),
            ("no.such.event", Role::Operator, held(Scope::Admin), false),
        ] {
            assert_eq!(admits(event, role, &scopes), expected, "{event} {role:?} {scopes:?}");
        }
    }
}
