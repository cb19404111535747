//! `clock`: the date and time of the machine. Read-only, no arguments.

use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Value, json};

use super::contract::{Effect, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput};
use crate::clock::rfc3339;

/// The tool.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClockTool;

impl Tool for ClockTool {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn description(&self) -> &'static str {
        "Tells the current date and time in UTC."
    }

    fn parameters(&self) -> Value {
        json!({"type": "object", "properties": {}, "additionalProperties": false})
    }

    fn capabilities(&self) -> ToolCapabilities {
        ToolCapabilities::OPEN
    }

    fn effect(&self, _arguments: &Value) -> Effect {
        Effect::Pure
    }

    fn call(&self, _arguments: Value, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        async move { Ok(ToolOutput::text(rfc3339(context.clock.now_ms()))) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::support::context;

    #[tokio::test]
    async fn it_tells_the_time() {
        let home = tempfile::tempdir().unwrap();
        let told = ClockTool.call(json!({}), context(home.path())).await.unwrap();
        assert_eq!(told.text, "1970-01-01T00:00:00.000Z");
    }
}
