//! `process`: commands that run in the background. None can be started yet.

use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Value, json};

use super::contract::{Effect, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput};
use super::exec::needs_approval;

/// The tool.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessTool;

impl Tool for ProcessTool {
    fn name(&self) -> &'static str {
        "process"
    }

    fn description(&self) -> &'static str {
        "Looks at and steers commands that exec left running in the background."
    }

    fn parameters(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "action": {
                    "type": "string",
                    "enum": [
                        "list", "poll", "log", "write", "send-keys", "submit", "paste", "kill", "clear", "remove",
                    ],
                },
                "sessionId": {"type": "string", "minLength": 1},
                "data": {"type": "string"},
                "keys": {"type": "array", "items": {"type": "string"}},
                "hex": {"type": "array", "items": {"type": "string"}},
                "literal": {"type": "string"},
                "text": {"type": "string"},
                "bracketed": {"type": "boolean"},
                "eof": {"type": "boolean"},
                "offset": {"type": "integer", "minimum": 0},
                "limit": {"type": "integer", "minimum": 1},
                "timeout": {"type": "number", "minimum": 0, "maximum": 30_000},
            },
            "required": ["action"],
            "additionalProperties": false,
        })
    }

    fn capabilities(&self) -> ToolCapabilities {
        ToolCapabilities { is_poll: true, ..ToolCapabilities::OWNER }
    }

    /// A refusal does nothing to the world.
    fn effect(&self, _arguments: &Value) -> Effect {
        Effect::Pure
    }

    fn call(&self, arguments: Value, _context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        async move {
            let action = arguments["action"].as_str().unwrap_or_default();
            if action != "list" && arguments["sessionId"].is_null() {
                let text = format!("sessionId is missing; action {action:?} needs it");
                return Err(ToolError::Arguments(text));
            }
            Err(needs_approval())
        }
        .boxed()
    }
}
