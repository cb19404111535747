//! One consistent view of the configuration.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::schema::Config;
use super::substitute::EnvVars;

/// What one load found. Never changes; a reload makes a new one.
/// `Debug` leaves out the text and the values: they hold secrets.
#[derive(Clone)]
pub struct ConfigSnapshot {
    /// Counts accepted changes since the process started; the first is 1. A snapshot nobody owns yet has 0.
    pub revision: u64,
    /// The configuration file.
    pub path: PathBuf,
    /// Whether it exists; without it everything is default.
    pub exists: bool,
    /// SHA-256 of `raw`, in hex: what a writer must quote.
    pub hash: String,
    /// The text as it stands in the file, without a byte order mark.
    pub raw: String,
    /// The values as authored, after includes and variables, without defaults. Holds secrets.
    pub authored: Value,
    /// The typed settings with defaults.
    pub config: Arc<Config>,
    /// What was odd but not refused.
    pub warnings: Vec<String>,
    /// The environment the values were taken from; providers look their keys up here.
    pub env: Arc<EnvVars>,
    /// Every file that was read, the main one first.
    pub files: Vec<PathBuf>,
    /// SHA-256 over all of them: changes when an included file does.
    pub fingerprint: String,
}

impl ConfigSnapshot {
    /// A snapshot of `config` alone, as if no file existed. For tests and for tools.
    #[must_use]
    pub fn of(config: Config) -> Self {
        Self {
            revision: 1,
            path: PathBuf::from("openclaw.json"),
            exists: false,
            hash: sha256_hex(b""),
            raw: String::new(),
            authored: Value::Object(serde_json::Map::new()),
            config: Arc::new(config),
            warnings: Vec::new(),
            env: Arc::default(),
            files: Vec::new(),
            fingerprint: sha256_hex(b""),
        }
    }
}

impl std::fmt::Debug for ConfigSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigSnapshot")
            .field("revision", &self.revision)
            .field("path", &self.path)
            .field("exists", &self.exists)
            .field("hash", &self.hash)
            .field("config", &self.config)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

/// SHA-256 in lower-case hex.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
