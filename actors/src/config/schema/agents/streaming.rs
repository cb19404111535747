//! Answers that are sent to a chat in parts while they are written.

use crate::config::schema::reader::Section;

/// Keys with an effect.
pub(in crate::config::schema) const USED: &[&str] = &[
    "agents.defaults.blockStreamingDefault",
    "agents.defaults.blockStreamingBreak",
    "agents.defaults.blockStreamingChunk.minChars",
    "agents.defaults.blockStreamingChunk.maxChars",
    "agents.defaults.blockStreamingChunk.breakPreference",
    "agents.defaults.blockStreamingCoalesce.minChars",
    "agents.defaults.blockStreamingCoalesce.maxChars",
];

/// Longest block that can be asked for, in characters.
const MAX_CHARS: u64 = 100_000;

/// Blocks of an answer. Defaults are OpenClaw's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockConfig {
    /// Whether answers are sent in blocks at all.
    pub enabled: bool,
    /// Whether blocks are sent only once the message they belong to is complete.
    pub at_message_end: bool,
    /// Characters a block has at least, unless it is the last.
    pub min_chars: usize,
    /// Characters a block has at most.
    pub max_chars: usize,
    /// Where a block preferably ends.
    pub prefer: BreakPreference,
}

impl Default for BlockConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            at_message_end: false,
            min_chars: 800,
            max_chars: 1200,
            prefer: BreakPreference::Paragraph,
        }
    }
}

/// Where a block preferably ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BreakPreference {
    /// Behind a sentence, or better.
    Sentence,
    /// Behind a line, or better.
    Newline,
    /// Behind a paragraph.
    Paragraph,
}

pub(super) fn read(defaults: &Section<'_>) -> BlockConfig {
    let usual = BlockConfig::default();
    let (chunk, merge) = (defaults.section("blockStreamingChunk"), defaults.section("blockStreamingCoalesce"));
    let chars = |section: &Section<'_>, key: &str| {
        section.integer(key, 1..=MAX_CHARS).and_then(|chars| usize::try_from(chars).ok())
    };
    let preferences = [
        ("paragraph", BreakPreference::Paragraph),
        ("newline", BreakPreference::Newline),
        ("sentence", BreakPreference::Sentence),
    ];
    // Parts that would be merged again are not cut in the first place, so the larger of both limits counts.
    let least = chars(&chunk, "minChars").unwrap_or(usual.min_chars);
    let most = chars(&chunk, "maxChars").unwrap_or(usual.max_chars.max(least));
    if least > most {
        chunk.section("minChars").refuse(least.to_string(), format!("at most maxChars, {most}"));
    }
    let min_chars = least.max(chars(&merge, "minChars").unwrap_or(0));
    BlockConfig {
        enabled: defaults.choice("blockStreamingDefault", &[("on", true), ("off", false)]).unwrap_or(usual.enabled),
        at_message_end: defaults
            .choice("blockStreamingBreak", &[("message_end", true), ("text_end", false)])
            .unwrap_or(usual.at_message_end),
        min_chars,
        max_chars: most.max(min_chars).max(chars(&merge, "maxChars").unwrap_or(0)),
        prefer: chunk.choice("breakPreference", &preferences).unwrap_or(usual.prefer),
    }
}
