//! The named places, as the sources have them.

use std::collections::BTreeSet;
use std::path::Path;

/// Every name, sorted.
pub(crate) fn all() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    for folder in ["actors/src", "src"] {
        in_folder(&root.join(folder), &mut found);
    }
    found.into_iter().collect()
}

fn in_folder(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            in_folder(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let names = text.split("failpoint!(\"").skip(1).filter_map(|rest| rest.split('"').next());
            found.extend(names.map(str::to_owned));
        }
    }
}

/// `scripts/check-default-build` looks for these in the binaries as users get them; here they must be found.
#[test]
fn the_build_under_test_has_every_failpoint() {
    let binary = std::fs::read(env!("CARGO_BIN_EXE_openclawd")).unwrap();
    let names = all();
    assert!(names.len() > 30, "{names:?}");
    for name in names.iter().map(String::as_str).chain(["OPENCLAWD_FAILPOINT"]) {
        let found = binary.windows(name.len()).any(|window| window == name.as_bytes());
        assert!(found, "{name} is not in the binary");
    }
}
