//! `messages`: what happens to a message that arrives while its session is busy.

use std::collections::BTreeMap;
use std::time::Duration;

use super::reader::Section;

/// Keys with an effect.
pub(super) const USED: &[&str] = &[
    "messages.queue.mode",
    "messages.queue.cap",
    "messages.queue.drop",
    "messages.queue.byChannel.discord",
    "messages.queue.byChannel.googlechat",
    "messages.queue.byChannel.imessage",
    "messages.queue.byChannel.irc",
    "messages.queue.byChannel.matrix",
    "messages.queue.byChannel.mattermost",
    "messages.queue.byChannel.msteams",
    "messages.queue.byChannel.signal",
    "messages.queue.byChannel.slack",
    "messages.queue.byChannel.telegram",
    "messages.queue.byChannel.webchat",
    "messages.queue.byChannel.whatsapp",
    "messages.queue.debounceMsByChannel.*",
];

/// Longest pause that can be asked for: what waits longer looks lost.
pub const MAX_DEBOUNCE: Duration = Duration::from_secs(10 * 60);
/// Most messages that may be asked to wait in one session.
pub const MAX_CAP: usize = 200;

/// What a session does with a message that arrives during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueueMode {
    /// Into the run, at its next safe point.
    #[default]
    Steer,
    /// After the run, one turn for each message.
    Followup,
    /// After the run, one turn for all that came meanwhile.
    Collect,
    /// The run is aborted, the newest message is run.
    Interrupt,
}

impl QueueMode {
    const WORDS: [(&'static str, Self); 4] = [
        ("steer", Self::Steer),
        ("followup", Self::Followup),
        ("collect", Self::Collect),
        ("interrupt", Self::Interrupt),
    ];

    /// A mode by its name, older names included.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        match word.as_str() {
            "queue" => return Some(Self::Steer),
            "steer-backlog" | "steer+backlog" => return Some(Self::Followup),
            _ => {}
        }
        Self::WORDS.iter().find(|(name, _)| *name == word).map(|(_, mode)| *mode)
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Steer => "steer",
            Self::Followup => "followup",
            Self::Collect => "collect",
            Self::Interrupt => "interrupt",
        }
    }
}

/// What gives way when more messages wait than may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueueDrop {
    /// The oldest one, without a word to the model.
    Old,
    /// The newest one: it is refused.
    New,
    /// The oldest one; the model gets one line of it.
    #[default]
    Summarize,
}

impl QueueDrop {
    const WORDS: [(&'static str, Self); 3] = [("old", Self::Old), ("new", Self::New), ("summarize", Self::Summarize)];

    /// A policy by its name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        Self::WORDS.iter().find(|(name, _)| *name == word).map(|(_, policy)| *policy)
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::New => "new",
            Self::Summarize => "summarize",
        }
    }
}

/// `messages.queue`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueConfig {
    /// For all channels and for clients.
    pub mode: Option<QueueMode>,
    /// By channel.
    pub by_channel: BTreeMap<String, QueueMode>,
    /// Quiet time before what waits is run, by channel.
    pub debounce_by_channel: BTreeMap<String, Duration>,
    /// Most messages that wait.
    pub cap: Option<usize>,
    /// What gives way.
    pub drop: Option<QueueDrop>,
}

/// How messages are treated before they reach a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessagesConfig {
    /// While a session is busy.
    pub queue: QueueConfig,
}

pub(super) fn read(messages: &Section<'_>) -> MessagesConfig {
    let queue = messages.section("queue");
    let by_channel = queue.section("byChannel");
    let channels = queue.map("byChannel").into_iter().map(|(channel, _)| channel);
    let modes = channels.filter_map(|channel| {
        let mode = by_channel.choice(&channel, &QueueMode::WORDS)?;
        Some((channel.to_ascii_lowercase(), mode))
    });
    let pauses = queue.section("debounceMsByChannel");
    let longest = u64::try_from(MAX_DEBOUNCE.as_millis()).unwrap_or(u64::MAX);
    let named = queue.map("debounceMsByChannel").into_iter().map(|(channel, _)| channel);
    let debounce = named.filter_map(|channel| {
        let pause = pauses.integer(&channel, 0..=longest)?;
        Some((channel.to_ascii_lowercase(), Duration::from_millis(pause)))
    });
    MessagesConfig {
        queue: QueueConfig {
            mode: queue.choice("mode", &QueueMode::WORDS),
            by_channel: modes.collect(),
            debounce_by_channel: debounce.collect(),
            cap: queue.integer("cap", 1..=MAX_CAP as u64).and_then(|cap| usize::try_from(cap).ok()),
            drop: queue.choice("drop", &QueueDrop::WORDS),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_names_of_modes_are_read() {
        for (word, mode) in [
            ("queue", QueueMode::Steer),
            ("steer+backlog", QueueMode::Followup),
            ("Collect", QueueMode::Collect),
            ("interrupt", QueueMode::Interrupt),
        ] {
            assert_eq!(QueueMode::parse(word), Some(mode), "{word}");
        }
        assert_eq!(QueueMode::parse("faster"), None);
    }
}
