//! `agents`: who answers, with which model, from which folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reader::Section;
use crate::ids::AgentId;

pub(super) mod compaction;
pub(super) mod prompt;
pub(super) mod streaming;

pub use compaction::{CompactionConfig, MemoryFlushConfig};
pub use prompt::{ContextInjection, PromptConfig, PromptOverrides, StartupConfig};
pub use streaming::{BlockConfig, BreakPreference};

/// Keys with an effect.
pub(super) const USED: &[&str] = &[
    "agents.defaults.model",
    "agents.defaults.model.primary",
    "agents.defaults.model.fallbacks[]",
    "agents.defaults.workspace",
    "agents.defaults.timeoutSeconds",
    "agents.defaults.maxConcurrent",
    "agents.entries.*.id",
    "agents.entries.*.name",
    "agents.entries.*.default",
    "agents.entries.*.workspace",
    "agents.entries.*.model",
    "agents.entries.*.model.primary",
    "agents.entries.*.model.fallbacks[]",
];

/// Longest turn that can be asked for, in seconds: 30 days.
const MAX_TIMEOUT: u64 = 30 * 24 * 60 * 60;

/// Agents and what they share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentsConfig {
    /// What an agent does not say itself.
    pub defaults: AgentDefaults,
    /// The agents, in the order of the file. Empty means one agent `main`.
    pub entries: Vec<AgentEntry>,
}

impl AgentsConfig {
    /// The agent that gets what is addressed to nobody: the one marked, else the first, else `main`.
    #[must_use]
    pub fn default_agent(&self) -> AgentId {
        self.entries
            .iter()
            .find(|entry| entry.default)
            .or_else(|| self.entries.first())
            .map_or_else(|| AgentId::normalised("main"), |entry| entry.id.clone())
    }

    /// All agents; `main` alone when none is configured.
    #[must_use]
    pub fn ids(&self) -> Vec<AgentId> {
        if self.entries.is_empty() {
            return vec![self.default_agent()];
        }
        self.entries.iter().map(|entry| entry.id.clone()).collect()
    }

    /// The entry of `agent`, if it has one.
    #[must_use]
    pub fn entry(&self, agent: &AgentId) -> Option<&AgentEntry> {
        self.entries.iter().find(|entry| entry.id == *agent)
    }

    /// The model choice of `agent`: its own, else the shared one.
    #[must_use]
    pub fn model_of(&self, agent: &AgentId) -> &ModelChoice {
        self.entry(agent).and_then(|entry| entry.model.as_ref()).unwrap_or(&self.defaults.model)
    }

    /// What goes into the prompt of `agent`.
    #[must_use]
    pub fn prompt_of(&self, agent: &AgentId) -> PromptConfig {
        let shared = &self.defaults.prompt;
        self.entry(agent).map_or_else(|| shared.clone(), |entry| entry.prompt.over(shared))
    }

    /// The folder `agent` works in: its own; else, for the default agent, the shared one or `workspace` in the state
    /// directory; else `<agent>` below the shared one or `workspace-<agent>`.
    #[must_use]
    pub fn workspace_of(&self, agent: &AgentId, state_dir: &Path) -> PathBuf {
        if let Some(own) = self.entry(agent).and_then(|entry| entry.workspace.clone()) {
            return own;
        }
        match (&self.defaults.workspace, *agent == self.default_agent()) {
            (Some(shared), true) => shared.clone(),
            (Some(shared), false) => shared.join(agent.as_str()),
            (None, true) => state_dir.join("workspace"),
            (None, false) => state_dir.join(format!("workspace-{agent}")),
        }
    }
}

/// What an agent does not say itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentDefaults {
    /// Model and its stand-ins.
    pub model: ModelChoice,
    /// Folder of the default agent.
    pub workspace: Option<PathBuf>,
    /// Longest turn. `Some(Duration::ZERO)` (written 0) is no limit; none leaves it to the sessions (48 h).
    pub timeout: Option<Duration>,
    /// Turns at the same time, over all sessions.
    pub max_concurrent: Option<usize>,
    /// What goes into the system prompt.
    pub prompt: PromptConfig,
    /// How long histories are shortened.
    pub compaction: CompactionConfig,
    /// Answers that are sent in parts.
    pub blocks: BlockConfig,
}

