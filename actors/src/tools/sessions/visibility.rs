//! Which sessions a session may see. Fails closed: what no rule allows is as if it did not exist.

use crate::config::{SessionVisibility, ToolsConfig};
use crate::ids::SessionKey;
use crate::tools::contract::{ToolContext, ToolError};
use crate::tools::sessions_port::SessionFacts;

/// True when `context`'s session may see the one these facts are of.
pub(super) fn sees(context: &ToolContext, facts: &SessionFacts) -> bool {
    let own = &context.session;
    if facts.key == own.as_str() {
        return true;
    }
    let tools = &context.config.tools;
    let Ok(target) = SessionKey::parse(&facts.key, &context.agent) else { return false };
    // Whoever is not the owner sees what they said themselves.
    if !context.is_owner || target.rest().contains("incognito-") {
        return false;
    }
    if target.agent() != context.agent {
        return tools.sessions_visibility == SessionVisibility::All && across(tools, &context.agent, &target.agent());
    }
    match tools.sessions_visibility {
        SessionVisibility::Own => false,
        SessionVisibility::Tree => {
            own == &SessionKey::main(&context.agent) || facts.spawned_by.as_deref() == Some(own.as_str())
        }
        SessionVisibility::Agent | SessionVisibility::All => true,
    }
}

/// True when agents may see each other: both ends are on the list.
fn across(tools: &ToolsConfig, from: &crate::ids::AgentId, to: &crate::ids::AgentId) -> bool {
    let listed = |agent: &str| tools.agent_to_agent.allow.iter().any(|allowed| allowed == "*" || allowed == agent);
    tools.agent_to_agent.enabled && listed(from.as_str()) && listed(to.as_str())
}

/// A key as a model writes it; `current` and nothing are its own session.
pub(super) fn target(context: &ToolContext, given: Option<&str>) -> Result<SessionKey, ToolError> {
    match given {
        None | Some("current") => Ok(context.session.clone()),
        Some(key) => {
            SessionKey::parse(key, &context.agent).map_err(|error| ToolError::Arguments(format!("sessionKey: {error}")))
        }
    }
}

/// The facts of a session that may be seen.
pub(super) async fn seen(context: &ToolContext, session: &SessionKey) -> Result<SessionFacts, ToolError> {
    let status = context.sessions.status(session.clone()).await?;
    match status.map(|status| status.facts).filter(|facts| sees(context, facts)) {
        Some(facts) => Ok(facts),
        None if *session == context.session => Ok(SessionFacts { key: session.to_string(), ..SessionFacts::default() }),
        None => Err(not_seen(session)),
    }
}

/// What is said of a session that is not there, or not to be seen.
pub(super) fn not_seen(session: &SessionKey) -> ToolError {
    ToolError::Failed(format!("there is no session {session} that this session may see"))
}
