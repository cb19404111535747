//! Partition supervisors.

use supervision::AdminError;
use supervision::prelude::*;
use supervision::testing::Recorder;
use supervision::tree::NodeState;

use crate::support::{Birth, Death, LONG, Probe, at_most, counts, rules, start, until_node};

/// A root with a partition supervisor of `n` at `root/parts`.
async fn partitioned(n: usize) -> (SupervisorHandle, TreeStore, PartitionSlot) {
    let slot = PartitionSlot::new();
    let children = vec![ChildSpec::partitioned("parts", "parts", &slot, n, at_most(1))];
    let (root, tree) = start(SupervisorSpec { children, ..rules(Strategy::OneForOne, 10) }).await;
    (root, tree, slot)
}

/// The ids of the children of every partition.
async fn everybody(slot: &PartitionSlot) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for part in slot.handles() {
        all.push(part.which_children().await.unwrap().into_iter().map(|child| child.id.to_string()).collect());
    }
    all
}

#[tokio::test(start_paused = true)]
async fn start_link_on_success() {
    let ((root, _, slot), record) = (partitioned(4).await, Recorder::new());
    for n in 0..100 {
        let child = Probe::new(&format!("child{n:02}"), &record);
        slot.handle_for(&n).unwrap().start_child(child.spec()).await.unwrap();
    }
    let parts = everybody(&slot).await;
    assert!(parts.iter().all(|part| !part.is_empty()), "{parts:?}");
    let mut all: Vec<String> = parts.concat();
    all.sort();
    assert_eq!(all, (0..100).map(|n| format!("child{n:02}")).collect::<Vec<_>>());
    // The same key leads to the same part: its child is already there.
    let again = slot.handle_for(&42).unwrap().start_child(Probe::new("child42", &record).spec()).await;
    assert!(matches!(again, Err(AdminError::AlreadyStarted(_))));
    root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn start_link_on_bad_partitions() {
    let (root, _, slot) = partitioned(0).await;
    assert_eq!(slot.handles().count(), 1, "there is always one");
    assert_eq!(counts(&slot.handle_for(&"key").unwrap()).await, [0, 0, 0, 0]);
    root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn stop_is_synchronous() {
    let ((root, tree, slot), record) = (partitioned(3).await, Recorder::new());
    slot.handle_for(&1).unwrap().start_child(Probe::new("child", &record).spec()).await.unwrap();
    root.terminate_child(&"parts".into()).await.unwrap();
    assert_eq!(record.lines(), ["start child#1", "stop child#1", "drop child#1"]);
    for part in slot.handles() {
        assert!(matches!(part.count_children().await, Err(AdminError::NoProc)));
    }
    assert!(tree.children(&"root/parts".into()).is_empty());
    root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn which_children_returns_all_partitions() {
    let (root, tree, slot) = partitioned(3).await;
    let parts = tree.children(&"root/parts".into());
    assert_eq!(parts.iter().map(|part| part.name.to_string()).collect::<Vec<_>>(), ["0", "1", "2"]);
    assert!(parts.iter().all(|part| part.is_supervisor && part.state == NodeState::Running));
    assert_eq!(everybody(&slot).await, vec![Vec::<String>::new(); 3]);
    root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn count_children_with_supervisors() {
    let ((root, _, slot), record) = (partitioned(3).await, Recorder::new());
    assert_eq!(slot.handles().count(), 3);
    slot.handle_for(&"one").unwrap().start_child(Probe::new("one", &record).spec()).await.unwrap();
    let mut sum = [0; 4];
    for part in slot.handles() {
        for (sum, count) in sum.iter_mut().zip(counts(&part).await) {
            *sum += count;
        }
    }
    assert_eq!(sum, [1, 1, 0, 1]);
    root.shutdown(LONG).await;
}

/// What the partitions are for.
#[tokio::test(start_paused = true)]
async fn a_meltdown_takes_out_one_partition_only() {
    let ((root, tree, slot), record) = (partitioned(3).await, Recorder::new());
    let parts: Vec<_> = slot.handles().collect();
    let (bad, good) = (Probe::new("bad", &record), Probe::new("good", &record));
    parts[0].start_child(bad.spec()).await.unwrap();
    parts[1].start_child(good.spec()).await.unwrap();
    bad.all_starts(Birth::Fail);
    bad.die(Death::Error).await;
    until_node(&tree, "root/parts/0", |node| node.is_some_and(|node| node.restarts == 1)).await;
    assert_eq!(good.incarnation().await, 1);
    assert!(!record.lines().contains(&"stop good#1".to_owned()));
    root.shutdown(LONG).await;
}
