//! One HTTP request, one answer: WebSockets on any path, everything else by route.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use supervision::SupervisorHandle;

use super::facts::GatewayFacts;
use crate::control::auth::UpgradeFacts;
use crate::control::connection::context::ConnId;
use crate::control::connection::outbox::Outbox;
use crate::control::connection::{self, ConnectionArgs};
use crate::control::http::{self, headers};
use crate::control::readiness::Phase;
use crate::control::rpc::MethodTable;
use crate::control::services::Services;
use crate::control::settings::ControlSettings;
use crate::control::upgrade::slots::PreauthSlots;
use crate::control::upgrade::{self, UpgradeFault};

/// Answers requests. Shared by all incarnations of the listener.
pub(crate) struct Front {
    services: Arc<Services>,
    methods: Arc<MethodTable>,
    connections: SupervisorHandle,
    slots: PreauthSlots,
    routes: TowerToHyperService<Router>,
}

impl Front {
    pub(crate) fn new(services: Arc<Services>, methods: Arc<MethodTable>, connections: SupervisorHandle) -> Self {
        let slots = PreauthSlots::new(services.settings.max_preauth_per_ip);
        let routes = TowerToHyperService::new(http::router(Arc::new(GatewayFacts::new(Arc::clone(&services)))));
        Self { services, methods, connections, slots, routes }
    }

    pub(crate) fn settings(&self) -> &ControlSettings {
        &self.services.settings
    }

    /// The answer to a request.
    pub(crate) async fn answer(&self, mut request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let mut response = if upgrade::is_asked_for(request.headers()) {
            self.upgrade(request, peer).await.unwrap_or_else(upgrade::refusal)
        } else {
            request.extensions_mut().insert(http::Peer(peer.ip()));
            self.routes.call(request).await.unwrap_or_else(|never| match never {})
        };
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            headers::secure(response.headers_mut());
        }
        response
    }

    /// Starts the connection's actor and promises it the stream.
    async fn upgrade(&self, mut request: Request<Incoming>, peer: SocketAddr) -> Result<Response<Body>, UpgradeFault> {
        if self.services.readiness.phase() == Phase::Draining {
            return Err(UpgradeFault::Unavailable);
        }
        let accept = upgrade::check(request.method(), request.version(), request.headers())?;
        let slot = self.slots.take(peer.ip()).ok_or(UpgradeFault::Unavailable)?;
        let conn_id = ConnId::fresh();
        let outbox = Arc::new(Outbox::new(self.services.settings.max_buffered_bytes));
        let spec = connection::child_spec(ConnectionArgs {
            seat: self.services.broadcast.roster().join(conn_id.clone(), Arc::clone(&outbox)),
            facts: facts(request.headers(), peer),
            upgrade: hyper::upgrade::on(&mut request),
            services: Arc::clone(&self.services),
            methods: Arc::clone(&self.methods),
            conn_id,
            outbox,
            slot,
        });
        match self.connections.start_child(spec).await {
            Ok(_) => Ok(upgrade::switching(accept)),
            Err(error) => {
                tracing::warn!(%peer, %error, "a connection could not be started");
                Err(UpgradeFault::Unavailable)
            }
        }
    }
}

fn facts(headers: &HeaderMap, peer: SocketAddr) -> UpgradeFacts {
    let text = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    UpgradeFacts::from_headers(peer.ip(), text)
}
