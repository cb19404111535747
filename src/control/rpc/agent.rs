//! `agent`, answered twice, and `agent.wait`.

use std::time::Duration;

use actors::agents::event::Ending;
use actors::ids::RunId;
use actors::sessions::{Submission, SubmitAck};
use actors::store::records::{RunEnd, RunStatus};
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::run_events::{receipt, reply, status_word};
use super::{Answer, Call, Final, Handled, Method, target};
use crate::protocol::error::ErrorShape;
use crate::protocol::methods::Params as _;
use crate::protocol::methods::agents::{AgentParams, WaitParams};
use crate::protocol::scope::Scope;

/// How long a client may wait for the second answer (OpenClaw's limit of a run: 48 h).
const LONGEST_RUN: Duration = Duration::from_secs(48 * 60 * 60);
/// How long an aborted run may take to end.
const ABORTED: Duration = Duration::from_secs(15);
/// Wait of `agent.wait` unless it says otherwise.
const DEFAULT_WAIT_MS: u64 = 30_000;

/// The rows of this family.
pub const METHODS: &[Method] = &[
    Method::new("agent", Scope::Write, AgentParams::SHAPE, agent).ordered().after_startup(),
    Method::new("agent.wait", Scope::Write, WaitParams::SHAPE, wait),
];

fn agent(call: Call) -> Handled {
    async move {
        let params: AgentParams = call.parse()?;
        if !params.attachments.is_empty() {
            return Err(ErrorShape::invalid_request("attachments are not supported yet; send the message as text"));
        }
        if params.message.trim().is_empty() {
            return Err(ErrorShape::invalid_request("message must not be empty"));
        }
        let session = match params.session_key.as_deref() {
            Some(key) => target::session(&call.services, key, params.agent_id.as_deref())?,
            None => target::main_session(&call.services, params.agent_id.as_deref())?,
        };
        let run = RunId::parse(&params.idempotency_key)
            .map_err(|error| ErrorShape::invalid_params("agent", &error.to_string()))?;
        let model = model(&params)?;
        let submission = Submission { model, ..target::submission(&call, &run, params.message) };
        let sessions = call.services.domain.sessions.clone();
        let ack = sessions.submit(&session, submission).await.map_err(|error| target::refused(&error))?;
        let about = json!({"runId": run.as_str(), "sessionKey": session.as_str(), "agentId": session.agent().as_str()});
        match ack {
            SubmitAck::Accepted => {
                let mut first = about;
                first["status"] = json!("accepted");
                first["acceptedAt"] = json!(call.services.clock.now_ms());
                let broadcast = call.services.broadcast.clone();
                let limit = params.timeout.filter(|seconds| *seconds > 0).map(Duration::from_secs);
                let rest = async move {
                    let mut ended = sessions.wait_in(&session, &run, limit.unwrap_or(LONGEST_RUN)).await;
                    let late = limit.filter(|_| ended.is_none());
                    if late.is_some() {
                        sessions.abort(&session, Some(run.clone()), "timeout").await;
                        ended = sessions.wait_in(&session, &run, ABORTED).await;
                    }
                    broadcast.settle().await;
                    match ended {
                        Some(ending) => {
                            let mut answer = last_answer(&run, &ending.end);
                            if let (Some(limit), Some(payload)) = (late, &mut answer.payload) {
                                payload["summary"] = json!(format!("no answer in {} s", limit.as_secs()));
                            }
                            answer
                        }
                        None => Final::failed(None, ErrorShape::unavailable("the run did not end")),
                    }
                };
                Ok(Answer::TwoStage { first, rest: rest.boxed() })
            }
            SubmitAck::InFlight => {
                let mut answer = about;
                answer["status"] = json!("in_flight");
                Ok(Answer::One(answer))
            }
            SubmitAck::Ended(end) => Ok(Answer::Settled(last_answer(&run, &end))),
            SubmitAck::Stopped(runs) => {
                let ids: Vec<&str> = runs.iter().map(RunId::as_str).collect();
                Ok(Answer::One(json!({"ok": true, "aborted": !ids.is_empty(), "runIds": ids})))
            }
        }
    }
    .boxed()
}

/// The one model a request asks for: `model` of `provider`, or a name that holds both.
fn model(params: &AgentParams) -> Result<Option<String>, ErrorShape> {
    match (&params.provider, &params.model) {
        (None, None) => Ok(None),
        (None, Some(model)) => Ok(Some(model.clone())),
        (Some(provider), Some(model)) => Ok(Some(format!("{provider}/{model}"))),
        (Some(_), None) => Err(ErrorShape::invalid_request("provider without model")),
    }
}

/// The second answer of a run.
fn last_answer(run: &RunId, end: &RunEnd) -> Final {
    if end.status == RunStatus::Error {
        let text = end.error.clone().unwrap_or_default();
        let payload = json!({"runId": run.as_str(), "status": "error", "summary": text});
        return Final::failed(Some(payload), ErrorShape::unavailable(text));
    }
    let aborted = end.status == RunStatus::Aborted;
    let payloads: Vec<Value> =
        if end.text.is_empty() { Vec::new() } else { vec![json!({"text": end.text, "mediaUrl": Value::Null})] };
    let usage = json!({
        "input": end.usage.input, "output": end.usage.output, "cacheRead": end.usage.cache_read,
        "cacheWrite": end.usage.cache_write, "total": end.usage.total_tokens,
        "cost": {"total": end.usage.cost.total},
    });
    let stop_reason = if aborted { "aborted" } else { "stop" };
    let mut receipt = receipt(run, end);
    if let Some(fields) = receipt.as_object_mut() {
        fields.remove("terminalDisposition");
    }
    Final::done(json!({
        "runId": run.as_str(),
        "status": status_word(end.status),
        "summary": if aborted { "aborted" } else { "completed" },
        "result": {
            "payloads": payloads,
            "meta": {
                "durationMs": (end.ended_at - end.started_at).max(0),
                "aborted": aborted,
                "agentMeta": {
                    "sessionId": end.session_id, "agentHarnessId": "openclaw", "provider": end.provider,
                    "model": end.model, "usage": usage, "costUsd": end.usage.cost.total, "terminalReceipt": receipt,
                },
                "finalAssistantVisibleText": end.text, "finalAssistantRawText": end.text, "replayInvalid": false,
                "livenessState": "working", "stopReason": stop_reason,
                "completion": {"stopReason": stop_reason, "finishReason": stop_reason},
            },
        },
    }))
}

fn wait(call: Call) -> Handled {
    async move {
        let params: WaitParams = call.parse()?;
        let run = RunId::parse(&params.run_id)
            .map_err(|error| ErrorShape::invalid_params("agent.wait", &error.to_string()))?;
        let patience = Duration::from_millis(params.timeout_ms.unwrap_or(DEFAULT_WAIT_MS));
        let ended = call.services.domain.sessions.wait(&run, patience.min(LONGEST_RUN)).await;
        let Some(Ending { end, .. }) = ended else {
            return Ok(Answer::One(json!({"runId": run.as_str(), "status": "timeout"})));
        };
        let mut answer = json!({
            "runId": run.as_str(), "status": status_word(end.status), "startedAt": end.started_at,
            "endedAt": end.ended_at,
        });
        if end.status == RunStatus::Error {
            answer["error"] = json!(end.error);
        } else {
            answer["stopReason"] = json!(if end.status == RunStatus::Ok { "stop" } else { "rpc" });
            answer["livenessState"] = json!("working");
            answer["terminalReply"] = reply(&end);
            answer["terminalReceipt"] = receipt(&run, &end);
        }
        Ok(Answer::One(answer))
    }
    .boxed()
}
