//! What one start is told about itself.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::checkpoint::Checkpoint;
use crate::exit::ExitReason;
use crate::path::ActorPath;
use crate::shell::seat::Seating;

/// What one start of a child is told about itself. Handed to `make`.
pub struct StartCtx {
    pub(crate) path: ActorPath,
    pub(crate) incarnation: u64,
    pub(crate) attempt: u32,
    pub(crate) last_exit: Option<Arc<ExitReason>>,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) seating: Seating,
}

impl StartCtx {
    /// Where the child stands.
    #[must_use]
    pub fn path(&self) -> &ActorPath {
        &self.path
    }

    /// The how-manieth start of this child it is, counted from 1.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// How many retries in a row this start is part of; 0 for a first start.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// How the incarnation before ended.
    #[must_use]
    pub fn last_exit(&self) -> Option<&ExitReason> {
        self.last_exit.as_deref()
    }

    /// Cancelled when this incarnation is to stop.
    #[must_use]
    pub fn cancel(&self) -> &CancellationToken {
        self.seating.desk.cancel.token()
    }

    /// Soft state left by earlier incarnations.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The state of the incarnation before, if that ended cleanly, its spec says [`carry_state`](crate::ChildSpec::carry_state) and it is
    /// an `S`. Given once: here or to [`Ctx::carried`](crate::Ctx::carried).
    #[must_use]
    pub fn carried<S: Any + Send>(&self) -> Option<S> {
        self.seating.desk.take_given()
    }
}

impl fmt::Debug for StartCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartCtx")
            .field("path", &self.path)
            .field("incarnation", &self.incarnation)
            .finish_non_exhaustive()
    }
}
