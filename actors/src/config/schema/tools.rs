//! `tools`: what tools may do and see.

use super::reader::Section;

/// Keys with an effect.
pub(super) const USED: &[&str] = &[
    "tools.loopDetection.enabled",
    "tools.sessions.visibility",
    "tools.agentToAgent.enabled",
    "tools.agentToAgent.allow[]",
    "tools.fs.workspaceOnly",
    "tools.exec.applyPatch.workspaceOnly",
];

/// What tools may do and see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolsConfig {
    /// Whether a model that goes round in circles is warned and stopped. `None`: only behind a compaction.
    pub loop_detection: Option<bool>,
    /// Which sessions a session sees.
    pub sessions_visibility: SessionVisibility,
    /// Whether agents see each other's sessions.
    pub agent_to_agent: AgentToAgent,
}

/// Which sessions a session sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SessionVisibility {
    /// Itself (written `self`).
    Own,
    /// Itself and what it made; the main session sees all of its agent.
    #[default]
    Tree,
    /// All of its agent.
    Agent,
    /// Those of other agents too, as far as `agentToAgent` allows.
    All,
}

/// Whether agents see each other's sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentToAgent {
    /// Whether any do.
    pub enabled: bool,
    /// The agents that do; both ends must be listed. `*` is any.
    pub allow: Vec<String>,
}

pub(super) fn read(tools: &Section<'_>) -> ToolsConfig {
    for (section, key) in
        [(tools.section("fs"), "workspaceOnly"), (tools.section("exec").section("applyPatch"), "workspaceOnly")]
    {
        if section.flag(key) == Some(false) {
            section.section(key).warn("without effect; file tools work inside the workspace only");
        }
    }
    let across = tools.section("agentToAgent");
    ToolsConfig {
        loop_detection: tools.section("loopDetection").flag("enabled"),
        sessions_visibility: tools
            .section("sessions")
            .choice(
                "visibility",
                &[
                    ("self", SessionVisibility::Own),
                    ("tree", SessionVisibility::Tree),
                    ("agent", SessionVisibility::Agent),
                    ("all", SessionVisibility::All),
                ],
            )
            .unwrap_or_default(),
        agent_to_agent: AgentToAgent {
            enabled: across.flag("enabled").unwrap_or(false),
            allow: across.texts("allow").unwrap_or_default().iter().map(|agent| agent.trim().to_lowercase()).collect(),
        },
    }
}
