//! Supervisors on the real runtime: restarts, strategies, start and stop orders.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails at the spot")]

use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::{Command, Puppet, Recorder};
use supervision::tree::NodeState;
use supervision::{AdminError, ExitClass, Handling, ReconfigureOptions, StartError};

fn spec(strategy: Strategy, children: Vec<ChildSpec>) -> SupervisorSpec {
    SupervisorSpec {
        strategy,
        intensity: Intensity { max_restarts: 10, period: Duration::from_secs(5) },
        children,
        ..SupervisorSpec::default()
    }
}

async fn root(strategy: Strategy, children: Vec<ChildSpec>) -> (SupervisorHandle, TreeStore) {
    let tree = TreeStore::new();
    let root = Supervisor::start_root(spec(strategy, children), tree.clone()).await.unwrap();
    (root, tree)
}

#[tokio::test(start_paused = true)]
async fn children_start_in_order_and_stop_in_reverse() {
    let record = Recorder::new();
    let specs = ["a", "b", "c"].map(|name| Puppet::new(name, &record).spec());
    let (root, tree) = root(Strategy::OneForOne, specs.into()).await;
    assert_eq!(record.lines(), ["start a#1", "start b#1", "start c#1"]);
    record.clear();
    let report = root.shutdown(Duration::from_secs(10)).await;
    assert!(report.stragglers.is_empty());
    assert_eq!(record.lines(), ["stop c#1", "drop c#1", "stop b#1", "drop b#1", "stop a#1", "drop a#1"]);
    assert_eq!(root.wait().await.class(), ExitClass::Shutdown);
    assert!(tree.snapshot(&Default::default()).nodes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_child_is_restarted_after_a_panic_and_an_error() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let (root, tree) = root(Strategy::OneForOne, vec![a.spec()]).await;
    a.tell(Command::Panic("boom"));
    record.until("start a#2").await;
    a.address().wait_live().await;
    a.tell(Command::Error("broken"));
    record.until("start a#3").await;
    assert_eq!(a.incarnation().await, 3);
    let history = tree.history(&"root/a".into());
    assert_eq!(history.iter().map(|exit| exit.class).collect::<Vec<_>>(), [ExitClass::Panic, ExitClass::Error]);
    assert!(history.iter().all(|exit| exit.handling == Handling::Restart));
    let panic = &history[0];
    assert_eq!(panic.text, "boom");
    assert!(panic.location.as_deref().unwrap().contains("testing.rs:"), "{panic:?}");
    root.shutdown(Duration::from_secs(10)).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_undoes_those_before_in_reverse() {
    let record = Recorder::new();
    let (a, b, c) = (Puppet::new("a", &record), Puppet::new("b", &record), Puppet::new("c", &record));
    c.fail_starts(1);
    let tree = TreeStore::new();
    let started =
        Supervisor::start_root(spec(Strategy::OneForOne, vec![a.spec(), b.spec(), c.spec()]), tree.clone()).await;
    match started {
        Err(StartError::Child { id, .. }) => assert_eq!(id.as_str(), "c"),
        other => panic!("{other:?}"),
    }
    assert_eq!(record.lines(), ["start a#1", "start b#1", "fail c#1", "stop b#1", "drop b#1", "stop a#1", "drop a#1"]);
    assert!(tree.snapshot(&Default::default()).nodes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn rest_for_one_restarts_those_after_in_order() {
    let record = Recorder::new();
    let puppets = ["a", "b", "c"].map(|name| Puppet::new(name, &record));
    let (root, _) = root(Strategy::RestForOne, puppets.iter().map(Puppet::spec).collect()).await;
    record.clear();
    puppets[1].tell(Command::Error("broken"));
    record.until("start c#2").await;
    assert_eq!(record.lines(), ["drop b#1", "stop c#1", "drop c#1", "start b#2", "start c#2"]);
    assert_eq!(puppets[0].incarnation().await, 1);
    root.shutdown(Duration::from_secs(10)).await;
}

#[tokio::test(start_paused = true)]
async fn admin_requests_have_otps_results() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let (root, _) = root(Strategy::OneForOne, vec![]).await;
    let id = ChildId::from("a");
    root.start_child(a.spec()).await.unwrap();
    assert!(matches!(root.start_child(a.spec()).await, Err(AdminError::AlreadyStarted(Some(_)))));
    assert!(matches!(root.restart_child(&id).await, Err(AdminError::Running)));
    assert!(matches!(root.delete_child(&id).await, Err(AdminError::Running)));
    root.terminate_child(&id).await.unwrap();
    root.terminate_child(&id).await.unwrap();
    assert!(matches!(root.start_child(a.spec()).await, Err(AdminError::AlreadyPresent)));
    assert_eq!(root.which_child(&id).await.unwrap().state, NodeState::Exited);
    root.restart_child(&id).await.unwrap();
    assert_eq!(a.incarnation().await, 2);
    root.cycle_child(&id).await.unwrap();
    assert_eq!(a.incarnation().await, 3);
    root.terminate_child(&id).await.unwrap();
    root.delete_child(&id).await.unwrap();
    assert!(matches!(root.terminate_child(&id).await, Err(AdminError::NotFound)));
    assert!(matches!(root.restart_child(&id).await, Err(AdminError::NotFound)));
    root.shutdown(Duration::from_secs(10)).await;
}

#[tokio::test(start_paused = true)]
async fn reconfiguring_keeps_what_stays_and_starts_and_stops_what_it_is_told_to() {
    let record = Recorder::new();
    let puppets = ["a", "b", "c"].map(|name| Puppet::new(name, &record));
    let (root, tree) = root(Strategy::OneForOne, vec![puppets[0].spec(), puppets[1].spec()]).await;
    let twice = spec(Strategy::OneForOne, vec![puppets[0].spec(), puppets[0].spec()]);
    assert!(matches!(root.reconfigure(twice, ReconfigureOptions::default()).await, Err(AdminError::Spec(_))));
    let next = spec(Strategy::RestForOne, vec![puppets[0].spec().label("first".into()), puppets[2].spec()]);
    let all = ReconfigureOptions { start_new: true, stop_removed: true };
    let report = root.reconfigure(next, all).await.unwrap();
    assert_eq!((report.kept, report.added, report.removed), (vec!["a".into()], vec!["c".into()], vec!["b".into()]));
    record.until("start c#1").await;
    record.until("stop b#1").await;
    assert_eq!(puppets[0].incarnation().await, 1);
    assert_eq!(tree.node(&"root/a".into()).unwrap().label.as_deref(), Some("first"));
    assert_eq!(tree.node(&"root".into()).unwrap().strategy, Some(Strategy::RestForOne));
    root.shutdown(Duration::from_secs(10)).await;
}

#[tokio::test(start_paused = true)]
async fn a_dynamic_supervisor_bounds_its_children_and_stops_them_together() {
    let record = Recorder::new();
    let slot = SupervisorSlot::new();
    let options = DynamicOptions { max_children: Some(20), ..DynamicOptions::default() };
    let (root, _) = root(Strategy::OneForOne, vec![ChildSpec::dynamic("all", "all", &slot, options)]).await;
    for n in 0..20 {
        let slow = Puppet::new(&format!("p{n}"), &record).hang_stop();
        slot.handle().start_child(slow.spec().shutdown(Shutdown::Timeout(Duration::from_secs(2)))).await.unwrap();
    }
    let more = slot.handle().start_child(Puppet::new("more", &record).spec()).await;
    assert!(matches!(more, Err(AdminError::MaxChildren)));
    let begin = tokio::time::Instant::now();
    assert_eq!(root.shutdown(Duration::from_secs(60)).await.stragglers.len(), 20);
    assert!(begin.elapsed() < Duration::from_secs(3));
}
