//! Requests at the worst moment.

use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::{Command, Puppet, Recorder};
use supervision::tree::NodeState;
use supervision::{AdminError, ReconfigureOptions};

use crate::{BUDGET, count, every, is_waiting, paths, root, root_of, rules, until_state};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_starts_of_one_id_one_succeeds() {
    let record = Recorder::new();
    let (root, _) = root(vec![]).await;
    let (mut started, mut refused) = (0, 0);
    let a = Puppet::new("a", &record);
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (root, spec) = (root.clone(), a.spec());
            tokio::spawn(async move { root.start_child(spec).await })
        })
        .collect();
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => started += 1,
            Err(AdminError::AlreadyStarted(_)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((started, refused), (1, 99));
    assert_eq!(count(&record, "start a#1"), 1);
    root.shutdown(BUDGET).await;
    assert_eq!(record.lines(), ["start a#1", "stop a#1", "drop a#1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminate_that_races_with_a_crash_leaves_the_child_down() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let (root, tree) = root(vec![a.spec().restart(Restart::Transient)]).await;
    for round in 0..100_u64 {
        drop(a.address().try_cast(Command::Panic("boom")));
        root.terminate_child(&"a".into()).await.unwrap();
        assert_eq!(tree.node(&"root/a".into()).unwrap().state, NodeState::Exited, "round {round}");
        let starts = record.lines().iter().filter(|line| line.starts_with("start a#")).count();
        let drops = record.lines().iter().filter(|line| line.starts_with("drop a#")).count();
        assert_eq!(starts, drops, "round {round}: an incarnation is left");
        tree.act(&"root/a".into(), supervision::tree::Action::Restart).await.unwrap();
        a.address().wait_live().await;
    }
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_waits_for_its_retry_is_terminated_and_deleted_for_good() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let (root, tree) = root(vec![a.spec().backoff(every(Duration::from_secs(10)))]).await;
    a.tell(Command::Error("broken"));
    until_state(&tree, "root/a", is_waiting).await;
    assert!(matches!(root.delete_child(&"a".into()).await, Err(AdminError::Restarting)));
    assert!(matches!(root.restart_child(&"a".into()).await, Err(AdminError::Restarting)));
    root.terminate_child(&"a".into()).await.unwrap();
    root.delete_child(&"a".into()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(record.lines(), ["start a#1", "drop a#1"]);
    assert_eq!(paths(&tree), ["root"]);
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_gives_up_the_start_of_a_dynamic_child() {
    let record = Recorder::new();
    let slot = SupervisorSlot::new();
    let (root, tree) = root(vec![ChildSpec::dynamic("all", "all", &slot, DynamicOptions::default())]).await;
    let (of, hang) = (slot.handle(), Puppet::new("hang", &record).hang_start());
    let starting = tokio::spawn(async move { of.start_child(hang.spec()).await });
    record.until("hang hang#1").await;
    let begin = tokio::time::Instant::now();
    let report = root.shutdown(BUDGET).await;
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    assert!(report.stragglers.is_empty(), "{report:?}");
    let refused = starting.await.unwrap().unwrap_err();
    assert!(matches!(refused, AdminError::ShuttingDown), "{refused}");
    assert!(paths(&tree).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_reconfiguration_during_a_round_holds() {
    let record = Recorder::new();
    let puppets = ["a", "b", "c"].map(|name| Puppet::new(name, &record));
    let slow = puppets[2].clone().hang_stop();
    let specs = |with: &[&Puppet]| with.iter().map(|puppet| puppet.spec()).collect::<Vec<_>>();
    let (root, tree) = root_of(Strategy::OneForAll, specs(&[&puppets[0], &puppets[1], &slow])).await;
    puppets[0].tell(Command::Error("broken"));
    until_state(&tree, "root/c", |state| *state == NodeState::Stopping).await;
    // `c` is being stopped for a round that is to restart all three: `b` goes, `d` comes, the strategy changes.
    let d = Puppet::new("d", &record);
    let all = ReconfigureOptions { start_new: true, stop_removed: true };
    root.reconfigure(rules(Strategy::RestForOne, specs(&[&puppets[0], &slow, &d])), all).await.unwrap();
    record.until("start d#1").await;
    for (path, incarnation) in [("root/a", 2), ("root/c", 2), ("root/d", 1)] {
        until_state(&tree, path, |state| *state == NodeState::Running).await;
        assert_eq!(tree.node(&path.into()).unwrap().incarnation, incarnation, "{path}");
    }
    assert_eq!(paths(&tree), ["root", "root/a", "root/c", "root/d"]);
    assert_eq!(count(&record, "start b#2"), 0);
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_is_wanted_again_while_it_is_being_removed_comes_back() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record).hang_stop();
    let (root, tree) = root(vec![a.spec()]).await;
    let all = ReconfigureOptions { start_new: true, stop_removed: true };
    root.reconfigure(rules(Strategy::OneForOne, vec![]), all).await.unwrap();
    until_state(&tree, "root/a", |state| *state == NodeState::Stopping).await;
    root.reconfigure(rules(Strategy::OneForOne, vec![a.spec()]), all).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let node = tree.node(&"root/a".into());
    assert!(node.is_some_and(|node| node.state == NodeState::Running), "a reload of a reload lost the child");
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_suspended_child_is_not_restarted_by_a_round_that_waits() {
    let record = Recorder::new();
    let (a, b) = (Puppet::new("a", &record), Puppet::new("b", &record));
    let specs = vec![a.spec().backoff(every(Duration::from_secs(10))), b.spec()];
    let (root, tree) = root_of(Strategy::RestForOne, specs).await;
    a.tell(Command::Error("broken"));
    until_state(&tree, "root/a", is_waiting).await;
    root.suspend(&"a".into()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(count(&record, "start a#2"), 0, "{record:?}");
    assert_eq!(tree.node(&"root/a".into()).unwrap().state, NodeState::Suspended);
    root.resume(&"a".into()).await.unwrap();
    a.address().wait_live().await;
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn terminating_the_culprit_of_a_waiting_round_lets_the_others_come_back() {
    let record = Recorder::new();
    let puppets = ["a", "b", "c"].map(|name| Puppet::new(name, &record));
    let mut specs: Vec<_> = puppets.iter().map(Puppet::spec).collect();
    specs[1] = puppets[1].spec().backoff(every(Duration::from_secs(10)));
    let (root, tree) = root_of(Strategy::OneForAll, specs).await;
    puppets[1].tell(Command::Error("broken"));
    until_state(&tree, "root/b", is_waiting).await;
    root.terminate_child(&"b".into()).await.unwrap();
    record.until("start c#2").await;
    assert_eq!(count(&record, "start b#2"), 0);
    assert_eq!(tree.node(&"root/b".into()).unwrap().state, NodeState::Exited);
    root.restart_child(&"b".into()).await.unwrap();
    assert_eq!(count(&record, "start c#2"), 1);
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_root_whose_start_is_given_up_leaves_nothing() {
    let record = Recorder::new();
    let (a, hang) = (Puppet::new("a", &record), Puppet::new("hang", &record).hang_start());
    let tree = TreeStore::new();
    let start = Supervisor::start_root(rules(Strategy::OneForOne, vec![a.spec(), hang.spec()]), tree.clone());
    assert!(tokio::time::timeout(Duration::from_secs(1), start).await.is_err());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(paths(&tree).is_empty(), "{:?}", paths(&tree));
    assert_eq!(record.lines(), ["start a#1", "hang hang#1", "stop a#1", "drop a#1"]);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_below_that_was_shut_down_by_its_own_handle_spoils_no_later_stop() {
    let record = Recorder::new();
    let (a, b) = (Puppet::new("a", &record), Puppet::new("b", &record));
    let slot = SupervisorSlot::new();
    let (root, _) = root(vec![a.spec(), crate::subtree("below", &slot, &[&b])]).await;
    slot.handle().shutdown(Duration::from_millis(100)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    // A budget of something else, long over, cuts no stop short.
    root.terminate_child(&"a".into()).await.unwrap();
    assert!(record.lines().contains(&"stop a#1".to_owned()), "{record:?}");
    let report = root.shutdown(BUDGET).await;
    assert!(report.stragglers.is_empty(), "{report:?}");
    assert_eq!(count(&record, "stop b#1"), 2, "once for each supervisor it had: {record:?}");
}

#[tokio::test(start_paused = true)]
async fn an_address_of_a_slot_that_a_reconfiguration_replaced_says_that_nobody_is_there() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let (root, _) = root(vec![a.spec()]).await;
    let other = Slot::new();
    let replaced = a.clone().in_slot(&other);
    root.reconfigure(rules(Strategy::OneForOne, vec![replaced.spec()]), ReconfigureOptions::default()).await.unwrap();
    root.cycle_child(&"a".into()).await.unwrap();
    assert_eq!(replaced.incarnation().await, 2);
    assert!(matches!(a.address().call(Command::Incarnation, BUDGET).await, Err(CallError::NoProc)));
    let wait = tokio::time::timeout(Duration::from_secs(1), a.address().wait_live()).await;
    assert!(wait.is_err(), "the old slot still shows a live actor");
    root.shutdown(BUDGET).await;
}
