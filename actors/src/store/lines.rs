//! Lines on their way into transcripts.
//!
//! The key space is their log: a commit stores its lines there and is durable with that; then they are written to
//! their files, which are synced together a little later, and only then are the stored lines freed. So a commit costs
//! one flush, whatever the number of sessions in it, and a transcript never holds a line whose commit failed. After a
//! crash the start completes each file from what is stored, before anybody reads it.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::engine::{self, Engine};
use super::error::StoreError;
use super::files;
use super::keys;
use super::op::{Append, Op};
use super::payload::Payloads;
use super::records::LineRecord;
use super::value;
use crate::failpoint::failpoint;

/// A file with lines that are stored and not known to be on disk.
#[derive(Debug, Default)]
struct Open {
    /// Its length once everything planned is written.
    length: u64,
    /// Its name is not known to be on disk.
    fresh: bool,
    /// Stored lines that are not written yet.
    planned: usize,
    /// Keys of stored lines that are written.
    written: Vec<Vec<u8>>,
}

/// Lines of one append, ready to be stored and then written.
#[derive(Debug)]
pub(super) struct Planned {
    path: PathBuf,
    key: Vec<u8>,
    text: String,
}

/// Files with lines under way.
#[derive(Debug)]
pub(super) struct Lines {
    state_dir: PathBuf,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    files: BTreeMap<PathBuf, Open>,
    seq: u64,
}

/// Files taken out to be synced.
#[derive(Debug)]
pub(super) struct Due(Vec<(PathBuf, bool, Vec<Vec<u8>>)>);

impl Due {
    /// Keys that may go once the files are synced.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.0.iter().flat_map(|(_, _, keys)| keys)
    }

    /// True when nothing is to be synced.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Brings the files to disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        for (path, fresh, _) in &self.0 {
            let failed = |error| StoreError::io("can't sync the transcript", path, error);
            failpoint!("store.sync_transcript.before", failed);
            match File::open(path).and_then(|file| file.sync_data()) {
                Ok(()) => {}
                // Its owner took it away, having synced it.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            }
            failpoint!("store.sync_transcript.after");
            if *fresh && let Some(folder) = path.parent() {
                files::sync_folder(folder)?;
            }
        }
        Ok(())
    }
}

