//! Cuts a text into pieces that a platform takes. Pure.
//!
//! Cuts prefer the end of a paragraph, then of a line, a sentence, a word. A grapheme is never cut unless it alone is
//! longer than a piece. In Markdown, inline code, links, emphasis and tables stay whole where they fit, and a code block
//! that must be cut is closed in one piece and opened again, with its language, in the next.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag};
use unicode_segmentation::UnicodeSegmentation;

use crate::channels::contract::{Capabilities, TextUnit};

/// Below this, closing and opening code blocks again would leave no room for text.
const SMALLEST_FOR_FENCES: usize = 128;
/// Longest language name that is repeated.
const LONGEST_LANGUAGE: usize = 32;

/// What a piece may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest piece, in `unit`.
    pub max: usize,
    /// The unit of `max`.
    pub unit: TextUnit,
    /// The text is Markdown.
    pub markdown: bool,
}

impl From<&Capabilities> for Limits {
    fn from(capabilities: &Capabilities) -> Self {
        Self { max: capabilities.text_limit, unit: capabilities.text_unit, markdown: capabilities.markdown }
    }
}

/// How good a place for a cut is; later is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Quality {
    Word,
    Sentence,
    CodeLine,
    Line,
    Paragraph,
}

/// A fenced code block of the source.
#[derive(Debug)]
struct Fence {
    /// All of it.
    range: Range<usize>,
    /// Its code.
    body: Range<usize>,
    /// The line that opens it again, with its end.
    reopen: String,
    /// The line that closes it.
    close: String,
}

/// Cuts `text`. Equal input gives equal pieces, so that "piece 3" means the same after a restart. White space at a cut
/// is left out; a text without anything visible gives no piece.
#[must_use]
pub fn split(text: &str, limits: Limits) -> Vec<String> {
    let limits = Limits { max: limits.max.max(4), ..limits };
    if limits.unit.len_of(text) <= limits.max {
        let whole = text.trim_end();
        return if whole.trim().is_empty() { Vec::new() } else { vec![whole.to_owned()] };
    }
    let mut splitter = Splitter::new(text, limits);
    let mut pieces = Vec::new();
    while let Some(piece) = splitter.next_piece() {
        if !piece.is_empty() {
            pieces.push(piece);
        }
    }
    pieces
}

struct Splitter<'a> {
    text: &'a str,
    limits: Limits,
    /// Spans better not cut, in order and apart.
    atoms: Vec<Range<usize>>,
    fences: Vec<Fence>,
    at: usize,
    /// The code block that the next piece goes on with.
    inside: Option<usize>,
}

impl<'a> Splitter<'a> {
    fn new(text: &'a str, limits: Limits) -> Self {
        let (mut atoms, mut fences) = (Vec::new(), Vec::new());
        if limits.markdown {
            scan(text, &mut atoms, &mut fences);
            atoms.retain(|atom| limits.unit.len_of(&text[atom.clone()]) <= limits.max);
            atoms = joined(atoms);
            if limits.max < SMALLEST_FOR_FENCES {
                fences.clear();
            }
        }
        Self { text, limits, atoms, fences, at: 0, inside: None }
    }

    /// The next piece; empty when there was only white space.
    fn next_piece(&mut self) -> Option<String> {
        if self.inside.is_none() {
            let rest = &self.text[self.at..];
            self.at += rest.len() - rest.trim_start_matches(['\n', '\r']).len();
        }
        if self.at >= self.text.len() {
            return None;
        }
        let mut piece = self.inside.map(|index| self.fences[index].reopen.clone()).unwrap_or_default();
        let room = self.limits.max.saturating_sub(self.limits.unit.len_of(&piece));
        let ends = self.ends_within(room);
        if ends.last() == Some(&self.text.len()) {
            piece.push_str(self.text[self.at..].trim_end());
            let blank = self.text[self.at..].trim().is_empty();
            self.at = self.text.len();
            return Some(if blank { String::new() } else { piece });
        }
        let mut cut = self.choose(&ends);
        let mut fence = self.fence_around(cut);
        if let Some(index) = fence {
            // Again, with room for the closing line.
            let closing = self.limits.unit.len_of(&self.fences[index].close) + 1;
            let ends = self.ends_within(room.saturating_sub(closing).max(1));
            cut = self.choose(&ends);
            fence = self.fence_around(cut);
        }
        let taken = &self.text[self.at..cut];
        let blank = taken.trim().is_empty();
        piece.push_str(taken);
        self.at = cut;
        self.inside = None;
        if let Some(index) = fence {
            let fence = &self.fences[index];
            if !piece.ends_with('\n') {
                piece.push('\n');
            }
            piece.push_str(&fence.close);
            if cut < fence.body.end {
                self.inside = Some(index);
            } else {
                self.at = fence.range.end.max(cut);
            }
        } else {
            piece.truncate(piece.trim_end().len());
            self.skip_blanks();
        }
        Some(if blank { String::new() } else { piece })
    }

    /// The white space of a cut between words belongs to neither piece.
    fn skip_blanks(&mut self) {
        if self.text[..self.at].ends_with('\n') {
            return;
        }
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
    }

    /// Every place at which a piece of at most `room` may end. Never empty.
    fn ends_within(&self, room: usize) -> Vec<usize> {
        let (mut ends, mut used) = (Vec::new(), 0);
        for (offset, grapheme) in self.text[self.at..].grapheme_indices(true) {
            used += self.limits.unit.len_of(grapheme);
            if used > room {
                break;
            }
            ends.push(self.at + offset + grapheme.len());
        }
        if ends.is_empty() {
            // One grapheme longer than a piece: between its characters then.
            let mut used = 0;
            let mut end = self.at;
            for c in self.text[self.at..].chars() {
                used += self.limits.unit.len_of_char(c);
                if used > room && end > self.at {
                    break;
                }
                end += c.len_utf8();
            }
            ends.push(end);
        }
        ends
    }

