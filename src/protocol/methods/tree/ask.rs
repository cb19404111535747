//! Which part of the tree a client asks for or follows.

use serde::{Deserialize, Serialize};

use super::super::params;
use super::{NodeState, NodeView};
use crate::protocol::schema::{COUNT, NAME, Object, Schema, TEXT};

/// Most actors on one page.
const PAGE: i64 = 10_000;
/// Most actors of a viewport.
const VIEWPORT: usize = 10_000;
/// Most paths in a list.
const PATHS: usize = 1000;

const NAMES: Schema = Schema::List(&NAME, 0, PATHS, false);
const IDS: Schema = Schema::List(&COUNT, 0, VIEWPORT, false);

/// The part of the tree to show: `tree.snapshot`. Without parameters: all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SnapshotParams {
    /// Only this actor and those below it.
    pub root: Option<String>,
    /// Only this many levels below.
    pub depth: Option<u32>,
    /// Actors nothing below which is wanted.
    pub closed: Vec<String>,
    /// Only these actors.
    pub ids: Option<Vec<u64>>,
    /// Only these kinds.
    pub kinds: Vec<String>,
    /// Only these states.
    pub states: Vec<String>,
    /// Only what has this text in its path or label.
    pub text: Option<String>,
    /// The page after this actor.
    pub after: Option<u64>,
    /// Most actors to show.
    pub limit: Option<u32>,
    /// Show crowded children as a summary.
    pub summarise: Option<SummariseParams>,
}
params!(
    SnapshotParams,
    "tree.snapshot",
    Object::closed(
        &[],
        &[
            ("root", NAME),
            ("depth", Schema::Int(0, 1000)),
            ("closed", NAMES),
            ("ids", IDS),
            ("kinds", NAMES),
            ("states", Schema::List(&Schema::OneOf(NodeState::NAMES), 0, PATHS, false)),
            ("text", TEXT),
            ("after", COUNT),
            ("limit", Schema::Int(1, PAGE)),
            ("summarise", Schema::Object(&SUMMARISE)),
        ]
    )
);

const SUMMARISE: Object = Object::closed(
    &[],
    &[
        ("over", COUNT),
        ("expanded", NAMES),
        ("top", Schema::Int(0, 1000)),
        ("by", Schema::OneOf(&["worst", "depth", "oldest", "restarts", "inHand"])),
    ],
);

/// How crowded children are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SummariseParams {
    /// Of actors with more direct children than this; 500 unless told.
    pub over: Option<u32>,
    /// Not of these.
    pub expanded: Vec<String>,
    /// How many children are shown nevertheless; 10 unless told.
    pub top: Option<u32>,
    /// Which of them.
    pub by: TopBy,
}

/// Which children are shown with a summary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TopBy {
    /// The worst state first.
    #[default]
    Worst,
    /// The fullest mailbox first.
    Depth,
    /// The longest wait first.
    Oldest,
    /// The most restarts first.
    Restarts,
    /// The longest time on one message first.
    InHand,
}

/// The part of the tree to follow: `tree.subscribe`. Without parameters: all of it, from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SubscribeParams {
    /// Only this actor and those below it.
    pub root: Option<String>,
    /// Only this many levels below.
    pub depth: Option<u32>,
    /// Actors nothing below which is wanted.
    pub closed: Vec<String>,
    /// Only these actors.
    pub ids: Option<Vec<u64>>,
    /// The life of the gateway the client has a picture of.
    pub epoch: Option<u64>,
    /// The number of that picture; changes after it are sent first.
    pub seq: Option<u64>,
}
params!(
    SubscribeParams,
    "tree.subscribe",
    Object::closed(
        &[],
        &[
            ("root", NAME),
            ("depth", Schema::Int(0, 1000)),
            ("closed", NAMES),
            ("ids", IDS),
            ("epoch", COUNT),
            ("seq", COUNT),
        ]
    )
);

/// One actor by its path: `tree.get`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetParams {
    /// Path as shown, `root/core/…`.
    pub path: String,
    /// The children after this one.
    #[serde(default)]
    pub after: Option<u64>,
    /// Most children to show; all unless told.
    #[serde(default)]
    pub limit: Option<u32>,
}
params!(
    GetParams,
    "tree.get",
    Object::closed(&["path"], &[("path", NAME), ("after", COUNT), ("limit", Schema::Int(1, PAGE))])
);

/// The children of a crowded actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildrenSummary {
    /// Whose.
    pub parent: u64,
    /// Path as shown.
    pub path: String,
    /// How many.
    pub children: usize,
    /// How many in which state.
    pub states: std::collections::BTreeMap<String, usize>,
    /// The foremost.
    pub top: Vec<NodeView>,
}
