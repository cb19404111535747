//! The supervision tree: `tree.snapshot`, `tree.subscribe`, `tree.get`, `tree.history`, `tree.act`, event `tree.delta`.
//!
//! These are this gateway's own. A client takes a snapshot or subscribes, then applies each delta whose `seq` is one
//! more than the last; after any other, or one with `reset`, it takes a new snapshot. Who follows a part of the tree goes by
//! `prevSeq` instead, see [`TreeDelta`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::params;
use crate::protocol::schema::{NAME, Object, Schema};

mod ask;

pub use ask::{ChildrenSummary, GetParams, SnapshotParams, SubscribeParams, SummariseParams, TopBy};

/// One actor by its path: `tree.history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryParams {
    /// Path as shown.
    pub path: String,
}
params!(HistoryParams, "tree.history", Object::closed(&["path"], &[("path", NAME)]));

/// What can be done to an actor by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TreeAction {
    /// Stop and start afresh.
    Restart,
    /// Stop and stay down.
    Stop,
    /// Start what is down.
    Start,
    /// Take no messages until resumed.
    Suspend,
    /// Take messages again.
    Resume,
    /// Forget failures and try now.
    ResetBackoff,
}

impl TreeAction {
    /// Their names on the wire.
    pub const NAMES: &'static [&'static str] = &["restart", "stop", "start", "suspend", "resume", "resetBackoff"];
}

/// `tree.act`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActParams {
    /// Path as shown.
    pub path: String,
    /// What to do.
    pub action: TreeAction,
}
params!(
    ActParams,
    "tree.act",
    Object::closed(&["path", "action"], &[("path", NAME), ("action", Schema::OneOf(TreeAction::NAMES))])
);

/// Result of `tree.act`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActResult {
    /// It was carried out.
    pub ok: bool,
    /// On whom.
    pub path: String,
    /// What.
    pub action: TreeAction,
}

/// Worker or supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeType {
    /// Does the work.
    Worker,
    /// Starts, watches, restarts and stops children.
    Supervisor,
}

/// Where an actor is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Building its state.
    Starting,
    /// Up.
    Running,
    /// On its way out.
    Stopping,
    /// Between two incarnations.
    Restarting,
    /// Waiting before the next start.
    BackingOff,
    /// Waiting longer: its budget was spent.
    CoolingDown,
    /// Its start said there is nothing to do.
    Ignored,
    /// Ended for good, cleanly.
    Exited,
    /// Ended for good, until somebody acts.
    Failed,
    /// Up, but takes no messages.
    Suspended,
    /// Killed, but does not yield.
    Zombie,
}

impl NodeState {
    /// Their names on the wire.
    pub const NAMES: &'static [&'static str] = &[
        "starting",
        "running",
        "stopping",
        "restarting",
        "backing_off",
        "cooling_down",
        "ignored",
        "exited",
        "failed",
        "suspended",
        "zombie",
    ];
}

/// How an actor ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitView {
    /// What kind of end.
    pub class: String,
    /// In words.
    pub text: String,
    /// Where in the source, for panics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// When, epoch milliseconds.
    pub at: i64,
    /// Which incarnation (in histories).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
    /// What its supervisor did about it (in histories).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handling: Option<String>,
}

/// A supervisor's restart budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntensityView {
    /// Restarts within the period.
    pub used: u32,
    /// Most of them.
    pub max: u32,
    /// The period.
    pub period_ms: u64,
}

/// What an actor is busy with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BusyView {
    /// In words.
    pub what: String,
    /// Since when, epoch milliseconds.
    pub since_ms: i64,
}

/// A mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MailboxView {
    /// Messages waiting.
    pub depth: u64,
    /// Most of them.
    pub bound: u64,
    /// How long the oldest has waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_ms: Option<u64>,
}

/// What is wrong with an actor that is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertsView {
    /// Since when it works on one message, epoch milliseconds, if that is too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_since_ms: Option<i64>,
    /// `high` or `critical`, when its mailbox is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
    /// Ids of the actors it has waited for, for too long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<u64>,
}

