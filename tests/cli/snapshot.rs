//! Expected output as plain files. `UPDATE_SNAPSHOTS=1` writes them anew.

use std::path::Path;

/// Compares `actual` with the file of that name.
#[track_caller]
pub(crate) fn assert_snapshot(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/snapshots").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == actual, "{} differs; it is now:\n{actual}", path.display());
}
