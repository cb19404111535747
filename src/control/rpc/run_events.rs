//! Domain events as frames: what happens in a run becomes `chat` and `agent` events.

use actors::agents::event::{Ending, GatewayEvent, RunEvent, RunEventKind};
use actors::clock::EpochMs;
use actors::ids::RunId;
use actors::store::records::{RunEnd, RunStatus};
use serde_json::{Map, Value, json};

/// A frame before it has its number.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Name of the event.
    pub event: &'static str,
    /// Its payload.
    pub payload: Value,
    /// A slow client may miss it.
    pub drop_if_slow: bool,
}

/// The frames of an event, in order.
#[must_use]
pub fn frames(event: &GatewayEvent) -> Vec<Frame> {
    match event {
        GatewayEvent::Run(event) => run_frames(event),
        GatewayEvent::SessionChanged { session, reason } => vec![Frame {
            event: "sessions.changed",
            payload: json!({"sessionKey": session.as_str(), "agentId": session.agent().as_str(), "reason": reason}),
            drop_if_slow: false,
        }],
    }
}

fn run_frames(event: &RunEvent) -> Vec<Frame> {
    match &event.kind {
        RunEventKind::Status(phase) => vec![
            chat(event, "status", json!({"phase": phase.as_str()}), false),
            agent(event, "run_status", json!({"phase": phase.as_str()}), false),
        ],
        RunEventKind::Retrying { attempt, max_attempts, reason } => {
            let retry = json!({"attempt": attempt, "maxAttempts": max_attempts, "reason": reason});
            vec![
                chat(event, "status", json!({"phase": "starting_model", "retry": retry}), true),
                agent(event, "run_status", json!({"phase": "starting_model", "retry": retry}), true),
            ]
        }
        RunEventKind::Started { started_at } => {
            vec![agent(event, "lifecycle", json!({"phase": "start", "startedAt": started_at}), false)]
        }
        RunEventKind::Model { provider, model } => {
            vec![agent(event, "lifecycle", json!({"phase": "model", "provider": provider, "model": model}), false)]
        }
        RunEventKind::ModelReleased => {
            let data = json!({"phase": "model", "provider": Value::Null, "model": Value::Null});
            vec![agent(event, "lifecycle", data, false)]
        }
        RunEventKind::Thinking { delta, text } => {
            vec![agent(event, "thinking", json!({"text": text, "delta": delta}), true)]
        }
        RunEventKind::Text { delta, text, replace, item } => text_frames(event, delta, text, *replace, item),
        RunEventKind::ToolStarted { call_id, name, arguments } => {
            let data = json!({"phase": "start", "name": name, "toolCallId": call_id, "args": arguments});
            vec![
                agent(event, "item", item(call_id, name, "start", "running", event.at), false),
                agent(event, "tool", data, false),
            ]
        }
        RunEventKind::ToolEnded { call_id, name, text, is_error, started_at } => {
            let result = json!({"content": [{"type": "text", "text": text}]});
            let data =
                json!({"phase": "result", "name": name, "toolCallId": call_id, "isError": is_error, "result": result});
            let status = if *is_error { "failed" } else { "completed" };
            let mut row = item(call_id, name, "end", status, *started_at);
            row["endedAt"] = json!(event.at);
            vec![agent(event, "tool", data, false), agent(event, "item", row, false)]
        }
        RunEventKind::Usage { output_tokens } => {
            vec![agent(event, "usage", json!({"outputTokens": output_tokens}), true)]
        }
        RunEventKind::Compaction { is_over, will_retry } => {
            let mut data = json!({"phase": if *is_over { "end" } else { "start" }});
            if *is_over {
                data["willRetry"] = json!(will_retry);
            }
            vec![agent(event, "compaction", data, false)]
        }
        RunEventKind::Finishing { stop_reason, error } => {
            let mut data = json!({"phase": "finishing", "aborted": false, "endedAt": event.at});
            if let Some(error) = error {
                (data["error"], data["livenessState"]) = (json!(error), json!("blocked"));
            } else {
                (data["stopReason"], data["livenessState"]) = (json!(stop_reason), json!("working"));
            }
            vec![agent(event, "lifecycle", data, false)]
        }
        RunEventKind::Fallback { from, to, reason } => {
            let data = json!({
                "phase": "fallback_step", "fallbackStepType": "fallback_step", "fallbackStepFromModel": from,
                "fallbackStepToModel": to, "fallbackStepFromFailureReason": reason,
                "fallbackStepFinalOutcome": "next_fallback",
            });
            vec![agent(event, "lifecycle", data, false)]
        }
        RunEventKind::Ended(ending) => ended(event, ending),
        RunEventKind::Failed { ending, error_kind } => failed(event, ending, error_kind),
        RunEventKind::Aborted { ending, stop_reason } => aborted(event, ending, stop_reason),
    }
}

fn text_frames(event: &RunEvent, delta: &str, text: &str, replace: bool, item: &str) -> Vec<Frame> {
    let mut shown = json!({"text": text, "delta": delta, "itemId": item});
    let mut fields = json!({"deltaText": if replace { text } else { delta }, "message": assistant(text, event.at)});
    if replace {
        shown["replace"] = json!(true);
        fields["replace"] = json!(true);
    }
    vec![agent(event, "assistant", shown, true), chat(event, "delta", fields, true)]
}