/// One actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeView {
    /// Stable while the gateway runs.
    pub id: u64,
    /// Its supervisor; null for the root.
    pub parent: Option<u64>,
    /// Segments joined by `/`; a `/` within one is `%2F`.
    pub path: String,
    /// Last segment.
    pub name: String,
    /// What it is.
    pub kind: String,
    /// Worker or supervisor.
    #[serde(rename = "type")]
    pub node_type: NodeType,
    /// Where in its life.
    pub state: NodeState,
    /// Nth start.
    pub incarnation: u64,
    /// Restarts so far.
    pub restarts: u64,
    /// Failed starts in a row.
    #[serde(default)]
    pub attempt: u32,
    /// Most of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// When it is tried next, epoch milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<i64>,
    /// Since when it is up, epoch milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<i64>,
    /// How it last ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<ExitView>,
    /// `permanent`, `transient` or `temporary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<String>,
    /// `one_for_one` and so on, for supervisors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Restart budget, for supervisors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intensity: Option<IntensityView>,
    /// For a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it says about itself.
    #[serde(default)]
    pub detail: BTreeMap<String, String>,
    /// What it is busy with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy: Option<BusyView>,
    /// Its mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<MailboxView>,
    /// Messages handled.
    #[serde(default)]
    pub handled: u64,
    /// Messages that failed.
    #[serde(default)]
    pub failed: u64,
    /// It works for one person: its name is one that not everybody may read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub personal: bool,
    /// What the watchdog found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts: Option<AlertsView>,
}

/// Result of `tree.snapshot`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotResult {
    /// Changes with every start of the gateway.
    pub epoch: u64,
    /// The last delta it contains.
    pub seq: u64,
    /// When it was taken.
    pub ts: i64,
    /// The actors.
    pub nodes: Vec<NodeView>,
    /// What is shown in place of crowded children. Their paths are `closed` in a subscription that goes with this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub summaries: Vec<ChildrenSummary>,
    /// If there are more: `after` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// Result of `tree.subscribe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscribeResult {
    /// Always true.
    pub subscribed: bool,
    /// Changes with every start of the gateway.
    pub epoch: u64,
    /// The last delta before the first that will come.
    pub seq: u64,
}

/// Result of `tree.get`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetResult {
    /// The actor.
    pub node: NodeView,
    /// Its children.
    pub children: Vec<NodeView>,
    /// If there are more: `after` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// Result of `tree.history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryResult {
    /// Whose.
    pub path: String,
    /// Its last ends, oldest first.
    pub exits: Vec<ExitView>,
}

/// One step of a delta.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum TreeOp {
    /// An actor appeared.
    Add {
        /// It.
        node: Box<NodeView>,
    },
    /// An actor is gone.
    Remove {
        /// Its id.
        id: u64,
    },
    /// Some fields of an actor changed; a null takes a field away.
    Patch {
        /// Its id.
        id: u64,
        /// The fields, named as in [`NodeView`].
        fields: serde_json::Map<String, serde_json::Value>,
    },
}

/// Counters of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TreeMetric {
    /// Its id.
    pub id: u64,
    /// Messages waiting.
    pub depth: u64,
    /// How many there is room for.
    #[serde(default)]
    pub bound: u64,
    /// Messages handled.
    pub handled: u64,
    /// Messages that failed.
    pub failed: u64,
    /// How long the oldest has waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_ms: Option<u64>,
}

/// Payload of event `tree.delta`.
///
/// Leads from any number from `prevSeq` to the one before `seq`, to `seq`. For a follower of the whole tree who keeps up,
/// `prevSeq` is always `seq - 1`; for a follower of a part there is no delta if nothing changed in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TreeDelta {
    /// Changes with every start of the gateway.
    pub epoch: u64,
    /// The number it leads to.
    pub seq: u64,
    /// The first number it can be applied to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev_seq: Option<u64>,
    /// Take a new snapshot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// What changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ops: Vec<TreeOp>,
    /// Counters, sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Vec<TreeMetric>>,
}
