//! The log file: one a day, cut at a size, old ones removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actors::clock::{Clock, EpochMs};

/// Days a log is kept.
const KEEP_DAYS: usize = 7;
/// Numbered files of one day (OpenClaw: 5 archives).
const ARCHIVES: u32 = 5;
/// Milliseconds of a day.
const DAY: EpochMs = 86_400_000;

/// Writes lines to `openclaw-YYYY-MM-DD.log`.
#[derive(Debug, Clone)]
pub struct LogFile(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    fixed: Option<PathBuf>,
    max_bytes: u64,
    clock: Clock,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    day: EpochMs,
    bytes: u64,
}

impl LogFile {
    /// Logs into `folder`, or into the one file `fixed`.
    #[must_use]
    pub fn new(folder: PathBuf, fixed: Option<PathBuf>, max_bytes: u64, clock: Clock) -> Self {
        Self(Arc::new(Mutex::new(Inner { folder, fixed, max_bytes, clock, open: None })))
    }

    /// The file of today.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let inner = self.inner();
        inner.path_of(inner.clock.now_ms() / DAY)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn path_of(&self, day: EpochMs) -> PathBuf {
        let date = actors::clock::rfc3339(day * DAY);
        self.fixed.clone().unwrap_or_else(|| self.folder.join(format!("openclaw-{}.log", &date[..10])))
    }

    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let day = self.clock.now_ms() / DAY;
        let fits = self
            .open
            .as_ref()
            .is_some_and(|open| open.day == day && open.bytes.saturating_add(line.len() as u64) <= self.max_bytes);
        if !fits {
            self.reopen(day)?;
        }
        if let Some(open) = &mut self.open {
            open.file.write_all(line)?;
            open.bytes += line.len() as u64;
        }
        Ok(())
    }

    fn reopen(&mut self, day: EpochMs) -> io::Result<()> {
        let path = self.path_of(day);
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() >= self.max_bytes)
            || self.open.as_ref().is_some_and(|open| open.day == day)
        {
            rotate(&path)?;
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        let bytes = file.metadata()?.len();
        self.open = Some(Open { file, day, bytes });
        self.remove_old();
        Ok(())
    }

    fn remove_old(&self) {
        let mut logs: Vec<PathBuf> = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| is_log(path))
            .collect();
        logs.sort();
        let days: std::collections::BTreeSet<String> = logs.iter().map(|path| day_of(path)).collect();
        for path in &logs {
            if days.iter().rev().take(KEEP_DAYS).all(|day| *day != day_of(path)) {
                // One that can't be removed is tried again with the next file.
                drop(fs::remove_file(path));
            }
        }
    }
}

fn is_log(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("openclaw-"))
}

fn day_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().chars().take(19).collect()).unwrap_or_default()
}

/// `x.log` becomes `x.log.1`, `x.log.1` becomes `x.log.2` …
fn rotate(path: &Path) -> io::Result<()> {
    let numbered = |n: u32| PathBuf::from(format!("{}.{n}", path.display()));
    for n in (1..ARCHIVES).rev() {
        if numbered(n).exists() {
            fs::rename(numbered(n), numbered(n + 1))?;
        }
    }
    fs::rename(path, numbered(1))
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.inner().write_line(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_put_aside_and_old_days_go() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(0);
        let mut log = LogFile::new(folder.path().to_owned(), None, 10, clock.clone());
        log.write_all(b"1234567\n").unwrap();
        log.write_all(b"89\n").unwrap();
        assert_eq!(fs::read(log.path()).unwrap(), b"89\n");
        for day in 1..10 {
            clock.set(day * DAY);
            log.write_all(b"x\n").unwrap();
        }
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, KEEP_DAYS);
    }
}
