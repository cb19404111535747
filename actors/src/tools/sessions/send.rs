//! `sessions_send`: a message from this session to another one.
//!
//! The receiver takes it as input like any other, under a key made of the call, so that a call that is repeated after a
//! crash is recognised. What it says is marked as not coming from a person.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Value, json};

use super::visibility::{not_seen, sees, target};
use crate::config::QueueMode;
use crate::ids::{AgentId, RunId, SessionKey};
use crate::tools::contract::{Effect, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput, USUAL_TIMEOUT};
use crate::tools::sessions_port::{SessionMessageOut, Taken};

/// How long an answer is waited for unless told otherwise.
const USUAL_WAIT: u64 = 30;
/// Longest wait for an answer.
const MAX_WAIT: u64 = 300;
/// Sessions of an agent looked at for a label.
const PAGE: usize = 500;

/// The tool.
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionsSendTool;

impl Tool for SessionsSendTool {
    fn name(&self) -> &'static str {
        "sessions_send"
    }

    fn description(&self) -> &'static str {
        "Sends a message to another session of this gateway and waits for its answer. With timeoutSeconds 0 it does not \
         wait."
    }

    fn parameters(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "sessionKey": {"type": "string", "minLength": 1},
                "label": {"type": "string", "minLength": 1, "description": "The session's label instead of its key."},
                "agentId": {"type": "string", "minLength": 1, "description": "An agent; its main session gets the message."},
                "message": {"type": "string", "minLength": 1},
                "timeoutSeconds": {"type": "integer", "minimum": 0, "maximum": MAX_WAIT},
                "mode": {
                    "type": "string", "enum": ["steer", "followup"],
                    "description": "While the session is busy: join its run, or wait for its end.",
                },
            },
            "required": ["message"],
            "additionalProperties": false,
        })
    }

    fn capabilities(&self) -> ToolCapabilities {
        ToolCapabilities { timeout: USUAL_TIMEOUT + Duration::from_secs(MAX_WAIT), ..ToolCapabilities::OWNER }
    }

    fn effect(&self, _arguments: &Value) -> Effect {
        Effect::Keyed
    }

    fn call(&self, arguments: Value, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        async move {
            let to = receiver(&context, &arguments).await?;
            let message = arguments["message"].as_str().unwrap_or_default();
            let text = format!("[Inter-session message from {}, isUser=false]\n{message}", context.session);
            let out = SessionMessageOut {
                to: to.clone(),
                text,
                key: context.idempotency_key(),
                from_owner: context.is_owner,
                mode: mode_of(&arguments),
            };
            let patience = Duration::from_secs(arguments["timeoutSeconds"].as_u64().unwrap_or(USUAL_WAIT));
            let (run, answer) = match context.sessions.send(out).await? {
                Taken::Ended(run, answer) => (run, Some(answer)),
                Taken::Accepted(run) if patience.is_zero() => (run, None),
                Taken::Accepted(run) => {
                    let answer = context.sessions.wait(to.clone(), run.clone(), patience).await;
                    return Ok(output(&to, &run, answer, true));
                }
            };
            Ok(output(&to, &run, answer, false))
        }
        .boxed()
    }
}

fn mode_of(arguments: &Value) -> Option<QueueMode> {
    match arguments["mode"].as_str() {
        Some("steer") => Some(QueueMode::Steer),
        Some("followup") => Some(QueueMode::Followup),
        Some(_) | None => None,
    }
}

fn output(to: &SessionKey, run: &RunId, answer: Option<Result<String, String>>, waited: bool) -> ToolOutput {
    let mut result = json!({"status": "accepted", "sessionKey": to.as_str(), "runId": run.as_str()});
    match answer {
        Some(Ok(reply)) if reply.trim().is_empty() => result["status"] = json!("no_reply"),
        Some(Ok(reply)) => {
            result["status"] = json!("ok");
            result["reply"] = json!(super::shown(&reply));
        }
        Some(Err(error)) => {
            result["status"] = json!("error");
            result["error"] = json!(error);
        }
        None if waited => {
            result["status"] = json!("timeout");
            result["note"] = json!("it is still at work; look at its answer with sessions_history later");
        }
        None => {}
    }
    ToolOutput::json(result)
}

/// The session the message is for.
async fn receiver(context: &ToolContext, arguments: &Value) -> Result<SessionKey, ToolError> {
    let given = ["sessionKey", "label", "agentId"].map(|name| arguments[name].as_str());
    let to = match given {
        [Some(key), None, None] => target(context, Some(key))?,
        [None, Some(label), None] => labelled(context, label).await?,
        [None, None, Some(agent)] => SessionKey::main(&AgentId::normalised(agent)),
        [None, None, None] => {
            return Err(ToolError::Arguments(String::from("one of sessionKey, label and agentId is missing")));
        }
        [_, _, _] => {
            return Err(ToolError::Arguments(String::from("give only one of sessionKey, label and agentId")));
        }
    };
    if to == context.session {
        return Err(ToolError::Arguments(String::from("a session can't send a message to itself")));
    }
    if to.rest().contains(":thread:") {
        return Err(ToolError::Arguments(format!("{to} is a thread; send to the session it belongs to")));
    }
    let status = context.sessions.status(to.clone()).await?;
    match status.filter(|status| sees(context, &status.facts)) {
        Some(_) => Ok(to),
        None => Err(not_seen(&to)),
    }
}

async fn labelled(context: &ToolContext, label: &str) -> Result<SessionKey, ToolError> {
    let mut after = None;
    loop {
        let page = context.sessions.list(context.agent.clone(), after.take(), PAGE).await?;
        let fits = page.iter().find(|row| row.label.as_deref() == Some(label) && sees(context, row));
        if let Some(row) = fits {
            return target(context, Some(&row.key));
        }
        after = page.last().and_then(|row| SessionKey::parse(&row.key, &context.agent).ok());
        if page.len() < PAGE || after.is_none() {
            return Err(ToolError::Failed(format!("there is no session labelled {label:?} that this session may see")));
        }
    }
}
