//! `read`: a page of a text file.

use std::io::{BufRead, BufReader};
use std::path::Path;

use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::text::{self, BOM};
use super::{aborted, number_of, path_of, work};
use crate::tools::contract::{Effect, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput};
use crate::tools::workspace::{Opened, Workspace};

/// Kept free in a result for the hint how to go on.
const HINT_ROOM: usize = 400;

/// The tool.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadTool;

impl Tool for ReadTool {
    fn name(&self) -> &'static str {
        "read"
    }

    fn description(&self) -> &'static str {
        "Reads a text file of the workspace. Long files come in pages: the end of a page says how to get the next one."
    }

    fn parameters(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "path": {"type": "string", "minLength": 1, "description": "File, relative to the workspace."},
                "offset": {"type": "integer", "minimum": 1, "description": "First line, counted from 1."},
                "limit": {"type": "integer", "minimum": 1, "description": "Most lines."},
            },
            "required": ["path"],
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
            let path = path_of(&arguments);
            let wanted = Wanted {
                from: number_of(&arguments, "offset").unwrap_or(1),
                lines: number_of(&arguments, "limit").unwrap_or(usize::MAX),
                bytes: context.result_chars.saturating_sub(HINT_ROOM).max(HINT_ROOM),
            };
            work(&context, move |workspace, cancel| read(workspace, &path, wanted, cancel)).await
        }
        .boxed()
    }
}

#[derive(Debug, Clone, Copy)]
struct Wanted {
    /// First line, from 1.
    from: usize,
    lines: usize,
    bytes: usize,
}

fn read(
    workspace: &Workspace,
    path: &str,
    wanted: Wanted,
    cancel: &CancellationToken,
) -> Result<ToolOutput, ToolError> {
    let Opened { file, metadata, path: below } = workspace.open_file(path)?;
    let failed = |error: std::io::Error| ToolError::Failed(format!("{path}: {error}"));
    let mut reader = BufReader::with_capacity(64 * 1024, file);
    let head = reader.fill_buf().map_err(failed)?;
    if let Some(kind) = text::binary_kind(head) {
        return Err(ToolError::Failed(format!("{path} is {kind} of {} bytes; read shows text only", metadata.len())));
    }
    let mark = if head.starts_with(BOM) { BOM.len() } else { 0 };
    reader.consume(mark);
    let stopped = |error: std::io::Error| {
        if error.kind() == std::io::ErrorKind::Interrupted { aborted() } else { failed(error) }
    };
    let page = page(&mut reader, wanted, cancel).map_err(stopped)?;
    if page.lines == 0 && wanted.from > 1 {
        let lines = page.skipped;
        return Err(ToolError::Failed(format!("{path} has {lines} lines; there is no line {}", wanted.from)));
    }
    Ok(output(&below, page, wanted.from))
}

struct Page {
    text: String,
    /// Lines in it.
    lines: usize,
    /// Lines before it.
    skipped: usize,
    is_last: bool,
    /// Length of its only line, when that was cut.
    cut_line: Option<u64>,
    has_crlf: bool,
}

/// Reads one page. A single line that is longer than a page is cut.
fn page(reader: &mut impl BufRead, wanted: Wanted, cancel: &CancellationToken) -> std::io::Result<Page> {
    let mut page = Page { text: String::new(), lines: 0, skipped: 0, is_last: false, cut_line: None, has_crlf: false };
    let mut line = Vec::new();
    while page.lines < wanted.lines {
        if cancel.is_cancelled() {
            return Err(std::io::Error::from(std::io::ErrorKind::Interrupted));
        }
        let is_skipped = page.skipped + 1 < wanted.from;
        let keep = if is_skipped { 0 } else { wanted.bytes };
        line.clear();
        let length = take_line(reader, &mut line, keep)?;
        if length == 0 {
            page.is_last = true;
            return Ok(page);
        }
        if is_skipped {
            page.skipped += 1;
            continue;
        }
        let shown = String::from_utf8_lossy(&line);
        let is_crlf = shown.ends_with("\r\n");
        let shown = if is_crlf { format!("{}\n", shown.trim_end_matches("\r\n")) } else { shown.into_owned() };
        if page.lines > 0 && page.text.len() + shown.len() > wanted.bytes {
            return Ok(page);
        }
        page.has_crlf |= is_crlf;
        page.text.push_str(text::cut(&shown, wanted.bytes));
        page.lines += 1;
        if length > line.len() as u64 || shown.len() > wanted.bytes {
            page.cut_line = Some(length);
            break;
        }
    }
    page.is_last = reader.fill_buf()?.is_empty();
    Ok(page)
}

/// Reads a line and its end, keeping at most `keep` bytes of it; its whole length.
pub(super) fn take_line(reader: &mut impl BufRead, line: &mut Vec<u8>, keep: usize) -> std::io::Result<u64> {
    let mut length = 0_u64;
    loop {
        let buffer = match reader.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = buffer.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
        let taken = end.unwrap_or(buffer.len());
        let room = keep.saturating_sub(line.len());
        line.extend_from_slice(&buffer[..taken.min(room)]);
        reader.consume(taken);
        length += taken as u64;
        if end.is_some() || taken == 0 {
            return Ok(length);
        }
    }
}

fn output(path: &Path, page: Page, from: usize) -> ToolOutput {
    let Page { mut text, lines, is_last, cut_line, has_crlf, .. } = page;
    let details = json!({
        "path": path.display().to_string(), "firstLine": from, "lines": lines, "isLast": is_last, "crlf": has_crlf,
    });
    if lines == 0 {
        return ToolOutput { text: String::from("(the file is empty)"), details: Some(details) };
    }
    let mut hints = Vec::new();
    if let Some(length) = cut_line {
        hints.push(format!("line {} has {length} bytes and is cut", from + lines - 1));
    }
    if !is_last {
        hints.push(format!("lines {from}-{} shown; go on with offset={}", from + lines - 1, from + lines));
    }
    if has_crlf {
        hints.push(String::from("lines end in CR LF"));
    }
    if !hints.is_empty() {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("\n[{}]", hints.join("; ")));
    }
    ToolOutput { text, details: Some(details) }
}