/// A model and what stands in for it, as `provider/model`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelChoice {
    /// The first to ask.
    pub primary: Option<String>,
    /// Asked in this order when it fails.
    pub fallbacks: Vec<String>,
}

/// One agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentEntry {
    /// Its id.
    pub id: AgentId,
    /// A name for people.
    pub name: Option<String>,
    /// Whether it gets what is addressed to nobody.
    pub default: bool,
    /// Its own folder.
    pub workspace: Option<PathBuf>,
    /// Its own model choice.
    pub model: Option<ModelChoice>,
    /// What it says itself about its prompt.
    pub prompt: PromptOverrides,
}

pub(super) fn read(agents: &Section<'_>) -> AgentsConfig {
    let defaults = agents.section("defaults");
    let mut entries: Vec<AgentEntry> = Vec::new();
    let named = agents.map("entries").into_iter().map(|(key, section)| (Some(key), section));
    let listed = agents.list("list").into_iter().map(|section| (section.text("id"), section));
    for (id, section) in named.chain(listed) {
        let Some(entry) = entry(id.as_deref(), &section) else { continue };
        if entries.iter().any(|earlier| earlier.id == entry.id) {
            section.refuse(format!("agent {} a second time", entry.id), "each agent once");
            continue;
        }
        if entry.default && entries.iter().any(|earlier| earlier.default) {
            section.warn("a second default agent; the first one counts");
        }
        entries.push(entry);
    }
    AgentsConfig {
        defaults: AgentDefaults {
            model: model(&defaults).unwrap_or_default(),
            workspace: defaults.path("workspace"),
            timeout: defaults.integer("timeoutSeconds", 0..=MAX_TIMEOUT).map(Duration::from_secs),
            max_concurrent: defaults.integer("maxConcurrent", 1..=1024).and_then(|n| usize::try_from(n).ok()),
            prompt: prompt::read(&defaults),
            compaction: compaction::read(&defaults.section("compaction")),
            blocks: streaming::read(&defaults),
        },
        entries,
    }
}

fn entry(id: Option<&str>, section: &Section<'_>) -> Option<AgentEntry> {
    let Some(id) = id else {
        section.refuse("an agent without an id", "an `id`");
        return None;
    };
    let normal = AgentId::normalised(id);
    if normal.as_str() != id.trim().to_lowercase() {
        section.refuse_with(
            format!("agent id {:?}", id.chars().take(64).collect::<String>()),
            "an id of a-z, 0-9, _ and -, at most 64 long",
            Some(&format!("did you mean \"{normal}\"?")),
        );
        return None;
    }
    Some(AgentEntry {
        id: normal,
        name: section.text("name"),
        default: section.flag("default").unwrap_or(false),
        workspace: section.path("workspace"),
        model: model(section),
        prompt: prompt::overrides(section),
    })
}

/// `model: "provider/model"` or `model: { primary, fallbacks }`.
fn model(section: &Section<'_>) -> Option<ModelChoice> {
    if let Some(primary) = section.text("model") {
        return Some(ModelChoice { primary: Some(primary.trim().to_owned()), fallbacks: Vec::new() });
    }
    let choice = section.section("model");
    let primary = choice.text("primary").map(|model| model.trim().to_owned());
    let fallbacks = choice.texts("fallbacks");
    if primary.is_none() && fallbacks.is_none() {
        return None;
    }
    let fallbacks = fallbacks.unwrap_or_default();
    let fallbacks = fallbacks.iter().map(|model| model.trim().to_owned()).filter(|model| !model.is_empty()).collect();
    Some(ModelChoice { primary, fallbacks })
}
