//! `agents.list`.

use actors::config::SessionScope;
use actors::ids::AgentId;
use futures_util::FutureExt as _;
use serde_json::json;

use super::{Answer, Call, Handled, Method};
use crate::control::services::Services;
use crate::protocol::hello::SessionDefaults;
use crate::protocol::methods::Params as _;
use crate::protocol::methods::agents::{AgentModel, AgentRow, ListParams, ListResult};
use crate::protocol::scope::Scope;

/// Name of the main session's part after the agent.
const MAIN_KEY: &str = "main";

/// The rows of this family.
pub const METHODS: &[Method] = &[Method::new("agents.list", Scope::Read, ListParams::SHAPE, list)];

fn list(call: Call) -> Handled {
    async move {
        let defaults = session_defaults(&call.services);
        let config = call.services.domain.config.current();
        let agents = config.config.agents.ids().iter().map(|agent| row(&call.services, agent)).collect();
        Ok(Answer::One(json!(ListResult {
            default_id: defaults.default_agent_id,
            ownership: defaults.ownership,
            selection_required: defaults.selection_required,
            main_key: defaults.main_key,
            scope: defaults.scope,
            agents,
        })))
    }
    .boxed()
}

fn row(services: &Services, agent: &AgentId) -> AgentRow {
    let config = services.domain.config.current();
    let agents = &config.config.agents;
    let (provider, model, _) = services.domain.model_of(agent);
    let fallbacks = &agents.model_of(agent).fallbacks;
    let workspace = agents.workspace_of(agent, &services.domain.state_dir);
    AgentRow {
        id: agent.to_string(),
        name: agents.entry(agent).and_then(|entry| entry.name.clone()),
        workspace_git: Some(workspace.join(".git").exists()),
        workspace: Some(workspace.display().to_string()),
        model: (!model.is_empty()).then(|| AgentModel {
            primary: Some(format!("{provider}/{model}")),
            fallbacks: (!fallbacks.is_empty()).then(|| fallbacks.clone()),
        }),
        agent_runtime: Some(json!({
            "id": "openclaw", "source": "implicit", "cloudPlacementSupported": false, "devicePlacementSupported": false,
        })),
        thinking_levels: Some(vec![json!({ "id": "off", "label": "off" })]),
        thinking_options: Some(vec!["off".to_owned()]),
        thinking_default: Some("off".to_owned()),
        ..AgentRow::default()
    }
}

/// Where a message goes when nothing else is said.
pub(crate) fn session_defaults(services: &Services) -> SessionDefaults {
    let config = services.domain.config.current();
    let default_agent = config.config.agents.default_agent();
    let ownership = if config.config.agents.entries.len() > 1 { "explicit" } else { "sole" };
    let scope = match config.config.session.scope {
        SessionScope::PerSender => "per-sender",
        SessionScope::Global => "global",
    };
    SessionDefaults {
        default_agent_id: default_agent.to_string(),
        model_configured: Some(!services.domain.model_of(&default_agent).1.is_empty()),
        ownership: Some(ownership.to_owned()),
        selection_required: Some(false),
        main_key: MAIN_KEY.to_owned(),
        main_session_key: actors::ids::SessionKey::main(&default_agent).to_string(),
        scope: scope.to_owned(),
    }
}
