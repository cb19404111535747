//! File tools, confined to the agent's workspace and offered to the owner only.
//!
//! They block, so they run off the executor, a few at a time; searches look at the run's cancellation between files.

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::contract::{Fate, ToolContext, ToolError};
use super::workspace::Workspace;

pub mod apply_patch;
pub mod edit;
pub mod find;
pub mod grep;
pub mod ls;
mod patch;
pub mod read;
mod search;
mod text;
pub mod write;

#[cfg(test)]
mod tests;

/// File tools at work at once, of the process: they share disks and blocking threads with transcripts.
const AT_ONCE: usize = 4;

/// Does file work for a call, off the executor.
async fn work<T: Send + 'static>(
    context: &ToolContext,
    work: impl FnOnce(&Workspace, &CancellationToken) -> Result<T, ToolError> + Send + 'static,
) -> Result<T, ToolError> {
    static ROOM: Semaphore = Semaphore::const_new(AT_ONCE);
    let room = ROOM.acquire().await.map_err(|_| aborted())?;
    let (places, cancel) = (context.workspace.clone(), context.cancel.clone());
    context
        .offload
        .run(move || {
            // Work goes on when nobody waits for it any more, and takes its room until it ends.
            let _room = room;
            if cancel.is_cancelled() {
                return Err(aborted());
            }
            let workspace = Workspace::open(&places)?;
            work(&workspace, &cancel)
        })
        .await?
}

/// The run was stopped before anything was changed.
fn aborted() -> ToolError {
    ToolError::Unfinished { fate: Fate::Aborted, text: String::from("aborted before it had any effect") }
}

/// A text argument.
fn text_of<'a>(arguments: &'a Value, name: &str) -> Option<&'a str> {
    arguments[name].as_str()
}

/// A number argument.
fn number_of(arguments: &Value, name: &str) -> Option<usize> {
    arguments[name].as_u64().and_then(|number| usize::try_from(number).ok())
}

/// The argument `path`, which the schema asks for.
fn path_of(arguments: &Value) -> String {
    text_of(arguments, "path").unwrap_or(".").to_owned()
}
