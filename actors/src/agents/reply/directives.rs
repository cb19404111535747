//! What a model says to the gateway instead of the person, taken out of its text.

/// The message that is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyTo {
    /// The one that started the turn.
    Current,
    /// Another one, by the platform's id.
    Message(String),
}

/// A text without its directives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directed {
    /// What the person sees.
    pub text: String,
    /// What is to be sent along: paths and addresses, in order.
    pub media: Vec<String>,
    /// The message to answer.
    pub reply_to: Option<ReplyTo>,
    /// It is to be spoken.
    pub as_voice: bool,
}

/// Longest id of a message.
const MAX_ID: usize = 128;

/// Takes the directives out of a whole answer. A file that is to be sent along stays as a note: attachments can't be sent.
#[must_use]
pub fn shape(text: &str) -> Directed {
    let mut directed = Directed::default();
    let mut lines: Vec<String> = Vec::new();
    let mut fence: Option<String> = None;
    for line in text.lines() {
        let marker = fence_of(line);
        match (&fence, marker) {
            (None, Some(opening)) => fence = Some(opening),
            (Some(open), Some(closing)) if closing.starts_with(open.as_str()) && line.trim() == closing => fence = None,
            (Some(_), _) => {}
            (None, None) => {
                if let Some(media) = media_of(line) {
                    lines.push(format!("[attachment, can't be sent yet: {media}]"));
                    directed.media.push(media);
                } else if let Some(rest) = tags(line, &mut directed) {
                    lines.push(rest);
                }
                continue;
            }
        }
        lines.push(line.to_owned());
    }
    directed.text = lines.join("\n").trim().to_owned();
    directed
}

/// The marker of a code fence, if the line has one.
fn fence_of(line: &str) -> Option<String> {
    let inner = line.trim_start_matches(' ');
    if line.len() - inner.len() > 3 {
        return None;
    }
    let mark = inner.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let marker: String = inner.chars().take_while(|c| *c == mark).collect();
    (marker.len() >= 3).then_some(marker)
}

/// What a line `MEDIA: <path or address>` names.
fn media_of(line: &str) -> Option<String> {
    let inner = line.trim_start_matches(' ');
    if line.len() - inner.len() > 3 {
        return None;
    }
    let named = inner.strip_prefix("MEDIA:")?.trim();
    let quoted = [('"', '"'), ('\'', '\''), ('`', '`')]
        .into_iter()
        .find_map(|(open, close)| named.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)));
    let named = quoted.unwrap_or(named).trim();
    let is_address = named.starts_with("https://");
    let is_path = !named.contains("://");
    (!named.is_empty() && (is_address || is_path)).then(|| named.to_owned())
}

/// The line without its tags; none when there was nothing else.
fn tags(line: &str, directed: &mut Directed) -> Option<String> {
    if !line.contains("[[") {
        return Some(line.to_owned());
    }
    let mut rest = String::with_capacity(line.len());
    let mut left = line;
    while let Some(at) = left.find("[[") {
        let Some(length) = left[at..].find("]]") else { break };
        let tag = left[at + 2..at + length].trim();
        rest.push_str(&left[..at]);
        if is_tag(tag, directed) {
            left = &left[at + length + 2..];
            if rest.is_empty() || rest.ends_with(' ') {
                left = left.trim_start_matches(' ');
            }
        } else {
            rest.push_str("[[");
            left = &left[at + 2..];
        }
    }
    rest.push_str(left);
    if rest == line {
        return Some(rest);
    }
    let rest = rest.trim_end().to_owned();
    (!rest.trim().is_empty()).then_some(rest)
}

fn is_tag(tag: &str, directed: &mut Directed) -> bool {
    let lower = tag.to_ascii_lowercase();
    if lower == "reply_to_current" {
        directed.reply_to.get_or_insert(ReplyTo::Current);
    } else if lower == "audio_as_voice" {
        directed.as_voice = true;
    } else if lower.starts_with("reply_to:") {
        let id = tag["reply_to:".len()..].trim();
        let usable = !id.is_empty() && id.len() <= MAX_ID && !id.chars().any(|c| c.is_control() || c.is_whitespace());
        if usable {
            directed.reply_to.get_or_insert(ReplyTo::Message(id.to_owned()));
        }
    } else {
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_to_send_along_is_noted_and_kept_as_a_note() {
        let directed = shape("Here it is.\nMEDIA: \"/tmp/a b.png\"\n  MEDIA:https://example.org/x.jpg\nDone.");
        assert_eq!(directed.media, ["/tmp/a b.png", "https://example.org/x.jpg"]);
        assert_eq!(
            directed.text,
            "Here it is.\n[attachment, can't be sent yet: /tmp/a b.png]\n[attachment, can't be sent yet: https://example.org/x.jpg]\nDone."
        );
    }

    #[test]
    fn what_only_looks_like_one_is_text() {
        for text in
            ["```\nMEDIA: /x\n```", "    MEDIA: /x", "see MEDIA: /x", "MEDIA:", "MEDIA: http://x/y", "MEDIA: ftp://x"]
        {
            let directed = shape(text);
            assert_eq!((directed.media.len(), directed.text.as_str()), (0, text.trim()), "{text}");
        }
    }

    #[test]
    fn the_answered_message_is_taken_out_of_the_text() {
        let directed = shape("[[reply_to: 77]] Hello [[audio_as_voice]] you.");
        assert_eq!(directed.reply_to, Some(ReplyTo::Message("77".into())));
        assert_eq!((directed.text.as_str(), directed.as_voice), ("Hello you.", true));
        assert_eq!(shape("[[reply_to_current]]\nYes.").text, "Yes.");
        assert_eq!(
            shape("[[a wiki link]] stays, and so does [[this").text,
            "[[a wiki link]] stays, and so does [[this"
        );
        assert_eq!(shape("```\n[[reply_to:1]]\n```").reply_to, None);
    }

    proptest! {
        #[test]
        fn text_without_directives_is_left_as_it_is(text in "([a-z .`~#-]|\n){0,200}") {
            let normal = text.lines().collect::<Vec<_>>().join("\n");
            prop_assert_eq!(shape(&text).text, normal.trim());
        }
    }
}
