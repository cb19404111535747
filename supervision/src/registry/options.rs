//! A directory's rules and refusals.

use std::fmt;
use std::time::Duration;

use crate::backoff::{BackoffPolicy, Exhausted, Jitter, ResetRule};
use crate::call::CallError;
use crate::partition::PartitionSlot;
use crate::registry::NodeName;
use crate::supervisor::{AdminError, SupervisorHandle, SupervisorSlot};
use crate::tree::TreeStore;

/// The rules of a directory.
#[derive(Clone, Debug)]
pub struct DirectoryOptions {
    /// An actor nobody has written to for this long, and that has nothing to do, is let go by a sweep.
    pub idle_after: Duration,
    /// At most this many live actors; one that has been idle for long makes room, see [`Directory`]. A start that finds
    /// nobody idle is refused. Only a child that its supervisor brings back by itself may go beyond.
    ///
    /// [`Directory`]: crate::Directory
    pub max_live: usize,
    /// How long a sender waits for an ending incarnation to be gone, or for one to come up.
    pub patience: Duration,
    /// How long a key that keeps crashing is refused after each crash. `None`: not at all.
    pub crash_backoff: Option<BackoffPolicy>,
}

impl Default for DirectoryOptions {
    /// Idle after ten minutes, ten thousand live actors, 30 s of patience, crash delays from 50 ms to 10 s.
    fn default() -> Self {
        Self {
            idle_after: Duration::from_secs(600),
            max_live: 10_000,
            patience: Duration::from_secs(30),
            crash_backoff: Some(BackoffPolicy {
                initial: Duration::from_millis(50),
                max: Duration::from_secs(10),
                factor: 2.0,
                jitter: Jitter::None,
                max_attempts: None,
                reset_after: ResetRule::Stable(Duration::from_secs(30)),
                window: None,
                on_exhausted: Exhausted::GiveUp,
            }),
        }
    }
}

impl DirectoryOptions {
    /// How long a crash is remembered. `None`: not at all.
    pub(super) fn crash_memory(&self) -> Option<Duration> {
        let policy = self.crash_backoff.as_ref()?;
        Some(match policy.reset_after {
            ResetRule::Stable(stable) => stable.max(policy.max),
            ResetRule::OnStart | ResetRule::Never => policy.max,
        })
    }

    /// The delay after one more crash. The first is free.
    pub(super) fn crash_delay(&self, crashes: &mut u32, ran: Duration) -> Option<Duration> {
        let policy = self.crash_backoff.as_ref()?;
        match policy.reset_after {
            ResetRule::Stable(stable) if ran >= stable => *crashes = 0,
            ResetRule::OnStart => *crashes = 0,
            ResetRule::Stable(_) | ResetRule::Never => {}
        }
        *crashes = crashes.saturating_add(1);
        let retries = crashes.checked_sub(1).filter(|retries| *retries > 0)?;
        Some(policy.delay(retries, &mut rand::rng()))
    }
}

/// Whose children a directory's actors are.
#[derive(Clone, Debug)]
pub enum DirectoryParent {
    /// One dynamic supervisor.
    Supervisor(SupervisorHandle),
    /// Several, picked by the key.
    Partition(PartitionSlot),
}

impl DirectoryParent {
    /// The tree its actors are part of, once its supervisor has been started.
    pub(crate) fn tree(&self) -> Option<TreeStore> {
        match self {
            Self::Supervisor(handle) => handle.tree(),
            Self::Partition(slot) => slot.handles().next()?.tree(),
        }
    }
}

impl From<SupervisorHandle> for DirectoryParent {
    fn from(handle: SupervisorHandle) -> Self {
        Self::Supervisor(handle)
    }
}

impl From<&SupervisorSlot> for DirectoryParent {
    fn from(slot: &SupervisorSlot) -> Self {
        Self::Supervisor(slot.handle())
    }
}

impl From<SupervisorSlot> for DirectoryParent {
    fn from(slot: SupervisorSlot) -> Self {
        Self::Supervisor(slot.handle())
    }
}

impl From<&PartitionSlot> for DirectoryParent {
    fn from(slot: &PartitionSlot) -> Self {
        Self::Partition(slot.clone())
    }
}

impl From<PartitionSlot> for DirectoryParent {
    fn from(slot: PartitionSlot) -> Self {
        Self::Partition(slot)
    }
}

/// Why a directory could not bring a message to its actor.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The actor's mailbox is full.
    #[error("the actor is busy")]
    Busy,
    /// The key has crashed too often lately; it is refused for this long.
    #[error("the actor crashed and is not started again before {0:?} have passed")]
    BackingOff(Duration),
    /// There are as many live actors as there may be, and none is idle.
    #[error("too many live actors")]
    Crowded,
    /// The actor did not start.
    #[error("the actor did not start")]
    Start(#[source] AdminError),
    /// The actor said at its start that it is not needed.
    #[error("the actor declined to start")]
    Ignored,
    /// An incarnation would neither end nor come up in time.
    #[error("the actor neither ends nor comes up")]
    Stuck,
    /// The key belongs to another node.
    #[error("the key belongs to node {0}")]
    Elsewhere(NodeName),
    /// The actor was there but the call failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// A message given back, and why.
pub struct Undelivered<M> {
    /// The message.
    pub message: M,
    /// Why it was not delivered.
    pub error: DirectoryError,
}

impl<M> fmt::Debug for Undelivered<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Undelivered").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<M> fmt::Display for Undelivered<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<M> std::error::Error for Undelivered<M> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
