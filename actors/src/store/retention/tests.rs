//! What is forgotten and what is kept.

use std::sync::Arc;

use super::super::flush::Disk;
use super::super::memory::MemoryEngine;
use super::super::op::Outcome;
use super::super::records::{Route, RunEnd, RunStatus};
use super::*;

const NOW: EpochMs = 1_000_000_000_000;

fn disk() -> (tempfile::TempDir, Disk) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(Arc::new(MemoryEngine::default()), folder.path().to_owned());
    (folder, disk)
}

fn put<T: serde::Serialize>(disk: &Disk, key: &str, record: &T) {
    disk.write(vec![Commit::new().put(key.into(), value::encode(record).unwrap())]);
}

fn input(expires_at: EpochMs) -> DedupeRecord {
    DedupeRecord { session: "s".into(), run_id: "r".into(), fingerprint: "f".into(), expires_at }
}

fn run(state: RunState, expires_at: Option<EpochMs>) -> RunRecord {
    let raw = serde_json::json!({
        "session": "s", "state": state, "attempts": 1, "started_at": 1, "expires_at": expires_at,
    });
    serde_json::from_value(raw).unwrap()
}

fn ended() -> RunState {
    let raw = serde_json::json!({ "status": RunStatus::Ok, "text": "x".repeat(20_000), "ended_at": 1 });
    RunState::Ended(Box::new(serde_json::from_value::<RunEnd>(raw).unwrap()))
}

fn delivery(state: OutboxState, at: EpochMs) -> OutboxRecord {
    let route = Route { channel: "c".into(), account: "a".into(), to: "t".into(), thread_id: None, reply_to: None };
    let raw = serde_json::json!({
        "seq": 1, "route": route, "text": "x", "session": "s", "run_id": "r", "state": state, "at": at,
    });
    serde_json::from_value(raw).unwrap()
}

/// Looks through everything; the keys that are left.
fn swept(disk: &Disk, cap: usize) -> Vec<String> {
    let mut next = Some(Cursor { cap, ..Cursor::default() });
    while let Some(cursor) = next {
        let page = sweep(disk.engine.as_ref(), &disk.payloads, cursor, NOW).unwrap();
        assert!(page.commits.len() <= PAGE);
        disk.write(page.commits);
        next = page.next;
    }
    let left = disk.engine.scan_prefix(b"", None, usize::MAX).unwrap();
    left.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
}

#[test]
fn what_is_past_its_term_goes_and_what_is_needed_stays() {
    let (_folder, disk) = disk();
    put(&disk, "dedupe/rpc/old", &input(NOW));
    put(&disk, "dedupe/rpc/new", &input(NOW + 1));
    put(&disk, "run/s-ended", &run(ended(), Some(NOW - 1)));
    put(&disk, "run/s-kept", &run(ended(), Some(NOW + 1)));
    put(&disk, "run/s-open", &run(RunState::Open, Some(NOW - 1)));
    put(&disk, "outbox/a-dead", &delivery(OutboxState::Dead, NOW - DEAD_KEPT_MS));
    put(&disk, "outbox/b-held", &delivery(OutboxState::Held, NOW - DEAD_KEPT_MS + 1));
    put(&disk, "outbox/c-queued", &delivery(OutboxState::Queued, 1));
    put(&disk, "outbox/d-sending", &delivery(OutboxState::Sending(0), 1));
    put(&disk, "row/main", &1_u64);
    let left = swept(&disk, MAX_KEPT);
    let expected = [
        "dedupe/rpc/new",
        "outbox/b-held",
        "outbox/c-queued",
        "outbox/d-sending",
        "row/main",
        "run/s-kept",
        "run/s-open",
    ];
    assert_eq!(left, expected);
    assert_eq!(std::fs::read_dir(disk.payloads.folder()).unwrap().count(), 1, "the large answer that stays");
}

#[test]
fn of_too_many_the_ones_whose_term_comes_first_go() {
    let (_folder, disk) = disk();
    let count = PAGE * 2 + 10;
    for n in 0..count {
        // In an order that has nothing to do with that of the keys.
        let term = NOW + 1 + EpochMs::try_from((n * 7919) % count).unwrap();
        put(&disk, &format!("dedupe/rpc/{n:05}"), &input(term));
    }
    put(&disk, "run/s-open", &run(RunState::Open, None));
    assert_eq!(swept(&disk, count).len(), count + 1);
    let left = swept(&disk, 100);
    assert_eq!(left.len(), 101);
    let newest = NOW + 1 + EpochMs::try_from(count - 100).unwrap();
    for key in left.iter().filter(|key| key.starts_with("dedupe/")) {
        let stored = disk.engine.get(key.as_bytes()).unwrap().unwrap();
        assert!(value::decode::<DedupeRecord>(key.as_bytes(), &stored).unwrap().expires_at >= newest);
    }
}

#[test]
fn a_record_that_changed_meanwhile_stays() {
    let (_folder, disk) = disk();
    put(&disk, "dedupe/rpc/a", &input(1));
    let page = sweep(disk.engine.as_ref(), &disk.payloads, Cursor::default(), NOW).unwrap();
    put(&disk, "dedupe/rpc/a", &input(NOW + 1));
    let results = disk.write(page.commits).results;
    assert!(matches!(results[..], [Ok(Outcome::Conflict { .. })]));
    assert_eq!(swept(&disk, MAX_KEPT), ["dedupe/rpc/a"]);
}

#[test]
fn a_record_that_cannot_be_read_stays() {
    let (_folder, disk) = disk();
    put(&disk, "dedupe/rpc/a", &"no such record");
    assert_eq!(swept(&disk, MAX_KEPT), ["dedupe/rpc/a"]);
}
