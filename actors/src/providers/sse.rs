//! Server-sent events from a stream of byte chunks.
//!
//! Lines end in LF, CR or CRLF, wherever chunks are cut; text is decoded line by line, so a character split over two
//! chunks stays whole. Invariant: what is held is never more than one line and one event, each within its limit.

/// Longest line. A tool call's arguments or a final answer may come as one line.
const MAX_LINE: usize = 8 * 1024 * 1024;
/// Longest event: all its data lines together.
const MAX_EVENT: usize = 16 * 1024 * 1024;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SseEvent {
    /// The `event:` field.
    pub event: Option<String>,
    /// The `data:` lines, joined by line feeds.
    pub data: String,
}

/// Why a stream was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// A line is too long.
    #[error("a line of the answer is longer than {0} bytes")]
    Line(usize),
    /// An event is too large.
    #[error("an event of the answer is larger than {0} bytes")]
    Event(usize),
}

/// Takes chunks in, gives events out.
#[derive(Debug)]
pub struct SseDecoder {
    max_line: usize,
    max_event: usize,
    line: Vec<u8>,
    event: Option<String>,
    data: Option<String>,
    after_cr: bool,
    first_line: bool,
}

impl Default for SseDecoder {
    fn default() -> Self {
        Self::with_limits(MAX_LINE, MAX_EVENT)
    }
}

impl SseDecoder {
    /// A decoder with limits of its own, in bytes.
    #[must_use]
    pub fn with_limits(max_line: usize, max_event: usize) -> Self {
        Self { max_line, max_event, line: Vec::new(), event: None, data: None, after_cr: false, first_line: true }
    }

    /// Takes a chunk and appends the events it completes to `out`.
    ///
    /// # Errors
    /// When a limit is exceeded; the decoder is of no use afterwards.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<SseEvent>) -> Result<(), SseError> {
        let mut rest = chunk;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.extend(&rest[..end])?;
            let was_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
            if was_cr {
                match rest.first() {
                    Some(b'\n') => rest = &rest[1..],
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            self.end_line(out)?;
        }
        self.extend(rest)
    }

    /// The event the stream was cut in, complete or not. Servers exist that leave out the last blank line.
    #[must_use]
    pub fn finish(mut self) -> Option<SseEvent> {
        let mut out = Vec::new();
        if !self.line.is_empty() {
            self.end_line(&mut out).ok()?;
        }
        self.data.take().map(|data| SseEvent { event: self.event.take(), data })
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        if self.line.len() + bytes.len() > self.max_line {
            return Err(SseError::Line(self.max_line));
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self, out: &mut Vec<SseEvent>) -> Result<(), SseError> {
        let bytes = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&bytes);
        let mut line: &str = &text;
        if std::mem::take(&mut self.first_line) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            let event = self.event.take();
            if let Some(data) = self.data.take() {
                out.push(SseEvent { event, data });
            }
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                let held = self.data.as_ref().map_or(0, |data| data.len() + 1);
                if held + value.len() > self.max_event {
                    return Err(SseError::Event(self.max_event));
                }
                match &mut self.data {
                    None => self.data = Some(value.to_owned()),
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                }
            }
            "event" => self.event = Some(value.to_owned()),
            // A comment (empty field name), `id`, `retry` and what is to come: of no use here.
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(chunks: &[&[u8]]) -> Vec<SseEvent> {
        let mut decoder = SseDecoder::default();
        let mut out = Vec::new();
        for chunk in chunks {
            decoder.push(chunk, &mut out).unwrap();
        }
        out
    }

    fn data(text: &str) -> SseEvent {
        SseEvent { event: None, data: text.into() }
    }

    #[test]
    fn fields_comments_and_blank_lines() {
        let text = b"\xef\xbb\xbf: hello\nevent: ping\n\nevent: delta\ndata: a\ndata:b\nid: 7\nretry: 5\n\ndata\n\n";
        let delta = SseEvent { event: Some("delta".into()), data: "a\nb".into() };
        assert_eq!(decode(&[text]), [delta, data("")]);
    }

    #[test]
    fn any_line_ending_cut_anywhere() {
        assert_eq!(decode(&[b"data: a\r", b"\n\r", b"\ndata: b\r\rdata: c\n\n"]), [data("a"), data("b"), data("c")]);
    }

    #[test]
    fn a_character_split_over_chunks_stays_whole() {
        let text = "data: Grüße 🦞\n\n".as_bytes();
        let pieces: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(decode(&pieces), [data("Grüße 🦞")]);
    }

    #[test]
    fn limits_hold_for_lines_and_events() {
        let mut decoder = SseDecoder::with_limits(10, 8);
        let mut out = Vec::new();
        assert_eq!(decoder.push(b"data: 12345", &mut out), Err(SseError::Line(10)));
        let mut decoder = SseDecoder::with_limits(10, 8);
        decoder.push(b"data: 1234\n", &mut out).unwrap();
        assert_eq!(decoder.push(b"data: 1234\n", &mut out), Err(SseError::Event(8)));
    }

    #[test]
    fn the_event_a_stream_was_cut_in_is_given_at_the_end() {
        let mut decoder = SseDecoder::default();
        let mut out = Vec::new();
        decoder.push(b"data: [DONE]", &mut out).unwrap();
        assert!(out.is_empty());
        assert_eq!(decoder.finish(), Some(data("[DONE]")));
        assert_eq!(SseDecoder::default().finish(), None);
    }

    fn event() -> impl Strategy<Value = SseEvent> {
        (prop::option::of("[a-z_]{1,12}"), prop::collection::vec("[^\r\n\u{feff}]{0,24}", 1..4))
            .prop_map(|(event, lines)| SseEvent { event, data: lines.join("\n") })
    }

    fn encode(events: &[SseEvent], ending: &str) -> Vec<u8> {
        let mut text = String::new();
        for event in events {
            if let Some(name) = &event.event {
                text.push_str(&format!("event: {name}{ending}"));
            }
            for line in event.data.split('\n') {
                text.push_str(&format!("data: {line}{ending}: keep-alive{ending}"));
            }
            text.push_str(ending);
        }
        text.into_bytes()
    }

    proptest! {
        #[test]
        fn chunking_and_line_endings_do_not_matter(
            events in prop::collection::vec(event(), 0..6),
            ending in prop::sample::select(vec!["\n", "\r\n", "\r"]),
            cuts in prop::collection::vec(1_usize..9, 1..60),
        ) {
            let bytes = encode(&events, ending);
            let mut decoder = SseDecoder::default();
            let (mut out, mut rest, mut cuts) = (Vec::new(), &bytes[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (chunk, tail) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                decoder.push(chunk, &mut out).unwrap();
                rest = tail;
            }
            prop_assert_eq!(out, events);
        }

        #[test]
        fn any_bytes_are_survived_within_the_limits(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..40)) {
            let mut decoder = SseDecoder::with_limits(64, 64);
            let mut out = Vec::new();
            for chunk in chunks {
                if decoder.push(&chunk, &mut out).is_err() {
                    return Ok(());
                }
                prop_assert!(decoder.line.len() <= 64);
                prop_assert!(decoder.data.as_ref().map_or(0, String::len) <= 64);
            }
        }
    }
}
