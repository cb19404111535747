//! `sessions.send`, `sessions.steer`, `sessions.abort`: talking to a session by its key.

use actors::config::QueueMode;
use actors::ids::RunId;
use actors::sessions::Submission;
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::{Answer, Call, Handled, Method, chat, target};
use crate::protocol::error::ErrorShape;
use crate::protocol::methods::Params as _;
use crate::protocol::methods::session_messages::{AbortParams, SendParams, SteerParams};
use crate::protocol::scope::Scope;

/// The rows of this family.
pub const METHODS: &[Method] = &[
    Method::new("sessions.send", Scope::Write, SendParams::SHAPE, send).session_target("key").ordered().after_startup(),
    Method::new("sessions.steer", Scope::Write, SteerParams::SHAPE, steer)
        .session_target("key")
        .ordered()
        .after_startup(),
    Method::new("sessions.abort", Scope::Write, AbortParams::SHAPE, abort).session_target("key").ordered(),
];

fn send(call: Call) -> Handled {
    async move {
        let params: SendParams = call.parse()?;
        tell(&call, params, None).await
    }
    .boxed()
}

/// As `chat.send` with the queue mode `interrupt`: the run is aborted and this is run.
fn steer(call: Call) -> Handled {
    async move {
        let SteerParams(params) = call.parse()?;
        tell(&call, params, Some(QueueMode::Interrupt)).await
    }
    .boxed()
}

async fn tell(call: &Call, params: SendParams, queue_mode: Option<QueueMode>) -> Result<Answer, ErrorShape> {
    if !params.attachments.is_empty() {
        return Err(ErrorShape::invalid_request("attachments are not supported yet; send the message as text"));
    }
    if params.message.trim().is_empty() {
        return Err(ErrorShape::invalid_request("message must not be empty"));
    }
    let session = target::session(&call.services, &params.key, params.agent_id.as_deref())?;
    let run = match params.idempotency_key.as_deref() {
        Some(key) => RunId::parse(key).map_err(|error| ErrorShape::invalid_params(call.method, &error.to_string()))?,
        None => RunId::fresh(),
    };
    let submission = Submission { queue_mode, ..target::submission(call, &run, params.message) };
    chat::submit(call, &session, submission).await
}

fn abort(call: Call) -> Handled {
    async move {
        let params: AbortParams = call.parse()?;
        let run = params
            .run_id
            .as_deref()
            .map(RunId::parse)
            .transpose()
            .map_err(|error| ErrorShape::invalid_params("sessions.abort", &error.to_string()))?;
        let Some(key) = params.key.as_deref() else {
            return Err(ErrorShape::invalid_params("sessions.abort", "must have required property 'key'"));
        };
        let session = target::session(&call.services, key, params.agent_id.as_deref())?;
        let runs = call.services.domain.sessions.abort(&session, run, "rpc").await;
        call.services.broadcast.settle().await;
        let status = if runs.is_empty() { "no-active-run" } else { "aborted" };
        let aborted = runs.first().map_or(Value::Null, |run| json!(run.as_str()));
        Ok(Answer::One(json!({"ok": true, "abortedRunId": aborted, "status": status})))
    }
    .boxed()
}
