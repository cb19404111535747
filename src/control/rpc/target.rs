//! Which session a request names.

use actors::gateway::inbound::default_agent;
use actors::ids::{AgentId, RunId, SessionKey};
use actors::sessions::{Submission, SubmitError};

use super::Call;
use crate::control::services::Services;
use crate::protocol::error::ErrorShape;
use crate::protocol::scope::Scope;
use serde_json::json;
use std::time::Duration;

/// The session of `key`, under `agent` where the key names none.
pub(super) fn session(services: &Services, key: &str, agent: Option<&str>) -> Result<SessionKey, ErrorShape> {
    let agents = &services.domain.config.current().config.agents;
    let fallback = match agent {
        Some(agent) => AgentId::normalised(agent),
        None => default_agent(agents),
    };
    let session = SessionKey::parse(key, &fallback).map_err(|error| ErrorShape::invalid_request(error.to_string()))?;
    known(services, session)
}

/// The session of a run that names only an agent, or nothing.
pub(super) fn main_session(services: &Services, agent: Option<&str>) -> Result<SessionKey, ErrorShape> {
    let agent = match agent {
        Some(agent) => AgentId::normalised(agent),
        None => default_agent(&services.domain.config.current().config.agents),
    };
    known(services, SessionKey::main(&agent))
}

fn known(services: &Services, session: SessionKey) -> Result<SessionKey, ErrorShape> {
    let config = services.domain.config.current();
    let agent = session.agent();
    let entries = &config.config.agents.entries;
    let exists = entries.iter().any(|entry| entry.id == agent)
        || (entries.is_empty() && agent == default_agent(&config.config.agents));
    if exists { Ok(session) } else { Err(ErrorShape::unknown_agent(agent.as_str())) }
}

/// Text of a client for a session: whose it is comes from the connection.
pub(super) fn submission(call: &Call, run: &RunId, text: String) -> Submission {
    Submission {
        event_id: run.to_string(),
        run: run.clone(),
        source: String::from("rpc"),
        text,
        route: None,
        model: None,
        owner: call.conn.holds(Scope::Admin),
        sender: None,
        queue_mode: None,
        priority: false,
        literal: false,
    }
}

/// A refused submission as an error on the wire.
pub(super) fn refused(error: &SubmitError) -> ErrorShape {
    match error {
        SubmitError::Conflict => ErrorShape::invalid_request(
            "This message ID was already used for different input. Check the conversation history and use a new \
             message ID to send again.",
        )
        .with_details(json!({"reason": "chat-request-conflict"})),
        SubmitError::OwnersOnly(_) => ErrorShape::invalid_request(error.to_string()),
        SubmitError::Full(_) => ErrorShape::unavailable(error.to_string()).retryable_after(Duration::from_secs(1)),
        SubmitError::Store(source) => ErrorShape::unavailable(format!("{error}: {}", source.words())),
        SubmitError::Stopping | SubmitError::Unavailable => ErrorShape::unavailable(error.to_string()).retryable(),
    }
}
