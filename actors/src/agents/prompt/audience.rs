//! Who reads along in a session, and so which files of the workspace may be shown there.

use crate::ids::SessionKey;

/// Who reads along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The owner, in the agent's main session or one of their own.
    Main,
    /// One person in a direct chat.
    Direct,
    /// Several people.
    Group,
    /// Everybody who writes to the gateway, in one session.
    Everybody,
    /// Nobody: a scheduled job.
    Cron,
    /// Nobody: something from outside that came over a hook.
    Hook,
    /// The agent that asked for it.
    SubAgent,
}

impl Audience {
    /// The audience of a session. What is not understood counts as a group, so that nothing private is shown there.
    #[must_use]
    pub fn of(session: &SessionKey) -> Self {
        let rest = session.rest();
        let mut segments = rest.split(':');
        let first = segments.next().unwrap_or_default();
        let places = [first, segments.next().unwrap_or_default(), segments.next().unwrap_or_default()];
        if places[1..].iter().any(|kind| matches!(*kind, "group" | "channel" | "room")) {
            return Self::Group;
        }
        match first {
            "global" => Self::Everybody,
            "cron" => Self::Cron,
            "hook" => Self::Hook,
            "subagent" | "acp" => Self::SubAgent,
            "direct" | "dm" => Self::Direct,
            _ if places[1..].iter().any(|kind| matches!(*kind, "direct" | "dm")) => Self::Direct,
            "group" | "channel" | "room" | "unknown" => Self::Group,
            // Main, and what the owner opened: by hand, from a dashboard, from a device.
            _ => Self::Main,
        }
    }

    /// True where what the agent remembers of its owner may be shown.
    #[must_use]
    pub fn is_private(self) -> bool {
        matches!(self, Self::Main | Self::Direct)
    }

    /// True where somebody waits for an answer, so that the model may not stay silent.
    #[must_use]
    pub fn waits_for_an_answer(self) -> bool {
        matches!(self, Self::Main | Self::Direct | Self::Everybody)
    }

    /// Its name in the prompt's report.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Direct => "direct",
            Self::Group => "group",
            Self::Everybody => "everybody",
            Self::Cron => "cron",
            Self::Hook => "hook",
            Self::SubAgent => "subagent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AgentId;

    fn of(rest: &str) -> Audience {
        Audience::of(&SessionKey::under(&AgentId::normalised("main"), rest).unwrap())
    }

    #[test]
    fn session_keys_tell_who_reads_along() {
        for (rest, audience) in [
            ("main", Audience::Main),
            ("dashboard:4f", Audience::Main),
            ("explicit:notes", Audience::Main),
            ("direct:77", Audience::Direct),
            ("telegram:direct:77", Audience::Direct),
            ("telegram:work:direct:77", Audience::Direct),
            ("telegram:direct:77:thread:9", Audience::Direct),
            ("telegram:group:-100", Audience::Group),
            ("telegram:group:-100:topic:3", Audience::Group),
            ("discord:channel:5", Audience::Group),
            ("slack:room:5", Audience::Group),
            ("cron:daily", Audience::Cron),
            ("cron:daily:run:7", Audience::Cron),
            ("hook:inbox", Audience::Hook),
            ("subagent:1f", Audience::SubAgent),
            ("acp:1f", Audience::SubAgent),
            ("global", Audience::Everybody),
        ] {
            assert_eq!(of(rest), audience, "{rest}");
        }
    }

    #[test]
    fn a_doubtful_key_is_not_private() {
        // An account or a peer with the name of a kind.
        for rest in ["telegram:group:direct:77", "telegram:direct:group", "unknown"] {
            assert!(!of(rest).is_private(), "{rest}");
        }
    }
}
