//! The log file: `logs.tail`.

use serde::{Deserialize, Serialize};

use super::params;
use crate::protocol::schema::{COUNT, Object, Schema};

/// Parameters of `logs.tail`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TailParams {
    /// From an earlier answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// Most lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Most bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}
params!(TailParams, "logs.tail", TAIL);

/// Result of `logs.tail`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TailResult {
    /// The file.
    pub file: String,
    /// Where the next call goes on.
    pub cursor: u64,
    /// Its size.
    pub size: u64,
    /// The lines.
    pub lines: Vec<String>,
    /// Lines before these were left out.
    #[serde(default)]
    pub truncated: bool,
    /// The file is another one than the cursor was for.
    #[serde(default)]
    pub reset: bool,
    /// How much was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped_bytes: Option<u64>,
}

const TAIL: Object = Object::closed(
    &[],
    &[("cursor", COUNT), ("limit", Schema::Int(1, 5_000)), ("maxBytes", Schema::Int(1, 1_000_000))],
);
