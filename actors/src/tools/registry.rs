//! The tools of a run, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::clock::ClockTool;
use super::contract::{Audience, Tool, ToolError};
use super::files::{apply_patch, edit, find, grep, ls, read, write};
use super::sessions::{history, list, send, status};
use super::{exec, process, schema};

/// Tools by name.
#[derive(Clone, Default)]
pub struct ToolRegistry(BTreeMap<&'static str, Arc<dyn Tool>>);

impl std::fmt::Debug for ToolRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl ToolRegistry {
    /// The tools every agent has.
    #[must_use]
    pub fn built_in() -> Self {
        Self::default()
            .with(Arc::new(ClockTool))
            .with(Arc::new(read::ReadTool))
            .with(Arc::new(write::WriteTool))
            .with(Arc::new(edit::EditTool))
            .with(Arc::new(apply_patch::ApplyPatchTool))
            .with(Arc::new(ls::LsTool))
            .with(Arc::new(grep::GrepTool))
            .with(Arc::new(find::FindTool))
            .with(Arc::new(status::SessionStatusTool))
            .with(Arc::new(list::SessionsListTool))
            .with(Arc::new(history::SessionsHistoryTool))
            .with(Arc::new(send::SessionsSendTool))
            .with(Arc::new(exec::ExecTool))
            .with(Arc::new(process::ProcessTool))
    }

    /// Adds a tool; one of the same name is replaced.
    #[must_use]
    pub fn with(mut self, tool: Arc<dyn Tool>) -> Self {
        self.0.insert(tool.name(), tool);
        self
    }

    /// Those that a run is offered. Only the owner is offered what is the owner's.
    #[must_use]
    pub fn for_run(&self, is_owner: bool) -> Self {
        let offered = |tool: &Arc<dyn Tool>| match tool.capabilities().audience {
            Audience::Anyone => true,
            Audience::Owner => is_owner,
        };
        Self(self.0.iter().filter(|(_, tool)| offered(tool)).map(|(name, tool)| (*name, Arc::clone(tool))).collect())
    }

    /// A tool by its name. `bash` is another name of `exec`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.0.get(if name == "bash" { "exec" } else { name })
    }

    /// All of them, sorted by name, so that a model is shown the same bytes each time.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Tool>> {
        self.0.values()
    }

    /// A tool and the arguments it is called with, in the spelling of its schema.
    ///
    /// # Errors
    /// When there is no such tool, or the arguments do not fit.
    pub fn prepare(&self, name: &str, arguments: Value) -> Result<(Arc<dyn Tool>, Value), ToolError> {
        let Some(tool) = self.get(name) else {
            let names: Vec<&str> = self.0.keys().copied().collect();
            return Err(ToolError::Failed(format!("there is no tool named {name}; there are: {}", names.join(", "))));
        };
        let arguments = match (tool.capabilities().upgrade, arguments) {
            // A model that has nothing to say says so in several ways.
            (_, Value::Null) => Value::Object(serde_json::Map::new()),
            (Some(upgrade), arguments) => upgrade(arguments),
            (None, arguments) => arguments,
        };
        schema::check(&tool.parameters(), &arguments).map_err(ToolError::Arguments)?;
        Ok((Arc::clone(tool), arguments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_is_offered_what_changes_things() {
        let all = ToolRegistry::built_in();
        let names = |owner| all.for_run(owner).iter().map(|tool| tool.name()).collect::<Vec<_>>();
        assert_eq!(
            names(true),
            [
                "apply_patch",
                "clock",
                "edit",
                "exec",
                "find",
                "grep",
                "ls",
                "process",
                "read",
                "session_status",
                "sessions_history",
                "sessions_list",
                "sessions_send",
                "write"
            ]
        );
        assert_eq!(names(false), ["clock", "session_status", "sessions_history", "sessions_list"]);
    }

    #[test]
    fn schemas_are_the_same_bytes_each_time_and_closed() {
        let bytes = || {
            let of = |tool: &Arc<dyn Tool>| (tool.name(), tool.description(), tool.parameters().to_string());
            ToolRegistry::built_in().iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(bytes(), bytes());
        for tool in ToolRegistry::built_in().iter() {
            let schema = tool.parameters();
            assert_eq!(schema["type"], "object", "{}", tool.name());
            assert_eq!(schema["additionalProperties"], false, "{}", tool.name());
        }
    }

    #[test]
    fn a_call_is_prepared_or_refused_by_name() {
        let tools = ToolRegistry::built_in();
        let refused =
            |name: &str, arguments: Value| tools.prepare(name, arguments).err().map(|error| error.to_string());
        assert_eq!(refused("clock", Value::Null), None);
        assert!(
            refused("clok", Value::Null).unwrap().starts_with("there is no tool named clok; there are: apply_patch")
        );
        assert_eq!(refused("read", serde_json::json!({})).unwrap(), "bad arguments: path is missing");
        assert_eq!(tools.prepare("bash", serde_json::json!({"command": "ls"})).unwrap().0.name(), "exec");
    }
}
