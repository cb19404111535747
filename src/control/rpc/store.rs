//! `store.stats`, `store.check`, `store.export`, `store.backup`: the store, looked at and kept.

use std::path::PathBuf;

use actors::store::StoreError;
use actors::store::backup::{BackedUp, Restored};
use actors::store::check::Report;
use actors::store::export::Exported;
use actors::store::stats::{Kind, Stats};
use futures_util::FutureExt as _;
use serde_json::json;

use super::{Answer, Call, Handled, Method};
use crate::protocol::error::ErrorShape;
use crate::protocol::methods::Params as _;
use crate::protocol::methods::store::{
    Amount, BackupParams, BackupResult, CheckParams, CheckResult, ExportParams, ExportResult, Finding, RestoreResult,
    StatsParams, StatsResult,
};
use crate::protocol::scope::Scope;

/// The rows of this family. What is found names sessions, and what is written holds credentials: administrators only.
pub const METHODS: &[Method] = &[
    Method::new("store.stats", Scope::Read, StatsParams::SHAPE, stats),
    Method::new("store.check", Scope::Admin, CheckParams::SHAPE, check),
    Method::new("store.export", Scope::Admin, ExportParams::SHAPE, export).control_plane_write(),
    Method::new("store.backup", Scope::Admin, BackupParams::SHAPE, backup).control_plane_write(),
];

fn stats(call: Call) -> Handled {
    async move {
        let found = call.services.domain.store.stats().await;
        found.map(|found| Answer::One(json!(stats_result(found)))).map_err(refused)
    }
    .boxed()
}

fn check(call: Call) -> Handled {
    async move {
        let found = call.services.domain.store.check().await;
        found.map(|found| Answer::One(json!(check_result(found)))).map_err(refused)
    }
    .boxed()
}

fn export(call: Call) -> Handled {
    async move {
        let ExportParams { path } = call.parse()?;
        let written = call.services.domain.store.export(whole(&path, call.method)?).await;
        written.map(|written| Answer::One(json!(export_result(written)))).map_err(refused)
    }
    .boxed()
}

fn backup(call: Call) -> Handled {
    async move {
        let BackupParams { path } = call.parse()?;
        let path = whole(&path, call.method)?;
        tracing::info!(path = %path.display(), conn_id = %call.conn.conn_id, "an operator makes a backup");
        let kept = call.services.domain.store.backup(path, call.services.clock.now_rfc3339()).await;
        kept.map(|kept| Answer::One(json!(backup_result(kept)))).map_err(refused)
    }
    .boxed()
}

fn whole(path: &str, method: &str) -> Result<PathBuf, ErrorShape> {
    let path = PathBuf::from(path);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(ErrorShape::invalid_params(method, "at /path: must be a whole path"))
    }
}

/// A place that can't be used is the caller's mistake, the rest is ours.
fn refused(error: StoreError) -> ErrorShape {
    match error {
        StoreError::Backup { .. } => ErrorShape::invalid_request(error.words()),
        StoreError::Io { ref source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => {
            ErrorShape::invalid_request(error.words())
        }
        StoreError::Io { .. }
        | StoreError::Unavailable
        | StoreError::Engine(_)
        | StoreError::Damaged { .. }
        | StoreError::Newer { .. }
        | StoreError::Full { .. }
        | StoreError::Fenced { .. }
        | StoreError::Failing { .. }
        | StoreError::Gone { .. }
        | StoreError::Record { .. } => ErrorShape::unavailable(error.words()),
    }
}

fn amount(kind: Kind) -> Amount {
    Amount { records: kind.records, bytes: kind.bytes }
}

/// Statistics as they travel.
#[must_use]
pub fn stats_result(found: Stats) -> StatsResult {
    StatsResult {
        format: found.format,
        epoch: found.epoch,
        records: found.records,
        batches: found.batches,
        bytes_on_disk: found.bytes_on_disk,
        payloads: amount(found.payloads),
        transcripts: amount(found.transcripts),
        kinds: found.kinds.into_iter().map(|(name, kind)| (name, amount(kind))).collect(),
    }
}

/// Findings as they travel.
#[must_use]
pub fn check_result(found: Report) -> CheckResult {
    let Report { records, transcripts, problems, findings } = found;
    let findings = findings.into_iter().map(|found| Finding { place: found.place, problem: found.problem }).collect();
    CheckResult { records, transcripts, problems, findings }
}

/// An export as it travels.
#[must_use]
pub fn export_result(written: Exported) -> ExportResult {
    let Exported { path, records, bytes } = written;
    ExportResult { path: path.display().to_string(), records, bytes }
}

/// A backup as it travels.
#[must_use]
pub fn backup_result(kept: BackedUp) -> BackupResult {
    let BackedUp { path, records, files, bytes } = kept;
    BackupResult { path: path.display().to_string(), records, files, bytes }
}

/// A restore as it is told.
#[must_use]
pub fn restore_result(restored: Restored) -> RestoreResult {
    let Restored { records, files, kept_aside } = restored;
    RestoreResult { records, files, kept_aside: kept_aside.map(|path| path.display().to_string()) }
}
