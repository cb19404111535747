//! `clock`: the date and time of the machine. Read-only, no arguments.

use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Value, json};

use super::contract::{Tool, ToolContext, ToolError, ToolOutput};
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

    fn call(&self, arguments: Value, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        async move {
            if arguments.as_object().is_some_and(|given| !given.is_empty()) {
                return Err(ToolError::Arguments(String::from("clock takes no arguments")));
            }
            Ok(ToolOutput { text: rfc3339(context.clock.now_ms()), details: None })
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::clock::Clock;

    #[tokio::test]
    async fn it_tells_the_time_and_refuses_arguments() {
        let context = ToolContext { clock: Clock::fixed(0), cancel: CancellationToken::new() };
        let told = ClockTool.call(json!({}), context.clone()).await.unwrap();
        assert_eq!(told.text, "1970-01-01T00:00:00.000Z");
        assert!(ClockTool.call(json!({"zone": "x"}), context).await.is_err());
    }
}
