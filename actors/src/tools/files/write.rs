//! `write`: makes a file, or gives it another content.

use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Value, json};

use super::{path_of, text_of, work};
use crate::tools::contract::{Effect, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput};
use crate::tools::workspace::Written;

/// The tool.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteTool;

impl Tool for WriteTool {
    fn name(&self) -> &'static str {
        "write"
    }

    fn description(&self) -> &'static str {
        "Writes a whole file of the workspace: makes it, with the folders it needs, or replaces all of its content."
    }

    fn parameters(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "path": {"type": "string", "minLength": 1, "description": "File, relative to the workspace."},
                "content": {"type": "string", "description": "All of the new content."},
            },
            "required": ["path", "content"],
            "additionalProperties": false,
        })
    }

    fn capabilities(&self) -> ToolCapabilities {
        ToolCapabilities::OWNER
    }

    fn effect(&self, _arguments: &Value) -> Effect {
        Effect::Once
    }

    fn call(&self, arguments: Value, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        async move {
            let path = path_of(&arguments);
            let content = text_of(&arguments, "content").unwrap_or_default().to_owned();
            let (shown, bytes) = (path.clone(), content.len());
            let written =
                work(&context, move |workspace, _| Ok(workspace.replace(&path, content.as_bytes(), None)?)).await?;
            let text = match written {
                Written::Created => format!("Wrote {shown}: new, {bytes} bytes."),
                Written::Replaced => format!("Wrote {shown}: {bytes} bytes."),
                Written::Unchanged => format!("{shown} has this content already; nothing was changed."),
            };
            let details = json!({
                "path": shown, "bytes": bytes,
                "changed": written != Written::Unchanged, "created": written == Written::Created,
            });
            Ok(ToolOutput { text, details: Some(details) })
        }
        .boxed()
    }
}
