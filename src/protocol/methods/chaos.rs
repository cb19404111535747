//! Faults on purpose: `chaos.inject`, `chaos.list`, `chaos.clear`. Served only by a gateway that was started for it.
//!
//! These are this gateway's own.

use serde::{Deserialize, Serialize};

use super::params;
use crate::protocol::schema::{NAME, Object, Schema};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// A message panics.
    Panic,
    /// A message returns an error.
    Error,
    /// A message is never done.
    Hang,
    /// A message blocks its thread for `ms`.
    Block,
    /// The actor is killed.
    Kill,
    /// The next start panics.
    PanicAtStart,
    /// The next start returns an error.
    ErrorAtStart,
    /// The next start is never done.
    HangAtStart,
    /// The next orderly stop panics.
    PanicAtStop,
    /// The next orderly stop is never done.
    HangAtStop,
}

impl Fault {
    /// Their names on the wire.
    pub const NAMES: &'static [&'static str] = &[
        "panic",
        "error",
        "hang",
        "block",
        "kill",
        "panicAtStart",
        "errorAtStart",
        "hangAtStart",
        "panicAtStop",
        "hangAtStop",
    ];
}

/// When a fault of a message strikes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum When {
    /// At the next message, or at once if none waits.
    #[default]
    Now,
    /// At the next message, whenever it comes.
    Message,
}

impl When {
    /// Their names on the wire.
    pub const NAMES: &'static [&'static str] = &["now", "message"];
}

/// Parameters of `chaos.inject`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InjectParams {
    /// Path as the tree shows it.
    pub path: String,
    /// What goes wrong.
    pub fault: Fault,
    /// How long a block lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// When it strikes.
    #[serde(default)]
    pub when: When,
}
params!(
    InjectParams,
    "chaos.inject",
    Object::closed(
        &["path", "fault"],
        &[
            ("path", NAME),
            ("fault", Schema::OneOf(Fault::NAMES)),
            ("ms", Schema::Int(1, 600_000)),
            ("when", Schema::OneOf(When::NAMES)),
        ]
    )
);

/// Result of `chaos.inject`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InjectResult {
    /// It was injected.
    pub ok: bool,
    /// Where.
    pub path: String,
    /// What.
    pub fault: Fault,
    /// When, epoch milliseconds.
    pub ts: i64,
    /// The node's id before.
    pub id: u64,
    /// The node's incarnation before.
    pub incarnation: u64,
}

/// No parameters: `chaos.list`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListParams {}
params!(ListParams, "chaos.list", Object::closed(&[], &[]));

/// A fault that has not struck yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Where.
    pub path: String,
    /// What.
    pub fault: Fault,
    /// How long a block lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
}

/// Result of `chaos.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListResult {
    /// Faults that wait, by path.
    pub pending: Vec<Pending>,
    /// How many have struck since the gateway's start.
    pub struck: u64,
    /// How many actors can be struck.
    pub actors: u64,
}

/// No parameters: `chaos.clear`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClearParams {}
params!(ClearParams, "chaos.clear", Object::closed(&[], &[]));

/// Result of `chaos.clear`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClearResult {
    /// How many faults were forgotten.
    pub cleared: u64,
}