impl Lines {
    pub(super) fn new(state_dir: PathBuf) -> Self {
        Self { state_dir, table: Mutex::default() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides where the lines of a commit go and stores them with `ops`. Files that can't be appended to are found
    /// out here, before anything of the commit counts.
    ///
    /// # Errors
    /// When a file can't be opened; nothing is planned then.
    pub(super) fn plan(&self, appends: &[Append], ops: &mut Vec<Op>) -> Result<Vec<Planned>, StoreError> {
        let mut table = self.table();
        for append in appends {
            if !table.files.contains_key(&append.path) {
                let open = open(&append.path)?;
                table.files.insert(append.path.clone(), open);
            }
        }
        let mut planned = Vec::with_capacity(appends.len());
        for append in appends {
            table.seq += 1;
            let name = append.path.strip_prefix(&self.state_dir).unwrap_or(&append.path);
            let key = key(name, table.seq);
            let Some(open) = table.files.get_mut(&append.path) else { continue };
            let text = text_of(append, open.length == 0);
            let record = LineRecord { offset: open.length, text };
            ops.push(Op::Put { key: key.clone(), value: value::encode(&record)? });
            open.length += u64::try_from(record.text.len()).unwrap_or(u64::MAX);
            open.planned += 1;
            planned.push(Planned { path: append.path.clone(), key, text: record.text });
        }
        Ok(planned)
    }

    /// Takes back the plan made last, whose lines are not stored after all.
    pub(super) fn forget(&self, planned: &[Planned]) {
        let mut table = self.table();
        for Planned { path, text, .. } in planned {
            if let Some(open) = table.files.get_mut(path) {
                open.length = open.length.saturating_sub(u64::try_from(text.len()).unwrap_or(u64::MAX));
                open.planned = open.planned.saturating_sub(1);
            }
        }
    }

    /// Writes stored lines to their files, those of one file together.
    ///
    /// # Errors
    /// When a file can't be written; what is missing is written by the next start.
    pub(super) fn write(&self, planned: Vec<Planned>) -> Result<(), StoreError> {
        let mut by_file = BTreeMap::<PathBuf, (String, Vec<Vec<u8>>)>::new();
        for Planned { path, key, text } in planned {
            let (all, keys) = by_file.entry(path).or_default();
            all.push_str(&text);
            keys.push(key);
        }
        for (path, (text, keys)) in by_file {
            let failed = |error| StoreError::io("can't write the transcript", &path, error);
            failpoint!("store.append.before", failed);
            let (mut file, _) = files::append_private(&path)?;
            file.write_all(text.as_bytes()).map_err(failed)?;
            failpoint!("store.append.after");
            if let Some(open) = self.table().files.get_mut(&path) {
                open.planned = open.planned.saturating_sub(keys.len());
                open.written.extend(keys);
            }
        }
        Ok(())
    }

    /// Takes out what is written and not synced: of one file, or of all.
    pub(super) fn due(&self, only: Option<&Path>) -> Due {
        let mut table = self.table();
        let mut due = Vec::new();
        for (path, open) in &mut table.files {
            if !open.written.is_empty() && only.is_none_or(|only| only == path) {
                due.push((path.clone(), std::mem::take(&mut open.fresh), std::mem::take(&mut open.written)));
            }
        }
        // One that is appended to again is looked at afresh, so that this stays as small as what is under way.
        table.files.retain(|_, open| open.planned > 0 || !open.written.is_empty());
        Due(due)
    }

    /// True when something waits to be synced.
    pub(super) fn is_waiting(&self) -> bool {
        !self.table().files.is_empty()
    }
}

fn key(name: &Path, seq: u64) -> Vec<u8> {
    let mut key = keys::LINES.as_bytes().to_vec();
    key.extend_from_slice(name.as_os_str().as_bytes());
    key.push(0);
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

fn open(path: &Path) -> Result<Open, StoreError> {
    if let Some(folder) = path.parent() {
        files::private_folder(folder)?;
    }
    let (file, fresh) = files::append_private(path)?;
    let length = file.metadata().map_err(|error| StoreError::io("can't look at", path, error))?.len();
    Ok(Open { length, fresh, ..Open::default() })
}

fn text_of(append: &Append, is_first: bool) -> String {
    let header = is_first.then_some(&append.header);
    let lines = header.into_iter().chain(&append.lines);
    lines.fold(String::new(), |text, line| text + line + "\n")
}

impl Lines {
    /// Completes every transcript from the stored lines. Files that lacked nothing are synced later like any other, so
    /// that a start does not wait for the disk. Files whose last sync failed can't be believed (`distrust`) and are
    /// written anew. Returns how many lacked something.
    ///
    /// # Errors
    /// When a file can't be read or written, or the engine fails.
    pub(super) fn redo(&self, engine: &dyn Engine, payloads: &Payloads, distrust: bool) -> Result<usize, StoreError> {
        let mut by_file = BTreeMap::<PathBuf, (Vec<LineRecord>, Vec<Vec<u8>>)>::new();
        let mut seq = 0;
        engine::for_each(engine, keys::LINES.as_bytes(), |key, stored| {
            if let Some((path, number)) = self.place_of(key) {
                let (lines, keys) = by_file.entry(path).or_default();
                lines.push(value::decode(key, &payloads.resolve(stored.to_vec())?)?);
                keys.push(key.to_vec());
                seq = seq.max(number);
            }
            Ok(())
        })?;
        let (mut completed, mut freed) = (0, Vec::new());
        let mut table = self.table();
        table.seq = seq;
        for (path, (lines, keys)) in by_file {
            let state = complete(&path, &lines, distrust)?;
            match state {
                Found::Whole(length) => {
                    table.files.insert(path, Open { length, fresh: true, planned: 0, written: keys });
                }
                Found::Lacking | Found::Gone => freed.extend(keys.into_iter().map(|key| Op::Delete { key })),
            }
            completed += usize::from(state == Found::Lacking);
        }
        if !freed.is_empty() {
            engine.batch(&freed)?;
        }
        Ok(completed)
    }

    pub(super) fn place_of(&self, key: &[u8]) -> Option<(PathBuf, u64)> {
        let name = key.strip_prefix(keys::LINES.as_bytes())?;
        let (name, number) = name.split_at_checked(name.len().checked_sub(8)?)?;
        let name = name.strip_suffix(&[0])?;
        let number = u64::from_be_bytes(number.try_into().ok()?);
        Some((self.state_dir.join(OsStr::from_bytes(name)), number))
    }
}

/// How a transcript was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// It holds all lines and is so long.
    Whole(u64),
    /// It lacked some, and has them now, on disk.
    Lacking,
    /// Taken away by its owner, who had it synced before.
    Gone,
}

/// Makes sure that the file holds the lines.
fn complete(path: &Path, lines: &[LineRecord], distrust: bool) -> Result<Found, StoreError> {
    let failed = |error| StoreError::io("can't read the transcript", path, error);
    let start = lines.first().map_or(0, |line| line.offset);
    let wanted: String = lines.iter().map(|line| line.text.as_str()).collect();
    let wanted = wanted.as_bytes();
    match File::open(path) {
        Ok(mut file) => {
            let length = file.metadata().map_err(failed)?.len();
            let mut have = Vec::new();
            file.seek(SeekFrom::Start(start)).map_err(failed)?;
            file.read_to_end(&mut have).map_err(failed)?;
            let is_whole = have == wanted || (have.starts_with(wanted) && !is_torn(&have, wanted));
            if is_whole && length >= start && !distrust {
                return Ok(Found::Whole(length));
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && start > 0 => return Ok(Found::Gone),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return files::replace(path, wanted).map(|()| Found::Lacking);
        }
        Err(error) => return Err(failed(error)),
    }
    let bytes = fs::read(path).map_err(failed)?;
    let kept = usize::try_from(start).ok().and_then(|start| bytes.split_at_checked(start));
    let completed = match kept {
        Some((kept, have)) if is_torn(have, wanted) => [kept, wanted].concat(),
        // Somebody edited the file meanwhile: what it lacks is added, the rest is left as it was made.
        Some(_) | None => added(&bytes, wanted),
    };
    files::replace(path, &completed)?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    Ok(if completed == bytes { Found::Whole(length) } else { Found::Lacking })
}

/// What a loss of power leaves of an append: a part of it or all, zeros in place of the rest.
fn is_torn(have: &[u8], wanted: &[u8]) -> bool {
    let same = have.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    have[same..].iter().all(|&byte| byte == 0)
}

/// The file with those of the lines that it lacks by their ids.
fn added(bytes: &[u8], wanted: &[u8]) -> Vec<u8> {
    let id_of = |line: &[u8]| -> Option<String> {
        let line: serde_json::Value = serde_json::from_slice(line).ok()?;
        line.get("id")?.as_str().map(str::to_owned)
    };
    let known: HashSet<String> = bytes.split(|&byte| byte == b'\n').filter_map(id_of).collect();
    let is_lacking = |line: &&[u8]| !line.is_empty() && id_of(line).is_none_or(|id| !known.contains(&id));
    let mut whole = bytes.to_vec();
    for line in wanted.split(|&byte| byte == b'\n').filter(is_lacking) {
        if whole.last().is_some_and(|&byte| byte != b'\n') {
            whole.push(b'\n');
        }
        whole.extend_from_slice(line);
        whole.push(b'\n');
    }
    whole
}

#[cfg(test)]
mod tests;
