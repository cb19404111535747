//! The tools of a run, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::clock::ClockTool;
use super::contract::Tool;

/// Tools by name.
#[derive(Clone, Default)]
pub struct ToolRegistry(BTreeMap<&'static str, Arc<dyn Tool>>);

impl std::fmt::Debug for ToolRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl ToolRegistry {
    /// The tools every agent has: read-only ones.
    #[must_use]
    pub fn built_in() -> Self {
        Self::default().with(Arc::new(ClockTool))
    }

    /// Adds a tool; one of the same name is replaced.
    #[must_use]
    pub fn with(mut self, tool: Arc<dyn Tool>) -> Self {
        self.0.insert(tool.name(), tool);
        self
    }

    /// A tool by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Tool>> {
        self.0.values()
    }
}
