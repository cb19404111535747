//! Logs: short lines for a person on the terminal, one JSON object a line in the file.

use std::fmt::Write as _;

use actors::config::{LogLevel, LoggingConfig};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use super::log_file::LogFile;

/// Starts logging. A second call in one process (tests) changes nothing.
pub fn start(config: &LoggingConfig, file: LogFile, console: bool) {
    let console_layer = console.then(|| {
        fmt::layer()
            .with_writer(std::io::stderr)
            .with_target(false)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .with_filter(filter(config.console_level))
    });
    let file_layer =
        fmt::layer().event_format(JsonLine).with_writer(move || file.clone()).with_filter(filter(config.level));
    // An error says that a subscriber is there already.
    drop(tracing_subscriber::registry().with(console_layer).with(file_layer).try_init());
}

/// Libraries stay at `warn`.
fn filter(level: LogLevel) -> EnvFilter {
    let level = match level {
        LogLevel::Silent => "off",
        LogLevel::Fatal | LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let others = if level == "off" { "off" } else { "warn" };
    EnvFilter::new(format!("{others},openclawd={level},actors={level},supervision={level}"))
}

/// `{time, level, subsystem, msg, …fields}`.
struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> std::fmt::Result {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut line = Map::new();
        let now = actors::clock::Clock::system().now_rfc3339();
        line.insert(String::from("time"), Value::from(now));
        line.insert(String::from("level"), Value::from(metadata.level().as_str().to_ascii_lowercase()));
        line.insert(String::from("subsystem"), Value::from(metadata.target()));
        line.insert(String::from("msg"), Value::from(fields.message));
        line.extend(fields.rest);
        let text = serde_json::to_string(&line).map_err(|_| std::fmt::Error)?;
        writeln!(writer, "{text}")
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: Map<String, Value>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            // Writing to a string can't fail.
            write!(self.message, "{value:?}").ok();
        } else {
            self.rest.insert(field.name().to_owned(), Value::from(format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.rest.insert(field.name().to_owned(), Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.rest.insert(field.name().to_owned(), Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.rest.insert(field.name().to_owned(), Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.rest.insert(field.name().to_owned(), Value::from(value));
    }
}
