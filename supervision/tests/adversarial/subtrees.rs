//! Supervisors below supervisors that are stopped, killed or given up half way.

use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::{Command, Puppet, Recorder};
use supervision::tree::NodeState;

use crate::{BUDGET, count, kill, paths, root, subtree, until_state};

#[tokio::test(start_paused = true)]
async fn a_subtree_that_is_stopped_while_it_starts_stops_what_it_has_in_order() {
    let record = Recorder::new();
    let (a, b) = (Puppet::new("a", &record), Puppet::new("b", &record));
    let hang = Puppet::new("hang", &record).hang_start();
    let (inner, outer) = (SupervisorSlot::new(), SupervisorSlot::new());
    let (root, tree) = root(vec![]).await;
    let below = {
        let (a, b, hang, inner) = (a.clone(), b.clone(), hang.clone(), inner.clone());
        ChildSpec::supervisor("outer", "subtree", &outer, move || SupervisorSpec {
            children: vec![a.spec(), subtree("inner", &inner, &[&b, &hang])],
            ..SupervisorSpec::default()
        })
    };
    let of = root.clone();
    let starting = tokio::spawn(async move { of.start_child(below).await });
    record.until("hang hang#1").await;
    let begin = tokio::time::Instant::now();
    root.terminate_child(&"outer".into()).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    assert!(starting.await.unwrap().is_err());
    let lines = record.lines();
    assert_eq!(lines[..3], ["start a#1", "start b#1", "hang hang#1"]);
    assert_eq!(lines[3..], ["stop b#1", "drop b#1", "stop a#1", "drop a#1"]);
    root.shutdown(BUDGET).await;
    assert!(paths(&tree).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_subtree_whose_start_takes_too_long_stops_what_it_has_in_order() {
    let record = Recorder::new();
    let (a, hang) = (Puppet::new("a", &record), Puppet::new("hang", &record).hang_start());
    let slot = SupervisorSlot::new();
    let (root, tree) = root(vec![]).await;
    let limit = Duration::from_secs(2);
    let spec = subtree("below", &slot, &[&a, &hang]).init_timeout(limit);
    assert!(root.start_child(spec).await.is_err());
    assert_eq!(record.lines(), ["start a#1", "hang hang#1", "stop a#1", "drop a#1"]);
    assert_eq!(paths(&tree), ["root"]);
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_supervisor_comes_back_with_its_subtree() {
    let record = Recorder::new();
    let (a, b) = (Puppet::new("a", &record), Puppet::new("b", &record));
    let slot = SupervisorSlot::new();
    let (root, tree) = root(vec![subtree("k1", &slot, &[&a, &b])]).await;
    for round in 1..=5_usize {
        kill(&tree, "root/k1");
        record.until_that(|lines| lines.iter().filter(|line| *line == "start b#1").count() == round + 1).await;
        until_state(&tree, "root/k1", |state| *state == NodeState::Running).await;
        assert_eq!((count(&record, "start a#1"), count(&record, "drop a#1")), (round + 1, round));
    }
    assert_eq!(paths(&tree), ["root", "root/k1", "root/k1/a", "root/k1/b"]);
    assert_eq!(count(&record, "stop a#1"), 0, "a kill runs nothing");
    root.shutdown(BUDGET).await;
    assert_eq!(count(&record, "stop a#1"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_killed_while_it_stops_its_children_comes_back_with_them() {
    let record = Recorder::new();
    let (a, b) = (Puppet::new("a", &record), Puppet::new("b", &record).hang_stop());
    let slot = SupervisorSlot::new();
    let (root, tree) = root(vec![subtree("k2", &slot, &[&a, &b])]).await;
    let of = root.clone();
    let cycling = tokio::spawn(async move { of.cycle_child(&"k2".into()).await });
    until_state(&tree, "root/k2/b", |state| *state == NodeState::Stopping).await;
    kill(&tree, "root/k2");
    cycling.await.unwrap().unwrap();
    assert_eq!(paths(&tree), ["root", "root/k2", "root/k2/a", "root/k2/b"]);
    assert_eq!((count(&record, "start a#1"), count(&record, "drop a#1")), (2, 1));
    assert_eq!((count(&record, "start b#1"), count(&record, "drop b#1")), (2, 1));
    root.shutdown(BUDGET).await;
    assert_eq!((count(&record, "drop a#1"), count(&record, "drop b#1")), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_killed_while_it_starts_its_children_is_a_failed_start_that_leaves_nothing() {
    let record = Recorder::new();
    let (a, hang) = (Puppet::new("a", &record), Puppet::new("hang", &record).hang_start());
    let slot = SupervisorSlot::new();
    let (root, tree) = root(vec![]).await;
    let (of, spec) = (root.clone(), subtree("k3", &slot, &[&a, &hang]));
    let starting = tokio::spawn(async move { of.start_child(spec).await });
    record.until("hang hang#1").await;
    kill(&tree, "root/k3");
    assert!(starting.await.unwrap().is_err());
    assert_eq!(count(&record, "drop a#1"), 1);
    assert_eq!(paths(&tree), ["root"]);
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_killed_while_children_back_off_forgets_their_retries() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let slot = SupervisorSlot::new();
    let of = a.clone();
    let below = ChildSpec::supervisor("k4", "subtree", &slot, move || SupervisorSpec {
        children: vec![of.spec().counts(false).backoff(crate::every(Duration::from_secs(10)))],
        ..SupervisorSpec::default()
    });
    let (root, tree) = root(vec![below]).await;
    a.tell(Command::Error("broken"));
    until_state(&tree, "root/k4/a", crate::is_waiting).await;
    kill(&tree, "root/k4");
    record.until_that(|lines| lines.iter().filter(|line| *line == "start a#1").count() == 2).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(count(&record, "start a#2"), 0, "{record:?}");
    root.shutdown(BUDGET).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_supervisors_child_is_gone_before_its_successor_starts() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let slot = SupervisorSlot::new();
    let (root, tree) = root(vec![subtree("k5", &slot, &[&a])]).await;
    let release = Arc::new(AtomicBool::new(false));
    a.tell(Command::Block(Arc::clone(&release)));
    record.until("block a#1").await;
    kill(&tree, "root/k5");
    // Held up for as long as a killed child is given, then gone or shown as what it is.
    record.until_that(|lines| lines.iter().filter(|line| *line == "start a#1").count() == 2).await;
    let zombies = || tree.snapshot(&Default::default()).nodes.iter().any(|node| node.state == NodeState::Zombie);
    let known = count(&record, "drop a#1") == 1 || zombies();
    release.store(true, Ordering::SeqCst);
    assert!(known, "two of one child, and nobody says so: {record:?}");
    root.shutdown(BUDGET).await;
}
