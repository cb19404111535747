//! Every life-cycle event, once, with its fields: as a value for observers, and as a line of the log with target
//! `supervision`.
//!
//! In the log, `warn`: it healed or degraded by itself. `error`: somebody must act.

use std::time::Duration;

use crate::exit::{ExitClass, ExitReason};
use crate::machine::Handling;
use crate::mailbox::DeadLetter;
use crate::path::ActorPath;
use crate::tree::{ExitRecord, MailboxLevel, NodeFacts, TreeStore};

/// Longest text in an event.
const MAX_TEXT: usize = 256;

/// Whom an event is about. Not redacted: observers are part of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whom {
    /// The number of the node.
    pub id: u64,
    /// Where it stands.
    pub path: ActorPath,
    /// What sort of thing it is.
    pub kind: &'static str,
    /// The incarnation it was in.
    pub incarnation: u64,
}

impl Whom {
    pub(crate) fn of(facts: &NodeFacts) -> Self {
        Self { id: facts.id, path: facts.path.clone(), kind: facts.kind, incarnation: facts.incarnation }
    }
}

/// How an incarnation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// What sort of end.
    pub class: ExitClass,
    /// The reason in words, at most 256 bytes.
    pub text: String,
    /// What follows.
    pub handling: Handling,
}

impl Ending {
    pub(crate) fn of(exit: &ExitRecord) -> Self {
        let mut text = exit.text.clone();
        crate::text::cut(&mut text, MAX_TEXT);
        Self { class: exit.class, text, handling: exit.handling }
    }
}

/// Something that happened in the tree. Told to the observers of a [`TreeStore`] at once, in order for each node, and
/// never left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TelemetryEvent {
    /// A child was added to its supervisor.
    SpecAdded(Whom),
    /// A node is gone, with its spec; what was below it has gone before.
    SpecRemoved(Whom),
    /// An incarnation begins: its start is under way.
    Spawned(Whom),
    /// A start failed.
    InitFailed(Whom, Ending),
    /// An incarnation is up.
    Running(Whom),
    /// It is up again after an end.
    Restarted {
        /// Who.
        whom: Whom,
        /// The time since that end.
        took: Duration,
    },
    /// An incarnation ended as it should.
    ExitClean(Whom, Ending),
    /// An incarnation ended otherwise.
    ExitAbnormal(Whom, Ending),
    /// It will be started again later.
    RestartScheduled {
        /// Who.
        whom: Whom,
        /// When, in epoch milliseconds.
        at: i64,
        /// Which retry that will be.
        attempt: u32,
    },
    /// Its retries for now are used up.
    CoolingDown {
        /// Who.
        whom: Whom,
        /// When it is tried again, in epoch milliseconds.
        until: i64,
    },
    /// Its retries are used up for good.
    GaveUp(Whom),
    /// A supervisor ends because its children fail too often.
    Meltdown {
        /// The supervisor.
        whom: Whom,
        /// The last child that failed.
        child: String,
        /// Restarts within the period.
        restarts: u32,
    },
    /// It is being stopped.
    Stopping(Whom),
    /// It did not stop in time and was killed.
    ShutdownTimeout(Whom),
    /// It was killed and does not die. The node is the one that shows it from now on.
    Zombie(Whom),
    /// Its mailbox has reached a limit.
    MailboxHigh {
        /// Whose.
        whom: Whom,
        /// Which limit.
        level: MailboxLevel,
        /// Messages in it.
        depth: u64,
        /// How many there is room for.
        bound: u64,
    },
    /// Its mailbox is below the limits again.
    MailboxNormal {
        /// Whose.
        whom: Whom,
        /// Messages in it.
        depth: u64,
    },
    /// It has been working on one message for too long, and still is. Said once for a message.
    SlowHandler {
        /// Who.
        whom: Whom,
        /// For how long.
        elapsed: Duration,
    },
    /// A directory has brought the actor of a key up.
    Activated(Whom),
    /// A directory lets it go, because it is idle.
    Passivated(Whom),
    /// A directory gave a message up. The crash that led there is told as well.
    DeadLetter(DeadLetter),
    /// A call was refused because it would have waited for itself.
    WaitCycle {
        /// From the caller, over those who already wait for each other, back to the caller.
        paths: Vec<ActorPath>,
    },
}

