//! Groups of commits: what holds together, what fails alone.

use super::super::memory::MemoryEngine;
use super::super::op::Append;
use super::super::payload::MAX_INLINE;
use super::*;

fn setup() -> (tempfile::TempDir, Disk) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(Arc::new(MemoryEngine::default()), folder.path().to_owned());
    (folder, disk)
}

fn put(key: &str) -> Commit {
    Commit::new().expect_absent(key.into()).put(key.into(), vec![1])
}

fn append(path: &Path, line: &str) -> Commit {
    Commit::new().append(Append { path: path.to_owned(), lines: vec![line.into()], header: "HEAD".into() })
}

fn stored_lines(disk: &Disk) -> usize {
    disk.engine.scan_prefix(super::super::keys::LINES.as_bytes(), None, 100).unwrap().len()
}

#[test]
fn the_second_of_two_equal_keys_in_one_group_conflicts() {
    let (_folder, disk) = setup();
    let flushed = disk.write(vec![put("a"), put("a"), put("b")]);
    assert!(matches!(flushed.results[0], Ok(Outcome::Committed)));
    assert!(matches!(flushed.results[1], Ok(Outcome::Conflict { .. })));
    assert!(matches!(flushed.results[2], Ok(Outcome::Committed)));
}

#[test]
fn a_value_is_replaced_only_while_it_is_what_was_read() {
    let (_folder, disk) = setup();
    let key = b"a".to_vec();
    let large = vec![7; MAX_INLINE + 1];
    let swap =
        |from: &[u8], to: &[u8]| Commit::new().expect_equals(key.clone(), from.to_vec()).put(key.clone(), to.to_vec());
    disk.write(vec![Commit::new().put(key.clone(), large.clone())]);
    let flushed = disk.write(vec![swap(b"else", b"1"), swap(&large, b"2"), swap(&large, b"3"), swap(b"2", b"4")]);
    let kinds: Vec<bool> =
        flushed.results.iter().map(|result| *result.as_ref().unwrap() == Outcome::Committed).collect();
    assert_eq!(kinds, [false, true, false, true]);
    assert_eq!(disk.engine.get(&key).unwrap().as_deref(), Some(&b"4"[..]));
    let absent = disk.write(vec![Commit::new().expect_equals(b"b".to_vec(), vec![1]).delete(key)]);
    assert_eq!(absent.results[0].as_ref().unwrap(), &Outcome::Conflict { key: b"b".to_vec(), value: Vec::new() });
}

#[test]
fn a_failed_append_fails_its_commit_alone() {
    let (folder, disk) = setup();
    let blocked = folder.path().join("blocked.jsonl");
    std::fs::create_dir(&blocked).unwrap();
    let bad = Commit { ops: put("a").ops, ..append(&blocked, "x") };
    let flushed = disk.write(vec![bad, put("b")]);
    assert!(flushed.results[0].is_err());
    assert!(flushed.results[1].is_ok());
    assert!(flushed.broken.is_none());
    assert_eq!(disk.engine.get(b"a").unwrap(), None);
}

#[test]
fn a_new_transcript_starts_with_its_header() {
    let (folder, disk) = setup();
    let path = folder.path().join("agents/main/sessions/s.jsonl");
    disk.write(vec![append(&path, "one"), append(&path, "two")]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "HEAD\none\ntwo\n");
}

#[test]
fn stored_lines_go_once_their_file_is_synced() {
    let (folder, disk) = setup();
    let (a, b) = (folder.path().join("a.jsonl"), folder.path().join("b.jsonl"));
    disk.write(vec![append(&a, "one"), append(&b, &"x".repeat(MAX_INLINE))]);
    assert_eq!(stored_lines(&disk), 2);
    disk.sync_lines(Some(&a), false).unwrap();
    assert_eq!(stored_lines(&disk), 1);
    disk.sync_lines(None, false).unwrap();
    assert_eq!(stored_lines(&disk), 0);
    assert_eq!(std::fs::read_dir(disk.payloads.folder()).unwrap().count(), 0);
}

#[test]
fn a_file_gets_another_name_once_nothing_of_it_is_under_way() {
    let (folder, disk) = setup();
    let (old, new) = (folder.path().join("s.jsonl"), folder.path().join("s.jsonl.reset"));
    disk.write(vec![append(&old, "one").rename(old.clone(), new.clone())]);
    assert_eq!(std::fs::read_to_string(&new).unwrap(), "HEAD\none\n");
    assert!(!old.exists());
    assert_eq!(stored_lines(&disk), 0);
    disk.write(vec![append(&old, "two")]);
    assert_eq!(std::fs::read_to_string(&old).unwrap(), "HEAD\ntwo\n");
}

#[test]
fn the_file_of_a_replaced_large_value_goes() {
    let (_folder, disk) = setup();
    disk.write(vec![Commit::new().put(b"a".to_vec(), vec![1; MAX_INLINE + 1])]);
    assert_eq!(std::fs::read_dir(disk.payloads.folder()).unwrap().count(), 1);
    disk.write(vec![Commit::new().delete(b"a".to_vec())]);
    assert_eq!(std::fs::read_dir(disk.payloads.folder()).unwrap().count(), 0);
}
