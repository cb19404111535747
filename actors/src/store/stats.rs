//! How much the store holds, by kind.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::engine;
use super::error::StoreError;
use super::files;
use super::flush::Disk;
use super::keys;
use super::marker::FORMAT;
use super::value;

/// Records of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// How many.
    pub records: u64,
    /// Bytes of their keys and values, of large values only the pointer.
    pub bytes: u64,
}

/// What the store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Format of the state.
    pub format: u32,
    /// How often the store was opened.
    pub epoch: u64,
    /// Records of all kinds.
    pub records: u64,
    /// Batches ever applied.
    pub batches: u64,
    /// Bytes of the database.
    pub bytes_on_disk: u64,
    /// Large values, kept as files.
    pub payloads: Kind,
    /// Files of `sessions` folders.
    pub transcripts: Kind,
    /// Records by the first part of their key.
    pub kinds: BTreeMap<String, Kind>,
}

/// Counts everything.
///
/// # Errors
/// When the engine fails.
pub(super) fn stats(disk: &Disk) -> Result<Stats, StoreError> {
    let engine = disk.engine.as_ref();
    let size = engine.size()?;
    let mut kinds = BTreeMap::<String, Kind>::new();
    engine::for_each(engine, b"", |key, value| {
        let kind = kinds.entry(kind_of(key)).or_default();
        kind.records += 1;
        kind.bytes += (key.len() + value.len()) as u64;
        Ok(())
    })?;
    let epoch_key = keys::named(keys::META, "epoch");
    let epoch = engine.get(&epoch_key)?.map(|stored| value::decode(&epoch_key, &stored)).transpose()?.unwrap_or(0);
    Ok(Stats {
        format: FORMAT,
        epoch,
        records: size.records,
        batches: size.batches,
        bytes_on_disk: size.bytes_on_disk,
        payloads: folder(disk.payloads.folder()),
        transcripts: session_folders(&disk.state_dir).iter().map(|path| folder(path)).fold(Kind::default(), sum),
        kinds,
    })
}

/// The first part of a key, up to its slash.
pub(super) fn kind_of(key: &[u8]) -> String {
    let end = key.iter().position(|&byte| byte == b'/').unwrap_or(key.len());
    keys::printable(&key[..end])
}

fn sum(a: Kind, b: Kind) -> Kind {
    Kind { records: a.records + b.records, bytes: a.bytes + b.bytes }
}

fn folder(path: &Path) -> Kind {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| Kind { records: 1, bytes: files::size_of(&entry.path()) }).fold(Kind::default(), sum)
}

/// The `sessions` folders of all agents.
pub(super) fn session_folders(state_dir: &Path) -> Vec<std::path::PathBuf> {
    let agents = std::fs::read_dir(state_dir.join("agents")).into_iter().flatten().flatten();
    let mut folders: Vec<_> = agents.map(|agent| agent.path().join("sessions")).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}
