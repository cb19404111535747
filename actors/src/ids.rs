//! Names of things: newtypes that are parsed on the way in and displayed on the way out.

use std::fmt;
use std::sync::Arc;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {given:?} is not valid: {expected}")]
pub struct IdError {
    kind: &'static str,
    given: String,
    expected: &'static str,
}

/// Longest agent or account id.
const MAX_SEGMENT: usize = 64;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text of it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

name_type!(
    /// An agent: owner of a workspace, of sessions and of credentials. `[a-z0-9][a-z0-9_-]{0,63}`.
    AgentId
);
name_type!(
    /// An account of a channel. `[a-z0-9][a-z0-9_-]{0,63}`, `default` when none is named.
    AccountId
);
name_type!(
    /// A channel: `telegram`, `webchat` …
    ChannelId
);
name_type!(
    /// A run: one turn of a session. The idempotency key of the request that started it.
    RunId
);
name_type!(
    /// A session key, canonical: `agent:<agentId>:<rest>`.
    SessionKey
);

/// Lower-cases, replaces what is outside `[a-z0-9_-]` with dashes, trims dashes, cuts to 64; empty gives `fallback`.
fn normalise(raw: &str, fallback: &str) -> Arc<str> {
    let mut out = String::with_capacity(raw.len().min(MAX_SEGMENT));
    for c in raw.trim().chars().flat_map(char::to_lowercase) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-' {
            out.push(c);
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    let trimmed = out.trim_matches('-');
    let cut = &trimmed[..trimmed.len().min(MAX_SEGMENT)];
    if cut.is_empty() { fallback.into() } else { cut.into() }
}

impl AgentId {
    /// The normal form of `raw`; empty gives `main`.
    #[must_use]
    pub fn normalised(raw: &str) -> Self {
        Self(normalise(raw, "main"))
    }
}

impl AccountId {
    /// The normal form of `raw`; empty gives `default`.
    #[must_use]
    pub fn normalised(raw: &str) -> Self {
        Self(normalise(raw, "default"))
    }
}

impl ChannelId {
    /// A channel by its lower-case id.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(id.to_ascii_lowercase().into())
    }
}

impl RunId {
    /// A run id as a client chose it.
    ///
    /// # Errors
    /// When it is empty, longer than 256 bytes or holds control characters.
    pub fn parse(raw: &str) -> Result<Self, IdError> {
        let bad = |expected| IdError { kind: "run id", given: raw.chars().take(80).collect(), expected };
        if raw.is_empty() || raw.len() > 256 {
            return Err(bad("1 to 256 bytes"));
        }
        if raw.chars().any(char::is_control) {
            return Err(bad("no control characters"));
        }
        Ok(Self(raw.into()))
    }

    /// A fresh one.
    #[must_use]
    pub fn fresh() -> Self {
        Self(uuid::Uuid::new_v4().to_string().into())
    }
}

/// Longest session key in bytes (OpenClaw: 512 characters).
const MAX_SESSION_KEY: usize = 512;

impl SessionKey {
    /// The main session of an agent.
    #[must_use]
    pub fn main(agent: &AgentId) -> Self {
        Self(format!("agent:{agent}:main").into())
    }

    /// Any key under an agent: `agent:<agent>:<rest>`, lower-cased.
    ///
    /// # Errors
    /// When the whole is too long, or `rest` is empty or holds control characters or white space.
    pub fn under(agent: &AgentId, rest: &str) -> Result<Self, IdError> {
        Self::parse(&format!("agent:{agent}:{rest}"), agent)
    }

    /// Parses what a client or a file says. Unscoped keys (`main`, `cron:x`) are aliases under `default_agent`;
    /// `dm` as kind segment becomes `direct`.
    ///
    /// # Errors
    /// When the key is empty, too long, holds control characters or white space, or starts with `agent:` without
    /// naming an agent and a rest: such a key is refused, never sent to the default agent.
    pub fn parse(raw: &str, default_agent: &AgentId) -> Result<Self, IdError> {
        let bad = |expected| IdError { kind: "session key", given: raw.chars().take(80).collect(), expected };
        let key = raw.trim().to_lowercase();
        if key.is_empty() || key.len() > MAX_SESSION_KEY {
            return Err(bad("1 to 512 bytes"));
        }
        if key.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(bad("no white space and no control characters"));
        }
        let Some(scoped) = key.strip_prefix("agent:") else {
            return Ok(Self(format!("agent:{default_agent}:{key}").into()));
        };
        match scoped.split_once(':') {
            Some((agent, rest)) if !agent.is_empty() && !rest.is_empty() => {
                if AgentId::normalised(agent).as_str() != agent {
                    return Err(bad("an agent id of a-z, 0-9, _ and - after `agent:`"));
                }
                Ok(Self(format!("agent:{agent}:{}", direct_spelling(rest)).into()))
            }
            Some(_) | None => Err(bad("`agent:<agentId>:<rest>`")),
        }
    }

    /// The agent it belongs to.
    #[must_use]
    pub fn agent(&self) -> AgentId {
        AgentId::normalised(self.0.split(':').nth(1).unwrap_or("main"))
    }

    /// What follows `agent:<agentId>:`.
    #[must_use]
    pub fn rest(&self) -> &str {
        self.0.splitn(3, ':').nth(2).unwrap_or("")
    }
}

/// `telegram:dm:7` is the old spelling of `telegram:direct:7`.
fn direct_spelling(rest: &str) -> String {
    let mut segments: Vec<&str> = rest.split(':').collect();
    if segments.len() > 2 {
        let kind = if segments.len() > 3 && segments[1] != "dm" { 2 } else { 1 };
        if segments[kind] == "dm" {
            segments[kind] = "direct";
        }
    }
    segments.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(raw: &str) -> Result<SessionKey, IdError> {
        SessionKey::parse(raw, &AgentId::normalised("main"))
    }

    #[test]
    fn session_keys_are_canonical() {
        for (raw, canonical) in [
            ("main", "agent:main:main"),
            ("agent:Work:main", "agent:work:main"),
            ("agent:main:telegram:dm:77", "agent:main:telegram:direct:77"),
            ("agent:main:telegram:bot:dm:77", "agent:main:telegram:bot:direct:77"),
            ("cron:daily", "agent:main:cron:daily"),
        ] {
            assert_eq!(key(raw).unwrap().as_str(), canonical);
        }
    }

    #[test]
    fn malformed_keys_are_refused() {
        for raw in ["", "agent:", "agent::main", "agent:main:", "agent:main", "a b", "agent:m!n:main"] {
            assert!(key(raw).is_err(), "{raw:?}");
        }
    }

    #[test]
    fn agent_and_rest_take_a_key_apart() {
        let key = key("agent:work:telegram:direct:7").unwrap();
        assert_eq!(key.agent().as_str(), "work");
        assert_eq!(key.rest(), "telegram:direct:7");
    }

    #[test]
    fn names_are_normalised() {
        assert_eq!(AgentId::normalised("  My Agent! ").as_str(), "my-agent");
        assert_eq!(AccountId::normalised("").as_str(), "default");
    }
}
