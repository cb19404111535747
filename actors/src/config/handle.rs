//! How everybody else sees the configuration.

use std::sync::Arc;
use std::time::Duration;

use supervision::{CallError, Reply, Slot};
use tokio::sync::watch;

use super::actor::{ConfigMessage, ReloadError};
use super::snapshot::ConfigSnapshot;
use super::write::WriteError;

/// How long a reload or a write may take. Both are a few reads and at most three syncs.
const PATIENCE: Duration = Duration::from_secs(10);

/// What outlives the owner: the published snapshot, the one the process came up with, the owner's address.
pub(super) struct Shared {
    pub(super) published: watch::Sender<Arc<ConfigSnapshot>>,
    pub(super) booted: Arc<ConfigSnapshot>,
    pub(super) slot: Slot<ConfigMessage>,
}

/// The current configuration and its changes. Cheap to clone; outlives restarts of the owner.
#[derive(Clone)]
pub struct ConfigHandle(pub(super) Arc<Shared>);

impl ConfigHandle {
    /// The configuration the process comes up with, as revision 1. [`child_spec`](super::child_spec) makes its owner.
    #[must_use]
    pub fn new(mut booted: ConfigSnapshot) -> Self {
        booted.revision = 1;
        let booted = Arc::new(booted);
        Self(Arc::new(Shared { published: watch::Sender::new(Arc::clone(&booted)), booted, slot: Slot::new() }))
    }

    /// A configuration that never changes and has no owner, for tests and tools.
    #[must_use]
    pub fn fixed(snapshot: ConfigSnapshot) -> Self {
        Self::new(snapshot)
    }

    /// The newest accepted snapshot, without waiting.
    #[must_use]
    pub fn current(&self) -> Arc<ConfigSnapshot> {
        self.0.published.borrow().clone()
    }

    /// Follows accepted snapshots. The current one counts as seen. A slow reader sees the newest, not each.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Arc<ConfigSnapshot>> {
        self.0.published.subscribe()
    }

    /// Reads the file again, now. What is found is published even when `gateway.reload.mode` is `off`.
    ///
    /// # Errors
    /// When the file is refused or gone: the last good snapshot stays. When there is no owner.
    pub async fn reload(&self) -> Result<Arc<ConfigSnapshot>, ReloadError> {
        let answer = self.0.slot.address().call(|reply| ConfigMessage::Reload { reply }, PATIENCE).await;
        answer.unwrap_or_else(|error| Err(ReloadError::Unavailable(unavailable(&error))))
    }

    /// Checks `raw`, makes it the file and publishes it. `base_hash` is the hash of the snapshot `raw` started from.
    ///
    /// # Errors
    /// See [`WriteError`]; the file is then as before, except for [`WriteError::Unavailable`], which leaves it open.
    pub async fn set(&self, raw: String, base_hash: Option<String>) -> Result<Arc<ConfigSnapshot>, WriteError> {
        let build = |reply: Reply<_>| ConfigMessage::Set { raw, base_hash, reply };
        match self.0.slot.address().call(build, PATIENCE).await {
            Ok(answer) => answer,
            Err(error) => Err(WriteError::Unavailable(unavailable(&error))),
        }
    }
}

fn unavailable(error: &CallError) -> String {
    error.to_string()
}

impl std::fmt::Debug for ConfigHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigHandle").field("revision", &self.current().revision).finish_non_exhaustive()
    }
}
