//! What a supervisor needs to know of a child: how to start it, and what to do when it ends.
//!
//! The policy belongs to the parent; the child never sees it. All specs of a supervisor are checked together, before
//! anything starts.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use ractor::ActorCell;
use tokio_util::sync::CancellationToken;

use crate::backoff::{BackoffError, BackoffPolicy};
use crate::checkpoint::Checkpoint;
use crate::exit::ExitReason;
use crate::mailbox::Mailbox;
use crate::path::{ActorPath, ChildId};
use crate::shell::seat::{ErasedSlot, Seating};

mod policy;

pub use policy::{AutoShutdown, ChildKind, Intensity, Restart, Shutdown, StopMode, Strategy};

/// How long a worker gets to stop before it is killed (OTP's default).
const WORKER_SHUTDOWN: Duration = Duration::from_secs(5);
/// How long a start may take before it is given up.
const INIT_TIMEOUT: Duration = Duration::from_secs(30);

/// What one start of a child is told about itself. Handed to `make`.
pub struct StartCtx {
    pub(crate) path: ActorPath,
    pub(crate) incarnation: u64,
    pub(crate) attempt: u32,
    pub(crate) last_exit: Option<Arc<ExitReason>>,
    pub(crate) cancel: CancellationToken,
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
        &self.cancel
    }

    /// Soft state left by earlier incarnations.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
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

/// Starts one incarnation.
pub(crate) type StartFn = Arc<dyn Fn(StartCtx) -> BoxFuture<'static, Result<ActorCell, ExitReason>> + Send + Sync>;

/// A child: how to start it and what to do when it ends. Made by [`ChildSpec::actor`] and its siblings, then adjusted.
#[derive(Clone)]
pub struct ChildSpec {
    pub(crate) id: ChildId,
    pub(crate) kind: &'static str,
    pub(crate) child_kind: ChildKind,
    pub(crate) start: StartFn,
    pub(crate) slot: Option<Arc<dyn ErasedSlot>>,
    pub(crate) restart: Restart,
    pub(crate) shutdown: Shutdown,
    pub(crate) stop_mode: StopMode,
    pub(crate) significant: bool,
    pub(crate) init_timeout: Duration,
    pub(crate) backoff: Option<Arc<BackoffPolicy>>,
    pub(crate) counts: bool,
    pub(crate) mailbox: Mailbox,
    pub(crate) label: Option<Arc<str>>,
}

impl ChildSpec {
    pub(crate) fn new(id: ChildId, kind: &'static str, child_kind: ChildKind, start: StartFn) -> Self {
        let (shutdown, init_timeout) = match child_kind {
            ChildKind::Worker => (Shutdown::Timeout(WORKER_SHUTDOWN), INIT_TIMEOUT),
            ChildKind::Supervisor => (Shutdown::Infinity, Duration::MAX),
        };
        Self {
            id,
            kind,
            child_kind,
            start,
            slot: None,
            restart: Restart::Permanent,
            shutdown,
            stop_mode: StopMode::Stop,
            significant: false,
            init_timeout,
            backoff: None,
            counts: true,
            mailbox: Mailbox::default(),
            label: None,
        }
    }

    /// The child's id.
    #[must_use]
    pub fn id(&self) -> &ChildId {
        &self.id
    }

    /// What sort of thing the child is, as shown in the tree ("session", "channel", …).
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Whether it is started again when it ends. Default: permanent.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// How it is stopped. Default: five seconds for a worker, as long as it takes for a supervisor.
    #[must_use]
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// Whether its queue is emptied before it stops. Default: no.
    #[must_use]
    pub fn stop_mode(mut self, mode: StopMode) -> Self {
        self.stop_mode = mode;
        self
    }

    /// Delays and limits of its restarts. Default: at once, bounded by the supervisor's intensity alone.
    #[must_use]
    pub fn backoff(mut self, policy: BackoffPolicy) -> Self {
        self.backoff = Some(Arc::new(policy));
        self
    }

    /// Whether its restarts count against the supervisor's intensity. Default: yes.
    ///
    /// A child that does not count and has a backoff is *isolated*: a failed first start is treated like a later
    /// failure, by its own policy, and neither fails the supervisor's start nor forgets the spec.
    #[must_use]
    pub fn counts(mut self, counts: bool) -> Self {
        self.counts = counts;
        self
    }

