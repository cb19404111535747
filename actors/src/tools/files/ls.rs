//! `ls`: the names in a folder.

use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Value, json};

use super::{path_of, text_of, work};
use crate::tools::contract::{Effect, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput};
use crate::tools::workspace::{Kind, Workspace};

/// Names in one page.
const PAGE: usize = 500;
/// Names of a folder that are looked at.
const MOST: usize = 100_000;
/// Kept free in a result for the hint how to go on.
const HINT_ROOM: usize = 600;

/// The tool.
#[derive(Debug, Clone, Copy, Default)]
pub struct LsTool;

impl Tool for LsTool {
    fn name(&self) -> &'static str {
        "ls"
    }

    fn description(&self) -> &'static str {
        "Lists the names in a folder of the workspace, sorted; folders end in /, symbolic links in @. Long lists come in \
         pages: the end of a page says how to get the next one."
    }

    fn parameters(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "path": {"type": "string", "minLength": 1, "description": "Folder, relative to the workspace; . is the workspace."},
                "after": {"type": "string", "description": "The name the page before ended with."},
            },
            "required": ["path"],
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
            let path = path_of(&arguments);
            let after = text_of(&arguments, "after").unwrap_or_default().trim_end_matches(['/', '@']).to_owned();
            let room = context.result_chars.saturating_sub(HINT_ROOM).max(HINT_ROOM);
            work(&context, move |workspace, _| ls(workspace, &path, &after, room)).await
        }
        .boxed()
    }
}

fn ls(workspace: &Workspace, path: &str, after: &str, room: usize) -> Result<ToolOutput, ToolError> {
    let found = workspace.open_folder(path)?;
    let (entries, is_cut) =
        Workspace::list(found.folder(), MOST).map_err(|error| ToolError::Failed(format!("{path}: {error}")))?;
    let total = entries.len();
    let (mut text, mut shown, mut last) = (String::new(), 0, None);
    let mut rest = entries.iter().filter(|entry| entry.name.to_string_lossy().as_ref() > after).peekable();
    while let Some(entry) = rest.peek() {
        let name = entry.name.to_string_lossy();
        if shown == PAGE || text.len() + name.len() > room {
            break;
        }
        text.push_str(&name);
        text.push_str(match entry.kind {
            Kind::Folder => "/\n",
            Kind::Link => "@\n",
            Kind::File | Kind::Special | Kind::Nothing => "\n",
        });
        shown += 1;
        last = Some(name.into_owned());
        rest.next();
    }
    let is_last = rest.peek().is_none();
    if shown == 0 {
        text.push_str(if after.is_empty() { "(the folder is empty)" } else { "(nothing behind that name)" });
    }
    if let (false, Some(last)) = (is_last, &last) {
        text.push_str(&format!("\n[{shown} of {total} names shown; go on with after={last:?}]"));
    }
    if is_cut {
        text.push_str(&format!("\n[the folder has more than {MOST} names; the others are not listed]"));
    }
    let details = json!({"path": path, "shown": shown, "total": total, "isLast": is_last && !is_cut});
    Ok(ToolOutput { text, details: Some(details) })
}
