//! Tools that look at the sessions of this gateway and send messages to them.

pub mod history;
pub mod list;
mod redact;
pub mod send;
pub mod status;
mod visibility;

#[cfg(test)]
mod tests;

use super::contract::ToolError;
use super::sessions_port::PortError;

impl From<PortError> for ToolError {
    fn from(error: PortError) -> Self {
        Self::Failed(error.0)
    }
}

/// Longest text of one message that is shown.
const MAX_TEXT: usize = 4_000;

/// A session's kind in listings, by its key behind `agent:<agentId>:`.
fn kind_of(rest: &str) -> &'static str {
    let mut parts = rest.split(':');
    match parts.next().unwrap_or_default() {
        "main" if rest == "main" => "main",
        "cron" => "cron",
        "hook" => "hook",
        first if first == "node" || first.starts_with("node-") => "node",
        _ if parts.any(|part| matches!(part, "group" | "channel" | "room")) => "group",
        _ => "other",
    }
}

/// `text` in at most [`MAX_TEXT`] characters, without what looks like a credential.
fn shown(text: &str) -> String {
    let text = redact::redact(text);
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}… [cut]", &text[..end]),
        None => text,
    }
}