    /// How long a start may take. Default: 30 s for a worker, unlimited for a supervisor.
    #[must_use]
    pub fn init_timeout(mut self, limit: Duration) -> Self {
        self.init_timeout = limit;
        self
    }

    /// Whether its end may end the supervisor, see [`AutoShutdown`]. Default: no.
    #[must_use]
    pub fn significant(mut self, significant: bool) -> Self {
        self.significant = significant;
        self
    }

    /// The bound of its mailbox. Default: 64 messages, more are refused.
    #[must_use]
    pub fn mailbox(mut self, mailbox: Mailbox) -> Self {
        self.mailbox = mailbox;
        self
    }

    /// A name for people, shown beside the id.
    #[must_use]
    pub fn label(mut self, label: String) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy {
            restart: self.restart,
            significant: self.significant,
            counts: self.counts,
            supervisor: self.child_kind == ChildKind::Supervisor,
            backoff: self.backoff.clone(),
        }
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("restart", &self.restart)
            .field("shutdown", &self.shutdown)
            .finish_non_exhaustive()
    }
}

/// The part of a spec that decisions depend on.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) restart: Restart,
    pub(crate) significant: bool,
    pub(crate) counts: bool,
    pub(crate) supervisor: bool,
    pub(crate) backoff: Option<Arc<BackoffPolicy>>,
}

impl Policy {
    /// Has a restart budget of its own, so its failures are nobody else's.
    pub(crate) fn isolated(&self) -> bool {
        !self.counts && self.backoff.is_some() && self.restart != Restart::Temporary
    }
}

/// A supervisor's children and rules.
#[derive(Clone, Debug)]
pub struct SupervisorSpec {
    /// Which siblings are restarted with a child.
    pub strategy: Strategy,
    /// How many restarts are too many.
    pub intensity: Intensity,
    /// Whether it ends with its significant children.
    pub auto_shutdown: AutoShutdown,
    /// Children, in start order.
    pub children: Vec<ChildSpec>,
}

impl Default for SupervisorSpec {
    fn default() -> Self {
        Self {
            strategy: Strategy::OneForOne,
            intensity: Intensity::default(),
            auto_shutdown: AutoShutdown::Never,
            children: Vec::new(),
        }
    }
}

/// A specification that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Two children with one id.
    #[error("duplicate child id {0}")]
    DuplicateId(ChildId),
    /// A child without a name.
    #[error("empty child id")]
    EmptyId,
    /// A permanent child never ends by itself, so it cannot be significant.
    #[error("child {0} is permanent and significant")]
    SignificantPermanent(ChildId),
    /// A significant child under a supervisor that ignores significance.
    #[error("child {0} is significant but the supervisor never shuts down by itself")]
    SignificantIgnored(ChildId),
    /// An intensity over no time.
    #[error("the intensity period is zero")]
    ZeroPeriod,
    /// A mailbox without room.
    #[error("child {0} has a mailbox of zero messages")]
    ZeroMailbox(ChildId),
    /// A backoff policy that makes no sense.
    #[error("child {0}")]
    Backoff(ChildId, #[source] BackoffError),
}

/// Checks all specs of a supervisor together.
///
/// # Errors
/// The first thing found to be wrong.
pub fn check_specs(specs: &[ChildSpec], auto_shutdown: AutoShutdown) -> Result<(), SpecError> {
    let mut ids = HashSet::with_capacity(specs.len());
    for spec in specs {
        check_spec(spec, auto_shutdown)?;
        if !ids.insert(&spec.id) {
            return Err(SpecError::DuplicateId(spec.id.clone()));
        }
    }
    Ok(())
}

pub(crate) fn check_spec(spec: &ChildSpec, auto_shutdown: AutoShutdown) -> Result<(), SpecError> {
    if spec.id.as_str().is_empty() {
        return Err(SpecError::EmptyId);
    }
    if spec.significant && spec.restart == Restart::Permanent {
        return Err(SpecError::SignificantPermanent(spec.id.clone()));
    }
    if spec.significant && auto_shutdown == AutoShutdown::Never {
        return Err(SpecError::SignificantIgnored(spec.id.clone()));
    }
    if spec.mailbox.bound() == 0 {
        return Err(SpecError::ZeroMailbox(spec.id.clone()));
    }
    match &spec.backoff {
        Some(policy) => policy.check().map_err(|error| SpecError::Backoff(spec.id.clone(), error)),
        None => Ok(()),
    }
}
