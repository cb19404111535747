//! The one place that prints: text for a person, or JSON.
//!
//! Results go to stdout, complaints to stderr. A reader that goes away ends the program quietly. Text from outside loses
//! its control characters, so that no message can drive the terminal.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use serde_json::Value;

use super::failure::Failure;

/// Where and how to print.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    colour: bool,
    terminal: bool,
}

/// What a piece of text means; its colour follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Warning,
    Bad,
    Faint,
    Strong,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "31",
            Self::Faint => "2",
            Self::Strong => "1",
        }
    }
}

/// Home, then erase to the end: redraws without flicker.
const REDRAW: &str = "\x1b[H\x1b[J";
const ENTER_SCREEN: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE_SCREEN: &str = "\x1b[?25h\x1b[?1049l";

impl Output {
    /// Looks at stdout and the environment.
    pub(crate) fn new(json: bool, no_colour: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { json, terminal, colour: terminal && !json && !no_colour && !forbidden && !dumb }
    }

    /// True when the result is to be JSON.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// True when a person looks at a screen.
    pub(crate) fn is_interactive(self) -> bool {
        self.terminal && !self.json
    }

    /// Prints a JSON document: readable when it is the only one.
    pub(crate) fn document(self, value: &Value) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
        self.write(&format!("{text}\n"))
    }

    /// Prints one JSON document on one line, for streams of them.
    pub(crate) fn record(self, value: &Value) -> Result<(), Failure> {
        self.write(&format!("{value}\n"))
    }

    /// Prints a line of our own text.
    pub(crate) fn line(self, text: &str) -> Result<(), Failure> {
        self.write(&format!("{text}\n"))
    }

    /// Prints text from outside as it comes, without a line end.
    pub(crate) fn stream(self, text: &str) -> Result<(), Failure> {
        self.write(&clean(text))
    }

    /// Prints text as it is: completions, a unit file.
    pub(crate) fn raw(self, text: &str) -> Result<(), Failure> {
        self.write(text)
    }

    /// Prints rows under headings, columns aligned.
    pub(crate) fn table(self, headings: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        let rows: Vec<Vec<Cow<'_, str>>> =
            rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([headings[column].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..headings.len()).map(width).collect();
        let pad = |cells: &[Cow<'_, str>]| {
            let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let headings: Vec<Cow<'_, str>> = headings.iter().map(|heading| heading.to_uppercase().into()).collect();
        self.line(&self.paint(Tone::Faint, &pad(&headings)))?;
        rows.iter().try_for_each(|row| self.line(&pad(row)))
    }

    /// `text` in the colour of its tone, where colours are shown.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if self.colour && tone != Tone::Plain { format!("\x1b[{}m{text}\x1b[0m", tone.code()) } else { text.to_owned() }
    }

    /// Says something beside the result: progress, advice. Not with `--json`.
    pub(crate) fn note(self, text: &str) {
        if !self.json {
            self.complain(&self.paint(Tone::Faint, text));
        }
    }

    /// Says what went wrong and picks the exit code.
    pub(crate) fn fail(self, failure: &Failure) -> ExitCode {
        if failure.is_closed_pipe() {
            return ExitCode::SUCCESS;
        }
        if self.json {
            self.complain(&failure.to_json().to_string());
        } else {
            self.complain(&format!("occtl: {}", clean(&failure.to_string())));
            if let Some(hint) = failure.hint() {
                self.complain(&format!("       {hint}"));
            }
        }
        ExitCode::from(failure.exit_code())
    }

    /// Opens a screen of its own, closed when the guard is dropped.
    pub(crate) fn screen(self) -> Result<Screen, Failure> {
        self.write(ENTER_SCREEN)?;
        Ok(Screen { output: self })
    }

    fn write(self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }

    fn complain(self, text: &str) {
        // When stderr is gone too there is nobody left to tell.
        writeln!(io::stderr().lock(), "{text}").unwrap_or_default();
    }
}

/// A screen that is redrawn as a whole.
#[derive(Debug)]
pub(crate) struct Screen {
    output: Output,
}

impl Screen {
    /// Replaces what the screen shows, cut to its size.
    pub(crate) fn draw(&self, lines: &[String]) -> Result<(), Failure> {
        let size = terminal_size::terminal_size();
        let (columns, rows) =
            size.map_or((usize::MAX, usize::MAX), |(width, height)| (width.0.into(), height.0.into()));
        let hidden = lines.len().saturating_sub(rows.saturating_sub(1));
        let shown: Vec<String> = lines[..lines.len() - hidden].iter().map(|line| fit(line, columns)).collect();
        let mut text = shown.join("\r\n");
        if hidden > 0 {
            text.push_str(&format!("\r\n… {hidden} more lines"));
        }
        self.output.write(&format!("{REDRAW}{text}"))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.output.write(LEAVE_SCREEN).unwrap_or_default();
    }
}

/// A line of ours cut to `columns`; its colours take no room.
fn fit(line: &str, columns: usize) -> String {
    let (mut fitted, mut width, mut in_colour) = (String::new(), 0, false);
    for c in line.chars() {
        let invisible = in_colour || c == '\x1b';
        in_colour = invisible && c != 'm';
        if invisible {
            fitted.push(c);
        } else if width < columns {
            width += 1;
            fitted.push(c);
        }
    }
    fitted
}

/// `text` without control characters other than line end and tab.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let wild = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(wild) { Cow::Owned(text.chars().filter(|c| !wild(*c)).collect()) } else { Cow::Borrowed(text) }
}

/// `text` cleaned and on one line.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        Cow::Owned(
            text.chars().map(|c| if c == '\n' || c == '\t' { ' ' } else { c }).filter(|c| !c.is_control()).collect(),
        )
    } else {
        Cow::Borrowed(text)
    }
}

/// `text` cut to `limit` characters.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    let text = one_line(text);
    if text.chars().count() <= limit {
        return text.into_owned();
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_drive_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\r\nc\td"), "a[2Jb\nc\td");
        assert_eq!(one_line("a\nb\x07"), "a b");
    }

    #[test]
    fn a_line_is_fitted_without_losing_the_end_of_a_colour() {
        assert_eq!(fit("ab\x1b[31mcdef\x1b[0mgh", 4), "ab\x1b[31mcd\x1b[0m");
        assert_eq!(fit("abc", 9), "abc");
    }

    #[test]
    fn long_text_is_cut_with_a_mark() {
        assert_eq!(shorten("häppchen", 5), "häpp…");
        assert_eq!(shorten("kurz", 5), "kurz");
    }
}
