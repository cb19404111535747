//! The control plane: HTTP and WebSocket on one port, who is let in, and what they may do.
//!
//! `control` is a supervisor of four: `devices` says who is let in, `broadcast` speaks to everybody, `connections` holds
//! one actor per client, `listener` accepts. Each may fail without the others: a listener that crashes keeps the
//! sockets, a fan-out or a door that crashes keeps the clients. [`specs`] makes the whole; [`drain`] sends everybody away.

pub mod auth;
pub mod broadcast;
pub mod devices;
pub mod listener;
pub mod load;
pub mod readiness;
pub mod rpc;
pub mod services;
pub mod settings;

mod connection;
mod http;
mod presence;
mod roster;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use supervision::{ChildSpec, DynamicOptions, Intensity, Strategy, SupervisorSlot, SupervisorSpec};

pub use broadcast::{BroadcastHandle, Outgoing};
pub use connection::context::{ConnContext, ConnId, Follows};
pub use devices::DevicesHandle;
pub use listener::BoundPort;
pub use load::RuntimeLoad;
pub use readiness::{Phase, Readiness};
pub use rpc::MethodTable;
pub use services::Services;
pub use settings::ControlSettings;

use broadcast::BroadcastArgs;
use listener::{Front, ListenerArgs};

use crate::protocol::close::Close;
use crate::protocol::event;

/// More crashes of listener and fan-out than this cost every client its socket, so it takes many.
const INTENSITY: Intensity = Intensity { max_restarts: 10, period: Duration::from_secs(60) };

/// The child `control`: door, broadcast, connections, listener, one for one.
///
/// `door` is the spec of [`devices`]. `port` is bound by the caller, who so learns early and once that it is taken, and knows its number.
#[must_use]
pub fn specs(services: Arc<Services>, door: ChildSpec, methods: MethodTable, port: BoundPort) -> ChildSpec {
    let (control, connections) = (SupervisorSlot::new(), SupervisorSlot::new());
    let front = Arc::new(Front::new(Arc::clone(&services), Arc::new(methods), connections.handle()));
    ChildSpec::supervisor("control", "supervisor", &control, move || {
        let (for_broadcast, port, front) = (Arc::clone(&services), port.clone(), Arc::clone(&front));
        let options = DynamicOptions { max_children: Some(services.settings.max_connections), ..Default::default() };
        SupervisorSpec {
            strategy: Strategy::OneForOne,
            intensity: INTENSITY,
            children: vec![
                door.clone(),
                broadcast::child_spec(&services.broadcast, move || BroadcastArgs {
                    services: Arc::clone(&for_broadcast),
                }),
                ChildSpec::dynamic("connections", "supervisor", &connections, options),
                listener::child_spec(move || ListenerArgs { port: port.clone(), front: Arc::clone(&front) }),
            ],
            ..Default::default()
        }
    })
}

/// Sends everybody away: no new clients from now on, event `shutdown`, then every socket closed with 1012. Returns how
/// many connections were still open when `budget` was spent.
pub async fn drain(services: &Services, reason: &str, restart_expected: Option<Duration>, budget: Duration) -> usize {
    services.readiness.enter(Phase::Draining);
    let mut payload = json!({ "reason": reason });
    if let Some(restart) = restart_expected {
        payload["restartExpectedMs"] = json!(u64::try_from(restart.as_millis()).unwrap_or(u64::MAX));
    }
    services.broadcast.publish(Outgoing::new(event::SHUTDOWN, payload));
    services.broadcast.settle().await;
    let roster = services.broadcast.roster();
    roster.close_all(&Close::service_restart());
    // What is left then is counted and told.
    tokio::time::timeout(budget, roster.emptied()).await.ok();
    roster.len()
}

#[cfg(test)]
mod tests;
