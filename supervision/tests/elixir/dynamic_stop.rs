//! Dynamic supervisors: how their children are stopped, all of them or one.

use std::time::Duration;

use supervision::ExitClass;
use supervision::prelude::*;
use supervision::testing::Recorder;
use supervision::tree::NodeState;

use crate::late;
use crate::support::{Birth, Death, LONG, Leave, Probe, at_most, counts, dynamic, last_exit, simple, until_node};

/// Stops a supervisor of one child per entry, each with its limit and its way to go. Says how each ended and how long it
/// took.
async fn stopped(children: &[(Shutdown, Leave)]) -> (Vec<ExitClass>, Duration) {
    let (d, record) = (dynamic(at_most(0)).await, Recorder::new());
    for (n, (limit, leave)) in children.iter().enumerate() {
        let child = Probe::new(&n.to_string(), &record);
        child.leaves(leave.clone());
        d.sup.start_child(child.spec().shutdown(*limit)).await.unwrap();
    }
    let begin = tokio::time::Instant::now();
    d.root.terminate_child(&"dynamic".into()).await.unwrap();
    let took = begin.elapsed();
    assert!(record.lines().iter().all(|line| !line.contains("#2")), "nobody comes back: {record:?}");
    let gone = record.lines().iter().filter(|line| line.starts_with("drop")).count();
    assert_eq!(gone, children.len());
    d.root.shutdown(LONG).await;
    let ends = (0..children.len()).map(|n| last_exit(&d.tree, &format!("root/dynamic/{n}")).class).collect();
    (ends, took)
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn terminates_children_with_brutal_kill() {
    let child = (Shutdown::Brutal, Leave::Promptly);
    let (ends, _) = stopped(&[child.clone(), child.clone(), child]).await;
    assert_eq!(ends, [ExitClass::Killed; 3]);
}

#[tokio::test(start_paused = true)]
async fn terminates_children_with_infinity_shutdown() {
    let child = (Shutdown::Infinity, Leave::After(600 * SECOND));
    let (ends, took) = stopped(&[child.clone(), child.clone(), child]).await;
    assert_eq!(ends, [ExitClass::Shutdown; 3]);
    assert!(took >= 600 * SECOND && took < 610 * SECOND, "all at once, and to the end: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn terminates_children_with_infinity_shutdown_and_abnormal_reason() {
    let child = (Shutdown::Infinity, Leave::Failing);
    let (ends, _) = stopped(&[child.clone(), child.clone(), child]).await;
    assert_eq!(ends, [ExitClass::Error; 3]);
}

#[tokio::test(start_paused = true)]
async fn terminates_children_with_integer_shutdown() {
    let child = (Shutdown::Timeout(SECOND), Leave::After(SECOND / 2));
    let (ends, took) = stopped(&[child.clone(), child.clone(), child]).await;
    assert_eq!(ends, [ExitClass::Shutdown; 3]);
    assert!(took < SECOND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn terminates_children_with_integer_shutdown_and_abnormal_reason() {
    let failing = (Shutdown::Timeout(SECOND), Leave::Failing);
    let panicking = (Shutdown::Timeout(SECOND), Leave::Panicking);
    let (ends, _) = stopped(&[failing.clone(), panicking, failing]).await;
    assert_eq!(ends, [ExitClass::Error, ExitClass::Panic, ExitClass::Error]);
}

#[tokio::test(start_paused = true)]
async fn terminates_children_with_expired_integer_shutdown() {
    let (well, late) = ((Shutdown::Timeout(SECOND), Leave::Promptly), (Shutdown::Timeout(SECOND), Leave::Never));
    let (ends, took) = stopped(&[well.clone(), late, well]).await;
    assert_eq!(ends, [ExitClass::Shutdown, ExitClass::Killed, ExitClass::Shutdown]);
    assert!(took >= SECOND && took < 2 * SECOND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn terminates_children_with_permanent_restart_and_normal_reason() {
    // `stopped` makes permanent children and checks that none of them is started again.
    let child = (Shutdown::Infinity, Leave::Promptly);
    let (ends, _) = stopped(&[child.clone(), child.clone(), child]).await;
    assert_eq!(ends, [ExitClass::Shutdown; 3]);
}

#[tokio::test(start_paused = true)]
async fn terminates_with_mixed_children() {
    let (ends, _) = stopped(&[(Shutdown::Infinity, Leave::Promptly), (Shutdown::Brutal, Leave::Promptly)]).await;
    assert_eq!(ends, [ExitClass::Shutdown, ExitClass::Killed]);
}

#[tokio::test(start_paused = true)]
async fn with_valid_shutdown() {
    let (d, record) = (dynamic(at_most(10)).await, Recorder::new());
    for (n, limit) in [Shutdown::Timeout(Duration::ZERO), Shutdown::Timeout(Duration::MAX)].into_iter().enumerate() {
        let child = Probe::new(&n.to_string(), &record);
        d.sup.start_child(child.spec().shutdown(limit).restart(Restart::Temporary)).await.unwrap();
        child.die(Death::Shutdown).await;
    }
    assert!(d.root.shutdown(LONG).await.stragglers.is_empty());
}

/// Stops one child of a template by its actor, twice. Says how it ended.
async fn terminated(limit: Shutdown) -> ExitClass {
    let (s, record) = (simple(at_most(0), move |spec| spec.shutdown(limit)).await, Recorder::new());
    let actor = s.children.start_child(Probe::new("child", &record)).await.unwrap().actor.unwrap();
    s.sup.terminate_actor(actor).await.unwrap();
    assert_eq!(counts(&s.sup).await[1..], [0, 0, 0]);
    // One of ours that is over already is as good as stopped; Elixir says not found.
    s.sup.terminate_actor(actor).await.unwrap();
    s.root.shutdown(LONG).await;
    last_exit(&s.tree, "root/simple/1").class
}

#[tokio::test(start_paused = true)]
async fn terminates_child_with_brutal_kill() {
    assert_eq!(terminated(Shutdown::Brutal).await, ExitClass::Killed);
}

#[tokio::test(start_paused = true)]
async fn terminates_child_with_integer_shutdown() {
    assert_eq!(terminated(Shutdown::Timeout(SECOND)).await, ExitClass::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn terminates_restarting_child() {
    let (s, record) = (simple(at_most(10), |spec| spec.backoff(late())).await, Recorder::new());
    let child = Probe::new("child", &record);
    let actor = s.children.start_child(child.clone()).await.unwrap().actor.unwrap();
    child.all_starts(Birth::Fail);
    child.die(Death::Shutdown).await;
    until_node(&s.tree, "root/simple/1", |node| {
        node.is_some_and(|node| matches!(node.state, NodeState::BackingOff { .. }))
    })
    .await;
    s.sup.terminate_actor(actor).await.unwrap();
    assert_eq!(counts(&s.sup).await[1..], [0, 0, 0]);
    tokio::time::sleep(2 * LONG).await;
    assert_eq!(record.lines(), ["start child#1", "stop child#1", "drop child#1"]);
    s.root.shutdown(LONG).await;
}
