//! `models.list`, and the catalogue that is sent to clients which ask for it when they connect.

use actors::ids::{AgentId, SessionKey};
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::{Answer, Call, Handled, Method};
use crate::control::connection::context::ConnContext;
use crate::control::services::Services;
use crate::protocol::methods::Params as _;
use crate::protocol::methods::models::{ListParams, ListResult, ModelRow};
use crate::protocol::scope::Scope;

/// The capability of clients that want the catalogue at once.
pub(crate) const SNAPSHOT_CAP: &str = "model-catalog-snapshot";
/// The event that brings it.
pub(crate) const SNAPSHOT_EVENT: &str = "models.snapshot";
/// The capability of clients that ask which models a user may choose.
const POLICY_CAP: &str = "model-selection-policy";

/// The rows of this family.
pub const METHODS: &[Method] = &[Method::new("models.list", Scope::Read, ListParams::SHAPE, list).after_startup()];

fn list(call: Call) -> Handled {
    async move {
        let params: ListParams = call.parse()?;
        let agent = agent(&call.services, params.agent_id.as_deref(), params.session_key.as_deref());
        let mut models = rows(&call.services, &agent, call.conn.has_cap(POLICY_CAP));
        if let Some(provider) = &params.provider {
            models.retain(|model| model.provider == *provider);
        }
        let default_models = params.include_default_models.unwrap_or(false).then(|| json!({}));
        let mut answer = json!(ListResult { models, default_models });
        answer["accountSelection"] = account_selection();
        Ok(Answer::One(answer))
    }
    .boxed()
}

/// What event [`SNAPSHOT_EVENT`] says.
pub(crate) fn catalog_snapshot(services: &Services, connection: &ConnContext) -> Value {
    let agent = agent(services, None, None);
    let target = json!({ "agentId": agent.as_str(), "sessionKey": SessionKey::main(&agent).as_str() });
    let models = rows(services, &agent, connection.has_cap(POLICY_CAP));
    json!({
        "target": target,
        "scope": target,
        "catalog": { "models": models, "accountSelection": account_selection() },
    })
}

fn account_selection() -> Value {
    json!({ "kind": "automatic", "label": "Automatic account selection" })
}

fn agent(services: &Services, agent: Option<&str>, session: Option<&str>) -> AgentId {
    let config = services.domain.config.current();
    let default_agent = config.config.agents.default_agent();
    let of_session = || session.and_then(|key| SessionKey::parse(key, &default_agent).ok()).map(|key| key.agent());
    agent.map(AgentId::normalised).or_else(of_session).unwrap_or(default_agent)
}

fn rows(services: &Services, agent: &AgentId, with_policy: bool) -> Vec<ModelRow> {
    let (provider, model, _) = services.domain.model_of(agent);
    let known = services.domain.providers.models();
    known
        .into_iter()
        .map(|info| {
            let is_default = info.provider == provider && info.id == model;
            ModelRow {
                id: info.id,
                name: info.name,
                provider: info.provider,
                context_window: Some(info.context_window).filter(|tokens| *tokens > 0),
                max_tokens: Some(info.max_tokens).filter(|tokens| *tokens > 0),
                reasoning: Some(info.reasoning),
                thinking_levels: Some(vec![json!({ "id": "off", "label": "off" })]),
                thinking_default: Some("off".to_owned()),
                input: Some(info.input),
                tags: is_default.then(|| vec!["default".to_owned()]),
                available: Some(true),
                manual_selection_allowed: with_policy.then_some(true),
            }
        })
        .collect()
}
