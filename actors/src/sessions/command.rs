//! Messages that command the session instead of talking to the model.

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Abort what runs and what waits.
    Stop,
    /// Start a new conversation; what follows is its first message.
    Reset {
        /// `new` or `reset`.
        reason: &'static str,
        /// First message of the new conversation, may be empty.
        rest: String,
    },
}

/// Whole messages that abort (OpenClaw's list in English and its common translations).
const STOP_PHRASES: [&str; 22] = [
    "/stop",
    "stop",
    "esc",
    "abort",
    "exit",
    "interrupt",
    "halt",
    "stop openclaw",
    "stop run",
    "stop agent",
    "stop current action",
    "detente",
    "detén",
    "arrête",
    "arrete",
    "stopp",
    "anhalten",
    "pare",
    "停止",
    "やめて",
    "стоп",
    "توقف",
];

/// The command a message is, if it is one.
#[must_use]
pub fn parse(text: &str) -> Option<Command> {
    let trimmed = text.trim();
    let bare = trimmed.trim_end_matches(['.', '!', '?', '。', '！']).to_lowercase();
    if STOP_PHRASES.contains(&bare.as_str()) {
        return Some(Command::Stop);
    }
    for (trigger, reason) in [("/new", "new"), ("/reset", "reset")] {
        if let Some(rest) = strip_word(trimmed, trigger) {
            return Some(Command::Reset { reason, rest: rest.trim().to_owned() });
        }
    }
    None
}

fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len())?;
    let rest = &text[word.len()..];
    (head.eq_ignore_ascii_case(word) && (rest.is_empty() || rest.starts_with(char::is_whitespace))).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_messages_stop() {
        for text in ["/stop", "Stop!", "STOP", "стоп.", "  abort  "] {
            assert_eq!(parse(text), Some(Command::Stop), "{text}");
        }
        for text in ["stop the car", "don't stop", "/stopwatch"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_reset_keeps_the_text_behind_it() {
        assert_eq!(parse("/NEW hello there"), Some(Command::Reset { reason: "new", rest: "hello there".into() }));
        assert_eq!(parse("/reset"), Some(Command::Reset { reason: "reset", rest: String::new() }));
        assert_eq!(parse("/newsletter"), None);
    }
}
