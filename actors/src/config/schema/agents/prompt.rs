//! What of the workspace goes into the system prompt.

use crate::config::schema::reader::Section;

/// Keys with an effect.
pub(in crate::config::schema) const USED: &[&str] = &[
    "agents.defaults.bootstrapMaxChars",
    "agents.defaults.bootstrapTotalMaxChars",
    "agents.defaults.contextInjection",
    "agents.defaults.skipBootstrap",
    "agents.defaults.skipOptionalBootstrapFiles[]",
    "agents.defaults.silentReply.group",
    "agents.defaults.silentReply.internal",
    "agents.entries.*.bootstrapMaxChars",
    "agents.entries.*.bootstrapTotalMaxChars",
    "agents.entries.*.contextInjection",
];

/// Longest file that can be asked for, in characters.
const MAX_CHARS: u64 = 1_000_000;

/// Workspace files in the system prompt, and who may stay silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptConfig {
    /// Characters of one file.
    pub file_chars: usize,
    /// Characters of all files together.
    pub total_chars: usize,
    /// When the files are put in.
    pub injection: ContextInjection,
    /// The workspace is left as it is: no file is created.
    pub skip_bootstrap: bool,
    /// Optional files that are not created.
    pub skip_optional: Vec<String>,
    /// Whether a group may be left without an answer.
    pub group_silence: bool,
    /// Whether a session without a person may end without an answer.
    pub internal_silence: bool,
}

impl Default for PromptConfig {
    /// OpenClaw's.
    fn default() -> Self {
        Self {
            file_chars: 20_000,
            total_chars: 60_000,
            injection: ContextInjection::Always,
            skip_bootstrap: false,
            skip_optional: Vec::new(),
            group_silence: true,
            internal_silence: true,
        }
    }
}

/// When workspace files are put into the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextInjection {
    /// In every turn.
    Always,
    /// In the first turn of a conversation and the first after its history was shortened.
    ContinuationSkip,
    /// Never.
    Never,
}

/// What an agent says itself about its prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PromptOverrides {
    file_chars: Option<usize>,
    total_chars: Option<usize>,
    injection: Option<ContextInjection>,
}

impl PromptOverrides {
    /// The shared settings with these on top.
    #[must_use]
    pub fn over(&self, shared: &PromptConfig) -> PromptConfig {
        PromptConfig {
            file_chars: self.file_chars.unwrap_or(shared.file_chars),
            total_chars: self.total_chars.unwrap_or(shared.total_chars),
            injection: self.injection.unwrap_or(shared.injection),
            ..shared.clone()
        }
    }
}

pub(super) fn read(defaults: &Section<'_>) -> PromptConfig {
    let usual = PromptConfig::default();
    let silence = defaults.section("silentReply");
    let may = |key: &str| silence.choice(key, &[("allow", true), ("disallow", false)]);
    PromptConfig {
        skip_bootstrap: defaults.flag("skipBootstrap").unwrap_or(false),
        skip_optional: defaults.texts("skipOptionalBootstrapFiles").unwrap_or_default(),
        group_silence: may("group").unwrap_or(usual.group_silence),
        internal_silence: may("internal").unwrap_or(usual.internal_silence),
        ..overrides(defaults).over(&usual)
    }
}

pub(super) fn overrides(section: &Section<'_>) -> PromptOverrides {
    let chars = |key: &str| section.integer(key, 1..=MAX_CHARS).and_then(|n| usize::try_from(n).ok());
    let injections = [
        ("always", ContextInjection::Always),
        ("continuation-skip", ContextInjection::ContinuationSkip),
        ("never", ContextInjection::Never),
    ];
    PromptOverrides {
        file_chars: chars("bootstrapMaxChars"),
        total_chars: chars("bootstrapTotalMaxChars"),
        injection: section.choice("contextInjection", &injections),
    }
}
