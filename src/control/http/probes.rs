//! Probes of service managers and load balancers. They need no credential.

use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use serde_json::json;

use super::{Facts, json, only_reading};
use crate::control::readiness::Phase;

/// The process answers.
pub(super) fn live(method: &Method) -> Response<Body> {
    only_reading(method).unwrap_or_else(|| json(StatusCode::OK, &json!({ "ok": true, "status": "live" })))
}

/// The gateway takes work.
pub(super) async fn ready(method: &Method, facts: &Facts) -> Response<Body> {
    if let Some(refused) = only_reading(method) {
        return refused;
    }
    let failing = facts.failing();
    let status = if failing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": failing.is_empty(),
        "failing": failing,
        "uptimeMs": facts.readiness().uptime_ms(),
        "eventLoop": facts.load().await,
    });
    json(status, &body)
}

/// The start is over, well or not.
pub(super) fn startup(method: &Method, facts: &Facts) -> Response<Body> {
    only_reading(method).unwrap_or_else(|| match facts.readiness().phase() {
        Phase::Starting => json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "ok": false, "status": "starting" })),
        Phase::Ready | Phase::Draining => json(StatusCode::OK, &json!({ "ok": true, "status": "started" })),
    })
}
