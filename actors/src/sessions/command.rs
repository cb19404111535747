//! Messages that command the session instead of talking to the model.

use super::settings::QueueChange;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Abort what runs and what waits.
    Stop,
    /// Start a new conversation; what follows is its first message.
    Reset {
        /// `new` or `reset`.
        reason: &'static str,
        /// First message of the new conversation, may be empty.
        rest: String,
    },
    /// Tell the run that is at work; without one, an ordinary message.
    Steer {
        /// What to tell.
        text: String,
    },
    /// Shorten the history.
    Compact {
        /// What to pay attention to, may be empty.
        wishes: String,
    },
    /// Answered at once, beside whatever runs.
    Ask(Question),
}

/// A command that the session answers itself, also while it is busy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    /// What can be commanded.
    Help,
    /// Who the sender is to this session.
    WhoAmI,
    /// How the session stands.
    Status,
    /// Show or change what happens to messages that arrive during a run.
    Queue(Result<QueueChange, String>),
    /// What the model is shown, in size; true: part by part.
    Context(bool),
    /// Give the session a name; empty shows it.
    Name(String),
    /// Whether answers are sent to the chat: `on`, `off`, `inherit`; empty shows it.
    Send(String),
    /// A footer with tokens and cost: `off`, `tokens`, `full`, `reset`; empty shows it.
    Usage(String),
}

impl Question {
    /// True when only an owner may ask it.
    pub(super) fn is_for_owners(&self) -> bool {
        match self {
            Self::Send(_) => true,
            Self::Help
            | Self::WhoAmI
            | Self::Status
            | Self::Queue(_)
            | Self::Context(_)
            | Self::Name(_)
            | Self::Usage(_) => false,
        }
    }
}

/// What `/help` says.
pub(super) const HELP: &str = "\
/new [text], /reset [text] - start a new conversation
/stop - abort what runs and what waits
/steer <text> - tell the run that is at work
/queue [steer|followup|collect|interrupt] [debounce:2s] [cap:20] [drop:old|new|summarize] - what happens to messages \
during a run; /queue default forgets it
/compact [what matters] - shorten the history
/status - how this session stands
/context [detail] - what the model is shown, in size
/usage [off|tokens|full|reset] - a footer with tokens and cost
/name [title] - name this session
/send [on|off|inherit] - whether answers are sent here (owners)
/whoami - who you are to this gateway
/help - this list";

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

/// The command a message is, if it is one. `triggers` start new conversations.
pub(super) fn parse(text: &str, triggers: &[String]) -> Option<Command> {
    let trimmed = text.trim();
    let bare = trimmed.trim_end_matches(['.', '!', '?', '。', '！']).to_lowercase();
    if STOP_PHRASES.contains(&bare.as_str()) {
        return Some(Command::Stop);
    }
    for trigger in triggers {
        if let Some(rest) = strip_word(trimmed, trigger) {
            let reason = if trigger == "/new" { "new" } else { "reset" };
            return Some(Command::Reset { reason, rest: rest.to_owned() });
        }
    }
    let (name, rest) = slash(trimmed)?;
    let question = match name.as_str() {
        "steer" | "tell" if !rest.is_empty() => return Some(Command::Steer { text: rest.to_owned() }),
        "compact" => return Some(Command::Compact { wishes: rest.to_owned() }),
        "context" => Question::Context(rest.eq_ignore_ascii_case("detail")),
        "help" | "commands" => Question::Help,
        "whoami" | "id" => Question::WhoAmI,
        "status" => Question::Status,
        "queue" => Question::Queue(QueueChange::parse(rest)),
        "name" => Question::Name(rest.to_owned()),
        "send" => Question::Send(rest.to_lowercase()),
        "usage" => Question::Usage(rest.to_lowercase()),
        _ => return None,
    };
    Some(Command::Ask(question))
}

/// `/name rest` or `/name: rest`; the name in lower case.
fn slash(text: &str) -> Option<(String, &str)> {
    let rest = text.strip_prefix('/')?;
    let end = rest.find(|c: char| c.is_whitespace() || c == ':').unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    Some((name.to_lowercase(), rest.trim()))
}

fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len())?;
    let rest = &text[word.len()..];
    let is_word = head.to_lowercase() == word && (rest.is_empty() || rest.starts_with([' ', '\t', '\n', ':']));
    is_word.then(|| rest.strip_prefix(':').unwrap_or(rest).trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{QueueMode, ResetConfig};

    fn parsed(text: &str) -> Option<Command> {
        parse(text, &ResetConfig::default().triggers)
    }

    #[test]
    fn only_whole_messages_stop() {
        for text in ["/stop", "Stop!", "STOP", "стоп.", "  abort  "] {
            assert_eq!(parsed(text), Some(Command::Stop), "{text}");
        }
        for text in ["stop the car", "don't stop", "/stopwatch"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn a_reset_keeps_the_text_behind_it() {
        let reset = |reason, rest: &str| Some(Command::Reset { reason, rest: rest.to_owned() });
        assert_eq!(parsed("/NEW hello there"), reset("new", "hello there"));
        assert_eq!(parsed("/reset"), reset("reset", ""));
        assert_eq!(parsed("/newsletter"), None);
        let triggers = [String::from("fresh start")];
        assert_eq!(parse("Fresh start: hi", &triggers), reset("reset", "hi"));
        assert_eq!(parse("/new", &triggers), None);
    }

    #[test]
    fn commands_take_a_colon_and_any_case() {
        let Some(Command::Ask(Question::Queue(Ok(QueueChange::Set { mode, .. })))) = parsed("/Queue: collect") else {
            panic!("a change")
        };
        assert_eq!(mode, Some(QueueMode::Collect));
        assert_eq!(parsed("/tell  wait"), Some(Command::Steer { text: "wait".into() }));
        assert_eq!(parsed("/steer"), None, "nothing to tell: an ordinary message");
        assert_eq!(parsed("/whoami"), Some(Command::Ask(Question::WhoAmI)));
    }

    #[test]
    fn what_is_no_command_is_a_message() {
        for text in ["/unknown", "/", "/etc/hosts", "help", "status?", "a /status"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