fn ended(event: &RunEvent, ending: &Ending) -> Vec<Frame> {
    let end = &ending.end;
    let stop_reason = "stop";
    let data = json!({
        "stopReason": stop_reason, "aborted": false, "livenessState": "working", "phase": "end",
        "endedAt": end.ended_at, "startedAt": end.started_at, "replayInvalid": false,
        "terminalReply": reply(end), "terminalReceipt": receipt(&event.run, end), "executionSettled": true,
    });
    let mut fields = json!({"stopReason": stop_reason});
    if !end.text.is_empty() {
        fields["message"] = assistant(&end.text, end.ended_at);
    }
    vec![agent(event, "lifecycle", data, false), chat(event, "final", fields, false)]
}

fn failed(event: &RunEvent, ending: &Ending, error_kind: &str) -> Vec<Frame> {
    let error = ending.end.error.clone().unwrap_or_default();
    let data = json!({
        "phase": "error", "aborted": false, "livenessState": "blocked", "startedAt": ending.end.started_at,
        "endedAt": ending.end.ended_at, "error": error,
        "executionSettled": true,
    });
    let fields = json!({
        "errorMessage": error, "errorKind": error_kind,
        "errorDetail": {"provider": ending.end.provider, "model": ending.end.model},
    });
    vec![agent(event, "lifecycle", data, false), chat(event, "error", fields, false)]
}

fn aborted(event: &RunEvent, ending: &Ending, stop_reason: &str) -> Vec<Frame> {
    let mut fields = json!({"stopReason": stop_reason});
    if !ending.end.text.is_empty() {
        fields["message"] = assistant(&ending.end.text, ending.end.ended_at);
    }
    let data = json!({
        "phase": "end", "status": "cancelled", "aborted": true, "stopReason": stop_reason,
        "startedAt": ending.end.started_at, "endedAt": ending.end.ended_at,
    });
    vec![chat(event, "aborted", fields, false), agent(event, "lifecycle", data, false)]
}

/// What the run said last, for clients that show only that.
#[must_use]
pub fn reply(end: &RunEnd) -> Value {
    let disposition = if end.text.is_empty() { "silent" } else { "visible" };
    json!({"disposition": disposition, "text": end.text})
}

/// Which model was asked and which one answered.
#[must_use]
pub fn receipt(run: &RunId, end: &RunEnd) -> Value {
    json!({
        "runId": run.as_str(), "sessionId": end.session_id, "turnId": run.as_str(),
        "requested": {"provider": end.provider, "model": end.model},
        "effective": {"provider": end.provider, "model": end.model, "responseModel": end.model},
        "successfulToolNames": end.tools, "rerouted": false, "terminalDisposition": "visible",
    })
}

/// The status word of RPC answers.
#[must_use]
pub fn status_word(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Ok => "ok",
        RunStatus::Error => "error",
        RunStatus::Aborted => "timeout",
    }
}

fn assistant(text: &str, at: i64) -> Value {
    json!({"role": "assistant", "content": [{"type": "text", "text": text}], "timestamp": at})
}

fn item(call_id: &str, name: &str, phase: &str, status: &str, started_at: EpochMs) -> Value {
    json!({
        "itemId": format!("tool:{call_id}"), "kind": "tool", "phase": phase, "title": name, "status": status,
        "name": name, "toolCallId": call_id, "startedAt": started_at,
    })
}

fn chat(event: &RunEvent, state: &str, fields: Value, drop_if_slow: bool) -> Frame {
    let mut payload = Map::new();
    payload.insert(String::from("runId"), json!(event.run.as_str()));
    payload.insert(String::from("sessionKey"), json!(event.session.as_str()));
    payload.insert(String::from("agentId"), json!(event.agent.as_str()));
    payload.insert(String::from("seq"), json!(event.seq));
    payload.insert(String::from("state"), json!(state));
    if let Value::Object(fields) = fields {
        payload.extend(fields);
    }
    Frame { event: "chat", payload: Value::Object(payload), drop_if_slow }
}

fn agent(event: &RunEvent, stream: &str, data: Value, drop_if_slow: bool) -> Frame {
    let mut payload = json!({
        "runId": event.run.as_str(), "stream": stream, "data": data, "sessionKey": event.session.as_str(),
        "agentId": event.agent.as_str(), "seq": event.seq, "ts": event.at, "isHeartbeat": false,
    });
    if stream == "lifecycle" {
        payload["sessionId"] = json!(&*event.session_id);
    }
    Frame { event: "agent", payload, drop_if_slow }
}

#[cfg(test)]
mod tests {
    use actors::ids::{AgentId, RunId, SessionKey};

    use super::*;

    fn event(kind: RunEventKind) -> GatewayEvent {
        let agent = AgentId::normalised("main");
        GatewayEvent::Run(RunEvent {
            run: RunId::parse("r1").unwrap(),
            session: SessionKey::main(&agent),
            session_id: "s1".into(),
            agent,
            seq: 6,
            at: 5,
            kind,
        })
    }

    #[test]
    fn text_becomes_an_agent_frame_directly_followed_by_its_chat_delta() {
        let frames = frames(&event(RunEventKind::Text {
            delta: " b".into(),
            text: "a b".into(),
            replace: false,
            item: "i".into(),
        }));
        assert_eq!(frames[0].payload["stream"], "assistant");
        assert_eq!(frames[1].payload["deltaText"], " b");
        assert_eq!(frames[1].payload["message"]["content"][0]["text"], "a b");
        assert_eq!(frames[1].payload["seq"], 6);
        assert!(frames[1].payload.get("replace").is_none());
    }

    #[test]
    fn replaced_text_carries_the_whole_of_it() {
        let frames = frames(&event(RunEventKind::Text {
            delta: "x".into(),
            text: "new x".into(),
            replace: true,
            item: "i".into(),
        }));
        assert_eq!(frames[1].payload["deltaText"], "new x");
        assert_eq!(frames[1].payload["replace"], true);
    }
}
