//! What is shown of a node.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::child_spec::{Restart, Strategy};
use crate::exit::ExitClass;
use crate::machine::Handling;
use crate::path::ActorPath;

/// What a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Its first start is under way.
    Starting,
    /// It is up.
    Running,
    /// It is being stopped.
    Stopping,
    /// A later start is under way or next.
    Restarting,
    /// It will be started again at `at`.
    BackingOff {
        /// When, in epoch milliseconds.
        at: i64,
        /// Which retry that will be.
        attempt: u32,
        /// How many there will be at most.
        max_attempts: Option<u32>,
    },
    /// Its retries for now are used up; it is tried again at `until`.
    CoolingDown {
        /// When, in epoch milliseconds.
        until: i64,
    },
    /// Its start said that there is nothing to run.
    Ignored,
    /// It ended and is not to be restarted, or was stopped by hand.
    Exited,
    /// It failed and stays down until somebody acts.
    Failed,
    /// It ended while its restarts were suspended.
    Suspended,
    /// It was killed and does not die.
    Zombie,
}

impl NodeState {
    /// The name used in logs and on the wire.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Restarting => "restarting",
            Self::BackingOff { .. } => "backing_off",
            Self::CoolingDown { .. } => "cooling_down",
            Self::Ignored => "ignored",
            Self::Exited => "exited",
            Self::Failed => "failed",
            Self::Suspended => "suspended",
            Self::Zombie => "zombie",
        }
    }
}

/// One end of an incarnation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitRecord {
    /// What sort of end.
    pub class: ExitClass,
    /// The reason in words, at most 512 bytes.
    pub text: String,
    /// `file:line:column` of a panic.
    pub location: Option<String>,
    /// When, in epoch milliseconds.
    pub at: i64,
    /// Which incarnation.
    pub incarnation: u64,
    /// What followed.
    pub handling: Handling,
}

/// How much of a restart intensity is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntensityView {
    /// Restarts within the period when last looked at.
    pub used: usize,
    /// More than this are too many.
    pub max: u32,
    /// The period.
    pub period: Duration,
}

/// What an actor says it is busy with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusyView {
    /// With what.
    pub what: String,
    /// Since when, in epoch milliseconds.
    pub since: i64,
}

/// A mailbox at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxView {
    /// Messages in it, the one in hand included.
    pub depth: u64,
    /// How many there is room for.
    pub bound: u64,
    /// How long the oldest has waited, at most.
    pub oldest: Option<Duration>,
}

/// Counters of a node at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeMetrics {
    /// The node.
    pub id: u64,
    /// Its mailbox.
    pub mailbox: MailboxView,
    /// Messages handled over all incarnations.
    pub handled: u64,
    /// Those among them that ended an incarnation.
    pub failed: u64,
    /// How long the message in hand has been worked on.
    pub in_hand: Option<Duration>,
}

/// Switches of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeFlags {
    /// Its end may end its supervisor.
    pub significant: bool,
    /// Its restarts are suspended by hand.
    pub suspended: bool,
    /// It belongs to a worker, not to a supervisor.
    pub worker_child: bool,
    /// It has a restart budget of its own.
    pub isolated: bool,
}

/// A node of the tree.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// Its number; never used twice.
    pub id: u64,
    /// The number of its parent; the root has none.
    pub parent: Option<u64>,
    /// Where it stands.
    pub path: ActorPath,
    /// Its id under its parent.
    pub name: String,
    /// What sort of thing it is.
    pub kind: &'static str,
    /// Whether it supervises others.
    pub is_supervisor: bool,
    /// What it is doing.
    pub state: NodeState,
    /// The current or last incarnation; 0 before the first start.
    pub incarnation: u64,
    /// When this incarnation came up, in epoch milliseconds.
    pub started_at: Option<i64>,
    /// Automatic restarts so far.
    pub restarts: u64,
    /// Retries in a row.
    pub attempt: u32,
    /// How many there will be at most.
    pub max_attempts: Option<u32>,
    /// How the last incarnation ended.
    pub last_exit: Option<ExitRecord>,
    /// Its restart type; the root has none.
    pub restart: Option<Restart>,
    /// The strategy of a supervisor.
    pub strategy: Option<Strategy>,
    /// The restart intensity of a supervisor.
    pub intensity: Option<IntensityView>,
    /// A name for people.
    pub label: Option<String>,
    /// What it shows of itself.
    pub detail: BTreeMap<&'static str, String>,
    /// What it says it is busy with.
    pub busy: Option<BusyView>,
    /// Its mailbox; a supervisor shows none.
    pub mailbox: Option<MailboxView>,
    /// Messages handled over all incarnations.
    pub handled: u64,
    /// Those among them that ended an incarnation.
    pub failed: u64,
    /// How long the message in hand has been worked on.
    pub in_hand: Option<Duration>,
    /// Switches.
    pub flags: NodeFlags,
}

/// Which nodes to show. The default is all.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Only this node and what is below it.
    pub root: Option<ActorPath>,
    /// Only this many levels below the root; 0 = the root alone.
    pub depth: Option<usize>,
    /// At most this many nodes, parents before children, in start order.
    pub limit: Option<usize>,
}

/// The tree at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Which life of the store this is; numbers of another life mean nothing here.
    pub epoch: u64,
    /// The number of the last batch that is in it.
    pub seq: u64,
    /// When it was taken, in epoch milliseconds.
    pub at: i64,
    /// The nodes, parents before children, in start order.
    pub nodes: Vec<NodeView>,
}
