//! `session.reset` and its variants: when a conversation starts anew by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use super::reader::Section;

/// Keys with an effect.
pub(super) const USED: &[&str] = &[
    "session.reset.mode",
    "session.reset.atHour",
    "session.reset.idleMinutes",
    "session.resetByType.direct.mode",
    "session.resetByType.direct.atHour",
    "session.resetByType.direct.idleMinutes",
    "session.resetByType.group.mode",
    "session.resetByType.group.atHour",
    "session.resetByType.group.idleMinutes",
    "session.resetByType.thread.mode",
    "session.resetByType.thread.atHour",
    "session.resetByType.thread.idleMinutes",
    "session.resetByChannel.*.mode",
    "session.resetByChannel.*.atHour",
    "session.resetByChannel.*.idleMinutes",
    "session.resetTriggers[]",
];

/// Hour of a daily reset unless the configuration says otherwise (OpenClaw's).
const AT_HOUR: u32 = 4;
/// Idle time of `mode: idle` without `idleMinutes` (a day).
const IDLE: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest idle time that can be asked for, in minutes: a year.
const MAX_IDLE: u64 = 365 * 24 * 60;

/// When a conversation is too old to go on. Checked when its next message arrives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResetPolicy {
    /// At this hour of the gateway's local time, every day.
    pub daily_at: Option<u32>,
    /// After so much time without a message of a person.
    pub idle: Option<Duration>,
}

/// Reset policies by the kind of chat and by channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetConfig {
    /// Where nothing else is said.
    pub base: ResetPolicy,
    /// By `direct`, `group`, `thread`.
    pub by_type: BTreeMap<String, ResetPolicy>,
    /// By channel; wins over the type.
    pub by_channel: BTreeMap<String, ResetPolicy>,
    /// Messages that start a new conversation, lower-cased.
    pub triggers: Vec<String>,
}

impl Default for ResetConfig {
    fn default() -> Self {
        Self {
            base: ResetPolicy::default(),
            by_type: BTreeMap::new(),
            by_channel: BTreeMap::new(),
            triggers: vec![String::from("/new"), String::from("/reset")],
        }
    }
}

impl ResetConfig {
    /// The policy for a chat.
    #[must_use]
    pub fn of(&self, chat_type: &str, channel: Option<&str>) -> ResetPolicy {
        let by_channel = channel.and_then(|channel| self.by_channel.get(channel));
        *by_channel.or_else(|| self.by_type.get(chat_type)).unwrap_or(&self.base)
    }
}

#[derive(Clone, Copy)]
enum Mode {
    None,
    Daily,
    Idle,
}

pub(super) fn read(session: &Section<'_>) -> ResetConfig {
    let all = |key: &str| -> BTreeMap<String, ResetPolicy> {
        session.map(key).into_iter().map(|(name, section)| (name.to_ascii_lowercase(), policy(&section))).collect()
    };
    let mut by_type = all("resetByType");
    // The older spelling.
    if let Some(policy) = by_type.remove("dm") {
        by_type.entry(String::from("direct")).or_insert(policy);
    }
    let triggers = session
        .texts("resetTriggers")
        .map(|texts| texts.iter().map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty()).collect());
    ResetConfig {
        base: policy(&session.section("reset")),
        by_type,
        by_channel: all("resetByChannel"),
        triggers: triggers.unwrap_or_else(|| ResetConfig::default().triggers),
    }
}

fn policy(section: &Section<'_>) -> ResetPolicy {
    let words = [("none", Mode::None), ("daily", Mode::Daily), ("idle", Mode::Idle)];
    let hour = section.integer("atHour", 0..=23).and_then(|hour| u32::try_from(hour).ok());
    let idle = section.integer("idleMinutes", 1..=MAX_IDLE).map(|minutes| Duration::from_secs(minutes * 60));
    match section.choice("mode", &words) {
        Some(Mode::Daily) => ResetPolicy { daily_at: Some(hour.unwrap_or(AT_HOUR)), idle },
        Some(Mode::Idle) => ResetPolicy { daily_at: None, idle: Some(idle.unwrap_or(IDLE)) },
        Some(Mode::None) => ResetPolicy::default(),
        None => ResetPolicy { daily_at: None, idle },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_wins_over_a_type_and_a_type_over_the_base() {
        let of = |hours| ResetPolicy { daily_at: Some(hours), idle: None };
        let config = ResetConfig {
            base: of(1),
            by_type: BTreeMap::from([(String::from("direct"), of(2))]),
            by_channel: BTreeMap::from([(String::from("telegram"), of(3))]),
            ..ResetConfig::default()
        };
        assert_eq!(config.of("group", None), of(1));
        assert_eq!(config.of("direct", Some("discord")), of(2));
        assert_eq!(config.of("direct", Some("telegram")), of(3));
    }
}
