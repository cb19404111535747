//! Markdown to the HTML that Telegram reads, and the visible text of such HTML.
//!
//! Telegram knows a dozen inline tags and no layout: headings become bold lines, lists get bullets, tables become
//! aligned fixed-width text. Raw HTML in the source is shown as it is written, never passed on.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// Deepest nesting that is rendered with tags; a model that nests deeper gets plain text inside.
const MAX_DEPTH: usize = 32;

/// The Markdown extensions understood, here and by the chunker.
#[must_use]
pub fn options() -> Options {
    Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS
}

/// Renders `source` as Telegram HTML.
#[must_use]
pub fn to_html(source: &str) -> String {
    let parser = Parser::new_ext(source, options());
    let definitions: Vec<(String, String)> = parser
        .reference_definitions()
        .iter()
        .map(|(label, definition)| (label.to_owned(), definition.dest.to_string()))
        .collect();
    let mut writer = Writer::default();
    for event in parser {
        writer.event(event);
    }
    // A definition nobody refers to is text to the reader: a list of sources, say.
    for (label, target) in definitions {
        if !writer.linked.contains(&target) {
            writer.line_break();
            writer.text(&format!("[{label}]: {target}"));
        }
    }
    writer.out.trim_matches('\n').to_owned()
}

/// The text of Telegram HTML as a reader sees it.
#[must_use]
pub fn visible(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut in_tag = false;
    for c in html.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => in_tag = false,
            _ if in_tag => {}
            _ => out.push(c),
        }
    }
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// Escapes what Telegram would read as markup.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[derive(Default)]
struct Writer {
    out: String,
    /// Closing tags of what is open; empty for what has none.
    open: Vec<&'static str>,
    lists: Vec<Option<u64>>,
    quotes: usize,
    code_block: bool,
    table: Option<Table>,
    linked: Vec<String>,
}

#[derive(Default)]
struct Table {
    rows: Vec<Vec<String>>,
}

