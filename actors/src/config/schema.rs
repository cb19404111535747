//! The typed settings, one file per section, defaults filled in.
//!
//! Types and names were checked before; here are ranges, meaning and defaults. Each section lists the keys it uses:
//! what no list names is reported as without effect.

pub mod agents;
pub mod channels;
mod commands;
pub mod gateway;
pub mod logging;
mod messages;
pub mod models;
mod reader;
mod reset;
pub mod session;
pub mod tools;

use super::document::{Files, Node};
use super::issue::ConfigIssue;
use super::load::LoadSources;
use super::substitute::EnvVars;
use reader::{Context, Section};

pub use agents::{
    AgentDefaults, AgentEntry, AgentsConfig, BlockConfig, BreakPreference, CompactionConfig, ContextInjection,
    MemoryFlushConfig, ModelChoice, PromptConfig, PromptOverrides, StartupConfig,
};
pub use channels::ChannelsConfig;
pub use channels::telegram::{TelegramAccountConfig, TelegramConfig};
pub use commands::CommandsConfig;
pub use gateway::{AuthMode, Bind, ControlUiConfig, GatewayAuthConfig, GatewayConfig, RateLimitConfig, ReloadMode};
pub use logging::{ConsoleStyle, LogLevel, LoggingConfig};
pub use messages::{MAX_CAP, MAX_DEBOUNCE, MessagesConfig, QueueConfig, QueueDrop, QueueMode};
pub use models::{ModelConfig, ModelCost, ModelsConfig, ProviderConfig};
pub use reset::{ResetConfig, ResetPolicy};
pub use session::{DmScope, GroupScope, SessionConfig, SessionScope};
pub use tools::{AgentToAgent, SessionVisibility, ToolsConfig};

/// All settings. `Config::default()` is what a missing file means.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// The served port and who may use it.
    pub gateway: GatewayConfig,
    /// Agents and what they share.
    pub agents: AgentsConfig,
    /// Providers and their models.
    pub models: ModelsConfig,
    /// Chat platforms.
    pub channels: ChannelsConfig,
    /// How messages are assigned to sessions.
    pub session: SessionConfig,
    /// How messages wait.
    pub messages: MessagesConfig,
    /// Who may command by chat.
    pub commands: CommandsConfig,
    /// What tools may do and see.
    pub tools: ToolsConfig,
    /// What is logged, and where.
    pub logging: LoggingConfig,
}

impl Config {
    /// Reads the typed settings from a validated document.
    pub(super) fn build(
        root: &Node,
        files: &Files,
        env: &EnvVars,
        sources: &LoadSources,
        issues: &mut Vec<ConfigIssue>,
        warnings: &mut Vec<String>,
    ) -> Self {
        let context = Context::new(root, files, env, sources);
        let root = Section::root(&context);
        let config = Self {
            gateway: gateway::read(&root.section("gateway")),
            agents: agents::read(&root.section("agents")),
            models: models::read(&root.section("models")),
            channels: channels::read(&root.section("channels")),
            session: session::read(&root.section("session")),
            messages: messages::read(&root.section("messages")),
            commands: commands::read(&root.section("commands")),
            tools: tools::read(&root.section("tools")),
            logging: logging::read(&root.section("logging")),
        };
        context.finish(issues, warnings);
        config
    }
}

/// The keys that have an effect here, in the spelling of the table.
pub(super) fn used_keys() -> impl Iterator<Item = &'static str> {
    [
        gateway::USED,
        agents::USED,
        agents::prompt::USED,
        agents::compaction::USED,
        agents::streaming::USED,
        models::USED,
        channels::telegram::USED,
        session::USED,
        reset::USED,
        messages::USED,
        commands::USED,
        tools::USED,
        logging::USED,
    ]
    .into_iter()
    .flatten()
    .copied()
}
