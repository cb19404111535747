//! Roles, scopes, and what a scope implies.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Somebody who uses the gateway.
    Operator,
    /// A machine that offers commands to it.
    Node,
}

impl Role {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Node => "node",
        }
    }

    /// The role of that name; workers have their own path and are none here.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "operator" => Some(Self::Operator),
            "node" => Some(Self::Node),
            _ => None,
        }
    }
}

macro_rules! scopes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// A right of an operator. Clients may ask for scopes we don't know; those are kept as text and grant nothing.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Scope { $($(#[$doc])* $variant),* }

        impl Scope {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

scopes! {
    /// Everything.
    Admin = "operator.admin",
    /// See.
    Read = "operator.read",
    /// Talk to agents and change sessions.
    Write = "operator.write",
    /// Decide on approvals.
    Approvals = "operator.approvals",
    /// Answer questions of agents.
    Questions = "operator.questions",
    /// Approve devices and nodes.
    Pairing = "operator.pairing",
    /// Voice.
    Talk = "operator.talk",
    /// Secrets of voice providers.
    TalkSecrets = "operator.talk.secrets",
    /// See sessions only.
    SessionsRead = "operator.sessions.read",
    /// Change sessions only.
    SessionsWrite = "operator.sessions.write",
}

impl Scope {
    /// The scope of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scope| scope.as_str() == name)
    }

    /// What an operator's command line asks for.
    pub const CLI_DEFAULT: &'static [Self] =
        &[Self::Admin, Self::Read, Self::Write, Self::Approvals, Self::Questions, Self::Pairing, Self::TalkSecrets];

    /// True when holding `self` is as good as holding `other`.
    #[must_use]
    pub fn implies(self, other: Self) -> bool {
        self == other
            || match self {
                Self::Admin => true,
                Self::Write => {
                    matches!(other, Self::Read | Self::Talk | Self::SessionsRead | Self::SessionsWrite)
                }
                Self::Read | Self::SessionsWrite => other == Self::SessionsRead,
                Self::Approvals
                | Self::Questions
                | Self::Pairing
                | Self::Talk
                | Self::TalkSecrets
                | Self::SessionsRead => false,
            }
    }

    /// True when one of `held` is as good as `self`.
    #[must_use]
    pub fn satisfied_by(self, held: &[String]) -> bool {
        held.iter().filter_map(|name| Self::parse(name)).any(|scope| scope.implies(self))
    }
}

/// True when `held` covers the scope called `name`: known scopes by implication, others only by `operator.admin` or
/// their own name.
#[must_use]
pub fn covers(held: &[String], name: &str) -> bool {
    match Scope::parse(name) {
        Some(scope) => scope.satisfied_by(held),
        None => held.iter().any(|one| one == name || one == Scope::Admin.as_str()),
    }
}

/// The first of `asked` that `held` does not cover.
pub fn first_uncovered<'a>(held: &[String], asked: &'a [String]) -> Option<&'a str> {
    asked.iter().map(String::as_str).find(|name| !covers(held, name))
}

/// The scope a method asks for.
#[derive(Debug, Clone, Copy)]
pub enum ScopeRule {
    /// Every authenticated connection, whatever its role: `health`.
    Everyone,
    /// Its role is enough.
    None,
    /// One scope.
    One(Scope),
    /// Depends on the parameters, which are not validated yet at that point.
    ByParams(fn(&Value) -> Scope),
}

impl ScopeRule {
    /// The scope that is needed for these parameters; `None` when none is.
    #[must_use]
    pub fn required(&self, params: &Value) -> Option<Scope> {
        match self {
            Self::Everyone | Self::None => None,
            Self::One(scope) => Some(*scope),
            Self::ByParams(rule) => Some(rule(params)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(scope: Scope) -> Vec<String> {
        vec![scope.as_str().to_owned()]
    }

    #[test]
    fn implications_are_exactly_these() {
        use Scope::*;
        let table: &[(Scope, &[Scope])] = &[
            (Admin, Scope::ALL),
            (Write, &[Write, Read, Talk, SessionsRead, SessionsWrite]),
            (Read, &[Read, SessionsRead]),
            (SessionsWrite, &[SessionsWrite, SessionsRead]),
            (Approvals, &[Approvals]),
            (Questions, &[Questions]),
            (Pairing, &[Pairing]),
            (Talk, &[Talk]),
            (TalkSecrets, &[TalkSecrets]),
            (SessionsRead, &[SessionsRead]),
        ];
        for (scope, implied) in table {
            for other in Scope::ALL {
                assert_eq!(other.satisfied_by(&held(*scope)), implied.contains(other), "{scope:?} for {other:?}");
            }
        }
    }

    #[test]
    fn unknown_scopes_grant_nothing_and_only_admin_covers_them() {
        let bogus = vec!["operator.bogus".to_owned()];
        assert!(!Scope::Read.satisfied_by(&bogus));
        assert!(covers(&bogus, "operator.bogus"));
        assert!(covers(&held(Scope::Admin), "operator.bogus"));
        assert_eq!(first_uncovered(&held(Scope::Read), &bogus), Some("operator.bogus"));
    }
}
