//! What can be asked of a supervisor, and the answers.

use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::Recorder;
use supervision::tree::{Action, NodeState};
use supervision::{AdminError, ExitClass, Started};

use crate::support::*;

/// An answer in a word.
fn word<T>(answer: Result<T, AdminError>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(AdminError::NotFound) => "not_found",
        Err(AdminError::Running) => "running",
        Err(AdminError::Restarting) => "restarting",
        Err(AdminError::AlreadyStarted(Some(_))) => "already_started",
        Err(AdminError::AlreadyStarted(None)) => "already_starting",
        Err(AdminError::AlreadyPresent) => "already_present",
        Err(AdminError::NotSupported) => "not_supported",
        Err(AdminError::ShuttingDown) => "shutting_down",
        Err(AdminError::NoProc) => "noproc",
        Err(other) => panic!("{other:?}"),
    }
}

/// What is said to a start, a restart and a deletion that are refused in the child's state.
async fn refusals(sup: &SupervisorHandle, child: &Probe) -> [&'static str; 3] {
    [
        word(sup.start_child(child.spec()).await),
        word(sup.restart_child(&child.id()).await),
        word(sup.delete_child(&child.id()).await),
    ]
}

fn actor(started: Result<Started, AdminError>) -> supervision::ActorId {
    started.unwrap().actor.unwrap()
}

#[tokio::test(start_paused = true)]
async fn child_adm() {
    let record = Recorder::new();
    let (sup, tree) = start(rules(Strategy::OneForOne, 2)).await;
    let nobody = SupervisorSlot::new().handle();
    let child = Probe::new("child1", &record);
    let (id, other) = (child.id(), ChildId::from("child2"));

    // Running.
    let first = actor(sup.start_child(child.spec()).await);
    match sup.start_child(child.spec()).await {
        Err(AdminError::AlreadyStarted(Some(running))) => assert_eq!(running, first),
        other => panic!("{other:?}"),
    }
    assert_eq!(refusals(&sup, &child).await, ["already_started", "running", "running"]);
    let info = sup.which_child(&id).await.unwrap();
    assert_eq!((info.actor, info.is_supervisor, info.state), (Some(first), false, NodeState::Running));
    assert_eq!(sup.which_actor(first).await.unwrap().id, id);

    // Stopped: asking once more changes nothing.
    for _ in 0..2 {
        sup.terminate_child(&id).await.unwrap();
        assert_eq!(last_exit(&tree, "root/child1").class, ExitClass::Shutdown);
        assert!(!child.is_alive());
        assert_eq!(states(&sup).await, [("child1".to_owned(), NodeState::Exited)]);
        assert_eq!(counts(&sup).await, [1, 0, 0, 1]);
    }
    assert_eq!(tree.history(&"root/child1".into()).len(), 1);
    assert_eq!(word(sup.start_child(child.spec()).await), "already_present");
    assert_eq!(word(sup.which_actor(first).await), "not_found");

    // Restarted: another incarnation.
    let second = actor(sup.restart_child(&id).await);
    assert_ne!(first, second);
    assert_eq!(counts(&sup).await, [1, 1, 0, 1]);
    assert_eq!(word(sup.restart_child(&id).await), "running");

    // Unknown ids.
    assert_eq!(word(sup.terminate_child(&other).await), "not_found");
    assert_eq!(word(sup.restart_child(&other).await), "not_found");
    assert_eq!(word(sup.delete_child(&other).await), "not_found");
    assert_eq!(word(sup.which_child(&other).await), "not_found");

    // Deleted.
    assert_eq!(word(sup.delete_child(&id).await), "running");
    sup.terminate_child(&id).await.unwrap();
    sup.delete_child(&id).await.unwrap();
    assert_eq!(word(sup.delete_child(&id).await), "not_found");
    assert_eq!(word(sup.terminate_child(&id).await), "not_found");
    assert_eq!(counts(&sup).await, [0, 0, 0, 0]);
    assert!(sup.which_children().await.unwrap().is_empty());
    let third = actor(sup.start_child(child.spec()).await);
    assert_eq!(sup.which_child(&id).await.unwrap().actor, Some(third));

    // A temporary child is forgotten when it is stopped.
    let brief = Probe::new("brief", &record);
    actor(sup.start_child(brief.spec().restart(Restart::Temporary)).await);
    sup.terminate_child(&brief.id()).await.unwrap();
    assert_eq!(word(sup.terminate_child(&brief.id()).await), "not_found");

    // Nobody there to be asked: before, and after.
    sup.shutdown(LONG).await;
    for gone in [&nobody, &sup] {
        assert_eq!(refusals(gone, &child).await, ["noproc"; 3]);
        assert_eq!(word(gone.terminate_child(&id).await), "noproc");
        assert_eq!(word(gone.which_children().await), "noproc");
        assert_eq!(word(gone.count_children().await), "noproc");
        assert_eq!(word(gone.get_spec(&id).await), "noproc");
    }
    on_the_way_up_and_down().await;
    while_down_or_due().await;
}

