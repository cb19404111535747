//! The tokens by which a model says nothing. Nothing of such a payload ever leaves, not even while it is streamed.

use crate::agents::prompt::sections::SILENT_TOKEN;

/// Said by a heartbeat turn that has nothing to report.
pub const HEARTBEAT_TOKEN: &str = "HEARTBEAT_OK";
/// What stands beside the token is dropped with it up to this length (OpenClaw: 300 characters).
pub const HEARTBEAT_ROOM: usize = 300;

const TOKENS: [&str; 2] = [SILENT_TOKEN, HEARTBEAT_TOKEN];

/// True when the whole of `text` is a token, in any case and with white space around it, or nothing.
#[must_use]
pub fn is_silent(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || TOKENS.iter().any(|token| token.eq_ignore_ascii_case(text))
}

/// True when `text` may still become silence: white space, the beginning of a token, or a token and white space.
fn may_become_silent(text: &str) -> bool {
    let text = text.trim_start();
    let (word, behind) = text.split_at(text.trim_end().len());
    TOKENS.iter().any(|token| {
        let begins = token.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
        begins && (behind.is_empty() || word.len() == token.len() || word.is_empty())
    })
}

/// What may be shown of a text that was cut off: nothing while it might have become silence.
#[must_use]
pub fn partial(text: &str) -> String {
    if may_become_silent(text) { String::new() } else { text.to_owned() }
}

/// Holds back the text of one message while it may become silence.
#[derive(Debug, Clone, Default)]
pub struct SilenceGate {
    held: String,
    is_open: bool,
}

impl SilenceGate {
    /// Takes the next piece; gives what may be shown now.
    pub fn push(&mut self, piece: &str) -> String {
        if self.is_open {
            return piece.to_owned();
        }
        self.held.push_str(piece);
        if may_become_silent(&self.held) {
            return String::new();
        }
        self.is_open = true;
        std::mem::take(&mut self.held)
    }

    /// The message is complete: what was held back, unless it is silence.
    pub fn finish(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        self.is_open = true;
        if is_silent(&held) { String::new() } else { held }
    }
}

/// What is to be said of a heartbeat's answer; none when it acknowledges only. A token at the start or the end is taken
/// off; within the text it is literal.
#[must_use]
pub fn heartbeat_reply(text: &str, room: usize) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || SILENT_TOKEN.eq_ignore_ascii_case(text) {
        return None;
    }
    let (rest, acknowledged) = strip_heartbeat(text);
    if acknowledged && rest.chars().count() <= room {
        return None;
    }
    (!rest.is_empty()).then(|| rest.to_owned())
}

/// `text` without the token at its start and its end, and whether there was one.
#[must_use]
pub fn strip_heartbeat(text: &str) -> (&str, bool) {
    let mut rest = text.trim();
    let mut found = false;
    if let Some(head) = rest.get(..HEARTBEAT_TOKEN.len())
        && head.eq_ignore_ascii_case(HEARTBEAT_TOKEN)
        && !rest[HEARTBEAT_TOKEN.len()..].starts_with(is_word)
    {
        rest = rest[HEARTBEAT_TOKEN.len()..].trim_start_matches(['.', ',', ':', '!', '-', '*', '`']).trim_start();
        found = true;
    }
    let at = rest.len().saturating_sub(HEARTBEAT_TOKEN.len());
    if let Some(tail) = rest.get(at..)
        && tail.eq_ignore_ascii_case(HEARTBEAT_TOKEN)
        && !rest[..at].ends_with(is_word)
    {
        rest = rest[..at].trim_end();
        found = true;
    }
    (rest, found)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_whole_payload_is_silence() {
        for text in ["NO_REPLY", "no_reply", "  No_Reply\n\n", "HEARTBEAT_OK", "", "  \n"] {
            assert!(is_silent(text), "{text:?}");
        }
        for text in ["NO_REPLY.", "NO REPLY", "NO_REPLY yes", "well, NO_REPLY", "NO_REPL"] {
            assert!(!is_silent(text), "{text:?}");
        }
    }

    #[test]
    fn text_that_only_begins_like_a_token_comes_out_as_soon_as_it_differs() {
        let mut gate = SilenceGate::default();
        assert_eq!(gate.push("NO"), "");
        assert_eq!(gate.push("_RE"), "");
        assert_eq!(gate.push("GRETS"), "NO_REGRETS");
        assert_eq!(gate.push(" NO_REPLY"), " NO_REPLY");
        let mut gate = SilenceGate::default();
        assert_eq!(gate.push("no") + &gate.finish(), "no", "a short answer is not swallowed");
        let mut gate = SilenceGate::default();
        assert_eq!(gate.push("No ") + &gate.push("way"), "No way");
    }

    #[test]
    fn a_heartbeat_that_acknowledges_is_dropped_and_an_alert_is_kept() {
        assert_eq!(heartbeat_reply("HEARTBEAT_OK", HEARTBEAT_ROOM), None);
        assert_eq!(heartbeat_reply("heartbeat_ok. All quiet.", HEARTBEAT_ROOM), None);
        assert_eq!(heartbeat_reply("All quiet. HEARTBEAT_OK", HEARTBEAT_ROOM), None);
        assert_eq!(heartbeat_reply("NO_REPLY", HEARTBEAT_ROOM), None);
        let alert = "The disk is full. ".repeat(30);
        assert_eq!(heartbeat_reply(&format!("{alert}HEARTBEAT_OK"), HEARTBEAT_ROOM).as_deref(), Some(alert.trim()));
        let literal = "The token HEARTBEAT_OK was in the log.";
        assert_eq!(heartbeat_reply(literal, HEARTBEAT_ROOM).as_deref(), Some(literal));
        assert_eq!(strip_heartbeat("HEARTBEAT_OKAY then"), ("HEARTBEAT_OKAY then", false));
    }

    fn in_pieces(text: &str, cuts: &[usize]) -> Vec<String> {
        let chars: Vec<char> = text.chars().collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (chars.len() + 1)).collect();
        cuts.extend([0, chars.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| chars[pair[0]..pair[1]].iter().collect()).collect()
    }

    proptest! {
        #[test]
        fn no_reply_never_reaches_a_channel_in_full_or_as_a_streamed_prefix(
            token in prop::sample::select(TOKENS.to_vec()),
            upper in prop::collection::vec(any::<bool>(), 16),
            before in "[ \n\t]{0,5}", behind in "[ \n\t]{0,5}",
            cuts in prop::collection::vec(0_usize..40, 0..8),
        ) {
            let spelt: String = token.chars().zip(upper.iter().cycle())
                .map(|(c, upper)| if *upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }).collect();
            let mut gate = SilenceGate::default();
            for piece in in_pieces(&format!("{before}{spelt}{behind}"), &cuts) {
                prop_assert_eq!(gate.push(&piece), "");
            }
            prop_assert_eq!(gate.finish(), "");
        }

        #[test]
        fn whatever_is_not_silence_comes_out_whole_and_in_order(
            text in "(NO_REPLY|HEARTBEAT_OK|NO|no_|[a-z ]|\n|ü){0,12}", cuts in prop::collection::vec(0_usize..200, 0..12),
        ) {
            let mut gate = SilenceGate::default();
            let mut out = String::new();
            for piece in in_pieces(&text, &cuts) {
                out += &gate.push(&piece);
                prop_assert!(out.is_empty() || !is_silent(&out) , "{out:?}");
            }
            out += &gate.finish();
            prop_assert_eq!(out, if is_silent(&text) { String::new() } else { text });
        }
    }
}
