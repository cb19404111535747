//! From the first frame to hello-ok: which frames are a handshake, and what an accepted client is told.

use std::sync::Arc;
use std::time::Duration;

use supervision::CallError;

use super::context::ConnId;
use crate::control::auth::UpgradeFacts;
use crate::control::auth::admission::{Accepted, Outcome, Refusal, refuse_params};
use crate::control::broadcast::StateSnapshot;
use crate::control::devices::admission;
use crate::control::readiness::Phase;
use crate::control::rpc::{MethodTable, health};
use crate::control::services::Services;
use crate::protocol::close::Close;
use crate::protocol::connect::{self, ConnectParams};
use crate::protocol::error::ErrorShape;
use crate::protocol::event;
use crate::protocol::frame::{FrameFault, Request};
use crate::protocol::hello::{Features, HelloOk, ServerInfo, Snapshot, Suspension};
use crate::protocol::scope::Scope;

/// A `connect` whose parameters are valid.
#[derive(Debug)]
pub(super) struct Knock {
    pub(super) request_id: String,
    pub(super) params: ConnectParams,
}

/// How a handshake that leads nowhere ends: an answer to the request, if it gets one, and the close.
#[derive(Debug)]
pub(super) struct Dismissal {
    pub(super) request_id: String,
    pub(super) refusal: Refusal,
}

impl Dismissal {
    pub(super) fn silent(close: Close) -> Self {
        Self { request_id: String::new(), refusal: Refusal { error: None, close } }
    }
}

/// Reads the first frame.
pub(super) fn first_frame(text: &str, phase: Phase) -> Result<Knock, Box<Dismissal>> {
    let request = match Request::parse(text) {
        Ok(request) => request,
        Err(FrameFault::NotJson) => return Err(Box::new(Dismissal::silent(Close::silent()))),
        Err(FrameFault::Malformed { .. }) => {
            return Err(Box::new(Dismissal::silent(Close::policy("invalid request frame"))));
        }
    };
    let dismiss = |refusal| Box::new(Dismissal { request_id: request.id.clone(), refusal });
    if request.method != connect::METHOD {
        return Err(dismiss(Refusal::policy(ErrorShape::connect_first())));
    }
    match phase {
        Phase::Starting => {
            let error = Some(ErrorShape::starting(connect::METHOD));
            return Err(dismiss(Refusal { error, close: Close::starting() }));
        }
        Phase::Draining => {
            let error = ErrorShape::unavailable("gateway restart in progress; retry shortly");
            let error = Some(error.retryable_after(Duration::from_millis(500)));
            return Err(dismiss(Refusal { error, close: Close::restart_in_progress() }));
        }
        Phase::Ready => {}
    }
    match ConnectParams::parse(request.params) {
        Ok(params) => Ok(Knock { request_id: request.id, params }),
        Err(error) => Err(Box::new(Dismissal { request_id: request.id, refusal: refuse_params(error) })),
    }
}

/// What the decision came to.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) request_id: String,
    pub(super) params: ConnectParams,
    pub(super) outcome: Result<(Box<Accepted>, StateSnapshot), Refusal>,
}

/// Has the door judge a `connect`, holding the answer back as long as it says.
pub(super) async fn judge(knock: Knock, facts: UpgradeFacts, nonce: String, services: Arc<Services>) -> Verdict {
    let Knock { request_id, params } = knock;
    let outcome = decide(params.clone(), facts, nonce, &services).await;
    Verdict { request_id, params, outcome }
}

async fn decide(
    params: ConnectParams,
    facts: UpgradeFacts,
    nonce: String,
    services: &Services,
) -> Result<(Box<Accepted>, StateSnapshot), Refusal> {
    let decision = services.devices.admit(admission(facts, params, nonce)).await.map_err(|error| nobody(&error))?;
    tokio::time::sleep(decision.delay).await;
    match decision.outcome {
        Outcome::Accept(accepted) => {
            let mut state = services.broadcast.state().await.map_err(|error| nobody(&error))?;
            // The first client comes before the first refresh.
            if state.health.as_object().is_none_or(serde_json::Map::is_empty) {
                state.health = health::snapshot(services).await;
            }
            Ok((accepted, state))
        }
        Outcome::Refuse(refusal) => Err(*refusal),
    }
}

/// The door or the fan-out is not there: it is being restarted.
fn nobody(error: &CallError) -> Refusal {
    tracing::warn!(%error, "a connection could not be judged");
    let answer = ErrorShape::unavailable("gateway is not ready for connections; retry shortly");
    let answer = answer.retryable_after(Duration::from_millis(500));
    Refusal { error: Some(answer), close: Close::handler_unavailable() }
}

/// What an accepted client is told.
pub(super) fn hello(
    conn_id: &ConnId,
    accepted: &Accepted,
    state: StateSnapshot,
    services: &Services,
    methods: &MethodTable,
) -> HelloOk {
    let server = ServerInfo {
        version: services.version.clone(),
        boot_id: Some(services.boot_id.clone()),
        conn_id: conn_id.to_string(),
        ..ServerInfo::default()
    };
    let features = Features {
        methods: methods.names().iter().map(|name| (*name).to_owned()).collect(),
        events: event::SERVED.iter().map(|name| (*name).to_owned()).collect(),
        capabilities: CAPABILITIES.iter().map(|name| (*name).to_owned()).collect(),
    };
    let may_read = Scope::Read.satisfied_by(&accepted.scopes);
    let is_admin = Scope::Admin.satisfied_by(&accepted.scopes);
    let mut snapshot = Snapshot {
        suspension: Some(Suspension { phase: "accepting".to_owned() }),
        presence: if may_read { state.presence } else { Vec::new() },
        health: state.health,
        state_version: state.version,
        uptime_ms: services.readiness.uptime_ms(),
        ..Snapshot::default()
    };
    services.complete_snapshot(&mut snapshot, is_admin);
    let mut hello = HelloOk::new(server, features, snapshot, accepted.hello());
    hello.policy = services.settings.policy();
    hello
}

/// What clients may rely on beyond the listed methods.
const CAPABILITIES: &[&str] = &["model-catalog-snapshot", "published-model-catalog"];

#[cfg(test)]
mod tests {
    use super::*;

    fn dismissed(text: &str, phase: Phase) -> (Option<String>, u16, String) {
        let Dismissal { refusal, .. } = *first_frame(text, phase).unwrap_err();
        (refusal.error.map(|error| error.message), refusal.close.code, refusal.close.reason)
    }

    #[test]
    fn first_frames_that_are_no_connect_are_told_apart() {
        let connect_first = "invalid handshake: first request must be connect".to_owned();
        for (text, message, code, reason) in [
            ("hello", None, 1000, ""),
            (r#"{"type":"nope"}"#, None, 1008, "invalid request frame"),
            (r#"{"type":"req","id":"1","method":"health"}"#, Some(connect_first.clone()), 1008, connect_first.as_str()),
            (
                r#"{"type":"req","id":"1","method":"connect"}"#,
                Some("invalid connect params: must have required property 'minProtocol'".to_owned()),
                1008,
                "invalid connect params: must have required property 'minProtocol'",
            ),
        ] {
            assert_eq!(dismissed(text, Phase::Ready), (message, code, reason.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_gateway_that_starts_or_stops_says_so() {
        let connect = r#"{"type":"req","id":"1","method":"connect"}"#;
        assert_eq!(dismissed(connect, Phase::Starting).2, "gateway starting");
        assert_eq!(dismissed(connect, Phase::Draining).2, "gateway restart in progress");
    }
}
