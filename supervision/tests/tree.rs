//! The tree: snapshots, batches, history, acting.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails at the spot")]

use std::collections::BTreeMap;
use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::{Command, Puppet, Recorder};
use supervision::tree::{ActError, Action, NodeState, NodeView, Query, TreeUpdate, apply};

const BUDGET: Duration = Duration::from_secs(20);

async fn root(children: Vec<ChildSpec>) -> (SupervisorHandle, TreeStore) {
    let tree = TreeStore::new();
    let spec = SupervisorSpec {
        intensity: Intensity { max_restarts: 10_000, period: Duration::from_secs(5) },
        children,
        ..SupervisorSpec::default()
    };
    (Supervisor::start_root(spec, tree.clone()).await.unwrap(), tree)
}

/// A view without counters, which are read and not followed.
fn followed(nodes: impl IntoIterator<Item = NodeView>) -> BTreeMap<u64, NodeView> {
    nodes
        .into_iter()
        .map(|mut node| {
            (node.mailbox, node.handled, node.failed, node.in_hand) = (None, 0, 0, None);
            (node.id, node)
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_and_the_batches_after_it_give_the_next_snapshot() {
    let record = Recorder::new();
    let slot = SupervisorSlot::new();
    let dynamic = ChildSpec::dynamic(
        "many",
        "many",
        &slot,
        DynamicOptions {
            intensity: Intensity { max_restarts: 10_000, period: Duration::from_secs(1) },
            ..DynamicOptions::default()
        },
    );
    let (root, tree) = root(vec![dynamic]).await;
    let start = tree.snapshot(&Query::default());
    let mut changes = tree.subscribe();
    let mut model = followed(start.nodes);
    let mut seq = changes.seq();
    assert_eq!(seq, start.seq);
    let puppets: Vec<Puppet> = (0..8).map(|n| Puppet::new(&format!("p{n}"), &record)).collect();
    for round in 0..30usize {
        let puppet = &puppets[round * 5 % 8];
        match round % 6 {
            0 | 1 => {
                drop(slot.handle().start_child(puppet.spec().label(format!("label {round}"))).await);
            }
            2 => drop(puppet.address().try_cast(Command::Error("broken"))),
            3 => drop(slot.handle().terminate_child(&format!("p{}", round * 5 % 8).as_str().into()).await),
            4 => drop(puppet.address().try_cast(Command::Detail("round", round.to_string()))),
            _ => drop(puppet.address().try_cast(Command::Busy(Some(format!("round {round}"))))),
        }
        tokio::time::sleep(Duration::from_millis(round as u64 * 17 % 90)).await;
        let now = tree.snapshot(&Query::default());
        while seq < now.seq {
            match changes.next().await {
                Some(TreeUpdate::Delta(delta)) => {
                    assert_eq!(delta.seq, seq + 1);
                    seq = delta.seq;
                    apply(&mut model, &delta);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(model, followed(now.nodes), "round {round}");
    }
    root.shutdown(BUDGET).await;
    while let Ok(Some(TreeUpdate::Delta(delta))) = tokio::time::timeout(Duration::from_secs(1), changes.next()).await {
        apply(&mut model, &delta);
    }
    assert!(model.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_change_reaches_a_follower_within_50_ms() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let (root, tree) = root(vec![a.spec()]).await;
    let mut changes = tree.subscribe();
    for n in 2..20 {
        let begin = tokio::time::Instant::now();
        a.tell(Command::Error("broken"));
        'seen: loop {
            let Some(TreeUpdate::Delta(_)) = changes.next().await else { panic!("reset") };
            let node = tree.node(&"root/a".into()).unwrap();
            if node.incarnation == n && node.state == NodeState::Running {
                break 'seen;
            }
        }
        assert!(begin.elapsed() <= Duration::from_millis(50), "{:?}", begin.elapsed());
    }
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_follower_may_come_back_and_one_too_slow_gets_many_batches_as_one() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let (root, tree) = root(vec![a.spec()]).await;
    let mut slow = tree.subscribe();
    let before = tree.snapshot(&Query::default());
    for n in 0..2000 {
        a.tell(Command::Detail("n", n.to_string()));
        a.incarnation().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let now = tree.snapshot(&Query::default());
    let Some(TreeUpdate::Delta(all)) = slow.next().await else { panic!("reset") };
    assert_eq!((all.prev, all.seq, all.ops.len()), (before.seq, now.seq, 1));
    let mut model = followed(before.nodes);
    apply(&mut model, &all);
    assert_eq!(model, followed(now.nodes));
    let mut back = tree.subscribe_from(now.epoch, now.seq - 1);
    let Some(TreeUpdate::Delta(last)) = back.next().await else { panic!("reset") };
    assert_eq!((last.prev, last.seq), (now.seq - 1, now.seq));
    assert_eq!(tree.subscribe_from(before.epoch + 1, 1).next().await, Some(TreeUpdate::Reset));
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_follower_too_many_batches_behind_starts_over() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let (root, tree) = root(vec![a.spec()]).await;
    let mut slow = tree.subscribe();
    for n in 0..4200 {
        a.tell(Command::Detail("n", n.to_string()));
        a.incarnation().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(slow.next().await, Some(TreeUpdate::Reset));
    a.tell(Command::Detail("n", "last".to_owned()));
    let now = tree.snapshot(&Query::default());
    loop {
        let Some(TreeUpdate::Delta(delta)) = slow.next().await else { panic!("reset") };
        if delta.seq > now.seq {
            break;
        }
    }
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn history_keeps_the_last_twenty_exits() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let (root, tree) = root(vec![a.spec()]).await;
    for n in 2..30 {
        a.tell(Command::Error("broken"));
        record.until(&format!("start a#{n}")).await;
        a.address().wait_live().await;
    }
    let history = tree.history(&"root/a".into());
    assert_eq!(history.len(), 20);
    assert_eq!((history[0].incarnation, history[19].incarnation), (9, 28));
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn counters_are_read_with_the_snapshot() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let (root, tree) = root(vec![a.spec()]).await;
    for _ in 0..5 {
        a.incarnation().await;
    }
    a.tell(Command::Error("broken"));
    record.until("start a#2").await;
    a.address().wait_live().await;
    a.tell(Command::Hang);
    a.tell(Command::Drain);
    record.until("hang a#2").await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    let node = tree.node(&"root/a".into()).unwrap();
    assert_eq!((node.handled, node.failed), (6, 1));
    assert!(node.in_hand.unwrap() >= Duration::from_secs(7));
    let mailbox = node.mailbox.unwrap();
    assert_eq!((mailbox.depth, mailbox.bound), (2, 64));
    assert!(mailbox.oldest.unwrap() >= Duration::from_secs(7));
    assert_eq!(tree.metrics(&[node.id])[0].handled, 6);
    root.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn every_node_below_a_supervisor_can_be_acted_on() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let slot = SupervisorSlot::new();
    let of = a.clone();
    let inner = ChildSpec::supervisor("inner", "inner", &slot, move || SupervisorSpec {
        children: vec![of.spec()],
        ..SupervisorSpec::default()
    });
    let (root, tree) = root(vec![inner]).await;
    let (leaf, sup) = (ActorPath::from("root/inner/a"), ActorPath::from("root/inner"));
    tree.act(&leaf, Action::Restart).await.unwrap();
    assert_eq!(a.incarnation().await, 2);
    tree.act(&leaf, Action::Stop).await.unwrap();
    assert_eq!(tree.node(&leaf).unwrap().state, NodeState::Exited);
    tree.act(&leaf, Action::Start).await.unwrap();
    assert_eq!(a.incarnation().await, 3);
    tree.act(&leaf, Action::Suspend).await.unwrap();
    assert!(tree.node(&leaf).unwrap().flags.suspended);
    a.tell(Command::Error("broken"));
    let mut changes = tree.subscribe();
    while tree.node(&leaf).unwrap().state != NodeState::Suspended {
        changes.next().await;
    }
    tree.act(&leaf, Action::Resume).await.unwrap();
    assert_eq!(a.incarnation().await, 4);
    tree.act(&leaf, Action::ResetBackoff).await.unwrap();
    tree.act(&sup, Action::Restart).await.unwrap();
    assert_eq!(a.incarnation().await, 1, "a new supervisor counts afresh");
    assert_eq!(tree.children(&sup).len(), 1);
    tree.act(&sup, Action::Stop).await.unwrap();
    assert!(tree.node(&leaf).is_none());
    assert!(matches!(tree.act(&leaf, Action::Stop).await, Err(ActError::NotFound)));
    assert!(matches!(tree.act(&"root".into(), Action::Restart).await, Err(ActError::NotSupported)));
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_query_limits_what_is_shown() {
    let record = Recorder::new();
    let slot = PartitionSlot::new();
    let parts = ChildSpec::partitioned("parts", "parts", &slot, 3, DynamicOptions::default());
    let (root, tree) = root(vec![Puppet::new("a", &record).spec(), parts]).await;
    let paths = |query: Query| -> Vec<String> {
        tree.snapshot(&query).nodes.iter().map(|node| node.path.to_string()).collect()
    };
    let all = ["root", "root/a", "root/parts", "root/parts/0", "root/parts/1", "root/parts/2"];
    assert_eq!(paths(Query::default()), all);
    assert_eq!(paths(Query { depth: Some(1), ..Query::default() }), all[..3]);
    assert_eq!(paths(Query { root: Some("root/parts".into()), ..Query::default() }), all[2..]);
    assert_eq!(paths(Query { limit: Some(2), ..Query::default() }), all[..2]);
    root.shutdown(BUDGET).await;
}
