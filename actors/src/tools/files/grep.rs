//! `grep`: lines of files that match a pattern.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};

use futures_util::future::{BoxFuture, FutureExt as _};
use regex::bytes::{Regex, RegexBuilder};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::read::take_line;
use super::search::{Go, pattern, walk};
use super::text::{binary_kind, cut};
use super::{aborted, number_of, path_of, text_of, work};
use crate::tools::contract::{Effect, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput};
use crate::tools::workspace::{FileError, Kind, Opened, Workspace};

/// Matches shown unless told otherwise.
const USUAL: usize = 100;
/// Bytes of a line that are searched.
const LINE_SEARCHED: usize = 1 << 20;
/// Bytes of a line that are shown.
const LINE_SHOWN: usize = 500;
/// Memory a pattern may take.
const PATTERN_SIZE: usize = 4 << 20;
/// Kept free in a result for the hint.
const HINT_ROOM: usize = 400;
/// Lines between two looks at the cancellation.
const LINES_BETWEEN_LOOKS: u64 = 4096;

/// The tool.
#[derive(Debug, Clone, Copy, Default)]
pub struct GrepTool;

impl Tool for GrepTool {
    fn name(&self) -> &'static str {
        "grep"
    }

    fn description(&self) -> &'static str {
        "Searches the text files of the workspace for a regular expression and shows the lines, as path:line: text. What \
         .gitignore ignores is left out."
    }

    fn parameters(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "pattern": {"type": "string", "minLength": 1, "description": "Regular expression, matched within a line."},
                "path": {"type": "string", "minLength": 1, "description": "File or folder to search; the workspace by default."},
                "glob": {"type": "string", "minLength": 1, "description": "Only files whose path matches, for example *.md."},
                "ignoreCase": {"type": "boolean"},
                "literal": {"type": "boolean", "description": "The pattern is plain text."},
                "context": {"type": "integer", "minimum": 0, "maximum": 20, "description": "Lines shown around each match."},
                "limit": {"type": "integer", "minimum": 1, "maximum": 10_000, "description": "Most matches; 100 by default."},
            },
            "required": ["pattern"],
            "additionalProperties": false,
        })
    }

    fn capabilities(&self) -> ToolCapabilities {
        ToolCapabilities::OWNER
    }

    fn effect(&self, _arguments: &Value) -> Effect {
        Effect::Pure
    }

    fn call(&self, arguments: Value, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        async move {
            let flag = |name: &str| arguments[name].as_bool().unwrap_or(false);
            let wanted = Wanted {
                regex: regex(text_of(&arguments, "pattern").unwrap_or_default(), flag("literal"), flag("ignoreCase"))?,
                path: path_of(&arguments),
                glob: text_of(&arguments, "glob").map(str::to_owned),
                around: number_of(&arguments, "context").unwrap_or(0),
                limit: number_of(&arguments, "limit").unwrap_or(USUAL),
                room: context.result_chars.saturating_sub(HINT_ROOM).max(HINT_ROOM),
            };
            work(&context, move |workspace, cancel| grep(workspace, &wanted, cancel)).await
        }
        .boxed()
    }
}

struct Wanted {
    regex: Regex,
    path: String,
    glob: Option<String>,
    around: usize,
    limit: usize,
    room: usize,
}

fn regex(pattern: &str, is_literal: bool, ignore_case: bool) -> Result<Regex, ToolError> {
    let pattern = if is_literal { regex::escape(pattern) } else { pattern.to_owned() };
    RegexBuilder::new(&pattern)
        .case_insensitive(ignore_case)
        .size_limit(PATTERN_SIZE)
        .build()
        .map_err(|error| ToolError::Arguments(format!("pattern is no regular expression: {error}")))
}

/// What was found so far.
struct Findings {
    text: String,
    matches: usize,
    files: usize,
    is_cut: bool,
}

