//! The store: `store.stats`, `store.check`, `store.export`, `store.backup`.
//!
//! These are this gateway's own. Paths are of the gateway's machine and whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::params;
use crate::protocol::schema::{NAME, Object};

/// No parameters: `store.stats`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsParams {}
params!(StatsParams, "store.stats", Object::closed(&[], &[]));

/// How many, and how large together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Records or files.
    pub records: u64,
    /// Bytes of all.
    pub bytes: u64,
}

/// Result of `store.stats`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatsResult {
    /// Format of the state.
    pub format: u32,
    /// How often the store was opened.
    pub epoch: u64,
    /// Records of all kinds.
    pub records: u64,
    /// Batches ever written.
    pub batches: u64,
    /// Bytes of the database.
    pub bytes_on_disk: u64,
    /// Large values, kept as files.
    pub payloads: Amount,
    /// Files of conversations.
    pub transcripts: Amount,
    /// Records by kind.
    pub kinds: BTreeMap<String, Amount>,
}

/// No parameters: `store.check`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckParams {}
params!(CheckParams, "store.check", Object::closed(&[], &[]));

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Key of the record, or the file.
    pub place: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Result of `store.check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// Records looked at.
    pub records: u64,
    /// Transcripts looked at.
    pub transcripts: u64,
    /// How much is wrong.
    pub problems: u64,
    /// The first 200.
    pub findings: Vec<Finding>,
}

/// A place of the gateway's machine to write to: `store.export`, a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportParams {
    /// Whole path; nothing may be there.
    pub path: String,
}
params!(ExportParams, "store.export", Object::closed(&["path"], &[("path", NAME)]));

/// Result of `store.export`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportResult {
    /// The file.
    pub path: String,
    /// Records in it.
    pub records: u64,
    /// Its length.
    pub bytes: u64,
}

/// A place of the gateway's machine to write to: `store.backup`, a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupParams {
    /// Whole path of a new or empty folder.
    pub path: String,
}
params!(BackupParams, "store.backup", Object::closed(&["path"], &[("path", NAME)]));

/// Result of `store.backup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupResult {
    /// The folder.
    pub path: String,
    /// Records in it.
    pub records: u64,
    /// Files in it.
    pub files: u64,
    /// Bytes of all.
    pub bytes: u64,
}

/// What a restore tells; no method, because no gateway may run meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreResult {
    /// Records put back.
    pub records: u64,
    /// Files put back.
    pub files: u64,
    /// Where everything is that was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_aside: Option<String>,
}
