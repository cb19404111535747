//! `logging`: what is written down, and where.

use std::path::PathBuf;

use super::reader::Section;

/// Keys with an effect.
pub(super) const USED: &[&str] =
    &["logging.level", "logging.consoleLevel", "logging.consoleStyle", "logging.file", "logging.maxFileBytes"];

/// What is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggingConfig {
    /// Least important line that goes to the file.
    pub level: LogLevel,
    /// Least important line that goes to the terminal.
    pub console_level: LogLevel,
    /// How lines look on the terminal.
    pub console_style: ConsoleStyle,
    /// The file; none means a dated one under `logs` in the state directory.
    pub file: Option<PathBuf>,
    /// Size at which a new file is begun.
    pub max_file_bytes: u64,
}

impl Default for LoggingConfig {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            console_level: LogLevel::Info,
            console_style: ConsoleStyle::Pretty,
            file: None,
            max_file_bytes: 104_857_600,
        }
    }
}

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing at all.
    Silent,
    /// Just before the end. Counts as error.
    Fatal,
    /// An operator must act.
    Error,
    /// It healed by itself.
    Warn,
    /// Life cycle.
    Info,
    /// Single messages.
    Debug,
    /// Everything.
    Trace,
}

/// How lines look on the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleStyle {
    /// For people. OpenClaw's older `compact` reads as this.
    Pretty,
    /// For programs.
    Json,
}

const LEVELS: &[(&str, LogLevel)] = &[
    ("silent", LogLevel::Silent),
    ("fatal", LogLevel::Fatal),
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

pub(super) fn read(logging: &Section<'_>) -> LoggingConfig {
    let defaults = LoggingConfig::default();
    let styles = [("pretty", ConsoleStyle::Pretty), ("compact", ConsoleStyle::Pretty), ("json", ConsoleStyle::Json)];
    LoggingConfig {
        level: logging.choice("level", LEVELS).unwrap_or(defaults.level),
        console_level: logging.choice("consoleLevel", LEVELS).unwrap_or(defaults.console_level),
        console_style: logging.choice("consoleStyle", &styles).unwrap_or(defaults.console_style),
        file: logging.path("file"),
        max_file_bytes: logging.integer("maxFileBytes", 1024..=1_099_511_627_776).unwrap_or(defaults.max_file_bytes),
    }
}
