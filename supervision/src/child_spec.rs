//! What a supervisor needs to know of a child: how to start it, and what to do when it ends.
//!
//! The policy belongs to the parent; the child never sees it. All specs of a supervisor are checked together, before
//! anything starts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use ractor::ActorCell;

use crate::backoff::BackoffPolicy;
use crate::incarnation::NotUp;
use crate::mailbox::Mailbox;
use crate::panics::Quiet;
use crate::path::ChildId;
use crate::shell::seat::ErasedSlot;

mod check;
mod policy;
mod start_ctx;
mod view;

pub(crate) use check::check_spec;
pub use check::{SpecError, check_specs};
pub use policy::{AutoShutdown, ChildKind, Intensity, Redaction, Restart, Shutdown, StartMode, StopMode, Strategy};
pub use start_ctx::StartCtx;
pub use view::SpecView;

/// How long a worker gets to stop before it is killed (OTP's default).
const WORKER_SHUTDOWN: Duration = Duration::from_secs(5);
/// How long a start may take before it is given up.
const INIT_TIMEOUT: Duration = Duration::from_secs(30);

/// Starts one incarnation.
pub(crate) type StartFn = Arc<dyn Fn(StartCtx) -> BoxFuture<'static, Result<ActorCell, NotUp>> + Send + Sync>;
/// Makes a child's spec afresh, after the template it came from was replaced.
pub(crate) type RemakeFn = Arc<dyn Fn() -> ChildSpec + Send + Sync>;

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
    pub(crate) carry_state: bool,
    pub(crate) handler_limit: Option<Duration>,
    pub(crate) remake: Option<RemakeFn>,
    pub(crate) redaction: Redaction,
}

impl ChildSpec {
    pub(crate) fn new(id: ChildId, kind: &'static str, child_kind: ChildKind, start: StartFn) -> Self {
        let (shutdown, init_timeout) = match child_kind {
            ChildKind::Worker => (Shutdown::Timeout(WORKER_SHUTDOWN), INIT_TIMEOUT),
            ChildKind::Supervisor => (Shutdown::Infinity, Duration::MAX),
        };
        // What it captures is let go of by supervisors.
        let start = Quiet::new(start);
        let start: StartFn = Arc::new(move |ctx| start.get()(ctx));
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
            carry_state: false,
            handler_limit: None,
            remake: None,
            redaction: Redaction::Public,
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

    /// Whether the state of an incarnation that ended cleanly is given to the next one. Default: no.
    ///
    /// After a panic, an error or a kill the state may be half changed, so it is dropped.
    #[must_use]
    pub fn carry_state(mut self, carry: bool) -> Self {
        self.carry_state = carry;
        self
    }

    /// How long one message may be worked on before the incarnation is ended with an error. Default: without limit.
    ///
    /// It ends a handler that waits; one that blocks its thread cannot be ended, only shown.
    #[must_use]
    pub fn handler_limit(mut self, limit: Duration) -> Self {
        self.handler_limit = Some(limit);
        self
    }

    /// What the spec says, to be looked at.
    #[must_use]
    pub fn view(&self) -> SpecView {
        SpecView {
            id: self.id.clone(),
            kind: self.kind,
            restart: self.restart,
            shutdown: self.shutdown,
            stop_mode: self.stop_mode,
            significant: self.significant,
            is_supervisor: self.child_kind == ChildKind::Supervisor,
            init_timeout: self.init_timeout,
            backoff: self.backoff.as_deref().cloned(),
            counts: self.counts,
            mailbox: self.mailbox,
            handler_limit: self.handler_limit,
        }
    }

    /// Who may read its id, its label and what it says, in the tree. Reaches everything below it; fixed when the child
    /// is added. Default: everybody who may see the tree.
    #[must_use]
    pub fn redact(mut self, redaction: Redaction) -> Self {
        self.redaction = redaction;
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
    /// How its children are started.
    pub starts: StartMode,
    /// Children, in start order.
    pub children: Vec<ChildSpec>,
}

impl Default for SupervisorSpec {
    fn default() -> Self {
        Self {
            strategy: Strategy::OneForOne,
            intensity: Intensity::default(),
            auto_shutdown: AutoShutdown::Never,
            starts: StartMode::Ordered,
            children: Vec::new(),
        }
    }
}
