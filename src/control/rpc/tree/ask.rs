//! What a client asks for, as the tree understands it.

use std::collections::BTreeSet;

use supervision::ActorPath;
use supervision::tree::{Query, Summarise, TopBy, View};

use crate::protocol::methods::tree as wire;

fn paths(paths: &[String]) -> BTreeSet<ActorPath> {
    paths.iter().map(|path| ActorPath::parse(path)).collect()
}

fn count(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// What a snapshot is to show.
pub(super) fn query(params: wire::SnapshotParams) -> Query {
    Query {
        root: params.root.as_deref().map(ActorPath::parse),
        depth: params.depth.map(count),
        limit: params.limit.map(count),
        closed: paths(&params.closed),
        ids: params.ids.map(|ids| ids.into_iter().collect()),
        kinds: params.kinds,
        states: params.states,
        text: params.text,
        after: params.after,
        summarise: params.summarise.map(summarise),
    }
}

fn summarise(params: wire::SummariseParams) -> Summarise {
    let usual = Summarise::default();
    Summarise {
        over: params.over.map_or(usual.over, count),
        expanded: paths(&params.expanded),
        top: params.top.map_or(usual.top, count),
        by: match params.by {
            wire::TopBy::Worst => TopBy::Worst,
            wire::TopBy::Depth => TopBy::Depth,
            wire::TopBy::Oldest => TopBy::Oldest,
            wire::TopBy::Restarts => TopBy::Restarts,
            wire::TopBy::InHand => TopBy::InHand,
        },
    }
}

/// What is to be followed, and from where on.
pub(super) fn view(params: wire::SubscribeParams) -> (View, Option<(u64, u64)>) {
    let view = View {
        root: params.root.as_deref().map(ActorPath::parse),
        depth: params.depth.map(count),
        closed: paths(&params.closed),
        ids: params.ids.map(|ids| ids.into_iter().collect()),
    };
    (view, params.epoch.zip(params.seq))
}
