//! `apply_patch`: changes several files at once.
//!
//! Everything is worked out before anything is changed, so a patch that does not fit changes nothing. The files are then
//! changed one after the other, each whole.

use std::fs::Metadata;

use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Value, json};

use super::edit::whole_text;
use super::patch::{self, Change};
use super::{text_of, work};
use crate::tools::contract::{Effect, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput};
use crate::tools::workspace::{FileError, Kind, Stamp, Workspace};

/// The tool.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApplyPatchTool;

impl Tool for ApplyPatchTool {
    fn name(&self) -> &'static str {
        "apply_patch"
    }

    fn description(&self) -> &'static str {
        "Changes files of the workspace by a patch. It begins with *** Begin Patch and ends with *** End Patch; between \
         them stand *** Add File: path (its lines begin with +), *** Delete File: path, and *** Update File: path, then \
         perhaps *** Move to: path, then hunks: @@ with an optional line to look for first, and lines that begin with a \
         space (kept), - (removed) or + (added). *** End of File ties a hunk to the end."
    }

    fn parameters(&self) -> Value {
        json!({
            "type": "object",
            "properties": {"input": {"type": "string", "minLength": 1, "description": "The whole patch."}},
            "required": ["input"],
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
            let changes =
                patch::parse(text_of(&arguments, "input").unwrap_or_default()).map_err(ToolError::Arguments)?;
            work(&context, move |workspace, _| apply(workspace, changes)).await
        }
        .boxed()
    }
}

/// A change that was worked out.
enum Step {
    Create { path: String, content: String },
    Remove { path: String, stamp: Stamp },
    Replace { path: String, content: String, stamp: Stamp },
    Move { path: String, to: String, content: String, stamp: Stamp, like: Metadata },
}

impl Step {
    fn done(&self) -> String {
        match self {
            Self::Create { path, .. } => format!("A {path}"),
            Self::Remove { path, .. } => format!("D {path}"),
            Self::Replace { path, .. } => format!("M {path}"),
            Self::Move { path, to, .. } => format!("M {path} -> {to}"),
        }
    }
}

fn apply(workspace: &Workspace, changes: Vec<Change>) -> Result<ToolOutput, ToolError> {
    let steps: Vec<Step> = changes.into_iter().map(|change| plan(workspace, change)).collect::<Result<_, _>>()?;
    let mut done = Vec::with_capacity(steps.len());
    for step in &steps {
        if let Err(error) = carry_out(workspace, step) {
            let so_far = if done.is_empty() { String::from("nothing") } else { done.join(", ") };
            return Err(ToolError::Failed(format!(
                "{error}. Changed before that: {so_far}. The rest was left as it was."
            )));
        }
        done.push(step.done());
    }
    let text = format!("Changed {} files:\n{}", done.len(), done.join("\n"));
    Ok(ToolOutput { text, details: Some(json!({"changes": done})) })
}

fn plan(workspace: &Workspace, change: Change) -> Result<Step, ToolError> {
    match change {
        Change::Add { path, content } => {
            absent(workspace, &path)?;
            Ok(Step::Create { path, content })
        }
        Change::Delete { path } => {
            let opened = workspace.open_file(&path)?;
            Ok(Step::Remove { path, stamp: Stamp::of(&opened.metadata) })
        }
        Change::Update { path, to, hunks } => {
            let (before, stamp) = whole_text(workspace, &path)?;
            let content =
                patch::apply(&before, &hunks).map_err(|error| ToolError::Failed(format!("{path}: {error}")))?;
            match to {
                None => Ok(Step::Replace { path, content, stamp }),
                Some(to) => {
                    absent(workspace, &to)?;
                    let like = workspace.open_file(&path)?.metadata;
                    Ok(Step::Move { path, to, content, stamp, like })
                }
            }
        }
    }
}

fn absent(workspace: &Workspace, path: &str) -> Result<(), FileError> {
    match workspace.find(path, false) {
        Ok(found) if found.kind == Kind::Nothing => Ok(()),
        Ok(_) => Err(FileError::Exists(path.to_owned())),
        // Its folder will be made.
        Err(FileError::Missing(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn carry_out(workspace: &Workspace, step: &Step) -> Result<(), FileError> {
    match step {
        Step::Create { path, content } => workspace.create(path, content.as_bytes(), None),
        Step::Remove { path, stamp } => workspace.remove(path, Some(*stamp)),
        Step::Replace { path, content, stamp } => workspace.replace(path, content.as_bytes(), Some(*stamp)).map(|_| ()),
        Step::Move { path, to, content, stamp, like } => {
            workspace.create(to, content.as_bytes(), Some(like))?;
            workspace.remove(path, Some(*stamp))
        }
    }
}
