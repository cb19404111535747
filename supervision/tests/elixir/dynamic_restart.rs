//! Dynamic supervisors: what follows an exit of a child.

use supervision::ExitClass;
use supervision::prelude::*;
use supervision::testing::Recorder;
use supervision::tree::NodeState;

use crate::support::{
    Birth, Death, LONG, Probe, at_most, counts, dynamic, last_exit, until_gone, until_node, until_up,
};
use crate::{is_full, late};

#[tokio::test(start_paused = true)]
async fn temporary_child_is_not_restarted_regardless_of_reason() {
    let (d, record) = (dynamic(at_most(0)).await, Recorder::new());
    for death in Death::ALL {
        let child = Probe::new("child", &record);
        d.sup.start_child(child.spec().restart(Restart::Temporary)).await.unwrap();
        child.die(death).await;
        until_gone(&d.tree, "root/dynamic/child").await;
        assert_eq!(counts(&d.sup).await, [0, 0, 0, 0], "{death:?}");
        assert_eq!(last_exit(&d.tree, "root/dynamic/child").class, death.class());
    }
    d.root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn transient_child_is_restarted_unless_normal_shutdown() {
    let (d, record) = (dynamic(at_most(10)).await, Recorder::new());
    for (n, death) in Death::ALL.into_iter().enumerate() {
        let child = Probe::new(&format!("child{n}"), &record);
        let path = format!("root/dynamic/child{n}");
        d.sup.start_child(child.spec().restart(Restart::Transient)).await.unwrap();
        child.die(death).await;
        if death.is_clean() {
            until_node(&d.tree, &path, |node| node.is_some_and(|node| node.state == NodeState::Exited)).await;
            assert!(!child.is_alive(), "{death:?}");
        } else {
            until_up(&d.tree, &path, 2).await;
            assert!(child.is_alive(), "{death:?}");
        }
    }
    d.root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn permanent_child_is_restarted_regardless_of_reason() {
    let (d, record) = (dynamic(at_most(10)).await, Recorder::new());
    for (n, death) in Death::ALL.into_iter().enumerate() {
        let child = Probe::new(&format!("child{n}"), &record);
        d.sup.start_child(child.spec()).await.unwrap();
        child.die(death).await;
        until_up(&d.tree, &format!("root/dynamic/child{n}"), 2).await;
        assert_eq!(counts(&d.sup).await, [n + 1, n + 1, 0, n + 1], "{death:?}");
    }
    d.root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn child_is_restarted_with_different_values() {
    let (d, record) = (dynamic(at_most(10)).await, Recorder::new());
    let add = async |name: &str, second: Birth| {
        let child = Probe::new(name, &record);
        child.next_starts(&[Birth::Up, second]);
        d.sup.start_child(child.spec().backoff(late_only_after_a_failure())).await.unwrap();
        child.die(Death::Shutdown).await;
        child
    };
    add("well", Birth::Up).await;
    until_up(&d.tree, "root/dynamic/well", 2).await;
    assert_eq!(counts(&d.sup).await, [1, 1, 0, 1]);
    add("idle", Birth::Ignore).await;
    until_gone(&d.tree, "root/dynamic/idle").await;
    assert_eq!(counts(&d.sup).await, [1, 1, 0, 1]);
    let failing = add("failing", Birth::Fail).await;
    record.until("fail failing#2").await;
    until_node(&d.tree, "root/dynamic/failing", |node| node.is_some_and(is_due)).await;
    assert_eq!(counts(&d.sup).await, [2, 1, 0, 2]);
    assert!(!failing.is_alive());
    d.root.shutdown(LONG).await;
}

/// At once after the first end, ten minutes later after the next.
fn late_only_after_a_failure() -> BackoffPolicy {
    BackoffPolicy { initial: std::time::Duration::from_nanos(1), factor: 1e12, ..late() }
}

fn is_due(node: &supervision::tree::NodeView) -> bool {
    matches!(node.state, NodeState::BackingOff { .. }) && node.attempt == 2
}

#[tokio::test(start_paused = true)]
async fn restarting_on_init_children_counted_in_max_children() {
    let record = Recorder::new();
    let d = dynamic(DynamicOptions { max_children: Some(1), ..at_most(10) }).await;
    let child = Probe::new("child", &record);
    d.sup.start_child(child.spec().backoff(late())).await.unwrap();
    child.all_starts(Birth::Fail);
    child.die(Death::Shutdown).await;
    until_node(&d.tree, "root/dynamic/child", |node| {
        node.is_some_and(|node| matches!(node.state, NodeState::BackingOff { .. }))
    })
    .await;
    assert_eq!(counts(&d.sup).await, [1, 0, 0, 1]);
    assert!(is_full(&d.sup.start_child(Probe::new("other", &record).spec()).await));
    d.root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn restarting_on_exit_children_counted_in_max_children() {
    let record = Recorder::new();
    let d = dynamic(DynamicOptions { max_children: Some(1), ..at_most(10) }).await;
    let child = Probe::new("child", &record);
    d.sup.start_child(child.spec()).await.unwrap();
    child.die(Death::Shutdown).await;
    until_up(&d.tree, "root/dynamic/child", 2).await;
    assert_eq!(counts(&d.sup).await, [1, 1, 0, 1]);
    assert!(is_full(&d.sup.start_child(Probe::new("other", &record).spec()).await));
    d.root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn child_is_restarted_when_trying_again() {
    let (d, record) = (dynamic(at_most(2)).await, Recorder::new());
    let child = Probe::new("child", &record);
    child.next_starts(&[Birth::Up, Birth::Fail]);
    d.sup.start_child(child.spec()).await.unwrap();
    child.die(Death::Shutdown).await;
    until_up(&d.tree, "root/dynamic/child", 3).await;
    assert_eq!(record.lines()[..4], ["start child#1", "stop child#1", "drop child#1", "fail child#2"]);
    assert_eq!(counts(&d.sup).await, [1, 1, 0, 1]);
    d.root.shutdown(LONG).await;
}

/// A child that cannot be restarted ends a supervisor that allows `max_restarts`, after as many tries.
async fn melts_down_after(max_restarts: u32) {
    let (d, record) = (dynamic(at_most(max_restarts)).await, Recorder::new());
    let child = Probe::new("child", &record);
    d.sup.start_child(child.spec()).await.unwrap();
    child.all_starts(Birth::Fail);
    child.die(Death::Shutdown).await;
    until_gone(&d.tree, "root/dynamic").await;
    let end = last_exit(&d.tree, "root/dynamic");
    assert_eq!((end.class, end.text.as_str()), (ExitClass::Shutdown, "intensity"));
    let failed = record.lines().iter().filter(|line| line.starts_with("fail")).count();
    assert_eq!(failed, max_restarts as usize);
    d.root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn child_triggers_maximum_restarts() {
    melts_down_after(1).await;
}

#[tokio::test(start_paused = true)]
async fn child_triggers_maximum_intensity_when_trying_again() {
    melts_down_after(10).await;
}
