//! What a person sees of what a model said.
//!
//! Pure. A model may say nothing (a silent token), may address the gateway instead of the person (directives), and what it
//! says may be sent in blocks while it is written.

pub mod blocks;
pub mod directives;
pub mod silence;

use crate::config::PromptConfig;
use crate::message::{AssistantPart, Message};

use super::prompt::Audience;
pub use blocks::{BlockCutter, Streamed};
pub use directives::{Directed, ReplyTo};
pub use silence::{SilenceGate, heartbeat_reply, is_silent};

/// Said instead of nothing where somebody waits.
pub const NOTHING_TO_SAY: &str = "I have nothing to add.";
/// The request of the pass that asks a model for its answer once more, without tools.
pub const ASK_AGAIN: &str = "\
[gateway note, not from the person] The turn is over and the person has not been told anything yet. Write the answer to \
their last message now, in plain words: what was done, what was found, what is open. No tools. Staying silent is not \
possible here.";

/// An answer as it is shown and sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// All of it; empty when nothing is said.
    pub text: String,
    /// What of it is still to be sent to the chat.
    pub unsent: String,
    /// The message it answers, when the model named one.
    pub reply_to: Option<String>,
}

impl Reply {
    /// A text that is shown and sent as it is.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { unsent: text.clone(), text, reply_to: None }
    }

    /// The reply that a last message is, of which `sent` left already.
    #[must_use]
    pub fn of(message: &Message, sent: Option<&Streamed>) -> Self {
        let said = message.text();
        if is_silent(&said) {
            return Self::default();
        }
        let whole = directives::shape(&said);
        let unsent = match sent.and_then(|sent| sent.unsent(&said)) {
            Some(rest) => directives::shape(&rest).text,
            None => whole.text.clone(),
        };
        let reply_to = match whole.reply_to {
            Some(ReplyTo::Message(id)) => Some(id),
            Some(ReplyTo::Current) | None => None,
        };
        Self { text: whole.text, unsent, reply_to }
    }

    /// True when a person would see nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }
}

/// True for an answer by which the model said nothing; no history shows it.
#[must_use]
pub fn says_nothing(message: &Message) -> bool {
    let Message::Assistant { content, .. } = message else { return false };
    let calls = content.iter().any(|part| matches!(part, AssistantPart::ToolCall { .. }));
    let said = message.text();
    !calls && !said.trim().is_empty() && is_silent(&said)
}

/// Whether the model may leave this session without an answer.
#[must_use]
pub fn may_be_silent(audience: Audience, config: &PromptConfig) -> bool {
    match audience {
        Audience::Main | Audience::Direct | Audience::Everybody => false,
        Audience::Group => config.group_silence,
        Audience::Cron | Audience::Hook | Audience::SubAgent => config.internal_silence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{StopReason, Usage};

    fn said(text: &str) -> Message {
        Message::Assistant {
            content: vec![AssistantPart::Text { text: text.into() }],
            api: String::new(),
            provider: String::new(),
            model: String::new(),
            usage: Usage::default(),
            stop_reason: StopReason::Stop,
            error_message: None,
            timestamp: 0,
        }
    }

    #[test]
    fn a_silent_answer_is_empty_and_others_are_themselves() {
        assert_eq!(Reply::of(&said(" no_reply\n"), None), Reply::default());
        assert!(says_nothing(&said("NO_REPLY")) && !says_nothing(&said("")) && !says_nothing(&said("NO")));
        assert_eq!(Reply::of(&said("NO_REPLY is a token"), None), Reply::plain("NO_REPLY is a token"));
    }

    #[test]
    fn what_was_sent_is_not_sent_again() {
        let first = "The first part.\n\n";
        let sent = Streamed::new(0, first);
        let reply = Reply::of(&said(&format!("{first}The second part.")), Some(&sent));
        assert_eq!(
            (reply.text.as_str(), reply.unsent.as_str()),
            ("The first part.\n\nThe second part.", "The second part.")
        );
        let other = Reply::of(&said("Something else"), Some(&sent));
        assert_eq!(other.unsent, "Something else", "blocks of another answer do not count");
        assert_eq!(Reply::of(&said(first), Some(&sent)).unsent, "");
    }

    #[test]
    fn a_named_message_is_the_one_that_is_answered() {
        assert_eq!(Reply::of(&said("[[reply_to:42]] Yes."), None).reply_to.as_deref(), Some("42"));
        assert_eq!(Reply::of(&said("[[reply_to_current]] Yes."), None), Reply::plain("Yes."));
    }

    #[test]
    fn silence_is_for_groups_and_jobs_and_only_if_allowed() {
        let config = PromptConfig::default();
        assert!(may_be_silent(Audience::Group, &config) && may_be_silent(Audience::Cron, &config));
        assert!(!may_be_silent(Audience::Main, &config) && !may_be_silent(Audience::Direct, &config));
        let strict = PromptConfig { group_silence: false, ..config };
        assert!(!may_be_silent(Audience::Group, &strict));
    }
}
