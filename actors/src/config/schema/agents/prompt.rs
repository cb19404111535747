//! What of the workspace goes into the system prompt.

use crate::config::schema::reader::Section;

/// Keys with an effect.
pub(in crate::config::schema) const USED: &[&str] = &[
    "agents.defaults.bootstrapMaxChars",
    "agents.defaults.bootstrapTotalMaxChars",
    "agents.defaults.contextInjection",
    "agents.defaults.skipBootstrap",
    "agents.defaults.skipOptionalBootstrapFiles[]",
    "agents.defaults.startupContext.enabled",
    "agents.defaults.startupContext.dailyMemoryDays",
    "agents.defaults.startupContext.maxFileBytes",
    "agents.defaults.startupContext.maxFileChars",
    "agents.defaults.startupContext.maxTotalChars",
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
    /// Notes of the last days in the first turn of a conversation.
    pub startup: StartupConfig,
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
            startup: StartupConfig::default(),
            group_silence: true,
            internal_silence: true,
        }
    }
}

/// Notes of the last days in the first turn of a conversation. Defaults are OpenClaw's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartupConfig {
    /// Days, today among them; none switches it off.
    pub days: u32,
    /// Bytes of a day that are read.
    pub file_bytes: u64,
    /// Characters of a day.
    pub file_chars: usize,
    /// Characters of all days.
    pub total_chars: usize,
}

impl Default for StartupConfig {
    fn default() -> Self {
        Self { days: 2, file_bytes: 16_384, file_chars: 1200, total_chars: 2800 }
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
        startup: startup(&defaults.section("startupContext")),
        group_silence: may("group").unwrap_or(usual.group_silence),
        internal_silence: may("internal").unwrap_or(usual.internal_silence),
        ..overrides(defaults).over(&usual)
    }
}

fn startup(section: &Section<'_>) -> StartupConfig {
    let usual = StartupConfig::default();
    let chars = |key: &str| section.integer(key, 1..=MAX_CHARS).and_then(|n| usize::try_from(n).ok());
    let days = section.integer("dailyMemoryDays", 1..=14).and_then(|days| u32::try_from(days).ok());
    let is_on = section.flag("enabled").unwrap_or(true);
    StartupConfig {
        days: if is_on { days.unwrap_or(usual.days) } else { 0 },
        file_bytes: section.integer("maxFileBytes", 1..=MAX_CHARS).unwrap_or(usual.file_bytes),
        file_chars: chars("maxFileChars").unwrap_or(usual.file_chars),
        total_chars: chars("maxTotalChars").unwrap_or(usual.total_chars),
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
