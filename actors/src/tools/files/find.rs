//! `find`: files by a pattern of their name.

use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::search::{Go, pattern, walk};
use super::{number_of, path_of, text_of, work};
use crate::tools::contract::{Effect, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput};
use crate::tools::workspace::{Kind, Workspace};

/// Paths shown unless told otherwise.
const USUAL: usize = 1000;
/// Kept free in a result for the hint.
const HINT_ROOM: usize = 400;

/// The tool.
#[derive(Debug, Clone, Copy, Default)]
pub struct FindTool;

impl Tool for FindTool {
    fn name(&self) -> &'static str {
        "find"
    }

    fn description(&self) -> &'static str {
        "Finds files and folders of the workspace by a glob such as *.md or src/**/*.rs. What .gitignore ignores is left \
         out."
    }

    fn parameters(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "pattern": {"type": "string", "minLength": 1, "description": "Glob; without a slash it is matched at any depth."},
                "path": {"type": "string", "minLength": 1, "description": "Folder to look in; the workspace by default."},
                "limit": {"type": "integer", "minimum": 1, "maximum": 10_000, "description": "Most paths; 1000 by default."},
            },
            "required": ["pattern"],
            "additionalProperties": false,
        })
    }

    fn capabilities(&self) -> ToolCapabilities {
        ToolCapabilities::OWNER
    }

    fn effect(&self, _arguments: &Value) -> Effect {
        Effect::Pure
    }

    fn call(&self, arguments: Value, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        async move {
            let wanted = Wanted {
                path: path_of(&arguments),
                glob: text_of(&arguments, "pattern").unwrap_or_default().to_owned(),
                limit: number_of(&arguments, "limit").unwrap_or(USUAL),
                room: context.result_chars.saturating_sub(HINT_ROOM).max(HINT_ROOM),
            };
            work(&context, move |workspace, cancel| find(workspace, &wanted, cancel)).await
        }
        .boxed()
    }
}

struct Wanted {
    path: String,
    glob: String,
    limit: usize,
    room: usize,
}

fn find(workspace: &Workspace, wanted: &Wanted, cancel: &CancellationToken) -> Result<ToolOutput, ToolError> {
    let start = workspace.open_folder(&wanted.path)?.path;
    let glob = pattern(&start, &wanted.glob)?;
    let (mut text, mut count, mut is_cut) = (String::new(), 0, false);
    let too_much = walk(workspace, &wanted.path, cancel, |met| {
        let is_folder = met.kind() == Kind::Folder;
        if !glob.matched(&met.path, is_folder).is_ignore() {
            return Ok(Go::On);
        }
        let path = met.path.display().to_string();
        if count == wanted.limit || text.len() + path.len() > wanted.room {
            is_cut = true;
            return Ok(Go::Stop);
        }
        count += 1;
        text.push_str(&path);
        text.push_str(if is_folder { "/\n" } else { "\n" });
        Ok(Go::On)
    })?;
    if count == 0 {
        text.push_str("(nothing found)");
    }
    if is_cut {
        text.push_str(&format!("\n[the first {count} are shown; there are more: narrow the pattern or the path]"));
    } else if too_much {
        text.push_str("\n[the folder is too large to be searched whole: narrow the path]");
    }
    let details = json!({"count": count, "isComplete": !is_cut && !too_much});
    Ok(ToolOutput { text, details: Some(details) })
}