    /// The best cut among `ends`: the best kind of place in the second half, else the last word in the first half, else
    /// before a span that is better not cut, else the last place.
    fn choose(&self, ends: &[usize]) -> usize {
        let last = ends[ends.len() - 1];
        let middle = ends[ends.len() / 2];
        let mut best: Option<(Quality, usize)> = None;
        let mut early = None;
        for &end in ends.iter().rev() {
            let Some(quality) = self.quality(end) else { continue };
            if end < middle {
                early = early.or(Some(end));
                if best.is_some() || early.is_some() {
                    break;
                }
            } else if best.is_none_or(|(known, _)| quality > known) {
                best = Some((quality, end));
                if quality == Quality::Paragraph {
                    break;
                }
            }
        }
        let cut = best.map(|(_, end)| end).or(early).unwrap_or_else(|| {
            self.atom_around(last).map(|atom| atom.start).filter(|start| ends.contains(start)).unwrap_or(last)
        });
        self.out_of_fence_lines(cut)
    }

    /// What kind of place `end` is; none when a cut there tears something apart.
    fn quality(&self, end: usize) -> Option<Quality> {
        if self.atom_around(end).is_some() {
            return None;
        }
        let (before, after) = self.text.split_at(end);
        if self.fence_around(end).is_some() {
            return before.ends_with('\n').then_some(Quality::CodeLine);
        }
        if before.ends_with("\n\n") || (before.ends_with('\n') && after.starts_with('\n')) {
            return Some(Quality::Paragraph);
        }
        if before.ends_with('\n') || after.starts_with('\n') {
            return Some(Quality::Line);
        }
        if !after.starts_with([' ', '\t']) && !before.ends_with([' ', '\t']) {
            return None;
        }
        let sentence = before.trim_end_matches([' ', '\t']).ends_with(['.', '!', '?', '…', '。']);
        Some(if sentence { Quality::Sentence } else { Quality::Word })
    }

    /// The span that a cut at `at` would tear.
    fn atom_around(&self, at: usize) -> Option<&Range<usize>> {
        let index = self.atoms.partition_point(|atom| atom.end <= at);
        self.atoms.get(index).filter(|atom| atom.start < at)
    }

    /// The code block that a cut at `at` goes through.
    fn fence_around(&self, at: usize) -> Option<usize> {
        let index = self.fences.partition_point(|fence| fence.range.end <= at);
        self.fences.get(index).filter(|fence| fence.body.start < at).map(|_| index)
    }

    /// A cut within an opening line moves before the block; one within a closing line moves before that line.
    fn out_of_fence_lines(&self, cut: usize) -> usize {
        for fence in &self.fences {
            if fence.range.start < cut && cut <= fence.body.start && fence.range.start > self.at {
                return fence.range.start;
            }
            if fence.body.end < cut && cut < fence.range.end && fence.body.end > self.at {
                return fence.body.end;
            }
        }
        cut
    }
}

/// Finds what is better kept whole, and the code blocks.
fn scan(text: &str, atoms: &mut Vec<Range<usize>>, fences: &mut Vec<Fence>) {
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES;
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        if is_better_whole(&event) {
            atoms.push(range);
        } else if let Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) = event {
            fences.extend(fence(text, range, &info));
        }
    }
}

fn is_better_whole(event: &Event<'_>) -> bool {
    let Event::Start(tag) = event else { return matches!(event, Event::Code(_)) };
    matches!(
        tag,
        Tag::Link { .. } | Tag::Image { .. } | Tag::Strong | Tag::Emphasis | Tag::Strikethrough | Tag::Table(_)
    )
}

/// Spans that overlap or lie within one another, as one.
fn joined(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.sort_by_key(|span| span.start);
    let mut out: Vec<Range<usize>> = Vec::with_capacity(spans.len());
    for span in spans {
        match out.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ => out.push(span),
        }
    }
    out
}

fn fence(text: &str, range: Range<usize>, info: &str) -> Option<Fence> {
    let block = &text[range.clone()];
    let mark = block.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let marker: String = block.chars().take_while(|c| *c == mark).collect();
    let body_start = range.start + block.find('\n')? + 1;
    let last_line = block.trim_end().rfind('\n').map_or(range.start, |at| range.start + at + 1);
    let closed = last_line >= body_start
        && text[last_line..range.end].trim_start_matches([' ', '\t', '>']).trim_end().starts_with(&marker);
    let body = body_start..if closed { last_line } else { range.end };
    // Quote marks and indentation before the fence, so that it closes where it was opened.
    let line_start = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
    let prefix: String =
        text[line_start..range.start].chars().map(|c| if matches!(c, '>' | '\t') { c } else { ' ' }).collect();
    let language: String =
        info.split(|c: char| c.is_whitespace()).next().unwrap_or("").chars().take(LONGEST_LANGUAGE).collect();
    let opening = if prefix.contains('>') { prefix.clone() } else { prefix.chars().take(3).collect() };
    if prefix.len() > LONGEST_LANGUAGE || marker.len() > LONGEST_LANGUAGE {
        return None;
    }
    Some(Fence { range, body, reopen: format!("{opening}{marker}{language}\n"), close: format!("{prefix}{marker}") })
}

#[cfg(test)]
mod tests;
