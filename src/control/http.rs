//! What is served over plain HTTP on the gateway's port: probes, the dashboard, the Control UI when one is configured.
//!
//! Every answer carries the security headers of [`headers`]. Paths nobody owns are 404; WebSocket upgrades never get
//! here, they are accepted on any path before routing.

pub(crate) mod dashboard;
pub(crate) mod headers;
mod probes;
mod ui;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::readiness::Readiness;
use crate::protocol::methods::health::EventLoopHealth;

/// What the routes ask the gateway.
pub(crate) trait HttpFacts: Send + Sync {
    /// Whether work is taken.
    fn readiness(&self) -> &Readiness;
    /// What keeps the gateway from taking work; empty when it does.
    fn failing(&self) -> Vec<String>;
    /// How busy the runtime is.
    fn load(&self) -> BoxFuture<'_, EventLoopHealth>;
    /// Folder of a Control UI to serve at `/`, when one is configured.
    fn ui_root(&self) -> Option<PathBuf>;
    /// What that UI reads at its start.
    fn ui_config(&self) -> Value;
    /// Whether a visitor carries the gateway's credential.
    fn admit(&self, visitor: &Visitor<'_>) -> Result<(), Denied>;
}

/// Who asks.
pub(crate) struct Visitor<'a> {
    pub(crate) peer: IpAddr,
    pub(crate) headers: &'a HeaderMap,
}

/// Why somebody gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// No credential, or another one.
    Unauthorized,
    /// Too many wrong ones.
    Locked(Duration),
}

/// The address of the peer, put into each request by the listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

pub(crate) type Facts = Arc<dyn HttpFacts>;

/// All routes.
pub(crate) fn router(facts: Facts) -> Router {
    Router::new().fallback(route).with_state(facts)
}

/// One function, so that the order of routes can be read: probes, our dashboard, API paths, the UI.
async fn route(State(facts): State<Facts>, request: Request) -> Response<Body> {
    let (method, path) = (request.method(), request.uri().path());
    match path {
        "/health" | "/healthz" => probes::live(method),
        "/ready" | "/readyz" => probes::ready(method, &facts).await,
        "/startup" | "/startupz" => probes::startup(method, &facts),
        "/control-ui-config.json" => ui::config(&request, &facts),
        "/openclawd" => only_reading(method).unwrap_or_else(|| redirect("/openclawd/")),
        _ => {
            if let Some(file) = path.strip_prefix("/openclawd/") {
                return dashboard::file(method, request.headers(), file);
            }
            if path == "/api" || path.starts_with("/api/") || path.starts_with("/v1/") {
                return text(StatusCode::NOT_FOUND, "Not Found");
            }
            match facts.ui_root() {
                Some(root) => ui::file(method, &root, path).await,
                None if path == "/" => only_reading(method).unwrap_or_else(|| redirect("/openclawd/")),
                None => text(StatusCode::NOT_FOUND, "Not Found"),
            }
        }
    }
}

/// Who sent this request. One that the listener did not mark is nobody in particular.
fn visitor(request: &Request) -> Visitor<'_> {
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    Visitor { peer, headers: request.headers() }
}

/// The refusal for methods other than GET and HEAD.
fn only_reading(method: &Method) -> Option<Response<Body>> {
    if method == Method::GET || method == Method::HEAD {
        return None;
    }
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    Some(response)
}

fn text(status: StatusCode, body: &'static str) -> Response<Body> {
    typed(status, "text/plain; charset=utf-8", body.into())
}

fn json(status: StatusCode, body: &Value) -> Response<Body> {
    typed(status, "application/json; charset=utf-8", body.to_string().into())
}

fn typed(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn redirect(to: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::TEMPORARY_REDIRECT, "");
    response.headers_mut().insert(LOCATION, HeaderValue::from_static(to));
    response
}

#[cfg(test)]
mod tests;
