//! What can go wrong on purpose, and when it strikes.

use std::time::Duration;

use crate::path::ActorPath;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The next message panics.
    Panic,
    /// The next message returns an error.
    Error,
    /// The next message is never done, though it can be cancelled.
    Hang,
    /// The next message blocks its thread this long.
    Block(Duration),
    /// The actor is killed now.
    Kill,
    /// The next start panics.
    PanicAtStart,
    /// The next starts, this many, return an error.
    FailStart(u32),
    /// The next start is never done.
    HangAtStart,
    /// The next orderly stop panics.
    PanicAtStop,
    /// The next orderly stop is never done.
    HangAtStop,
}

/// What a fault waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Message,
    Start,
    Stop,
    Now,
}

impl Fault {
    pub(super) fn stage(self) -> Stage {
        match self {
            Self::Panic | Self::Error | Self::Hang | Self::Block(_) => Stage::Message,
            Self::PanicAtStart | Self::FailStart(_) | Self::HangAtStart => Stage::Start,
            Self::PanicAtStop | Self::HangAtStop => Stage::Stop,
            Self::Kill => Stage::Now,
        }
    }
}

/// Why a fault was not injected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// The tree shows no such actor.
    #[error("no actor at {0}")]
    NotFound(ActorPath),
    /// It is between two incarnations, or down.
    #[error("{0} is not running")]
    NotRunning(ActorPath),
    /// A supervisor awaits nothing and stops its children however it ends: it can't hang, nor fail at its stop.
    #[error("{0} is a supervisor: it can be killed, blocked, panic or fail, also at its start, but not this")]
    Supervisor(ActorPath),
    /// Too many faults wait already.
    #[error("too many faults wait to strike")]
    Full,
}