fn grep(workspace: &Workspace, wanted: &Wanted, cancel: &CancellationToken) -> Result<ToolOutput, ToolError> {
    let mut findings = Findings { text: String::new(), matches: 0, files: 0, is_cut: false };
    let found = workspace.find(&wanted.path, false)?;
    let too_much = match found.kind {
        Kind::Nothing => return Err(FileError::Missing(wanted.path.clone()).into()),
        Kind::File | Kind::Special | Kind::Link => {
            search(workspace.open_file(&wanted.path)?, wanted, &mut findings, cancel)?;
            false
        }
        Kind::Folder => {
            let glob = wanted.glob.as_deref().map(|glob| pattern(&found.path, glob)).transpose()?;
            walk(workspace, &wanted.path, cancel, |met| {
                if met.kind() != Kind::File
                    || glob.as_ref().is_some_and(|glob| !glob.matched(&met.path, false).is_ignore())
                {
                    return Ok(Go::On);
                }
                match met.open() {
                    Some(opened) => search(opened, wanted, &mut findings, cancel),
                    None => Ok(Go::On),
                }
            })?
        }
    };
    let Findings { mut text, matches, files, is_cut } = findings;
    if matches == 0 {
        text.push_str("(no matches)");
    }
    if is_cut {
        text.push_str(&format!("\n[the first {matches} matches are shown; there are more: narrow the search]"));
    } else if too_much {
        text.push_str("\n[the folder is too large to be searched whole: narrow the path]");
    }
    let details = json!({"matches": matches, "files": files, "isComplete": !is_cut && !too_much});
    Ok(ToolOutput { text, details: Some(details) })
}

/// Searches one file; a binary one has no lines.
fn search(
    opened: Opened,
    wanted: &Wanted,
    findings: &mut Findings,
    cancel: &CancellationToken,
) -> Result<Go, ToolError> {
    let path = opened.path.display().to_string();
    let failed = |error: std::io::Error| ToolError::Failed(format!("{path}: {error}"));
    let mut reader = BufReader::with_capacity(64 * 1024, opened.file);
    if binary_kind(reader.fill_buf().map_err(failed)?).is_some() {
        return Ok(Go::On);
    }
    let (mut line, mut number) = (Vec::new(), 0_u64);
    let mut before: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
    let (mut after, mut last_shown, mut in_file) = (0, 0, false);
    loop {
        line.clear();
        if take_line(&mut reader, &mut line, LINE_SEARCHED).map_err(failed)? == 0 {
            return Ok(Go::On);
        }
        number += 1;
        if number % LINES_BETWEEN_LOOKS == 0 && cancel.is_cancelled() {
            return Err(aborted());
        }
        while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            line.pop();
        }
        if wanted.regex.is_match(&line) {
            if findings.matches == wanted.limit || findings.text.len() > wanted.room {
                findings.is_cut = true;
                return Ok(Go::Stop);
            }
            if wanted.around > 0 && last_shown > 0 && before.front().map_or(number, |(at, _)| *at) > last_shown + 1 {
                findings.text.push_str("--\n");
            }
            for (at, line) in before.drain(..) {
                show(&mut findings.text, &path, at, &line, '-');
            }
            show(&mut findings.text, &path, number, &line, ':');
            findings.matches += 1;
            findings.files += usize::from(!in_file);
            in_file = true;
            (after, last_shown) = (wanted.around, number);
        } else if after > 0 {
            show(&mut findings.text, &path, number, &line, '-');
            (after, last_shown) = (after - 1, number);
        } else if wanted.around > 0 {
            if before.len() == wanted.around {
                before.pop_front();
            }
            before.push_back((number, line.clone()));
        }
    }
}

fn show(text: &mut String, path: &str, number: u64, line: &[u8], mark: char) {
    let line = String::from_utf8_lossy(line);
    let shown = cut(&line, LINE_SHOWN);
    let more = if shown.len() < line.len() { " …" } else { "" };
    text.push_str(&format!("{path}{mark}{number}{mark} {shown}{more}\n"));
}
