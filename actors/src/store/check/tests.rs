//! What a check finds.

use std::sync::Arc;

use super::super::memory::MemoryEngine;
use super::super::op::{Append, Commit};
use super::super::payload::MAX_INLINE;
use super::*;

fn disk() -> (tempfile::TempDir, Disk) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(Arc::new(MemoryEngine::default()), folder.path().to_owned());
    (folder, disk)
}

fn row(disk: &Disk, session: &str, id: &str) {
    let row = SessionRow { session_id: id.into(), output_tokens: 1, ..SessionRow::default() };
    let key = rows::key(&AgentId::normalised("main"), session);
    disk.write(vec![Commit::new().put(key, value::encode(&row).unwrap())]);
}

fn run(disk: &Disk, session: &str) {
    let record = serde_json::json!({ "session": session, "state": RunState::Open, "attempts": 1, "started_at": 1 });
    let record: RunRecord = serde_json::from_value(record).unwrap();
    let key = [keys::folder(keys::RUN, session), b"r".to_vec()].concat();
    disk.write(vec![Commit::new().put(key, value::encode(&record).unwrap())]);
}

fn line(disk: &Disk, id: &str, line: &str) {
    let path = transcripts::path(&disk.state_dir, &AgentId::normalised("main"), id);
    let header = transcripts::header(id, 0, Path::new("/"));
    disk.write(vec![Commit::new().append(Append { path, lines: vec![line.into()], header })]);
}

fn problems(disk: &Disk) -> Vec<String> {
    let report = check(disk).unwrap();
    assert_eq!(report.problems as usize, report.findings.len());
    report.findings.into_iter().map(|finding| format!("{}: {}", finding.place, finding.problem)).collect()
}

#[test]
fn a_store_in_order_has_no_findings() {
    let (_folder, disk) = disk();
    row(&disk, "agent:main:main", "s");
    run(&disk, "agent:main:main");
    line(&disk, "s", r#"{"type":"custom","id":"1"}"#);
    let report = check(&disk).unwrap();
    assert_eq!((report.problems, report.transcripts), (0, 1), "{report:?}");
}

#[test]
fn a_record_that_cannot_be_read_is_named() {
    let (_folder, disk) = disk();
    disk.write(vec![Commit::new().put(b"accept/x".to_vec(), value::encode(&7).unwrap())]);
    disk.write(vec![Commit::new().put(b"cursor/x".to_vec(), vec![99, 1])]);
    let found = problems(&disk);
    assert!(found[0].starts_with("accept/x: ") && found[1].contains("newer version"), "{found:?}");
}

#[test]
fn a_large_value_without_its_file_is_named() {
    let (_folder, disk) = disk();
    disk.write(vec![Commit::new().put(b"cursor/x".to_vec(), vec![1; MAX_INLINE + 1])]);
    std::fs::remove_dir_all(disk.payloads.folder()).unwrap();
    assert!(problems(&disk)[0].starts_with("cursor/x: can't read"));
}

#[test]
fn an_open_run_without_a_session_is_named() {
    let (_folder, disk) = disk();
    run(&disk, "agent:main:gone");
    assert!(problems(&disk)[0].contains("its session agent:main:gone has no row"));
}

#[test]
fn a_noted_call_of_a_run_that_is_over_is_named() {
    let (_folder, disk) = disk();
    row(&disk, "agent:main:main", "");
    run(&disk, "agent:main:main");
    let intent = |run: &str| IntentRecord {
        session: "agent:main:main".into(),
        run_id: run.into(),
        call_id: "c".into(),
        key: "c".into(),
        tool: "write".into(),
        effect: super::super::records::EffectClass::Once,
        arguments: String::new(),
        at: 0,
        epoch: 1,
    };
    for name in ["r", "gone"] {
        let key = keys::named(keys::INTENT, name);
        disk.write(vec![Commit::new().put(key, value::encode(&intent(name)).unwrap())]);
    }
    assert_eq!(problems(&disk), ["intent/gone: its run gone is over"]);
}

#[test]
fn a_session_without_its_transcript_is_named() {
    let (_folder, disk) = disk();
    row(&disk, "agent:main:main", "s");
    assert!(problems(&disk)[0].contains("its transcript"));
}

#[test]
fn a_transcript_that_does_not_hold_together_is_named() {
    let (_folder, disk) = disk();
    line(&disk, "s", "{not json");
    let found = problems(&disk);
    assert!(found[0].contains("s.jsonl: line 2 is no JSON"), "{found:?}");
}
