//! One life of a child, as its supervisor and those who start it speak of it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use ractor::ActorCell;

use crate::exit::{BoxError, Exit, ExitReason, ReasonError};

/// Names one incarnation of one child of one supervisor; never used twice in a process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActorId {
    pub(crate) pid: u64,
    /// The incarnation of the supervisor that started it.
    pub(crate) supervisor: u64,
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.supervisor, self.pid)
    }
}

impl fmt::Debug for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorId({self})")
    }
}

/// What a start hands to whoever asked for it, see [`Ctx::set_start_info`](crate::Ctx::set_start_info).
pub type StartInfo = Arc<dyn Any + Send + Sync>;

/// A start that succeeded.
#[derive(Clone)]
pub struct Started {
    /// The incarnation; `None` if the child said that there is nothing to run.
    pub actor: Option<ActorId>,
    /// What the child had to say to whoever started it. Not kept.
    pub info: Option<StartInfo>,
}

impl Started {
    /// True if the child said that there is nothing to run.
    #[must_use]
    pub fn is_ignored(&self) -> bool {
        self.actor.is_none()
    }
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").field("actor", &self.actor).field("info", &self.info.is_some()).finish()
    }
}

/// An actor that was started for a supervisor, to be given back to it by a start function.
pub struct Incarnation(pub(crate) ActorCell);

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Incarnation").field(&self.0.get_id().pid()).finish()
    }
}

/// A start function gave back an actor that it did not start for this child. That actor is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the start gave back an actor that was not started for this child")]
pub struct NotLinked;

/// Why a start did not bring an actor up.
#[derive(Clone, Debug)]
pub(crate) enum NotUp {
    /// There is nothing to run.
    Ignored,
    /// It failed.
    Failed(ExitReason),
}

impl NotUp {
    /// Reads what a start function or `pre_start` returned.
    pub(crate) fn from_box(error: BoxError) -> Self {
        match error.downcast_ref::<Exit>() {
            Some(Exit::Ignore) => Self::Ignored,
            Some(Exit::Normal | Exit::Shutdown(_) | Exit::Fatal(_)) | None => Self::Failed(ExitReason::from_box(error)),
        }
    }

    pub(crate) fn into_box(self) -> BoxError {
        match self {
            Self::Ignored => Exit::Ignore.into(),
            Self::Failed(reason) => ReasonError(reason).into(),
        }
    }
}

impl From<ExitReason> for NotUp {
    fn from(reason: ExitReason) -> Self {
        Self::Failed(reason)
    }
}
