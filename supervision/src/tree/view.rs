//! What is shown of a node.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::exit::ExitClass;
use crate::machine::Handling;

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

    /// How much it asks for somebody's attention; the highest is the worst.
    #[must_use]
    pub fn severity(&self) -> u8 {
        match self {
            Self::Running => 0,
            Self::Ignored => 1,
            Self::Exited => 2,
            Self::Starting => 3,
            Self::Stopping => 4,
            Self::Suspended => 5,
            Self::Restarting => 6,
            Self::BackingOff { .. } => 7,
            Self::CoolingDown { .. } => 8,
            Self::Failed => 9,
            Self::Zombie => 10,
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

/// How full a mailbox is, by the limits of the watchdog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum MailboxLevel {
    /// Below the first limit.
    #[default]
    Normal,
    /// At or above the first limit.
    High,
    /// At or above the second limit.
    Critical,
}

impl MailboxLevel {
    /// The name used in logs and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What the watchdog found to be wrong with a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alerts {
    /// Since when its handler is busy with one message, in epoch milliseconds, if that is too long.
    pub slow_handler: Option<i64>,
    /// How full its mailbox is.
    pub mailbox: MailboxLevel,
    /// The nodes it has been waiting for, for too long.
    pub waits_for: Vec<u64>,
}

impl Alerts {
    /// True if nothing is wrong.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        *self == Self::default()
    }
}

/// What a node shows of itself, by key. Clones share it; an empty one holds no memory.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Detail(Option<Arc<BTreeMap<&'static str, String>>>);

impl Detail {
    pub(crate) fn set(&mut self, key: &'static str, value: String) {
        Arc::make_mut(self.0.get_or_insert_default()).insert(key, value);
    }

    /// True if there was something to take away.
    pub(crate) fn unset(&mut self, key: &'static str) -> bool {
        if !self.contains_key(key) {
            return false;
        }
        if self.len() == 1 {
            self.0 = None;
        } else if let Some(facts) = &mut self.0 {
            Arc::make_mut(facts).remove(key);
        }
        true
    }
}

impl Deref for Detail {
    type Target = BTreeMap<&'static str, String>;

    fn deref(&self) -> &Self::Target {
        static NOTHING: BTreeMap<&'static str, String> = BTreeMap::new();
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl fmt::Debug for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
