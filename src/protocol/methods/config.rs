//! Configuration: `config.get`, event `config.changed`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::params;
use crate::protocol::schema::Object;

/// Stands for every secret in what clients see.
pub const REDACTED: &str = "__OPENCLAW_REDACTED__";

/// No parameters: `config.get`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetParams {}
params!(GetParams, "config.get", Object::closed(&[], &[]));

/// Result of `config.get`; secrets are [`REDACTED`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GetResult {
    /// The file.
    pub path: String,
    /// Files it includes.
    pub included_paths: Vec<String>,
    /// Which of them say what; not told here.
    pub include_provenance: Vec<Value>,
    /// Whether the agents come from an included file.
    pub agent_roster_include_owned: bool,
    /// Whether the bindings come from an included file.
    pub bindings_include_owned: bool,
    /// Whether it exists.
    pub exists: bool,
    /// Its text.
    pub raw: String,
    /// Its text, parsed.
    pub parsed: Value,
    /// After includes and environment.
    pub source_config: Value,
    /// The same.
    pub resolved: Value,
    /// It can be used.
    pub valid: bool,
    /// With defaults.
    pub runtime_config: Value,
    /// The same.
    pub config: Value,
    /// Of the text; sent back with a write.
    pub hash: String,
    /// Of the meaning; equal to the applied one when the file is in force.
    pub config_revision_hash: String,
    /// Of the meaning in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied_config_hash: Option<String>,
    /// Why it cannot be used.
    pub issues: Vec<Value>,
    /// What is odd about it.
    pub warnings: Vec<Value>,
    /// Old spellings.
    pub legacy_issues: Vec<Value>,
}

/// Payload of event `config.changed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The file.
    pub path: String,
    /// Of its text.
    pub hash: String,
    /// When.
    pub ts: i64,
}
