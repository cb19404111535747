//! What a call may use, for tests of tools.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::contract::{Offload, ToolContext, ToolError, ToolOutput};
use super::registry::ToolRegistry;
use super::sessions_port::NoSessions;
use super::workspace::WorkspacePlaces;
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::{AgentId, RunId, SessionKey};

/// A call of agent `main` in its main session, with the state directory `home` and the workspace in it.
pub(super) fn context(home: &Path) -> ToolContext {
    let agent = AgentId::normalised("main");
    ToolContext {
        clock: Clock::fixed(0),
        cancel: CancellationToken::new(),
        session: SessionKey::main(&agent),
        agent,
        run: RunId::parse("run-1").unwrap(),
        call_id: "call-1".into(),
        is_owner: true,
        workspace: WorkspacePlaces {
            root: home.join("workspace"),
            state_dir: home.to_owned(),
            config_files: [home.join("openclaw.json")].into(),
        },
        result_chars: 64_000,
        config: Arc::new(Config::default()),
        sessions: Arc::new(NoSessions),
        offload: Offload::at_once(),
    }
}

/// Calls a tool as a run does: by its name, its arguments checked.
pub(super) async fn call(context: ToolContext, name: &str, arguments: Value) -> Result<ToolOutput, ToolError> {
    let (tool, arguments) = ToolRegistry::built_in().prepare(name, arguments)?;
    tool.call(arguments, context).await
}