/// The answers while a child hangs in its start and in its stop.
async fn on_the_way_up_and_down() {
    let record = Recorder::new();
    let (sup, tree) = start(rules(Strategy::OneForAll, 2)).await;

    // Its first start: asked for by a request that waits.
    let child = Probe::new("child1", &record);
    child.next_starts(&[Birth::Hang]);
    let (asked, spec) = (sup.clone(), child.spec());
    let waiting = tokio::spawn(async move { asked.start_child(spec).await });
    record.until("hang child1#1").await;
    assert_eq!(states(&sup).await, [("child1".to_owned(), NodeState::Starting)]);
    assert_eq!(refusals(&sup, &child).await, ["already_starting", "running", "running"]);
    assert_eq!(counts(&sup).await, [1, 0, 0, 1]);
    sup.terminate_child(&child.id()).await.unwrap();
    assert!(matches!(waiting.await.unwrap(), Err(AdminError::Terminated)));
    assert_eq!(states(&sup).await, [("child1".to_owned(), NodeState::Exited)]);

    // A restart, and a sibling whose turn comes after it.
    let sibling = Probe::new("sibling", &record);
    sup.restart_child(&child.id()).await.unwrap();
    sup.start_child(sibling.spec()).await.unwrap();
    child.next_starts(&[Birth::Hang]);
    child.die(Death::Error).await;
    record.until("hang child1#3").await;
    assert_eq!(sup.which_child(&sibling.id()).await.unwrap().state, NodeState::Restarting);
    for child in [&child, &sibling] {
        assert_eq!(refusals(&sup, child).await, ["already_present", "restarting", "restarting"], "{child:?}");
    }
    assert_eq!(counts(&sup).await, [2, 0, 0, 2], "nothing is active while it is restarted");
    // Stopping both cancels what was under way, for good.
    sup.terminate_child(&sibling.id()).await.unwrap();
    sup.terminate_child(&child.id()).await.unwrap();
    tokio::time::sleep(LONG).await;
    assert_eq!(states(&sup).await, [&child, &sibling].map(|child| (child.name.clone(), NodeState::Exited)));

    // Its stop.
    sup.restart_child(&child.id()).await.unwrap();
    child.leaves(Leave::After(Duration::from_secs(3)));
    let (asked, id) = (sup.clone(), child.id());
    let waiting = tokio::spawn(async move { asked.terminate_child(&id).await });
    until_state(&tree, "root/child1", NodeState::Stopping).await;
    assert_eq!(refusals(&sup, &child).await, ["already_started", "running", "running"]);
    sup.terminate_child(&child.id()).await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(last_exit(&tree, "root/child1").class, ExitClass::Shutdown);

    // While the supervisor ends it still answers, and takes nothing on.
    sup.restart_child(&child.id()).await.unwrap();
    let ending = sup.clone();
    let ending = tokio::spawn(async move { ending.shutdown(LONG).await });
    until_state(&tree, "root/child1", NodeState::Stopping).await;
    assert_eq!(refusals(&sup, &child).await, ["shutting_down"; 3]);
    assert_eq!(word(sup.terminate_child(&child.id()).await), "shutting_down");
    assert_eq!(counts(&sup).await, [2, 1, 0, 2]);
    assert!(ending.await.unwrap().stragglers.is_empty());
}

