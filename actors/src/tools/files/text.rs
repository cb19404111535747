//! Text of files: what counts as binary, line ends, and spellings of the same text.

/// Bytes looked at to tell text from the rest.
pub(super) const SNIFFED: usize = 8 * 1024;
/// The mark some editors put in front of UTF-8.
pub(super) const BOM: &[u8] = b"\xef\xbb\xbf";

/// What the beginning of a file says it is, when it is no text.
pub(super) fn binary_kind(head: &[u8]) -> Option<&'static str> {
    let images: [(&[u8], &str); 3] =
        [(b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif")];
    let image = images.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, kind)| *kind);
    let webp = head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP");
    image.or(webp.then_some("image/webp")).or_else(|| {
        let sniffed = &head[..head.len().min(SNIFFED)];
        sniffed.contains(&0).then_some("a binary file")
    })
}

/// True when most lines end in CR LF.
pub(super) fn has_crlf(text: &str) -> bool {
    let all = text.matches('\n').count();
    let crlf = text.matches("\r\n").count();
    crlf * 2 > all
}

/// `text` with the line ends of a file.
pub(super) fn with_ends(text: &str, crlf: bool) -> String {
    let plain = text.replace("\r\n", "\n");
    if crlf { plain.replace('\n', "\r\n") } else { plain }
}

/// A text as it is compared, with the way back to the bytes it was made from.
pub(super) struct View {
    pub(super) text: String,
    /// For each byte of `text`, and its end, where it came from.
    origins: Vec<u32>,
}

impl View {
    /// Line ends as LF, the rest as it is.
    pub(super) fn exact(text: &str) -> Self {
        Self::build(text, |c| c, false)
    }

    /// Also without white space at line ends, and with quotes, dashes and spaces in their plain spelling.
    pub(super) fn loose(text: &str) -> Self {
        Self::build(text, plain, true)
    }

    fn build(text: &str, spell: impl Fn(char) -> char, trim: bool) -> Self {
        let mut view = Self { text: String::with_capacity(text.len()), origins: Vec::with_capacity(text.len() + 1) };
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let body = line.strip_suffix('\n').map_or(line, |body| body.strip_suffix('\r').unwrap_or(body));
            let kept = if trim { body.trim_end() } else { body };
            for (offset, c) in kept.char_indices() {
                view.push(spell(c), at + offset);
            }
            if line.ends_with('\n') {
                view.push('\n', at + body.len());
            }
            at += line.len();
        }
        view.origins.push(offset(text.len()));
        view
    }

    fn push(&mut self, c: char, from: usize) {
        self.text.push(c);
        self.origins.extend(std::iter::repeat_n(offset(from), c.len_utf8()));
    }

    /// Where a range of the view lies in the text it was made from.
    pub(super) fn origin(&self, range: std::ops::Range<usize>) -> std::ops::Range<usize> {
        let from = |at: usize| self.origins.get(at).map_or(0, |origin| *origin as usize);
        from(range.start)..from(range.end)
    }
}

/// Files that are edited are far smaller than 4 GiB.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// The plain spelling of quotes, dashes and spaces, as a keyboard has them.
pub(super) fn plain(c: char) -> char {
    match c {
        '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' => '"',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{a0}' | '\u{2002}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => ' ',
        other => other,
    }
}

/// `text` cut to at most `limit` bytes, between characters.
pub(super) fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_leads_back_to_the_bytes_it_was_made_from() {
        let text = "a \u{201c}b\u{201d}  \r\nc\r\nd";
        let view = View::loose(text);
        assert_eq!(view.text, "a \"b\"\nc\nd");
        let found = view.text.find("b\"\nc").unwrap();
        assert_eq!(&text[view.origin(found..found + 4)], "b\u{201d}  \r\nc");
        let whole = view.origin(0..view.text.len());
        assert_eq!(whole, 0..text.len());
        assert_eq!(View::exact(text).text, text.replace("\r\n", "\n"));
    }

    #[test]
    fn images_and_other_binary_files_are_known_by_their_beginning() {
        assert_eq!(binary_kind(b"\x89PNG\r\n\x1a\nrest"), Some("image/png"));
        assert_eq!(binary_kind(b"RIFF....WEBPVP8"), Some("image/webp"));
        assert_eq!(binary_kind(b"ab\0c"), Some("a binary file"));
        assert_eq!(binary_kind("Grüße".as_bytes()), None);
        assert_eq!(binary_kind(b"BMW is a car"), None);
    }
}
