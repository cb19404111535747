//! `session_status`: where a session stands, and what time it is.

use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Value, json};

use super::visibility::{not_seen, sees, target};
use crate::clock::rfc3339;
use crate::tools::contract::{Effect, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput};
use crate::tools::sessions_port::SessionStatus;

/// The tool.
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionStatusTool;

impl Tool for SessionStatusTool {
    fn name(&self) -> &'static str {
        "session_status"
    }

    fn description(&self) -> &'static str {
        "Shows where a session stands (model, how full its context is, what it is doing) and the current time."
    }

    fn parameters(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "sessionKey": {"type": "string", "minLength": 1, "description": "A session; current is this one."},
            },
            "additionalProperties": false,
        })
    }

    fn capabilities(&self) -> ToolCapabilities {
        ToolCapabilities { is_poll: true, ..ToolCapabilities::OPEN }
    }

    fn effect(&self, _arguments: &Value) -> Effect {
        Effect::Pure
    }

    fn call(&self, arguments: Value, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        async move {
            let session = target(&context, arguments["sessionKey"].as_str())?;
            let status = context.sessions.status(session.clone()).await?;
            let status = status.filter(|status| sees(&context, &status.facts)).ok_or_else(|| not_seen(&session))?;
            Ok(output(&status, context.clock.now_ms()))
        }
        .boxed()
    }
}

fn output(status: &SessionStatus, now: i64) -> ToolOutput {
    let facts = &status.facts;
    let time = rfc3339(now);
    let percent = (facts.context_tokens * 100).checked_div(status.window).unwrap_or(0);
    let busy = status.active_run.as_ref().map_or_else(|| String::from("idle"), |run| format!("run {run}"));
    let answered = match (&facts.provider, &facts.model) {
        (Some(provider), Some(model)) => format!(" (last answer: {provider}/{model})"),
        (Some(_) | None, _) => String::new(),
    };
    let text = format!(
        "Time: {time}\nSession: {}\nModel: {}{answered}\nContext: {} of {} tokens ({percent} %)\nTokens: {} in, {} out\n\
         Doing: {busy}\nLast change: {}",
        facts.key,
        status.model,
        facts.context_tokens,
        status.window,
        facts.input_tokens,
        facts.output_tokens,
        rfc3339(facts.updated_at),
    );
    let details = json!({
        "time": time, "sessionKey": facts.key, "sessionId": facts.session_id, "model": status.model,
        "contextTokens": facts.context_tokens, "contextWindow": status.window, "activeRun": status.active_run,
        "updatedAt": facts.updated_at,
    });
    ToolOutput { text, details: Some(details) }
}
