//! Sending an answer in blocks while it is written: where the cuts are, and what was sent already.
//!
//! A cut depends on the text alone, not on how it arrived. What was sent is remembered as a length and a digest, so that
//! an answer that is made again after a crash does not repeat it, and another answer does not lose its beginning.

use crate::config::{BlockConfig, BreakPreference};
pub use crate::store::records::Streamed;

impl Streamed {
    /// `sent` of the message with number `at` was sent.
    #[must_use]
    pub fn new(at: u64, sent: &str) -> Self {
        Self { at, bytes: sent.len() as u64, digest: digest(sent) }
    }

    /// What of `text` was not sent; none when its beginning is another.
    #[must_use]
    pub fn unsent(&self, text: &str) -> Option<String> {
        let bytes = usize::try_from(self.bytes).ok()?;
        let sent = text.get(..bytes).filter(|sent| digest(sent) == self.digest)?;
        Some(open_fence(sent).map(|fence| fence.opening + "\n").unwrap_or_default() + &text[bytes..])
    }
}

fn digest(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Cuts the text of one message into blocks as it comes.
#[derive(Debug, Clone)]
pub struct BlockCutter {
    config: BlockConfig,
    text: String,
    /// Bytes that are in blocks already.
    cut: usize,
    /// What an earlier attempt sent; looked at once there is as much text.
    earlier: Option<Streamed>,
}

/// A block that is ready to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its text.
    pub text: String,
    /// All of the message's text that is sent with it.
    pub sent: String,
}

impl BlockCutter {
    /// A cutter for the message behind `before` others. `earlier` is what an earlier attempt sent of it.
    #[must_use]
    pub fn new(config: BlockConfig, before: usize, earlier: Option<Streamed>) -> Self {
        let earlier = earlier.filter(|earlier| earlier.at == before as u64);
        Self { config, text: String::new(), cut: 0, earlier }
    }

    /// Takes the next piece; gives the blocks that are complete.
    pub fn push(&mut self, piece: &str) -> Vec<Block> {
        self.text.push_str(piece);
        if self.config.at_message_end { Vec::new() } else { self.blocks() }
    }

    /// The message is complete and is not the last of its turn: everything that is left.
    pub fn finish(&mut self) -> Vec<Block> {
        self.skip_earlier(true);
        let mut blocks = self.blocks();
        blocks.extend(self.take(self.text.len()));
        blocks
    }

    /// The last message of a turn is complete: blocks that are due; the rest goes with the end of the turn.
    pub fn finish_turn(&mut self) -> Vec<Block> {
        self.skip_earlier(true);
        self.blocks()
    }

    /// What was sent so far.
    #[must_use]
    pub fn sent(&self) -> &str {
        &self.text[..self.cut]
    }

    fn blocks(&mut self) -> Vec<Block> {
        if !self.skip_earlier(false) {
            return Vec::new();
        }
        let mut blocks = Vec::new();
        while let Some(end) = self.next_cut() {
            blocks.extend(self.take(end));
        }
        blocks
    }

    /// Passes over what an earlier attempt sent. False while there is too little text to know.
    fn skip_earlier(&mut self, is_complete: bool) -> bool {
        let Some(earlier) = &self.earlier else { return true };
        if (self.text.len() as u64) < earlier.bytes && !is_complete {
            return false;
        }
        if earlier.unsent(&self.text).is_some() {
            self.cut = usize::try_from(earlier.bytes).unwrap_or(usize::MAX).min(self.text.len());
        }
        self.earlier = None;
        true
    }

    fn take(&mut self, end: usize) -> Option<Block> {
        let before = open_fence(&self.text[..self.cut]);
        let behind = open_fence(&self.text[..end]);
        let body = self.text[self.cut..end].trim_matches(['\n', '\r']);
        self.cut = end;
        if body.trim().is_empty() {
            return None;
        }
        let mut text = before.map(|fence| fence.opening + "\n").unwrap_or_default();
        text.push_str(body.trim_end());
        if let Some(fence) = behind {
            text.push('\n');
            text.push_str(&fence.marker);
        }
        Some(Block { text, sent: self.text[..end].to_owned() })
    }

    /// The end of the next block, in bytes, when there is enough text to know it.
    fn next_cut(&self) -> Option<usize> {
        let rest = &self.text[self.cut..];
        let end_of = |chars: usize| rest.char_indices().nth(chars).map(|(at, _)| at);
        // One character more, to know that the text goes on.
        let most = end_of(self.config.max_chars);
        let window = most.unwrap_or(rest.len());
        let least = end_of(self.config.min_chars)?.min(window);
        let prefer = self.preferred(rest, least, window);
        let forced = || most.map(|most| best_before(rest, most));
        prefer.or_else(forced).map(|end| self.cut + end)
    }

    /// The first place of the preferred kind between `least` and `window`, outside of code.
    fn preferred(&self, rest: &str, least: usize, window: usize) -> Option<usize> {
        let code = |end: usize| open_fence(&self.text[..self.cut + end]).is_some();
        let place = |end: usize| -> bool {
            let (before, behind) = rest.split_at(end);
            // At the end of what has come, nobody knows what follows.
            if behind.is_empty() {
                return false;
            }
            match self.config.prefer {
                BreakPreference::Paragraph => before.ends_with("\n\n") && !behind.starts_with('\n'),
                BreakPreference::Newline => before.ends_with('\n') && !behind.starts_with('\n'),
                BreakPreference::Sentence => {
                    let sentence = before.ends_with([' ', '\n']) && before.trim_end().ends_with(['.', '!', '?', '…']);
                    sentence && !behind.starts_with([' ', '\n'])
                }
            }
        };
        (least..=window).filter(|end| rest.is_char_boundary(*end)).find(|end| place(*end) && !code(*end))
    }
}

/// The best place for a cut at or before `most`: a paragraph, a line, a sentence, a word in the second half, else `most`.
fn best_before(rest: &str, most: usize) -> usize {
    let window = &rest[..most];
    let middle = window.char_indices().nth(window.chars().count() / 2).map_or(0, |(at, _)| at);
    let found = ["\n\n", "\n", ". ", " "].iter().find_map(|kind| {
        window
            .rfind(kind)
            .map(|at| at + kind.len())
            .filter(|end| *end > middle && open_fence(&window[..*end]).is_none())
    });
    found.or_else(|| window.rfind('\n').map(|at| at + 1).filter(|end| *end > middle)).unwrap_or(most)
}

/// A code block that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fence {
    marker: String,
    opening: String,
}

/// The code block that is open at the end of `text`.
fn open_fence(text: &str) -> Option<Fence> {
    let mut open: Option<Fence> = None;
    for line in text.split_inclusive('\n') {
        let inner = line.trim_start_matches(' ');
        if line.len() - inner.len() > 3 {
            continue;
        }
        let Some(mark) = inner.chars().next().filter(|c| matches!(c, '`' | '~')) else { continue };
        let marker: String = inner.chars().take_while(|c| *c == mark).collect();
        if marker.len() < 3 || !line.ends_with('\n') && open.is_none() {
            continue;
        }
        match &open {
            None => {
                let language: String =
                    inner[marker.len()..].split_whitespace().next().unwrap_or("").chars().take(32).collect();
                open = Some(Fence { opening: format!("{marker}{language}"), marker });
            }
            Some(fence) if marker.starts_with(&fence.marker) && inner.trim() == marker => open = None,
            Some(_) => {}
        }
    }
    open
}

#[cfg(test)]
mod tests;
