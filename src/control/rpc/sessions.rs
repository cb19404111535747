//! `sessions.list`, `sessions.reset`, and what other families say about a session.

use actors::gateway::inbound::default_agent;
use actors::ids::{AgentId, RunId, SessionKey};
use actors::sessions::effective_queue_mode;
use actors::store::rows::SessionRow;
use actors::store::transcripts;
use futures_util::FutureExt as _;
use serde_json::{Map, Value, json};

use super::{Answer, Call, Handled, Method, target};
use crate::control::services::Services;
use crate::protocol::error::ErrorShape;
use crate::protocol::methods::Params as _;
use crate::protocol::methods::sessions::{ListParams, ResetParams};
use crate::protocol::scope::Scope;

/// Rows when no limit is given (OpenClaw: 100).
const LIST_LIMIT: usize = 100;
/// Rows read of the store at a time.
const PAGE: usize = 1000;

/// The rows of this family.
pub const METHODS: &[Method] = &[
    Method::new("sessions.list", Scope::Read, ListParams::SHAPE, list),
    Method::new("sessions.reset", Scope::Admin, ResetParams::SHAPE, reset).session_target("key").ordered(),
    Method::new("sessions.subscribe", Scope::Read, &super::ANY, subscribe),
    Method::new("sessions.messages.subscribe", Scope::Read, &super::ANY, subscribe_messages),
    Method::new("sessions.messages.unsubscribe", Scope::Read, &super::ANY, unsubscribe_messages),
];

fn list(call: Call) -> Handled {
    async move {
        let params: ListParams = call.parse()?;
        Ok(Answer::One(listed(&call.services, &params).await?))
    }
    .boxed()
}

async fn listed(services: &Services, params: &ListParams) -> Result<Value, ErrorShape> {
    let config = services.domain.config.current();
    let agents: Vec<AgentId> = match &params.agent_id {
        Some(agent) => vec![AgentId::normalised(agent)],
        None if config.config.agents.entries.is_empty() => vec![default_agent(&config.config.agents)],
        None => config.config.agents.entries.iter().map(|entry| entry.id.clone()).collect(),
    };
    let limit = params.limit.unwrap_or(LIST_LIMIT).max(1);
    let offset = params.offset.unwrap_or(0);
    let mut rows = Vec::new();
    for agent in &agents {
        rows.extend(rows_of(services, agent, params).await?);
    }
    if params.active_only == Some(true) {
        let fallback = default_agent(&config.config.agents);
        let at_work = |key: &str| {
            let session = SessionKey::parse(key, &fallback).ok();
            session.is_some_and(|session| services.domain.sessions.run_of(&session).is_some())
        };
        rows.retain(|(key, _)| at_work(key));
    }
    rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.updated_at));
    let total = rows.len();
    let shown: Vec<Value> = rows
        .iter()
        .skip(offset)
        .take(limit)
        .filter_map(|(key, row)| {
            let session = SessionKey::parse(key, &default_agent(&config.config.agents)).ok()?;
            let run = services.domain.sessions.run_of(&session);
            Some(with_thinking(info(services, &session, Some(row), run.as_ref().map(RunId::as_str))))
        })
        .collect();
    let end = offset + shown.len();
    let first = agents.first().cloned().unwrap_or_else(|| AgentId::normalised("main"));
    Ok(json!({
        "ts": services.clock.now_ms(),
        "path": transcripts::folder(&services.domain.state_dir, &first).join("sessions.json"),
        "count": shown.len(), "totalCount": total, "limitApplied": limit,
        "nextOffset": if end < total { json!(end) } else { Value::Null },
        "hasMore": end < total, "owners": [], "defaults": with_thinking(defaults(services)), "sessions": shown,
    }))
}

async fn rows_of(
    services: &Services,
    agent: &AgentId,
    params: &ListParams,
) -> Result<Vec<(String, SessionRow)>, ErrorShape> {
    let since = params.active_minutes.map(|minutes| {
        services.clock.now_ms() - i64::try_from(minutes).unwrap_or(i64::MAX / 60_000).saturating_mul(60_000)
    });
    let search = params.search.as_deref().map(str::to_lowercase);
    let mut found = Vec::new();
    let mut after: Option<SessionKey> = None;
    loop {
        let page = services
            .domain
            .sessions
            .rows(agent, after.as_ref(), PAGE)
            .await
            .map_err(|error| ErrorShape::unavailable(error.to_string()))?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        after = SessionKey::parse(last, agent).ok();
        let full = page.len() == PAGE;
        found.extend(page.into_iter().filter(|(key, row)| {
            let label = row.label.as_deref().unwrap_or("").to_lowercase();
            since.is_none_or(|since| row.updated_at >= since)
                && params.label.as_deref().is_none_or(|wanted| row.label.as_deref() == Some(wanted))
                && search.as_deref().is_none_or(|text| key.contains(text) || label.contains(text))
        }));
        if !full || after.is_none() {
            return Ok(found);
        }
    }
}

fn reset(call: Call) -> Handled {
    async move {
        let params: ResetParams = call.parse()?;
        let session = target::session(&call.services, &params.key, None)?;
        let reason = if params.reason.as_deref() == Some("new") { "new" } else { "reset" };
        let row =
            call.services.domain.sessions.reset(&session, reason).await.map_err(|error| target::refused(&error))?;
        let model = defaults(&call.services);
        Ok(Answer::One(json!({
            "ok": true, "key": session.as_str(), "entry": entry(&row),
            "resolved": {"modelProvider": model["modelProvider"], "model": model["model"]},
        })))
    }
    .boxed()
}

