//! `chaos.inject`, `chaos.list`, `chaos.clear`: faults on purpose, in a gateway that was started for it.
//!
//! The family is in the method table only when the tree was armed, see [`Services::tree`]; otherwise these methods do
//! not exist.
//!
//! [`Services::tree`]: crate::control::services::Services::tree

use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::json;
use supervision::ActorPath;
use supervision::chaos::{self, ChaosPort, InjectError};

use super::{Answer, Call, Handled, Method};
use crate::protocol::error::ErrorShape;
use crate::protocol::methods::Params as _;
use crate::protocol::methods::chaos::{
    ClearParams, ClearResult, Fault, InjectParams, InjectResult, ListParams, ListResult, Pending, When,
};
use crate::protocol::scope::Scope;

/// The rows of this family.
pub const METHODS: &[Method] = &[
    Method::new("chaos.inject", Scope::Admin, InjectParams::SHAPE, inject),
    Method::new("chaos.list", Scope::Admin, ListParams::SHAPE, list),
    Method::new("chaos.clear", Scope::Admin, ClearParams::SHAPE, clear),
];

fn port(call: &Call) -> Result<ChaosPort, ErrorShape> {
    call.services.tree.chaos().ok_or_else(|| ErrorShape::unknown_method(call.method))
}

fn inject(call: Call) -> Handled {
    async move {
        let (port, params) = (port(&call)?, call.parse::<InjectParams>()?);
        let path = ActorPath::parse(&params.path);
        let fault = read(params.fault, params.ms)?;
        let tree = &call.services.tree;
        let node = tree.node(&path).ok_or_else(|| refused(&InjectError::NotFound(path.clone())))?;
        let ts = tree.now_ms();
        tracing::warn!(%path, ?fault, conn_id = %call.conn.conn_id, "an operator injects a fault");
        let injected = match params.when {
            When::Now => port.strike(path, fault),
            When::Message => port.inject(path, fault),
        };
        injected.map_err(|error| refused(&error))?;
        let (path, fault) = (params.path, params.fault);
        Ok(Answer::One(json!(InjectResult { ok: true, path, fault, ts, id: node.id, incarnation: node.incarnation })))
    }
    .boxed()
}

fn list(call: Call) -> Handled {
    async move {
        let port = port(&call)?;
        let pending = port.pending().into_iter().map(|(path, fault)| pending(&path, fault)).collect();
        let actors = u64::try_from(port.actors()).unwrap_or(u64::MAX);
        Ok(Answer::One(json!(ListResult { pending, struck: port.struck(), actors })))
    }
    .boxed()
}

fn clear(call: Call) -> Handled {
    async move {
        let cleared = u64::try_from(port(&call)?.clear()).unwrap_or(u64::MAX);
        Ok(Answer::One(json!(ClearResult { cleared })))
    }
    .boxed()
}

fn read(fault: Fault, ms: Option<u64>) -> Result<chaos::Fault, ErrorShape> {
    let read = match (fault, ms) {
        (Fault::Block, Some(ms)) => chaos::Fault::Block(Duration::from_millis(ms)),
        (Fault::Block, None) => return Err(ErrorShape::invalid_params("chaos.inject", "a block needs /ms")),
        (_, Some(_)) => return Err(ErrorShape::invalid_params("chaos.inject", "/ms is for a block alone")),
        (Fault::Panic, None) => chaos::Fault::Panic,
        (Fault::Error, None) => chaos::Fault::Error,
        (Fault::Hang, None) => chaos::Fault::Hang,
        (Fault::Kill, None) => chaos::Fault::Kill,
        (Fault::PanicAtStart, None) => chaos::Fault::PanicAtStart,
        (Fault::ErrorAtStart, None) => chaos::Fault::FailStart(1),
        (Fault::HangAtStart, None) => chaos::Fault::HangAtStart,
        (Fault::PanicAtStop, None) => chaos::Fault::PanicAtStop,
        (Fault::HangAtStop, None) => chaos::Fault::HangAtStop,
    };
    Ok(read)
}

fn pending(path: &ActorPath, fault: chaos::Fault) -> Pending {
    let (fault, ms) = match fault {
        chaos::Fault::Panic => (Fault::Panic, None),
        chaos::Fault::Error => (Fault::Error, None),
        chaos::Fault::Hang => (Fault::Hang, None),
        chaos::Fault::Block(time) => (Fault::Block, Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))),
        chaos::Fault::Kill => (Fault::Kill, None),
        chaos::Fault::PanicAtStart => (Fault::PanicAtStart, None),
        chaos::Fault::FailStart(_) => (Fault::ErrorAtStart, None),
        chaos::Fault::HangAtStart => (Fault::HangAtStart, None),
        chaos::Fault::PanicAtStop => (Fault::PanicAtStop, None),
        chaos::Fault::HangAtStop => (Fault::HangAtStop, None),
    };
    Pending { path: path.to_string(), fault, ms }
}

fn refused(error: &InjectError) -> ErrorShape {
    match error {
        InjectError::NotFound(_) | InjectError::Supervisor(_) => ErrorShape::invalid_request(error.to_string()),
        InjectError::NotRunning(_) | InjectError::Full => ErrorShape::unavailable(error.to_string()),
    }
}
