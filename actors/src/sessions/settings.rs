//! How a session treats what arrives while it is busy: the configuration, overruled by the session's own settings.

use std::time::Duration;

use crate::config::{MAX_CAP, MAX_DEBOUNCE, QueueConfig, QueueDrop, QueueMode};
use crate::store::rows::SessionRow;

/// Quiet time before what waits is run (OpenClaw's).
const DEBOUNCE: Duration = Duration::from_millis(500);
/// Most messages that wait (OpenClaw's).
const CAP: usize = 20;

/// Names of the row's fields.
const MODE: &str = "queueMode";
const DEBOUNCE_MS: &str = "queueDebounceMs";
const MAX_WAITING: &str = "queueCap";
const DROP: &str = "queueDrop";

/// How one message waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QueueSettings {
    /// What happens to it during a run.
    pub(super) mode: QueueMode,
    /// Quiet time before `followup` and `collect` go on.
    pub(super) debounce: Duration,
    /// Most messages that wait; at least 1.
    pub(super) cap: usize,
    /// What gives way.
    pub(super) drop: QueueDrop,
}

impl QueueSettings {
    /// The settings for a message of `channel` (none: a client's), which may ask for a mode of its own.
    pub(super) fn resolve(
        config: &QueueConfig,
        row: &SessionRow,
        channel: Option<&str>,
        inline: Option<QueueMode>,
    ) -> Self {
        let of_channel = |channel: Option<&str>| config.by_channel.get(channel.unwrap_or("webchat")).copied();
        let stored = row.text(MODE).and_then(QueueMode::parse);
        let mode = inline.or(stored).or_else(|| of_channel(channel)).or(config.mode).unwrap_or_default();
        let pause = row.number(DEBOUNCE_MS).map(Duration::from_millis);
        let by_channel = config.debounce_by_channel.get(channel.unwrap_or("webchat")).copied();
        let cap = row.number(MAX_WAITING).and_then(|cap| usize::try_from(cap).ok()).filter(|cap| *cap > 0);
        Self {
            mode,
            debounce: pause.or(by_channel).unwrap_or(DEBOUNCE).min(MAX_DEBOUNCE),
            cap: cap.or(config.cap).unwrap_or(CAP).clamp(1, MAX_CAP),
            drop: row.text(DROP).and_then(QueueDrop::parse).or(config.drop).unwrap_or_default(),
        }
    }

    /// In words, for `/queue` and `/status`.
    pub(super) fn describe(&self) -> String {
        format!(
            "{} (debounce {} ms, cap {}, drop {})",
            self.mode.as_str(),
            self.debounce.as_millis(),
            self.cap,
            self.drop.as_str()
        )
    }
}

/// Name of the mode for a client's messages to a session with this row.
#[must_use]
pub fn effective_queue_mode(config: &QueueConfig, row: &SessionRow) -> &'static str {
    QueueSettings::resolve(config, row, None, None).mode.as_str()
}

/// A change of a session's queue settings, as `/queue` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum QueueChange {
    /// Say what holds.
    Show,
    /// Forget what the session said.
    Clear,
    /// Set what is given, keep the rest.
    Set {
        /// The mode.
        mode: Option<QueueMode>,
        /// The quiet time.
        debounce: Option<Duration>,
        /// Most messages that wait.
        cap: Option<usize>,
        /// What gives way.
        drop: Option<QueueDrop>,
    },
}

