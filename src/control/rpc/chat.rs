//! `chat.send`, `chat.history`, `chat.abort`, `chat.startup`.

use actors::ids::{RunId, SessionKey};
use actors::sessions::history::{History, HistoryItem};
use actors::sessions::{Submission, SubmitAck};
use actors::store::records::{RunEnd, RunStatus};
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::sessions::{defaults, info, with_thinking};
use super::{Answer, Call, Final, Handled, Method, target};
use crate::control::services::Services;
use crate::protocol::error::ErrorShape;
use crate::protocol::methods::Params as _;
use crate::protocol::methods::chat::{AbortParams, HistoryParams, QueueMode, SendParams};
use crate::protocol::scope::Scope;

/// Most bytes of messages in one answer (OpenClaw: 6 MiB).
const HISTORY_BYTES: usize = 6_291_456;
/// Messages when no limit is given.
const HISTORY_LIMIT: usize = 200;

/// The rows of this family.
pub const METHODS: &[Method] = &[
    Method::new("chat.send", Scope::Write, SendParams::SHAPE, send)
        .session_target("sessionKey")
        .ordered()
        .after_startup(),
    Method::new("chat.history", Scope::Read, HistoryParams::SHAPE, history),
    Method::new("chat.startup", Scope::Read, &super::ANY, startup),
    Method::new("chat.abort", Scope::Write, AbortParams::SHAPE, abort).session_target("sessionKey").ordered(),
];

fn send(call: Call) -> Handled {
    async move {
        let params: SendParams = call.parse()?;
        if !params.attachments.is_empty() {
            return Err(ErrorShape::invalid_request("attachments are not supported yet; send the message as text"));
        }
        if params.message.trim().is_empty() {
            return Err(ErrorShape::invalid_request("message must not be empty"));
        }
        let session = target::session(&call.services, &params.session_key, params.agent_id.as_deref())?;
        let run = RunId::parse(&params.idempotency_key)
            .map_err(|error| ErrorShape::invalid_params("chat.send", &error.to_string()))?;
        let submission = Submission {
            queue_mode: params.queue_mode.map(queue_mode),
            literal: params.suppress_command_interpretation.unwrap_or(false),
            ..target::submission(&call, &run, params.message)
        };
        submit(&call, &session, submission).await
    }
    .boxed()
}

/// Hands text to a session; the answer says how far its run is.
pub(super) async fn submit(call: &Call, session: &SessionKey, submission: Submission) -> Result<Answer, ErrorShape> {
    let run = submission.run.clone();
    let ack = call.services.domain.sessions.submit(session, submission).await;
    Ok(match ack.map_err(|error| target::refused(&error))? {
        SubmitAck::Accepted => Answer::One(json!({"runId": run.as_str(), "status": "started"})),
        SubmitAck::InFlight => Answer::One(json!({"runId": run.as_str(), "status": "in_flight"})),
        SubmitAck::Ended(end) => Answer::Settled(repeated(&run, &end)),
        SubmitAck::Stopped(runs) => {
            let ids: Vec<&str> = runs.iter().map(RunId::as_str).collect();
            Answer::One(json!({"ok": true, "aborted": !ids.is_empty(), "runIds": ids}))
        }
    })
}

fn queue_mode(wanted: QueueMode) -> actors::config::QueueMode {
    match wanted {
        QueueMode::Steer => actors::config::QueueMode::Steer,
        QueueMode::Followup => actors::config::QueueMode::Followup,
        QueueMode::Collect => actors::config::QueueMode::Collect,
        QueueMode::Interrupt => actors::config::QueueMode::Interrupt,
    }
}

/// The answer to a repeated request whose run has ended.
fn repeated(run: &RunId, end: &RunEnd) -> Final {
    match end.status {
        RunStatus::Ok => Final::done(json!({"runId": run.as_str(), "status": "ok"})),
        RunStatus::Aborted => Final::done(json!({
            "runId": run.as_str(), "status": "timeout", "summary": "aborted", "stopReason": "rpc",
            "endedAt": end.ended_at,
        })),
        RunStatus::Error => {
            let text = end.error.clone().unwrap_or_default();
            let payload = json!({"runId": run.as_str(), "status": "error", "summary": text});
            Final::failed(Some(payload), ErrorShape::unavailable(text))
        }
    }
}

fn history(call: Call) -> Handled {
    async move {
        let params: HistoryParams = call.parse()?;
        Ok(Answer::One(read(&call.services, &params).await?))
    }
    .boxed()
}

