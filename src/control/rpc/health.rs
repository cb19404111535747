//! `health`, `status` and `system-presence`.

use std::time::Instant;

use actors::ids::AgentId;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{ANY, Answer, Call, Handled, Method, channels, overview};
use crate::control::services::Services;
use crate::protocol::error::ErrorShape;
use crate::protocol::methods::Params as _;
use crate::protocol::methods::health::{
    AgentHealth, ConfigReloadHealth, HealthParams, HealthSnapshot, HeartbeatHealth, ModelRuntimeHealth, ProcessMemory,
    SessionsHealth, StatusHeartbeat, StatusParams, StatusResult, StatusSessions,
};
use crate::protocol::scope::{Scope, ScopeRule};

/// Sessions listed per agent.
const RECENT: usize = 5;
/// How often a heartbeat beats that is off.
const NO_HEARTBEAT: &str = "disabled";

/// The rows of this family.
pub const METHODS: &[Method] = &[
    Method::new("health", Scope::Read, HealthParams::SHAPE, health).scope(ScopeRule::Everyone),
    Method::new("status", Scope::Read, StatusParams::SHAPE, status),
    Method::new("system-presence", Scope::Read, &ANY, presence),
];

fn health(call: Call) -> Handled {
    async move {
        let params: HealthParams = call.parse()?;
        if params.probe {
            call.services.broadcast.refresh_health();
        }
        let mut snapshot = snapshot(&call.services).await;
        // Told to those who ask, not broadcast.
        snapshot["modelRuntime"] = json!(ModelRuntimeHealth::default());
        Ok(Answer::One(snapshot))
    }
    .boxed()
}

/// The health snapshot that is broadcast and told to new connections.
pub(crate) async fn snapshot(services: &Services) -> Value {
    let started = Instant::now();
    let accounts = channels::accounts(services);
    let agents = agents(services).await;
    let labels = accounts.keys().map(|id| (id.clone(), json!(channels::label(id)))).collect();
    let default_agent_id = services.domain.config.current().config.agents.default_agent().to_string();
    let failing = services.failing().into_iter();
    let failing: Vec<String> =
        failing.map(|(name, words)| words.map(|words| format!("{name}: {words}")).unwrap_or(name)).collect();
    json!(HealthSnapshot {
        ok: failing.is_empty(),
        failing,
        chaos: services.tree.chaos().is_some(),
        ts: services.clock.now_ms(),
        config_reload: Some(ConfigReloadHealth { hot_reload_status: "active".to_owned() }),
        channels: channels::summaries(&accounts),
        channel_order: accounts.keys().cloned().collect(),
        channel_labels: labels,
        heartbeat_seconds: 0,
        default_agent_id,
        sessions: all_sessions(&agents),
        agents,
        event_loop: Some(services.load.measure().await),
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        ..HealthSnapshot::default()
    })
}

async fn agents(services: &Services) -> Vec<AgentHealth> {
    let config = services.domain.config.current();
    let default_agent = config.config.agents.default_agent();
    let ids = config.config.agents.ids();
    let sessions = join_all(ids.iter().map(|agent| overview::recent(services, agent, RECENT))).await;
    let rows = ids.into_iter().zip(sessions).map(|(agent, sessions)| AgentHealth {
        is_default: agent == default_agent,
        agent_id: agent.to_string(),
        heartbeat: heartbeat(),
        sessions,
    });
    rows.collect()
}

/// There is none yet.
fn heartbeat() -> HeartbeatHealth {
    HeartbeatHealth { every: NO_HEARTBEAT.to_owned(), ..HeartbeatHealth::default() }
}

/// The newest sessions of all agents, under the first agent's path.
fn all_sessions(agents: &[AgentHealth]) -> SessionsHealth {
    let mut recent: Vec<_> = agents.iter().flat_map(|agent| agent.sessions.recent.iter().cloned()).collect();
    recent.sort_by_key(|session| std::cmp::Reverse(session.updated_at));
    recent.truncate(RECENT);
    SessionsHealth {
        path: agents.first().map(|agent| agent.sessions.path.clone()).unwrap_or_default(),
        count: agents.iter().map(|agent| agent.sessions.count).sum(),
        recent,
    }
}

fn status(call: Call) -> Handled {
    async move {
        let _: StatusParams = call.parse()?;
        let services = &call.services;
        let default_agent = services.domain.config.current().config.agents.default_agent();
        let agents = agents(services).await;
        let heartbeats = agents.iter().map(|agent| {
            json!({ "agentId": agent.agent_id, "enabled": false, "every": NO_HEARTBEAT, "everyMs": null, "waitingForRoute": false })
        });
        let mut answer = json!(StatusResult {
            runtime_version: services.version.clone(),
            heartbeat: StatusHeartbeat {
                default_agent_id: default_agent.to_string(),
                agents: heartbeats.collect(),
            },
            channel_summary: channel_lines(services),
            sessions: sessions(services, &default_agent, &agents),
            tasks: json!({
                "total": 0, "active": 0, "terminal": 0, "failures": 0,
                "byStatus": {
                    "queued": 0, "running": 0, "succeeded": 0, "failed": 0, "timed_out": 0, "cancelled": 0, "lost": 0,
                },
                "byRuntime": { "subagent": 0, "acp": 0, "cli": 0, "cron": 0 },
            }),
            task_audit: json!({
                "total": 0, "warnings": 0, "errors": 0,
                "byCode": {
                    "stale_queued": 0, "stale_running": 0, "lost": 0, "delivery_failed": 0, "missing_cleanup": 0,
                    "inconsistent_timestamps": 0,
                },
            }),
            model_runtime: Some(ModelRuntimeHealth::default()),
            event_loop: Some(services.load.measure().await),
            process_memory: resident().map(|rss_bytes| ProcessMemory { rss_bytes }),
            pid: Some(std::process::id()),
            ..StatusResult::default()
        });
        answer["degradedSecretOwners"] = json!([]);
        answer["degradedPlugins"] = json!([]);
        Ok(Answer::One(answer))
    }
    .boxed()
}

fn channel_lines(services: &Services) -> Vec<String> {
    let accounts = channels::accounts(services);
    let lines = accounts.iter().flat_map(|(channel, accounts)| {
        accounts.iter().map(move |account| {
            let state = account.health_state.as_deref().unwrap_or("unknown");
            format!("{} {}: {state}", channels::label(channel), account.account_id)
        })
    });
    lines.collect()
}

fn sessions(services: &Services, default_agent: &AgentId, agents: &[AgentHealth]) -> StatusSessions {
    let all = all_sessions(agents);
    let (_, model, window) = services.domain.model_of(default_agent);
    let by_agent = agents.iter().map(|agent| {
        let sessions = &agent.sessions;
        json!({ "agentId": agent.agent_id, "path": sessions.path, "count": sessions.count, "recent": sessions.recent })
    });
    StatusSessions {
        paths: agents.iter().map(|agent| agent.sessions.path.clone()).collect(),
        count: all.count,
        defaults: json!({ "model": model, "contextTokens": window }),
        recent: all.recent.iter().map(|session| json!(session)).collect(),
        by_agent: by_agent.collect(),
    }
}

/// Memory of this process in bytes, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn presence(call: Call) -> Handled {
    async move {
        let state = call.services.broadcast.state().await;
        let state = state.map_err(|error| ErrorShape::unavailable(error.to_string()).retryable())?;
        Ok(Answer::One(json!(state.presence)))
    }
    .boxed()
}
