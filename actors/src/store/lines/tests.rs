//! Transcripts and the stored lines they may lack.

use std::os::unix::fs::MetadataExt as _;

use super::super::memory::MemoryEngine;
use super::*;

struct Bench {
    folder: tempfile::TempDir,
    engine: MemoryEngine,
    payloads: Payloads,
    lines: Lines,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let payloads = Payloads::new(folder.path().join("payloads"));
    let lines = Lines::new(folder.path().to_owned());
    Bench { folder, engine: MemoryEngine::default(), payloads, lines }
}

impl Bench {
    fn path(&self) -> PathBuf {
        self.folder.path().join("agents/main/sessions/s.jsonl")
    }

    /// Stores the lines of an append, as a commit does before it writes them.
    fn store(&self, ids: &[&str]) -> Vec<Planned> {
        let lines = ids.iter().map(|id| format!(r#"{{"id":"{id}"}}"#)).collect();
        let append = Append { path: self.path(), lines, header: String::from(HEAD) };
        let mut ops = Vec::new();
        let planned = self.lines.plan(&[append], &mut ops).unwrap();
        self.payloads.spill(&mut ops).unwrap();
        self.engine.batch(&ops).unwrap();
        planned
    }

    /// What the next start does; and what a start after that finds stored.
    fn redo(&self) -> usize {
        let lines = Lines::new(self.folder.path().to_owned());
        let completed = lines.redo(&self.engine, &self.payloads, false).unwrap();
        let due = lines.due(None);
        due.sync().unwrap();
        let freed: Vec<Op> = due.keys().map(|key| Op::Delete { key: key.clone() }).collect();
        self.engine.batch(&freed).unwrap();
        completed
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn stored(&self) -> usize {
        self.engine.scan_prefix(keys::LINES.as_bytes(), None, 100).unwrap().len()
    }
}

const HEAD: &str = r#"{"id":"s"}"#;
const ALL: &str = "{\"id\":\"s\"}\n{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"c\"}\n";

#[test]
fn lines_are_written_under_one_header_and_freed_once_synced() {
    let bench = bench();
    let first = bench.store(&["a", "b"]);
    let second = bench.store(&["c"]);
    assert!(bench.lines.due(None).is_empty(), "nothing is written yet");
    bench.lines.write(first.into_iter().chain(second).collect()).unwrap();
    assert_eq!(bench.text(), ALL);
    let due = bench.lines.due(None);
    due.sync().unwrap();
    assert_eq!(due.keys().count(), 2);
    assert!(!bench.lines.is_waiting());
}

#[test]
fn what_a_crash_kept_out_of_the_file_is_completed_at_every_length() {
    for length in 0..=ALL.len() {
        for zeros in [0, 5] {
            let bench = bench();
            bench.store(&["a", "b"]);
            bench.store(&["c"]);
            let left = [&ALL.as_bytes()[..length], &vec![0; zeros]].concat();
            fs::write(bench.path(), &left).unwrap();
            let completed = bench.redo();
            assert_eq!((bench.text().as_str(), bench.stored()), (ALL, 0), "of {length} bytes and {zeros} zeros");
            assert_eq!(completed, usize::from(left != ALL.as_bytes()));
            assert_eq!(bench.redo(), 0);
        }
    }
}

#[test]
fn a_file_that_never_got_its_name_is_made_again() {
    let bench = bench();
    bench.store(&["a", "b"]);
    bench.store(&["c"]);
    fs::remove_dir_all(bench.folder.path().join("agents")).unwrap();
    assert_eq!(bench.redo(), 1);
    assert_eq!(bench.text(), ALL);
}

#[test]
fn a_file_that_was_taken_away_does_not_come_back_in_part() {
    let bench = bench();
    bench.lines.write(bench.store(&["a"])).unwrap();
    let due = bench.lines.due(None);
    let freed: Vec<Op> = due.keys().map(|key| Op::Delete { key: key.clone() }).collect();
    bench.engine.batch(&freed).unwrap();
    bench.lines.write(bench.store(&["b"])).unwrap();
    fs::remove_file(bench.path()).unwrap();
    assert_eq!(bench.redo(), 0);
    assert!(!bench.path().exists());
}

#[test]
fn a_file_that_was_edited_by_hand_keeps_the_edit_and_gets_what_it_lacks() {
    let bench = bench();
    bench.store(&["a", "b"]);
    fs::write(bench.path(), "{\"id\":\"s\"}\n{\"id\":\"a\",\"edited\":true}").unwrap();
    assert_eq!(bench.redo(), 1);
    assert_eq!(bench.text(), "{\"id\":\"s\"}\n{\"id\":\"a\",\"edited\":true}\n{\"id\":\"b\"}\n");
}

#[test]
fn a_line_too_large_for_the_engine_is_completed_as_well() {
    let bench = bench();
    let large = "x".repeat(crate::store::payload::MAX_INLINE);
    bench.store(&[&large]);
    fs::write(bench.path(), "").unwrap();
    assert_eq!(bench.redo(), 1);
    assert_eq!(bench.text(), format!("{HEAD}\n{{\"id\":\"{large}\"}}\n"));
}

#[test]
fn a_file_that_cannot_be_opened_plans_nothing_of_its_commit() {
    let bench = bench();
    let good = Append { path: bench.path(), lines: vec!["x".into()], header: HEAD.into() };
    let blocked = bench.folder.path().join("blocked.jsonl");
    fs::create_dir(&blocked).unwrap();
    let bad = Append { path: blocked, ..good.clone() };
    let mut ops = Vec::new();
    bench.lines.plan(&[good, bad], &mut ops).unwrap_err();
    assert!(ops.is_empty());
    bench.lines.write(bench.store(&["a"])).unwrap();
    assert_eq!(bench.text(), "{\"id\":\"s\"}\n{\"id\":\"a\"}\n");
}

#[test]
fn a_file_whose_sync_failed_is_written_anew() {
    let bench = bench();
    bench.lines.write(bench.store(&["a", "b"])).unwrap();
    bench.lines.write(bench.store(&["c"])).unwrap();
    let before = fs::metadata(bench.path()).unwrap().ino();
    let lines = Lines::new(bench.folder.path().to_owned());
    assert_eq!(lines.redo(&bench.engine, &bench.payloads, true).unwrap(), 0);
    assert_eq!(bench.text(), ALL);
    assert_ne!(fs::metadata(bench.path()).unwrap().ino(), before);
}

#[test]
fn numbers_of_stored_lines_go_on_over_a_start() {
    let bench = bench();
    bench.lines.write(bench.store(&["a", "b"])).unwrap();
    let lines = Lines::new(bench.folder.path().to_owned());
    lines.redo(&bench.engine, &bench.payloads, false).unwrap();
    let next = Bench { lines, ..bench };
    next.lines.write(next.store(&["c"])).unwrap();
    assert_eq!(next.stored(), 2, "none took the place of another");
    assert_eq!(next.text(), ALL);
}