/// The answers while a child is down for some reason, or waits for its next start.
async fn while_down_or_due() {
    let record = Recorder::new();
    let (sup, tree) = start(rules(Strategy::OneForOne, 2)).await;
    let ignored = Probe::new("ignored", &record);
    ignored.next_starts(&[Birth::Ignore]);
    let done = Probe::new("done", &record);
    let suspended = Probe::new("suspended", &record);
    let due = Probe::new("due", &record);
    let later = BackoffPolicy {
        initial: LONG,
        max: LONG,
        factor: 1.0,
        jitter: Jitter::None,
        max_attempts: None,
        reset_after: ResetRule::OnStart,
        window: None,
        on_exhausted: Exhausted::GiveUp,
    };
    sup.start_child(ignored.spec()).await.unwrap();
    sup.start_child(done.spec().restart(Restart::Transient)).await.unwrap();
    sup.start_child(suspended.spec()).await.unwrap();
    sup.start_child(due.spec().backoff(later)).await.unwrap();
    done.die(Death::Normal).await;
    sup.suspend(&suspended.id()).await.unwrap();
    suspended.die(Death::Error).await;
    due.die(Death::Error).await;
    until_node(&tree, "root/due", |node| {
        node.is_some_and(|node| matches!(node.state, NodeState::BackingOff { attempt: 1, .. }))
    })
    .await;
    assert_eq!(counts(&sup).await, [4, 0, 0, 4]);
    let kept = [(&ignored, NodeState::Ignored), (&done, NodeState::Exited), (&suspended, NodeState::Suspended)];
    for (child, state) in kept {
        until_state(&tree, &format!("root/{}", child.name), state).await;
        assert_eq!(word(sup.start_child(child.spec()).await), "already_present");
        sup.restart_child(&child.id()).await.unwrap();
        assert!(child.is_alive());
        assert_eq!(refusals(&sup, child).await, ["already_started", "running", "running"]);
        sup.terminate_child(&child.id()).await.unwrap();
        sup.delete_child(&child.id()).await.unwrap();
    }
    assert_eq!(refusals(&sup, &due).await, ["already_present", "restarting", "restarting"]);
    // Stopping it cancels the retry.
    sup.terminate_child(&due.id()).await.unwrap();
    tokio::time::sleep(2 * LONG).await;
    assert_eq!(states(&sup).await, [("due".to_owned(), NodeState::Exited)]);
    sup.delete_child(&due.id()).await.unwrap();
    sup.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn child_adm_simple() {
    let record = Recorder::new();
    let simple = simple(at_most(5), |spec| spec).await;
    let Simple { root, tree, sup, children } = &simple;
    let [one, two] = ["one", "two"].map(|name| Probe::new(name, &record));
    let first = actor(children.start_child(one.clone()).await);
    assert_eq!(counts(sup).await, [1, 1, 0, 1]);
    let second = actor(children.start_child(two.clone()).await);
    let listed: Vec<_> = sup.which_children().await.unwrap().iter().map(|child| child.actor).collect();
    assert_eq!(listed, [Some(first), Some(second)]);
    assert_eq!(counts(sup).await, [1, 2, 0, 2]);

    // Stopped by actor: nothing of it is kept, though it is permanent.
    sup.terminate_actor(first).await.unwrap();
    assert!(!one.is_alive());
    let listed: Vec<_> = sup.which_children().await.unwrap().iter().map(|child| child.actor).collect();
    assert_eq!(listed, [Some(second)]);
    assert_eq!(counts(sup).await, [1, 1, 0, 1]);
    assert_eq!(last_exit(tree, "root/simple/1").class, ExitClass::Shutdown);
    // One that was ours and is over counts as stopped; asking does not bring it back.
    sup.terminate_actor(first).await.unwrap();
    assert_eq!(counts(sup).await, [1, 1, 0, 1]);

    // An actor of somebody else is none of its business, and unharmed.
    let stranger = Probe::new("stranger", &record);
    let foreign = actor(root.start_child(stranger.spec()).await);
    assert_eq!(word(sup.terminate_actor(foreign).await), "not_found");
    assert_eq!(word(sup.which_actor(foreign).await), "not_found");
    assert_eq!(stranger.incarnation().await, 1);

    // Ids mean nothing here, known to the tree or not.
    for id in ["2", "child1"].map(ChildId::from) {
        assert_eq!(word(sup.terminate_child(&id).await), "not_supported");
        assert_eq!(word(sup.restart_child(&id).await), "not_supported");
        assert_eq!(word(sup.delete_child(&id).await), "not_supported");
        assert_eq!(word(sup.get_spec(&id).await), "not_supported");
        assert_eq!(word(sup.which_child(&id).await), "not_supported");
    }
    assert_eq!(two.incarnation().await, 1);
    // Whoever sees the tree may use its names there.
    tree.act(&"root/simple/2".into(), Action::Stop).await.unwrap();
    assert_eq!(counts(sup).await, [1, 0, 0, 0]);

    // A child that is restarted has another actor.
    let three = Probe::new("three", &record);
    let old = actor(children.start_child(three.clone()).await);
    three.die(Death::Error).await;
    until_up(tree, "root/simple/3", 2).await;
    let new = sup.which_children().await.unwrap()[0].actor.unwrap();
    assert_ne!(old, new);
    sup.terminate_actor(old).await.unwrap();
    assert_eq!(three.incarnation().await, 2);
    sup.terminate_actor(new).await.unwrap();
    assert!(!three.is_alive());

    root.shutdown(LONG).await;
    assert_eq!(word(sup.terminate_actor(new).await), "noproc");
    assert_eq!(word(children.start_child(one).await), "noproc");
}

/// What the child had to say to whoever started it.
fn told(started: &Started) -> Option<&'static str> {
    started.info.as_ref().map(|info| *info.downcast_ref::<&'static str>().unwrap())
}

#[tokio::test(start_paused = true)]
async fn extra_return() {
    let record = Recorder::new();
    let child = Probe::new("child1", &record);
    let quiet = Probe::new("quiet", &record);
    child.tells("extra");
    let (sup, tree) = start(SupervisorSpec { children: vec![child.spec()], ..rules(Strategy::OneForOne, 2) }).await;
    assert_eq!(counts(&sup).await, [1, 1, 0, 1]);
    sup.terminate_child(&child.id()).await.unwrap();
    assert_eq!(told(&sup.restart_child(&child.id()).await.unwrap()), Some("extra"));
    sup.terminate_child(&child.id()).await.unwrap();
    sup.delete_child(&child.id()).await.unwrap();
    let started = sup.start_child(child.spec()).await.unwrap();
    assert_eq!(told(&started), Some("extra"));
    assert_eq!(told(&sup.start_child(quiet.spec()).await.unwrap()), None);

    // What the start said is not kept, and the child is restarted like any other.
    child.die(Death::Error).await;
    until_up(&tree, "root/child1", 2).await;
    assert_ne!(sup.which_child(&child.id()).await.unwrap().actor, started.actor);
    assert_eq!(counts(&sup).await, [2, 2, 0, 2]);
    child.tells("more");
    sup.terminate_child(&child.id()).await.unwrap();
    assert_eq!(told(&sup.restart_child(&child.id()).await.unwrap()), Some("more"));
    sup.shutdown(LONG).await;
}
