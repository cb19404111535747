//! `exec`: commands. They need a person's approval, which nobody can give yet, so none is ever run.

use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Value, json};

use super::contract::{Effect, Fate, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput};

/// What is answered to every command.
const NEEDS_APPROVAL: &str = "needs approval: commands can't be approved in this gateway yet, so nothing was run. Do it without a command, or ask \
     the person to run it.";

/// The tool.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExecTool;

/// The answer to a command, or to a question about one.
pub(super) fn needs_approval() -> ToolError {
    ToolError::Unfinished { fate: Fate::NotStarted, text: NEEDS_APPROVAL.to_owned() }
}

impl Tool for ExecTool {
    fn name(&self) -> &'static str {
        "exec"
    }

    fn description(&self) -> &'static str {
        "Runs a shell command. Each command needs the approval of a person; in this gateway none can be approved yet."
    }

    fn parameters(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "command": {"type": "string", "minLength": 1},
                "workdir": {"type": "string"},
                "env": {"type": "object", "additionalProperties": {"type": "string"}},
                "yieldMs": {"type": "number", "minimum": 0},
                "background": {"type": "boolean"},
                "timeoutSeconds": {"type": "number", "minimum": 0},
                "pty": {"type": "boolean"},
                "elevated": {"type": "boolean"},
                "host": {"type": "string", "enum": ["auto", "sandbox", "gateway", "node"]},
                "ask": {"type": "string"},
                "node": {"type": "string"},
            },
            "required": ["command"],
            "additionalProperties": false,
        })
    }

    fn capabilities(&self) -> ToolCapabilities {
        ToolCapabilities::OWNER
    }

    /// A refusal does nothing to the world.
    fn effect(&self, _arguments: &Value) -> Effect {
        Effect::Pure
    }

    fn call(&self, _arguments: Value, _context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        async { Err(needs_approval()) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::support::{call, context};

    #[tokio::test]
    async fn a_command_is_checked_and_never_run() {
        let home = tempfile::tempdir().unwrap();
        let proof = home.path().join("proof");
        let command = json!({"command": format!("touch {}", proof.display()), "host": "gateway"});
        for name in ["exec", "bash"] {
            let error = call(context(home.path()), name, command.clone()).await.unwrap_err();
            assert!(error.to_string().starts_with("needs approval"), "{error}");
        }
        assert!(!proof.exists());
        let bad = call(context(home.path()), "exec", json!({"command": "ls", "host": "moon"})).await.unwrap_err();
        assert!(bad.to_string().starts_with("bad arguments: host must be one of"), "{bad}");
        let listed = call(context(home.path()), "process", json!({"action": "list"})).await.unwrap_err();
        assert!(listed.to_string().starts_with("needs approval"), "{listed}");
        let missing = call(context(home.path()), "process", json!({"action": "poll"})).await.unwrap_err();
        assert_eq!(missing.to_string(), "bad arguments: sessionId is missing; action \"poll\" needs it");
    }
}
