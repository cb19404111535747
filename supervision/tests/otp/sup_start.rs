//! Starts that succeed, fail or come to nothing.

use supervision::prelude::*;
use supervision::testing::Recorder;
use supervision::tree::{NodeState, Query};
use supervision::{AdminError, ExitClass, Init, StartError};

use crate::support::*;

fn failed(answer: Result<supervision::Started, AdminError>) -> ExitReason {
    match answer {
        Err(AdminError::StartFailed(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn sup_start_normal() {
    let (sup, tree) = start(rules(Strategy::OneForOne, 1)).await;
    assert_eq!(counts(&sup).await, [0, 0, 0, 0]);
    assert!(sup.which_children().await.unwrap().is_empty());
    assert!(sup.shutdown(LONG).await.stragglers.is_empty());
    let reason = sup.wait().await;
    assert_eq!((reason.class(), reason.text().as_str()), (ExitClass::Shutdown, "shutdown"));
    assert!(tree.snapshot(&Query::default()).nodes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn sup_start_ignore_init() {
    let slot = SupervisorSlot::new();
    let nothing = ChildSpec::supervisor_with("nothing", "sup", &slot, |_| Ok(Init::Ignore));
    let (root, tree) = start(rules(Strategy::OneForOne, 1)).await;
    let started = root.start_child(nothing.clone()).await.unwrap();
    assert!(started.is_ignored() && started.info.is_none());
    assert!(matches!(slot.handle().count_children().await, Err(AdminError::NoProc)));
    assert_eq!(states(&root).await, [("nothing".to_owned(), NodeState::Ignored)]);
    assert!(tree.history(&"root/nothing".into()).is_empty(), "nothing has ended");
    root.shutdown(LONG).await;

    // At boot it is no failure either.
    let (root, tree) = start(SupervisorSpec { children: vec![nothing], ..rules(Strategy::OneForOne, 0) }).await;
    assert_eq!(counts(&root).await, [1, 0, 1, 0]);
    assert!(tree.history(&"root/nothing".into()).is_empty());
    root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn sup_start_ignore_child() {
    let record = Recorder::new();
    let (sup, _) = start(rules(Strategy::OneForOne, 2)).await;
    let (child1, child2) = (Probe::new("child1", &record), Probe::new("child2", &record));
    child1.next_starts(&[Birth::Ignore]);
    assert!(sup.start_child(child1.spec()).await.unwrap().is_ignored());
    let actor = sup.start_child(child2.spec()).await.unwrap().actor;
    let listed = sup.which_children().await.unwrap();
    let row = |at: usize| (listed[at].id.as_str(), listed[at].actor, listed[at].state);
    assert_eq!(row(0), ("child1", None, NodeState::Ignored));
    assert_eq!(row(1), ("child2", actor, NodeState::Running));
    assert!(actor.is_some());
    assert_eq!(counts(&sup).await, [2, 1, 0, 2]);
    // What was kept can be tried again.
    assert!(!sup.restart_child(&child1.id()).await.unwrap().is_ignored());
    assert_eq!(counts(&sup).await, [2, 2, 0, 2]);
    sup.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn sup_start_ignore_temporary_child() {
    let record = Recorder::new();
    let (child1, child2) = (Probe::new("child1", &record), Probe::new("child2", &record));
    child1.next_starts(&[Birth::Ignore]);
    let children = [&child1, &child2].map(|child| child.spec().restart(Restart::Temporary)).into();
    let (sup, tree) = start(SupervisorSpec { children, ..rules(Strategy::OneForOne, 2) }).await;
    assert_eq!(states(&sup).await, [("child2".to_owned(), NodeState::Running)]);
    assert_eq!(counts(&sup).await, [1, 1, 0, 1]);
    assert!(tree.node(&"root/child1".into()).is_none());
    assert!(matches!(sup.restart_child(&child1.id()).await, Err(AdminError::NotFound)));
    sup.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn sup_start_ignore_temporary_child_start_child() {
    let record = Recorder::new();
    let (sup, tree) = start(rules(Strategy::OneForOne, 2)).await;
    let (child1, child2) = (Probe::new("child1", &record), Probe::new("child2", &record));
    child1.next_starts(&[Birth::Ignore]);
    assert!(sup.start_child(child1.spec().restart(Restart::Temporary)).await.unwrap().is_ignored());
    assert!(!sup.start_child(child2.spec().restart(Restart::Temporary)).await.unwrap().is_ignored());
    assert_eq!(states(&sup).await, [("child2".to_owned(), NodeState::Running)]);
    assert_eq!(counts(&sup).await, [1, 1, 0, 1]);
    assert!(tree.node(&"root/child1".into()).is_none());
    // Its id is free again.
    sup.start_child(child1.spec()).await.unwrap();
    sup.shutdown(LONG).await;
}

/// One child ignores its start, the next runs; only that one is known.
async fn ignored_under_a_template(restart: Restart) -> Simple {
    let record = Recorder::new();
    let simple = simple(at_most(2), move |spec| spec.restart(restart)).await;
    let (child1, child2) = (Probe::new("child1", &record), Probe::new("child2", &record));
    child1.next_starts(&[Birth::Ignore]);
    assert!(simple.children.start_child(child1).await.unwrap().is_ignored());
    let actor = simple.children.start_child(child2.clone()).await.unwrap().actor;
    let listed = simple.sup.which_children().await.unwrap();
    assert_eq!(listed.iter().map(|child| child.actor).collect::<Vec<_>>(), [actor]);
    assert_eq!(counts(&simple.sup).await, [1, 1, 0, 1]);
    assert_eq!(record.lines(), ["ignore child1#1", "start child2#1"]);
    simple
}

#[tokio::test(start_paused = true)]
async fn sup_start_ignore_temporary_child_start_child_simple() {
    ignored_under_a_template(Restart::Temporary).await.root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn sup_start_ignore_permanent_child_start_child_simple() {
    let simple = ignored_under_a_template(Restart::Permanent).await;
    // What was ignored is not in the way of the end.
    simple.root.terminate_child(&"simple".into()).await.unwrap();
    assert_eq!(last_exit(&simple.tree, "root/simple").class, ExitClass::Shutdown);
    assert!(simple.root.shutdown(LONG).await.stragglers.is_empty());

    // Children started on demand from specs of their own are forgotten in the same way.
    let record = Recorder::new();
    let dynamic = dynamic(at_most(2)).await;
    let (child1, child2) = (Probe::new("child1", &record), Probe::new("child2", &record));
    child1.next_starts(&[Birth::Ignore]);
    assert!(dynamic.sup.start_child(child1.spec()).await.unwrap().is_ignored());
    dynamic.sup.start_child(child2.spec()).await.unwrap();
    assert_eq!(states(&dynamic.sup).await, [("child2".to_owned(), NodeState::Running)]);
    assert_eq!(counts(&dynamic.sup).await, [1, 1, 0, 1]);
    dynamic.root.terminate_child(&"dynamic".into()).await.unwrap();
    assert!(dynamic.root.shutdown(LONG).await.stragglers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn sup_start_error_return() {
    // An init can come to rules or to nothing; there is no third thing it could return.
    let word = |init: &Init| match init {
        Init::Run(_) => "run",
        Init::Ignore => "ignore",
    };
    assert_eq!([word(&Init::Run(SupervisorSpec::default())), word(&Init::Ignore)], ["run", "ignore"]);
    // What is left of a bad return is an error, and rules that make no sense. Both come back to who asked.
    let (root, _) = start(rules(Strategy::OneForOne, 1)).await;
    let slot = SupervisorSlot::new();
    let refused = ChildSpec::supervisor_with("refused", "sup", &slot, |_| Err("no rules today".into()));
    let reason = failed(root.start_child(refused).await);
    assert_eq!((reason.class(), reason.text().as_str()), (ExitClass::InitFailed, "no rules today"));
    let senseless = ChildSpec::supervisor_with("senseless", "sup", &slot, |_| {
        let intensity = Intensity { max_restarts: 1, period: std::time::Duration::ZERO };
        Ok(Init::Run(SupervisorSpec { intensity, ..SupervisorSpec::default() }))
    });
    let reason = failed(root.start_child(senseless).await);
    assert_eq!((reason.class(), reason.text().as_str()), (ExitClass::InitFailed, "the intensity period is zero"));
    assert_eq!(counts(&root).await, [0, 0, 0, 0]);
    root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn sup_start_fail() {
    let record = Recorder::new();
    let slot = SupervisorSlot::new();
    let init = |_: &StartCtx| -> Result<Init, BoxError> { panic!("no init") };
    let crashing = ChildSpec::supervisor_with("crashing", "sup", &slot, init);
    let sibling = Probe::new("sibling", &record);
    let spec = SupervisorSpec { children: vec![sibling.spec()], ..rules(Strategy::OneForAll, 0) };
    let (root, tree) = start(spec.clone()).await;
    let reason = failed(root.start_child(crashing.clone()).await);
    assert_eq!((reason.class(), reason.text().as_str()), (ExitClass::InitFailed, "no init"));
    assert!(reason.location().is_some());
    // The failure went to who asked and nowhere else: no restart, no tick, no sibling touched.
    assert_eq!(tree.node(&"root".into()).unwrap().intensity.unwrap().used, 0);
    assert_eq!(sibling.incarnation().await, 1);
    assert_eq!(counts(&root).await, [1, 1, 0, 1]);
    root.shutdown(LONG).await;

    // The first start of a tree fails the same way.
    record.clear();
    let tree = TreeStore::new();
    let children = vec![sibling.spec(), crashing];
    match Supervisor::start_root(SupervisorSpec { children, ..spec }, tree.clone()).await {
        Err(StartError::Child { id, reason }) => {
            assert_eq!((id.as_str(), reason.text().as_str()), ("crashing", "no init"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(record.lines(), ["start sibling#1", "stop sibling#1", "drop sibling#1"]);
    assert!(tree.snapshot(&Query::default()).nodes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn sup_start_child_returns_error() {
    let record = Recorder::new();
    let (sup, tree) = start(rules(Strategy::OneForOne, 2)).await;
    for (birth, text) in [(Birth::Fail, "start refused"), (Birth::Panic, "start panicked")] {
        for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
            let child = Probe::new("child1", &record);
            child.next_starts(&[birth]);
            let reason = failed(sup.start_child(child.spec().restart(restart)).await);
            assert_eq!((reason.class(), reason.text().as_str()), (ExitClass::InitFailed, text));
            assert!(sup.which_children().await.unwrap().is_empty());
            assert_eq!(counts(&sup).await, [0, 0, 0, 0]);
            assert!(tree.node(&"root/child1".into()).is_none());
        }
    }
    assert_eq!(record.lines(), ["fail child1#1"; 6], "it is not tried again");
    sup.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn sup_start_restart_child_returns_error() {
    let record = Recorder::new();
    let child = Probe::new("child1", &record);
    let (sup, _) = start(SupervisorSpec { children: vec![child.spec()], ..rules(Strategy::OneForOne, 2) }).await;
    sup.terminate_child(&child.id()).await.unwrap();
    child.next_starts(&[Birth::Fail]);
    let reason = failed(sup.restart_child(&child.id()).await);
    assert_eq!((reason.class(), reason.text().as_str()), (ExitClass::InitFailed, "start refused"));
    assert_eq!(states(&sup).await, [("child1".to_owned(), NodeState::Exited)]);
    assert_eq!(counts(&sup).await, [1, 0, 0, 1]);
    // Nothing tries it behind the back of who asked.
    tokio::time::sleep(LONG).await;
    assert_eq!(record.lines().iter().filter(|line| line.starts_with("fail")).count(), 1);
    sup.restart_child(&child.id()).await.unwrap();
    assert_eq!(child.incarnation().await, 3);
    sup.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn sup_start_child_returns_error_simple() {
    let record = Recorder::new();
    let simple = simple(at_most(2), |spec| spec).await;
    for (birth, text) in [(Birth::Fail, "start refused"), (Birth::Panic, "start panicked")] {
        let child = Probe::new("child1", &record);
        child.next_starts(&[birth]);
        let reason = failed(simple.children.start_child(child).await);
        assert_eq!((reason.class(), reason.text().as_str()), (ExitClass::InitFailed, text));
        assert!(simple.sup.which_children().await.unwrap().is_empty());
        assert_eq!(counts(&simple.sup).await, [1, 0, 0, 0], "the template itself");
    }
    // The supervisor goes on.
    assert!(!simple.children.start_child(Probe::new("child2", &record)).await.unwrap().is_ignored());
    simple.root.shutdown(LONG).await;
}
