//! The sessions there are: started by their first message, one incarnation per key, gone again when nobody talks.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use supervision::{
    BackoffPolicy, ChildSpec, Directory, DirectoryError, DirectoryOptions, DynamicOptions, Exhausted, Jitter, Mailbox,
    PartitionSlot, Redaction, Reply, ResetRule, Restart, Slot,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::handle::SessionsHandle;
use super::session::{SessionActor, SessionArgs, SessionMessage};
use super::working::Working;
use crate::agents::RunServices;
use crate::ids::SessionKey;
use crate::store::StoreHandle;

/// A session without talk leaves after this time; it costs a file read to come back.
const IDLE_AFTER: Duration = Duration::from_secs(10 * 60);
/// Most sessions with an actor; the longest idle ones leave first.
const MAX_LIVE: usize = 10_000;

/// What sessions share.
#[derive(Clone)]
pub struct SessionServices {
    /// For their runs.
    pub run: RunServices,
    /// The store.
    pub store: StoreHandle,
    /// Where transcripts are.
    pub state_dir: PathBuf,
    /// Numbers that only grow: of accepted input and of deliveries.
    pub sequence: Arc<AtomicU64>,
    /// Told when a delivery is ready.
    pub deliveries: Arc<dyn DeliveryPort>,
    /// Cancelled when the daemon goes down: no new input, and what waits is left to the next start.
    pub closing: CancellationToken,
    /// The runs at work.
    pub working: Working,
    /// Told when a session ended with something open. Its supervisor brings it back, unless that ended as well.
    pub orphaned: Arc<Notify>,
}

impl std::fmt::Debug for SessionServices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionServices")
    }
}

/// Told that something is in an outbox.
pub trait DeliveryPort: Send + Sync + 'static {
    /// The lane of this account has something to send.
    fn wake(&self, channel: &str, account: &str);
}

/// Nobody delivers.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoDeliveries;

impl DeliveryPort for NoDeliveries {
    fn wake(&self, _channel: &str, _account: &str) {}
}

/// All sessions.
#[derive(Clone)]
pub struct Sessions {
    directory: Directory<SessionKey, SessionMessage>,
    services: SessionServices,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sessions")
    }
}

/// A session that dies is started again at once, and ever more slowly when it keeps dying; it never takes others down.
fn policy() -> BackoffPolicy {
    BackoffPolicy {
        initial: Duration::from_millis(50),
        max: Duration::from_secs(30),
        factor: 3.0,
        jitter: Jitter::Additive(0.1),
        max_attempts: None,
        reset_after: ResetRule::Stable(Duration::from_secs(60)),
        window: None,
        on_exhausted: Exhausted::GiveUp,
    }
}

impl Sessions {
    /// The spec of the `sessions` supervisor, and the sessions below it.
    #[must_use]
    pub fn supervised(services: SessionServices, partitions: usize) -> (ChildSpec, SessionsHandle) {
        let slot = PartitionSlot::new();
        let spec = ChildSpec::partitioned("sessions", "supervisor", &slot, partitions, DynamicOptions::default());
        let for_children = services.clone();
        let template = move |key: &SessionKey, slot: &Slot<SessionMessage>| {
            let (key, services) = (key.clone(), for_children.clone());
            let id = key.to_string();
            let make = move |_: &_| (SessionActor, SessionArgs { key: key.clone(), services: services.clone() });
            ChildSpec::actor(id, "session", slot, make)
                .restart(Restart::Transient)
                .backoff(policy())
                .redact(Redaction::Personal)
                .mailbox(Mailbox::reject(256))
                .handler_limit(crate::HANDLER_LIMIT)
        };
        let options = DirectoryOptions { idle_after: IDLE_AFTER, max_live: MAX_LIVE, ..DirectoryOptions::default() };
        let directory = Directory::new(options, slot, template);
        (spec, SessionsHandle::new(Self { directory, services }))
    }

    pub(super) fn services(&self) -> &SessionServices {
        &self.services
    }

    pub(super) async fn call<R: Send + 'static>(
        &self,
        session: &SessionKey,
        build: impl Fn(Reply<R>) -> SessionMessage + Send,
        patience: Duration,
    ) -> Result<R, DirectoryError> {
        self.directory.call(session, build, patience).await
    }

    pub(super) async fn ensure(&self, session: &SessionKey) {
        if let Err(error) = self.directory.ensure(session).await {
            tracing::error!(session_key = %session, error = %error, "a session could not be started");
        }
    }

    /// Waits until a session has ended with something open.
    pub(crate) async fn orphaned(&self) {
        self.services.orphaned.notified().await;
    }

    /// Brings back a session that has something open, if nobody else does.
    pub(crate) async fn revive(&self, session: &SessionKey) {
        if self.is_live(session) {
            return;
        }
        // One that keeps failing waits for its time; the next look finds it again.
        if let Err(error) = self.directory.ensure(session).await {
            tracing::debug!(session_key = %session, error = %error, "a session with something open is not up yet");
        }
    }

    /// True when the session has an actor.
    #[must_use]
    pub fn is_live(&self, session: &SessionKey) -> bool {
        self.directory.is_live(session)
    }

    /// Sessions with an actor.
    #[must_use]
    pub fn live_count(&self) -> usize {
        self.directory.live_count()
    }

    /// Lets idle sessions leave; how many were asked to.
    pub fn sweep(&self) -> usize {
        self.directory.sweep()
    }
}