/// A row as it is kept, with what goes without saying there.
fn entry(row: &SessionRow) -> Value {
    let mut entry = serde_json::to_value(row).unwrap_or_default();
    entry["systemSent"] = json!(false);
    entry["abortedLastRun"] = json!(row.aborted_last_run.unwrap_or(false));
    entry["compactionCount"] = json!(0);
    entry["totalTokensFresh"] = json!(true);
    entry["createdAt"] = json!(row.session_started_at.unwrap_or(row.updated_at));
    entry
}

/// From now on the connection is told of changes to the list.
fn subscribe(call: Call) -> Handled {
    async move {
        call.conn.follows().follow_index();
        let mut answer = json!({"subscribed": true});
        if call.params.as_object().is_some_and(|given| !given.is_empty()) {
            let params: ListParams = call.parse()?;
            answer["list"] = listed(&call.services, &params).await?;
        }
        Ok(Answer::One(answer))
    }
    .boxed()
}

fn subscribe_messages(call: Call) -> Handled {
    async move {
        let Some(key) = call.params.get("key").and_then(Value::as_str) else {
            return Err(ErrorShape::invalid_params(call.method, "must have required property 'key'"));
        };
        let session = target::session(&call.services, key, None)?;
        if !call.conn.follows().follow(session.as_str()) {
            return Err(ErrorShape::unavailable("this connection follows too many sessions"));
        }
        Ok(Answer::One(json!({"subscribed": true, "key": session.as_str()})))
    }
    .boxed()
}

fn unsubscribe_messages(call: Call) -> Handled {
    async move {
        let Some(key) = call.params.get("key").and_then(Value::as_str) else {
            return Err(ErrorShape::invalid_params(call.method, "must have required property 'key'"));
        };
        // A session whose agent is gone can still be let go.
        let session = target::session(&call.services, key, None);
        let key = session.as_ref().map_or(key, SessionKey::as_str);
        call.conn.follows().unfollow(key);
        Ok(Answer::One(json!({"subscribed": false, "key": key})))
    }
    .boxed()
}

/// What a session runs on unless told otherwise.
pub(super) fn defaults(services: &Services) -> Value {
    let config = services.domain.config.current();
    let agent = default_agent(&config.config.agents);
    let (provider, model, window) = services.domain.model_of(&agent);
    json!({
        "modelProvider": provider, "model": model, "contextTokens": window,
        "agentRuntime": runtime(), "modelSelectionTarget": "session",
    })
}

/// With the thinking levels there are: none but off.
pub(super) fn with_thinking(mut about: Value) -> Value {
    about["thinkingLevels"] = json!([{"id": "off", "label": "off"}]);
    about["thinkingOptions"] = json!(["off"]);
    about["thinkingDefault"] = json!("off");
    about
}

/// What runs the agents: this gateway itself.
pub(super) fn runtime() -> Value {
    json!({
        "id": "openclaw", "cloudPlacementSupported": false, "devicePlacementSupported": false, "source": "implicit",
    })
}

/// A session as lists and histories show it.
pub(super) fn info(services: &Services, session: &SessionKey, row: Option<&SessionRow>, active: Option<&str>) -> Value {
    let agent = session.agent();
    let rest = session.rest();
    let group = rest.contains(":group:") || rest.contains(":channel:");
    let is_main = rest == "main";
    let (provider, model, window) = services.domain.model_of(&agent);
    let config = services.domain.config.current();
    let mode = effective_queue_mode(&config.config.messages.queue, row.unwrap_or(&SessionRow::default()));
    let mut info = json!({
        "key": session.as_str(), "permissionModePending": false,
        "kind": if group { "group" } else { "direct" },
        "classification": if is_main { "main" } else if group { "group" } else { "other" },
        "agentId": agent.as_str(), "isMain": is_main, "isBackground": false, "updatedAt": Value::Null,
        "archived": false, "pinned": false, "unread": false, "totalTokensFresh": false,
        "effectiveQueueMode": mode, "modelProvider": provider, "model": model,
        "modelOverrideSource": Value::Null, "snapshotAt": services.clock.now_ms(),
        "effectiveFastMode": false, "effectiveFastModeSource": "default", "effectiveResponseUsage": "off",
        "runtimeSelectionLocked": false, "agentRuntime": runtime(), "contextTokens": window,
        "hasActiveRun": active.is_some(), "activeRunIds": active.into_iter().collect::<Vec<_>>(),
    });
    if let (Some(row), Some(fields)) = (row, info.as_object_mut()) {
        fill(fields, row);
        let aborted = row.aborted_last_run.unwrap_or(false);
        let status = if active.is_some() {
            "running"
        } else if aborted {
            "killed"
        } else {
            "done"
        };
        fields.insert("status".to_owned(), json!(status));
        fields.insert("abortedLastRun".to_owned(), json!(aborted));
        fields.insert("visibility".to_owned(), json!("shared"));
        fields.entry("chatType").or_insert_with(|| json!(if group { "group" } else { "direct" }));
    }
    info
}

fn fill(fields: &mut Map<String, Value>, row: &SessionRow) {
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            fields.insert(name.to_owned(), value);
        }
    };
    set("sessionId", json!(row.session_id));
    set("updatedAt", json!(row.updated_at));
    set("label", json!(row.label));
    set("displayName", json!(row.label));
    set("chatType", json!(row.chat_type));
    set("createdAt", json!(row.session_started_at));
    set("lastInteractionAt", json!(row.last_interaction_at));
    set("modelProvider", json!(row.model_provider));
    set("model", json!(row.model));
    set("inputTokens", json!(row.input_tokens));
    set("outputTokens", json!(row.output_tokens));
    set("totalTokens", json!(row.total_tokens));
    set("lastChannel", json!(row.last_channel));
    set("lastTo", json!(row.last_to));
}
