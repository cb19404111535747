//! `tree.snapshot`, `tree.subscribe`, `tree.get`, `tree.history`, `tree.act`: the running tree, seen and acted on.

mod ask;
mod pump;
mod wire;

use futures_util::FutureExt as _;
use serde_json::json;
use supervision::tree::{ActError, Action, TreeReader, Viewer};
use supervision::{ActorPath, TreeStore};

use super::{Answer, Call, Handled, Method};
use crate::protocol::error::ErrorShape;
use crate::protocol::methods::Params as _;
use crate::protocol::methods::tree::{
    ActParams, ActResult, GetParams, GetResult, HistoryParams, HistoryResult, SnapshotParams, SnapshotResult,
    SubscribeParams, SubscribeResult, TreeAction,
};
use crate::protocol::scope::Scope;

/// The rows of this family.
pub const METHODS: &[Method] = &[
    Method::new("tree.snapshot", Scope::Read, SnapshotParams::SHAPE, snapshot),
    Method::new("tree.subscribe", Scope::Read, SubscribeParams::SHAPE, subscribe),
    Method::new("tree.get", Scope::Read, GetParams::SHAPE, get),
    Method::new("tree.history", Scope::Read, HistoryParams::SHAPE, history),
    Method::new("tree.act", Scope::Admin, ActParams::SHAPE, act),
];

/// The tree as the caller may see it: names of sessions and accounts are for administrators.
fn reader(call: &Call) -> TreeReader {
    call.services.tree.seen_by(Viewer { personal: call.conn.holds(Scope::Admin) })
}

fn snapshot(call: Call) -> Handled {
    async move {
        let query = ask::query(call.parse()?);
        let snapshot = reader(&call).snapshot_yielding(&query).await;
        Ok(Answer::One(json!(SnapshotResult {
            epoch: snapshot.epoch,
            seq: snapshot.seq,
            ts: snapshot.at,
            nodes: snapshot.nodes.iter().map(wire::node).collect(),
            summaries: snapshot.summaries.iter().map(wire::summary).collect(),
            next: snapshot.next,
        })))
    }
    .boxed()
}

fn subscribe(call: Call) -> Handled {
    async move {
        let (view, from) = ask::view(call.parse()?);
        let reader = reader(&call);
        let subscription = reader.subscribe(view, from);
        let first = SubscribeResult { subscribed: true, epoch: subscription.epoch(), seq: subscription.seq() };
        let pump = pump::run(reader, subscription, call.conn);
        Ok(Answer::Subscription { first: json!(first), key: "tree", pump: pump.boxed() })
    }
    .boxed()
}

fn get(call: Call) -> Handled {
    async move {
        let GetParams { path, after, limit } = call.parse()?;
        let (tree, path) = (reader(&call), ActorPath::parse(&path));
        let node = tree.node(&path).ok_or_else(|| not_there(&path))?;
        let size = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let (children, next) = tree.children_page(&path, after, size);
        let children = children.iter().map(wire::node).collect();
        Ok(Answer::One(json!(GetResult { node: wire::node(&node), children, next })))
    }
    .boxed()
}

fn history(call: Call) -> Handled {
    async move {
        let HistoryParams { path: text } = call.parse()?;
        let (tree, path) = (reader(&call), ActorPath::parse(&text));
        let exits = tree.history(&path);
        if exits.is_empty() && tree.node(&path).is_none() {
            return Err(not_there(&path));
        }
        Ok(Answer::One(json!(HistoryResult { path: text, exits: exits.iter().map(wire::recorded).collect() })))
    }
    .boxed()
}

fn act(call: Call) -> Handled {
    async move {
        let ActParams { path: text, action } = call.parse()?;
        let path = ActorPath::parse(&text);
        tracing::info!(%path, ?action, conn_id = %call.conn.conn_id, "an operator acts on the tree");
        carry_out(&call.services.tree, &path, action).await?;
        Ok(Answer::One(json!(ActResult { ok: true, path: text, action })))
    }
    .boxed()
}

async fn carry_out(tree: &TreeStore, path: &ActorPath, action: TreeAction) -> Result<(), ErrorShape> {
    let action = match action {
        TreeAction::Restart => Action::Restart,
        TreeAction::Stop => Action::Stop,
        TreeAction::Start => Action::Start,
        TreeAction::Suspend => Action::Suspend,
        TreeAction::Resume => Action::Resume,
        TreeAction::ResetBackoff => Action::ResetBackoff,
    };
    tree.act(path, action).await.map_err(|error| match error {
        ActError::NotFound => not_there(path),
        ActError::NotSupported => ErrorShape::invalid_request(format!("{path}: {error}")),
        ActError::Refused(_) => ErrorShape::unavailable(format!("{path}: {error}")),
    })
}

fn not_there(path: &ActorPath) -> ErrorShape {
    ErrorShape::invalid_request(format!("no actor at {path}"))
}
