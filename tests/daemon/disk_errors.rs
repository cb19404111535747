//! Every write and sync of a turn fails once: what was answered holds, nothing runs twice, and the gateway goes on.

use crate::program::{Daemon, Home, within};

/// One turn with a fault in it; afterwards the state is in order and holds the turn exactly once.
async fn turn_with(fault: &str) {
    let home = Home::new();
    let daemon = home.start_with_fault(fault).await;
    let daemon = turn(&home, daemon).await;
    let stopped = daemon.stop().await;
    assert!(stopped.code == 0, "{fault}: {stopped:?}");
    is_there_once(&home, fault).await;
}

/// A turn that is asked for again if its first try met the fault.
async fn turn(home: &Home, mut daemon: Daemon) -> Daemon {
    let turn = ["agent", "--message", "only once", "--run-id", "the-run"];
    let first = home.occtl(&turn).await;
    if first.code != 0 {
        daemon.logged("what is stored is read back").await;
        home.occtl(&turn).await.exited(0).printed(&["only once"]);
    }
    daemon
}

/// The next start finds the turn, and nothing out of order.
async fn is_there_once(home: &Home, fault: &str) {
    let daemon = home.start(&[]).await;
    let shown =
        home.occtl(&["--json", "gateway", "call", "chat.history", "--params", r#"{"sessionKey":"main"}"#]).await;
    let shown: serde_json::Value = serde_json::from_str(&shown.exited(0).stdout).unwrap();
    let roles: Vec<&str> =
        shown["messages"].as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant"], "{fault}: {shown}");
    daemon.stop().await.exited(0);
    home.occtl(&["store", "check"]).await.exited(0).printed(&["all well"]);
}

/// The fault at its first passings after the start, one at a time.
async fn at_each_passing(place: &str, passings: std::ops::RangeInclusive<u32>, action: &str) {
    for nth in passings {
        within(turn_with(&format!("{place}:{nth}:{action}"))).await;
    }
}

#[tokio::test]
async fn each_sync_of_a_turn_may_fail() {
    at_each_passing("store.sync.before", 4..=12, "error").await;
}

#[tokio::test]
async fn each_flush_of_a_turn_may_find_the_disk_full() {
    at_each_passing("store.flush.before", 4..=9, "full").await;
}

#[tokio::test]
async fn each_line_of_a_turn_may_find_the_disk_full() {
    at_each_passing("store.append.before", 1..=4, "full").await;
}

#[tokio::test]
async fn each_sync_of_a_transcript_may_fail() {
    at_each_passing("store.sync_transcript.before", 1..=2, "error").await;
}

#[tokio::test]
async fn a_start_that_fails_says_why_and_the_next_one_works() {
    let home = Home::new();
    // A new store, and then one that was begun.
    for _ in 0..2 {
        home.refused_with_fault("store.sync.before:1+:error").await.exited(1).complained(&["can't sync"]);
    }
    home.start(&[]).await.stop().await.exited(0);
}
