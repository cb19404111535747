//! When and how the history of a conversation is shortened.

use std::time::Duration;

use crate::config::schema::reader::Section;

/// Keys with an effect.
pub(in crate::config::schema) const USED: &[&str] = &[
    "agents.defaults.compaction.enabled",
    "agents.defaults.compaction.mode",
    "agents.defaults.compaction.keepRecentTokens",
    "agents.defaults.compaction.recentTurnsPreserve",
    "agents.defaults.compaction.model",
    "agents.defaults.compaction.timeoutSeconds",
    "agents.defaults.compaction.identifierPolicy",
    "agents.defaults.compaction.qualityGuard.enabled",
    "agents.defaults.compaction.qualityGuard.maxRetries",
    "agents.defaults.compaction.midTurnPrecheck.enabled",
    "agents.defaults.compaction.memoryFlush.enabled",
    "agents.defaults.compaction.memoryFlush.softThresholdTokens",
    "agents.defaults.compaction.memoryFlush.model",
];

/// More tokens than any window holds.
const MAX_TOKENS: u64 = 10_000_000;

/// How the history of a conversation is shortened. Defaults are OpenClaw's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactionConfig {
    /// Whether it happens before a window is full. A refusal of the provider and `/compact` work all the same.
    pub enabled: bool,
    /// Whether summaries have to have certain headings.
    pub safeguard: bool,
    /// Tokens of the newest part that stay as they are.
    pub keep_recent_tokens: u64,
    /// Turns that stay as they are, if they are not too long.
    pub recent_turns: usize,
    /// Model of the summaries; the session's when none is named.
    pub model: Option<String>,
    /// Longest request for a summary.
    pub timeout: Duration,
    /// Whether summaries have to keep identifiers to the letter.
    pub strict_identifiers: bool,
    /// How often a summary that lacks a heading is asked for again; none is not looked at.
    pub quality_retries: Option<u32>,
    /// Whether it is also looked at between the tool calls of a turn.
    pub mid_turn: bool,
    /// Notes before the history is shortened.
    pub flush: MemoryFlushConfig,
}

impl Default for CompactionConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            safeguard: true,
            keep_recent_tokens: 20_000,
            recent_turns: 3,
            model: None,
            timeout: Duration::from_secs(180),
            strict_identifiers: true,
            quality_retries: Some(1),
            mid_turn: false,
            flush: MemoryFlushConfig::default(),
        }
    }
}

/// A silent turn in which the agent writes down what it wants to remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryFlushConfig {
    /// Whether there is one.
    pub enabled: bool,
    /// How many tokens before the history is shortened.
    pub soft_tokens: u64,
    /// Its model; the session's when none is named.
    pub model: Option<String>,
}

impl Default for MemoryFlushConfig {
    fn default() -> Self {
        Self { enabled: true, soft_tokens: 4000, model: None }
    }
}

pub(super) fn read(compaction: &Section<'_>) -> CompactionConfig {
    let usual = CompactionConfig::default();
    let guard = compaction.section("qualityGuard");
    let retries = guard.integer("maxRetries", 0..=5).and_then(|n| u32::try_from(n).ok());
    let guarded = guard.flag("enabled").unwrap_or(true);
    let flush = compaction.section("memoryFlush");
    let turns = compaction.integer("recentTurnsPreserve", 0..=12).and_then(|n| usize::try_from(n).ok());
    CompactionConfig {
        enabled: compaction.flag("enabled").unwrap_or(usual.enabled),
        safeguard: compaction.choice("mode", &[("safeguard", true), ("default", false)]).unwrap_or(usual.safeguard),
        keep_recent_tokens: compaction.integer("keepRecentTokens", 1..=MAX_TOKENS).unwrap_or(usual.keep_recent_tokens),
        recent_turns: turns.unwrap_or(usual.recent_turns),
        model: compaction.text("model"),
        timeout: compaction.integer("timeoutSeconds", 1..=3600).map_or(usual.timeout, Duration::from_secs),
        strict_identifiers: compaction
            .choice("identifierPolicy", &[("strict", true), ("off", false)])
            .unwrap_or(usual.strict_identifiers),
        quality_retries: guarded.then(|| retries.or(usual.quality_retries)).flatten(),
        mid_turn: compaction.section("midTurnPrecheck").flag("enabled").unwrap_or(usual.mid_turn),
        flush: MemoryFlushConfig {
            enabled: flush.flag("enabled").unwrap_or(usual.flush.enabled),
            soft_tokens: flush.integer("softThresholdTokens", 0..=MAX_TOKENS).unwrap_or(usual.flush.soft_tokens),
            model: flush.text("model"),
        },
    }
}
