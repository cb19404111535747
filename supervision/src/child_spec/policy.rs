//! The words of a spec: OTP's, to the letter.

use std::time::Duration;

/// Whether a child that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// Only after an abnormal exit.
    Transient,
    /// Never; its spec is forgotten when it ends.
    Temporary,
}

impl Restart {
    /// OTP's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Transient => "transient",
            Self::Temporary => "temporary",
        }
    }
}

/// How a child is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Killed at once.
    Brutal,
    /// Asked to stop, killed when the time is up.
    Timeout(Duration),
    /// Asked to stop and waited for.
    Infinity,
}

/// What being asked to stop means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopMode {
    /// After the current message; what is queued is dropped.
    #[default]
    Stop,
    /// After all that is queued; new messages are refused.
    Drain,
}

/// Whether a child is an actor or a supervisor of more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildKind {
    /// An actor or task.
    Worker,
    /// A supervisor.
    Supervisor,
}

/// How many restarts in what time end the supervisor itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// More than this many …
    pub max_restarts: u32,
    /// … within this time are too many.
    pub period: Duration,
}

impl Default for Intensity {
    /// One restart in five seconds (OTP's default).
    fn default() -> Self {
        Self { max_restarts: 1, period: Duration::from_secs(5) }
    }
}

/// Which siblings are restarted with a child.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// None.
    #[default]
    OneForOne,
    /// All of them.
    OneForAll,
    /// Those started after it.
    RestForOne,
}

impl Strategy {
    /// OTP's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneForOne => "one_for_one",
            Self::OneForAll => "one_for_all",
            Self::RestForOne => "rest_for_one",
        }
    }
}

/// Whether a supervisor ends when significant children end by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AutoShutdown {
    /// It does not.
    #[default]
    Never,
    /// With the first significant child.
    AnySignificant,
    /// With the last significant child.
    AllSignificant,
}

/// How a supervisor starts its children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartMode {
    /// One after the other: each may rely on those before it.
    #[default]
    Ordered,
    /// Begun in order, up to `max` under way at once, for children that do not rely on each other. They are stopped
    /// in reverse order all the same.
    Concurrent {
        /// How many starts may be under way; at least 1.
        max: usize,
    },
}

impl StartMode {
    pub(crate) fn at_once(self) -> usize {
        match self {
            Self::Ordered => 1,
            Self::Concurrent { max } => max.max(1),
        }
    }
}

/// Who may read a node's id, its label and what it says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Redaction {
    /// Everybody who may see the tree.
    #[default]
    Public,
    /// Only viewers who may read what is personal; others see a pseudonym.
    Personal,
}