impl Writer {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.text(&text),
            Event::Code(code) => self.code(&code),
            Event::InlineMath(text) | Event::DisplayMath(text) => self.text(&text),
            Event::FootnoteReference(label) => self.text(&format!("[^{label}]")),
            Event::SoftBreak | Event::HardBreak => self.text("\n"),
            Event::Rule => {
                self.block();
                self.text("———");
            }
            Event::TaskListMarker(done) => self.text(if done { "☑ " } else { "☐ " }),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock | Tag::FootnoteDefinition(_) => self.block(),
            Tag::Heading { .. } => {
                self.block();
                self.push("<b>", "</b>");
            }
            Tag::BlockQuote(_) => {
                self.block();
                self.quotes += 1;
                // Telegram knows no quote within a quote.
                if self.quotes == 1 { self.push("<blockquote>", "</blockquote>") } else { self.push("", "") }
            }
            Tag::CodeBlock(kind) => self.start_code_block(&kind),
            Tag::List(first) => {
                self.block();
                self.lists.push(first);
            }
            Tag::Item => self.start_item(),
            Tag::Table(_) => {
                self.block();
                self.table = Some(Table::default());
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.rows.push(Vec::new());
                }
            }
            Tag::TableCell => {
                if let Some(row) = self.table.as_mut().and_then(|table| table.rows.last_mut()) {
                    row.push(String::new());
                }
            }
            Tag::Emphasis => self.push("<i>", "</i>"),
            Tag::Strong => self.push("<b>", "</b>"),
            Tag::Strikethrough => self.push("<s>", "</s>"),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => self.start_link(&dest_url),
            Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Superscript
            | Tag::Subscript
            | Tag::MetadataBlock(_) => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) | TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => self.pop(),
            TagEnd::Link | TagEnd::Image => self.pop(),
            TagEnd::BlockQuote(_) => {
                self.quotes = self.quotes.saturating_sub(1);
                self.pop();
            }
            TagEnd::CodeBlock => {
                self.code_block = false;
                if self.out.ends_with('\n') {
                    self.out.pop();
                }
                self.pop();
            }
            TagEnd::List(_) => {
                self.lists.pop();
            }
            TagEnd::Table => {
                if let Some(table) = self.table.take() {
                    self.out.push_str("<pre>");
                    self.out.push_str(&escape(&table.aligned()));
                    self.out.push_str("</pre>");
                }
            }
            TagEnd::Paragraph
            | TagEnd::HtmlBlock
            | TagEnd::FootnoteDefinition
            | TagEnd::Item
            | TagEnd::TableHead
            | TagEnd::TableRow
            | TagEnd::TableCell
            | TagEnd::DefinitionList
            | TagEnd::DefinitionListTitle
            | TagEnd::DefinitionListDefinition
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::MetadataBlock(_) => {}
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(cell) = self.cell() {
            cell.push_str(&text.replace('\n', " "));
        } else {
            self.out.push_str(&escape(text));
        }
    }

    fn code(&mut self, code: &str) {
        if let Some(cell) = self.cell() {
            cell.push_str(code);
        } else {
            self.out.push_str("<code>");
            self.out.push_str(&escape(code));
            self.out.push_str("</code>");
        }
    }

    fn start_code_block(&mut self, kind: &CodeBlockKind<'_>) {
        self.block();
        self.code_block = true;
        let language = match kind {
            CodeBlockKind::Fenced(info) => info.split([' ', ',', '{']).next().unwrap_or(""),
            CodeBlockKind::Indented => "",
        };
        if language.is_empty() {
            self.push("<pre>", "</pre>");
        } else {
            let opening = format!("<pre><code class=\"language-{}\">", escape(language));
            self.push(&opening, "</code></pre>");
        }
    }

    fn start_item(&mut self) {
        self.line_break();
        let depth = self.lists.len().saturating_sub(1);
        let marker = match self.lists.last_mut() {
            Some(Some(number)) => {
                let marker = format!("{number}. ");
                *number += 1;
                marker
            }
            Some(None) | None => "• ".to_owned(),
        };
        self.text(&"  ".repeat(depth.min(MAX_DEPTH)));
        self.text(&marker);
    }

    fn start_link(&mut self, target: &str) {
        self.linked.push(target.to_owned());
        let known = ["http://", "https://", "tg://", "mailto:"];
        if known.iter().any(|scheme| target.starts_with(scheme)) && self.table.is_none() {
            let opening = format!("<a href=\"{}\">", escape(target));
            self.push(&opening, "</a>");
        } else {
            self.push("", "");
        }
    }

    /// Opens a tag, unless it would nest too deep or stand in a table cell.
    fn push(&mut self, opening: &str, closing: &'static str) {
        if self.open.len() >= MAX_DEPTH || self.table.is_some() {
            self.open.push("");
        } else {
            self.out.push_str(opening);
            self.open.push(closing);
        }
    }

    fn pop(&mut self) {
        if let Some(closing) = self.open.pop() {
            self.out.push_str(closing);
        }
    }

    fn cell(&mut self) -> Option<&mut String> {
        self.table.as_mut()?.rows.last_mut()?.last_mut()
    }

    /// A new block: an empty line between blocks, but none after an item's marker or an opening tag.
    fn block(&mut self) {
        let fresh = self.out.is_empty() || self.out.ends_with("<blockquote>") || self.out.ends_with("\n\n");
        if fresh || self.at_item_start() {
            return;
        }
        self.line_break();
        if self.lists.is_empty() {
            self.out.push('\n');
        }
    }

    fn at_item_start(&self) -> bool {
        let line = self.out.rsplit('\n').next().unwrap_or("").trim_start();
        let digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
        !self.lists.is_empty() && (line == "• " || (digits.len() < line.len() && digits == ". "))
    }

    fn line_break(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with('\n') && !self.out.ends_with("<blockquote>") {
            self.out.push('\n');
        }
    }
}

impl Table {
    /// Rows with columns padded to the same width, a rule under the head.
    fn aligned(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut lines = Vec::with_capacity(self.rows.len() + 1);
        for (index, row) in self.rows.iter().enumerate() {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            lines.push(cells.join(" | ").trim_end().to_owned());
            if index == 0 {
                lines.push(widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join("-+-"));
            }
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests;