fn startup(call: Call) -> Handled {
    async move {
        let allowed = ["sessionKey", "agentId", "limit"];
        let given = call.params.as_object().into_iter().flatten().filter(|(key, _)| allowed.contains(&key.as_str()));
        let mut wanted: serde_json::Map<String, Value> = given.map(|(k, v)| (k.clone(), v.clone())).collect();
        wanted.entry("sessionKey").or_insert_with(|| json!("main"));
        let params = HistoryParams::parse(Value::Object(wanted))?;
        let mut answer = read(&call.services, &params).await?;
        answer["thinkingLevel"] = json!("off");
        answer["defaults"] = with_thinking(defaults(&call.services));
        answer["metadata"] = json!({
            "models": [], "commands": [], "swarmEnabled": false, "runtimeSelectionLocked": false,
            "accountSelection": {"kind": "automatic", "label": "Automatic account selection"},
        });
        Ok(Answer::One(answer))
    }
    .boxed()
}

async fn read(services: &Services, params: &HistoryParams) -> Result<Value, ErrorShape> {
    let empty = |key: &str| {
        json!({
            "sessionKey": key, "messages": [], "pendingInputs": {"items": [], "total": 0}, "hasMore": false,
            "totalMessages": 0, "defaults": defaults(services),
        })
    };
    // A key of an agent that is not configured has no history; asking for it is no mistake.
    let Ok(session) = target::session(services, &params.session_key, params.agent_id.as_deref()) else {
        return Ok(empty(&params.session_key));
    };
    let limit = params.limit.unwrap_or(HISTORY_LIMIT);
    let offset = params.offset.unwrap_or(0);
    let wanted = limit.saturating_add(offset);
    let mut history = services
        .domain
        .sessions
        .history(&session, wanted)
        .await
        .map_err(|error| ErrorShape::unavailable(error.to_string()))?;
    history.items.truncate(history.items.len().saturating_sub(offset));
    let max_bytes = params.max_bytes.unwrap_or(HISTORY_BYTES).min(HISTORY_BYTES);
    let (messages, left_out) = within(&history, max_bytes);
    let shown = messages.len();
    let mut answer = empty(&params.session_key);
    answer["messages"] = Value::Array(messages);
    answer["totalMessages"] = json!(history.total);
    let older = history.total.saturating_sub(offset + shown);
    if older > 0 || left_out {
        answer["hasMore"] = json!(true);
        answer["nextOffset"] = json!(offset + shown);
    }
    if let Some(id) = &history.session_id {
        answer["sessionId"] = json!(&**id);
    }
    if let Some(active) = &history.active {
        answer["inFlightRun"] = json!({"runId": active.run.as_str(), "text": "", "startedAt": active.started_at});
    }
    let active = history.active.as_ref().map(|active| active.run.to_string());
    answer["sessionInfo"] = info(services, &session, history.row.as_ref(), active.as_deref());
    Ok(answer)
}

/// The newest messages that fit into `max_bytes`, oldest first; true when some did not fit.
fn within(history: &History, max_bytes: usize) -> (Vec<Value>, bool) {
    let mut used = 0;
    let mut rows = Vec::new();
    for item in history.items.iter().rev() {
        let row = row(item);
        used += row.to_string().len();
        if used > max_bytes && !rows.is_empty() {
            rows.reverse();
            return (rows, true);
        }
        rows.push(row);
    }
    rows.reverse();
    (rows, false)
}

fn row(item: &HistoryItem) -> Value {
    let mut row = serde_json::to_value(&item.message).unwrap_or_default();
    let mut about = json!({"id": item.id, "seq": item.seq});
    if let Ok(at) = chrono::DateTime::parse_from_rfc3339(&item.recorded) {
        about["recordTimestampMs"] = json!(at.timestamp_millis());
    }
    if let Some(key) = row.get("idempotencyKey") {
        about["idempotencyKey"] = key.clone();
    }
    row["__openclaw"] = about;
    row
}

fn abort(call: Call) -> Handled {
    async move {
        let params: AbortParams = call.parse()?;
        let session = target::session(&call.services, &params.session_key, params.agent_id.as_deref())?;
        let run = params
            .run_id
            .as_deref()
            .map(RunId::parse)
            .transpose()
            .map_err(|error| ErrorShape::invalid_params("chat.abort", &error.to_string()))?;
        let runs = call.services.domain.sessions.abort(&session, run, "rpc").await;
        call.services.broadcast.settle().await;
        let ids: Vec<&str> = runs.iter().map(RunId::as_str).collect();
        Ok(Answer::One(json!({"ok": true, "aborted": !ids.is_empty(), "runIds": ids})))
    }
    .boxed()
}
