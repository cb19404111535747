//! `logs.tail`: the end of the log file, and what came since.

use std::io::SeekFrom;
use std::path::Path;

use futures_util::FutureExt as _;
use serde_json::json;
use tokio::fs::File;
use tokio::io::{self, AsyncReadExt as _, AsyncSeekExt as _};

use super::{Answer, Call, Handled, Method};
use crate::protocol::error::ErrorShape;
use crate::protocol::methods::Params as _;
use crate::protocol::methods::logs::{TailParams, TailResult};
use crate::protocol::scope::Scope;

/// Lines when no limit is given.
const DEFAULT_LINES: usize = 500;
/// Bytes read when no limit is given.
const DEFAULT_BYTES: u64 = 250_000;

/// The rows of this family.
pub const METHODS: &[Method] = &[Method::new("logs.tail", Scope::Read, TailParams::SHAPE, tail)];

fn tail(call: Call) -> Handled {
    async move {
        let params: TailParams = call.parse()?;
        let file = (call.services.log_file)();
        let file = file.ok_or_else(|| ErrorShape::unavailable("this gateway does not log to a file"))?;
        let read = read(&file, &params).await;
        let result = read.map_err(|error| ErrorShape::unavailable(format!("the log can't be read: {error}")))?;
        Ok(Answer::One(json!(result)))
    }
    .boxed()
}

/// Whole lines from the cursor on, or the end of the file when there is none or too much has come since.
async fn read(path: &Path, params: &TailParams) -> io::Result<TailResult> {
    let mut result = TailResult {
        file: path.display().to_string(),
        cursor: 0,
        size: 0,
        lines: Vec::new(),
        truncated: false,
        reset: false,
        skipped_bytes: None,
    };
    let mut file = match File::open(path).await {
        Ok(file) => file,
        // Nothing was logged yet: an empty log.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(result),
        Err(error) => return Err(error),
    };
    let size = file.metadata().await?.len();
    result.size = size;
    let window = params.max_bytes.unwrap_or(DEFAULT_BYTES);
    let newest = size.saturating_sub(window);
    let start = match params.cursor {
        // Another file than the cursor was about: it was rotated.
        Some(cursor) if cursor > size => {
            result.reset = true;
            newest
        }
        Some(cursor) if cursor < newest => {
            result.skipped_bytes = Some(newest - cursor);
            (result.reset, result.truncated) = (true, true);
            newest
        }
        Some(cursor) => cursor,
        None => {
            result.truncated = newest > 0;
            newest
        }
    };
    let (lines, cursor) = lines_from(&mut file, start, size).await?;
    let limit = params.limit.unwrap_or(DEFAULT_LINES);
    result.truncated |= lines.len() > limit;
    result.lines = lines.into_iter().rev().take(limit).rev().collect();
    result.cursor = cursor;
    Ok(result)
}

/// Whole lines between two offsets, and where the first incomplete one begins.
async fn lines_from(file: &mut File, start: u64, end: u64) -> io::Result<(Vec<String>, u64)> {
    // One byte more tells whether `start` is the beginning of a line.
    let from = start.saturating_sub(1);
    file.seek(SeekFrom::Start(from)).await?;
    let mut bytes = Vec::new();
    file.take(end - from).read_to_end(&mut bytes).await?;
    let first =
        if start == 0 { 0 } else { bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1) };
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(first, |at| at + 1).max(first);
    let lines = bytes[first..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let lines = lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let read = u64::try_from(whole).unwrap_or(u64::MAX);
    Ok((lines, from + read))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn tail_of(content: &str, params: TailParams) -> TailResult {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, content).unwrap();
        read(&path, &params).await.unwrap()
    }

    #[tokio::test]
    async fn the_cursor_leads_on_and_an_incomplete_line_waits() {
        let first = tail_of("one\ntwo\nthr", TailParams::default()).await;
        assert_eq!(
            (first.lines, first.cursor, first.size, first.truncated),
            (vec!["one".into(), "two".into()], 8, 11, false)
        );
        let params = TailParams { cursor: Some(8), ..Default::default() };
        let next = tail_of("one\ntwo\nthree\n", params).await;
        assert_eq!((next.lines, next.cursor), (vec!["three".to_owned()], 14));
        let none = tail_of("one\ntwo\nthree\n", TailParams { cursor: Some(14), ..Default::default() }).await;
        assert_eq!((none.lines.len(), none.cursor, none.reset), (0, 14, false));
    }

    #[tokio::test]
    async fn limits_keep_the_newest_and_say_so() {
        let params = TailParams { limit: Some(1), ..Default::default() };
        let limited = tail_of("one\ntwo\n", params).await;
        assert_eq!((limited.lines, limited.truncated), (vec!["two".to_owned()], true));
        let params = TailParams { max_bytes: Some(6), ..Default::default() };
        let cut = tail_of("one\ntwo\nthree\n", params).await;
        assert_eq!((cut.lines, cut.truncated), (vec!["three".to_owned()], true));
    }

    #[tokio::test]
    async fn a_rotated_file_starts_over_and_a_missing_one_is_empty() {
        let params = TailParams { cursor: Some(1000), ..Default::default() };
        let rotated = tail_of("one\n", params).await;
        assert_eq!((rotated.lines.len(), rotated.reset), (1, true));
        let missing = read(Path::new("/nowhere/log"), &TailParams::default()).await.unwrap();
        assert_eq!((missing.size, missing.lines.len()), (0, 0));
    }
}
