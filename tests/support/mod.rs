//! Shared by the whole-system tests.

pub(crate) mod daemon;
pub(crate) mod gateway;
pub(crate) mod witness;

use std::path::PathBuf;

/// A file or folder under `tests/fixtures`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}