impl TelemetryEvent {
    /// Its name, in snake case.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::SpecAdded(_) => "spec_added",
            Self::SpecRemoved(_) => "spec_removed",
            Self::Spawned(_) => "spawned",
            Self::InitFailed(..) => "init_failed",
            Self::Running(_) => "running",
            Self::Restarted { .. } => "restarted",
            Self::ExitClean(..) => "exit_clean",
            Self::ExitAbnormal(..) => "exit_abnormal",
            Self::RestartScheduled { .. } => "restart_scheduled",
            Self::CoolingDown { .. } => "cooling_down",
            Self::GaveUp(_) => "gave_up",
            Self::Meltdown { .. } => "meltdown",
            Self::Stopping(_) => "stopping",
            Self::ShutdownTimeout(_) => "shutdown_timeout",
            Self::Zombie(_) => "zombie",
            Self::MailboxHigh { .. } => "mailbox_high",
            Self::MailboxNormal { .. } => "mailbox_normal",
            Self::SlowHandler { .. } => "slow_handler",
            Self::Activated(_) => "activated",
            Self::Passivated(_) => "passivated",
            Self::DeadLetter(_) => "dead_letter",
            Self::WaitCycle { .. } => "wait_cycle",
        }
    }

    /// Whom it is about; a cycle is about several, and a dead letter names only types.
    #[must_use]
    pub fn whom(&self) -> Option<&Whom> {
        match self {
            Self::SpecAdded(whom)
            | Self::SpecRemoved(whom)
            | Self::Spawned(whom)
            | Self::InitFailed(whom, _)
            | Self::Running(whom)
            | Self::Restarted { whom, .. }
            | Self::ExitClean(whom, _)
            | Self::ExitAbnormal(whom, _)
            | Self::RestartScheduled { whom, .. }
            | Self::CoolingDown { whom, .. }
            | Self::GaveUp(whom)
            | Self::Meltdown { whom, .. }
            | Self::Stopping(whom)
            | Self::ShutdownTimeout(whom)
            | Self::Zombie(whom)
            | Self::Activated(whom)
            | Self::Passivated(whom)
            | Self::MailboxHigh { whom, .. }
            | Self::MailboxNormal { whom, .. }
            | Self::SlowHandler { whom, .. } => Some(whom),
            Self::DeadLetter(_) | Self::WaitCycle { .. } => None,
        }
    }
}

/// An incarnation ended and `handling` follows.
pub(crate) fn ended(path: &ActorPath, incarnation: u64, reason: &ExitReason, handling: Handling, attempt: u32) {
    let (class, next, location) = (reason.class().as_str(), handling.as_str(), reason.location());
    // The text is made only for those who read it: this runs for every end of every child.
    match handling {
        Handling::Restart | Handling::Backoff | Handling::CoolDown => {
            tracing::warn!(target: "supervision", %path, incarnation, class, text = reason.text(), location, next, attempt, "child ended");
        }
        Handling::GaveUp | Handling::Failed | Handling::Escalated => {
            tracing::error!(target: "supervision", %path, incarnation, class, text = reason.text(), location, next, attempt, "child ended");
        }
        Handling::Ended | Handling::Stopped | Handling::Suspended if reason.is_clean() => {
            tracing::debug!(target: "supervision", %path, incarnation, class, text = reason.text(), next, "child ended");
        }
        Handling::Ended | Handling::Stopped | Handling::Suspended => {
            tracing::warn!(target: "supervision", %path, incarnation, class, text = reason.text(), location, next, "child ended");
        }
    }
}

/// A supervisor gives up because its children fail too often.
pub(crate) fn meltdown(tree: &TreeStore, node: u64, path: &ActorPath, child: &str, restarts: u32) {
    tracing::error!(target: "supervision", %path, child, restarts, "meltdown");
    let child = child.to_owned();
    tree.tell_of(node, |whom| TelemetryEvent::Meltdown { whom, child, restarts });
}

/// What the watchdog has found.
pub(crate) fn found(tree: &TreeStore, event: TelemetryEvent) {
    match &event {
        TelemetryEvent::SlowHandler { whom, elapsed } => {
            let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(target: "supervision", path = %whom.path, incarnation = whom.incarnation, elapsed_ms, "slow handler");
        }
        TelemetryEvent::MailboxHigh { whom, level, depth, bound } => {
            let level = level.as_str();
            tracing::warn!(target: "supervision", path = %whom.path, level, depth, bound, "mailbox fills up");
        }
        TelemetryEvent::MailboxNormal { whom, depth } => {
            tracing::info!(target: "supervision", path = %whom.path, depth, "mailbox has room again");
        }
        TelemetryEvent::WaitCycle { paths } => {
            tracing::warn!(target: "supervision", ?paths, "call refused, it would wait for itself");
        }
        TelemetryEvent::SpecAdded(_)
        | TelemetryEvent::SpecRemoved(_)
        | TelemetryEvent::Spawned(_)
        | TelemetryEvent::InitFailed(..)
        | TelemetryEvent::Running(_)
        | TelemetryEvent::Restarted { .. }
        | TelemetryEvent::ExitClean(..)
        | TelemetryEvent::ExitAbnormal(..)
        | TelemetryEvent::RestartScheduled { .. }
        | TelemetryEvent::CoolingDown { .. }
        | TelemetryEvent::GaveUp(_)
        | TelemetryEvent::Meltdown { .. }
        | TelemetryEvent::Stopping(_)
        | TelemetryEvent::ShutdownTimeout(_)
        | TelemetryEvent::Zombie(_)
        | TelemetryEvent::Activated(_)
        | TelemetryEvent::Passivated(_)
        | TelemetryEvent::DeadLetter(_) => {}
    }
    tree.tell(event);
}

/// Somebody had to be killed.
pub(crate) fn stopped_late(tree: &TreeStore, path: &ActorPath) {
    if let Some(id) = tree.id_at(path) {
        tree.tell_of(id, TelemetryEvent::ShutdownTimeout);
    }
}