impl QueueChange {
    /// Reads what follows `/queue`.
    ///
    /// # Errors
    /// What is wrong and what may be written, for the person.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut mode, mut debounce, mut cap, mut drop) = (None, None, None, None);
        let mut any = false;
        for word in text.split_whitespace() {
            any = true;
            let lower = word.to_ascii_lowercase();
            match lower.split_once(':') {
                None if matches!(lower.as_str(), "default" | "reset") => return Ok(Self::Clear),
                None => {
                    let unknown =
                        || format!("\"{word}\" is no queue mode: steer, followup, collect or interrupt; or default");
                    mode = Some(QueueMode::parse(&lower).ok_or_else(unknown)?);
                }
                Some(("debounce", value)) => debounce = Some(pause(value)?),
                Some(("cap", value)) => {
                    let number: Option<usize> = value.parse().ok();
                    let fits = number.filter(|number| (1..=MAX_CAP).contains(number));
                    cap = Some(fits.ok_or_else(|| format!("cap:{value} is not a number from 1 to {MAX_CAP}"))?);
                }
                Some(("drop", value)) => {
                    let unknown = || format!("drop:{value} is none of old, new, summarize");
                    drop = Some(QueueDrop::parse(value).ok_or_else(unknown)?);
                }
                Some((name, _)) => return Err(format!("\"{name}:\" is none of debounce:, cap:, drop:")),
            }
        }
        Ok(if any { Self::Set { mode, debounce, cap, drop } } else { Self::Show })
    }

    /// Carries it out on the row.
    pub(super) fn apply(&self, row: &mut SessionRow) {
        match self {
            Self::Show => {}
            Self::Clear => {
                for field in [MODE, DEBOUNCE_MS, MAX_WAITING, DROP] {
                    row.rest.remove(field);
                }
            }
            Self::Set { mode, debounce, cap, drop } => {
                if let Some(mode) = mode {
                    row.set(MODE, mode.as_str());
                }
                if let Some(debounce) = debounce {
                    row.set(DEBOUNCE_MS, u64::try_from(debounce.as_millis()).unwrap_or(u64::MAX));
                }
                if let Some(cap) = cap {
                    row.set(MAX_WAITING, *cap as u64);
                }
                if let Some(drop) = drop {
                    row.set(DROP, drop.as_str());
                }
            }
        }
    }
}

/// `500`, `500ms`, `0.5s`, `1m`, `1h`, `1d`; a bare number is milliseconds.
fn pause(text: &str) -> Result<Duration, String> {
    let bad = || format!("debounce:{text} is not a time from 0 to {} s, such as 500ms or 2s", MAX_DEBOUNCE.as_secs());
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let factor = match unit {
        "" | "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(bad()),
    };
    let seconds: f64 = number.parse().map_err(|_| bad())?;
    let pause = Duration::try_from_secs_f64(seconds * factor).map_err(|_| bad())?;
    if pause > MAX_DEBOUNCE { Err(bad()) } else { Ok(pause) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearer_settings_win() {
        let mut config = QueueConfig { mode: Some(QueueMode::Followup), cap: Some(5), ..QueueConfig::default() };
        config.by_channel.insert(String::from("telegram"), QueueMode::Collect);
        let mut row = SessionRow::default();
        let of = |row: &SessionRow, channel, inline| QueueSettings::resolve(&config, row, channel, inline).mode;
        assert_eq!(QueueSettings::resolve(&QueueConfig::default(), &row, None, None).mode, QueueMode::Steer);
        assert_eq!(of(&row, None, None), QueueMode::Followup);
        assert_eq!(of(&row, Some("telegram"), None), QueueMode::Collect);
        QueueChange::parse("steer").unwrap().apply(&mut row);
        assert_eq!(of(&row, Some("telegram"), None), QueueMode::Steer);
        assert_eq!(of(&row, Some("telegram"), Some(QueueMode::Interrupt)), QueueMode::Interrupt);
        QueueChange::Clear.apply(&mut row);
        assert_eq!(of(&row, None, None), QueueMode::Followup);
        assert!(row.rest.is_empty());
    }

    #[test]
    fn what_follows_the_command_is_read() {
        let change = QueueChange::parse("collect debounce:0.5s cap:25 drop:summarize").unwrap();
        let mut row = SessionRow::default();
        change.apply(&mut row);
        let settings = QueueSettings::resolve(&QueueConfig::default(), &row, None, None);
        assert_eq!(settings.describe(), "collect (debounce 500 ms, cap 25, drop summarize)");
        assert_eq!(QueueChange::parse("  "), Ok(QueueChange::Show));
    }

    #[test]
    fn what_can_not_be_read_is_named() {
        for (text, named) in [
            ("faster", "faster"),
            ("cap:0", "cap:0"),
            ("debounce:9x", "9x"),
            ("drop:all", "drop:all"),
            ("size:1", "size"),
        ] {
            assert!(QueueChange::parse(text).unwrap_err().contains(named), "{text}");
        }
    }
}
