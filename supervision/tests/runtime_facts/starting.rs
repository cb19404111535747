//! How an actor starts, and who hears of a start that fails.

use std::time::Duration;

use ractor::rpc::CallResult;
use ractor::{Actor, ActorRuntime, ActorStatus, SpawnErr, registry};

use crate::probe::{Event, Log, Order, PATIENCE, Probe, Turn, Typed, gate, next_failure, parent, until_idle};

#[tokio::test(start_paused = true)]
async fn a_starting_child_has_its_name_but_no_supervisor_and_is_not_listed() {
    let ((parent, _heard), log, (open, turn)) = (parent().await, Log::default(), gate());
    let probe = Probe { pre_start: turn, ..Probe::new(&log) };
    let starting = tokio::spawn({
        let parent = parent.clone();
        async move { probe.start(Some("facts-starting"), &parent).await }
    });
    log.until("pre_start").await;
    let child = registry::where_is("facts-starting").unwrap();
    assert_eq!(child.get_status(), ActorStatus::Starting);
    assert!(parent.get_children().is_empty());
    assert!(child.try_get_supervisor().is_none());
    open.notify_one();
    starting.await.unwrap().unwrap();
    assert_eq!(parent.get_children(), std::slice::from_ref(&child));
    assert_eq!(child.try_get_supervisor(), Some(parent.get_cell()));
}

#[tokio::test(start_paused = true)]
async fn a_start_returns_before_post_start_has_run() {
    let ((parent, _heard), log) = (parent().await, Log::default());
    let (child, _) = Probe { post_start: Turn::Hang, ..Probe::new(&log) }.under(&parent).await;
    assert!(!log.has("post_start"));
    log.until("post_start").await;
    assert_eq!(child.get_status(), ActorStatus::Starting);
}

#[tokio::test(start_paused = true)]
async fn a_failed_pre_start_is_told_to_the_starter_and_to_nobody_else() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    let failed = |error: SpawnErr| match error {
        SpawnErr::StartupFailed(error) => error,
        other @ (SpawnErr::ActorAlreadyStarted | SpawnErr::ActorAlreadyRegistered(_)) => panic!("{other}"),
    };
    let start = |turn| Probe { pre_start: turn, ..Probe::new(&log) }.start(None, &parent);
    let error = failed(start(Turn::Fail).await.unwrap_err());
    assert_eq!(error.downcast_ref::<Typed>(), Some(&Typed(7)), "an error keeps its type");
    let panic = failed(start(Turn::Panic).await.unwrap_err());
    assert_eq!(panic.to_string(), "boom", "a panic becomes text");

    let killed = Probe { pre_start: Turn::Hang, ..Probe::new(&log) };
    let starting = tokio::spawn({
        let parent = parent.clone();
        async move { killed.start(Some("facts-killed-starting"), &parent).await }
    });
    until_idle().await;
    registry::where_is("facts-killed-starting").unwrap().kill();
    assert_eq!(failed(starting.await.unwrap().unwrap_err()).to_string(), "Actor killed during startup");

    let (next, _) = Probe::new(&log).under(&parent).await;
    match heard.recv().await.unwrap() {
        Event::Started(cell, _) => assert_eq!(cell, next.get_cell(), "the first thing heard"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_a_start_ends_it_frees_its_name_and_tells_nobody() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    let hanging = Probe { pre_start: Turn::Hang, ..Probe::new(&log) };
    let limit = Duration::from_secs(3);
    assert!(tokio::time::timeout(limit, hanging.start(Some("facts-dropped"), &parent)).await.is_err());
    assert_eq!(log.lines(), ["pre_start", "pre_start over"]);
    assert!(registry::where_is("facts-dropped").is_none());
    let (next, _) = Probe::new(&log).start(Some("facts-dropped"), &parent).await.unwrap();
    match heard.recv().await.unwrap() {
        Event::Started(cell, _) => assert_eq!(cell, next.get_cell(), "the first thing heard"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_post_start_is_a_failure_after_a_start_that_went_well() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    for (turn, text) in [(Turn::Fail, "typed 7"), (Turn::Panic, "boom")] {
        let (child, _) = Probe { post_start: turn, ..Probe::new(&log) }.under(&parent).await;
        match heard.recv().await.unwrap() {
            Event::Failed { cell, error } => {
                assert_eq!((cell, error.to_string().as_str()), (child.get_cell(), text));
            }
            other => panic!("no start is announced before it: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_may_be_announced_when_the_actor_is_dead() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    let (open, turn) = gate();
    parent.cast(Order::Do(turn)).unwrap();
    until_idle().await;
    let (child, over) = Probe::new(&log).under(&parent).await;
    child.stop(None);
    over.await.unwrap();
    open.notify_one();
    match heard.recv().await.unwrap() {
        Event::Started(_, status) => assert_eq!(status, ActorStatus::Stopped),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_under_a_supervisor_that_is_ending_fails() {
    let ((parent, _heard), log) = (parent().await, Log::default());
    let (open, turn) = gate();
    parent.cast(Order::Do(turn)).unwrap();
    parent.drain().unwrap();
    let error = Probe::new(&log).start(None, &parent).await.unwrap_err();
    assert!(error.to_string().contains("Supervisor is shutting down"), "{error}");
    assert!(log.has("pre_start"), "it is found out only after the actor's own start");
    open.notify_one();
    parent.wait(None).await.unwrap();
    assert!(Probe::new(&log).start(None, &parent).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_instantly_spawned_actor_queues_messages_until_it_has_started() {
    let ((parent, mut heard), log, (open, turn)) = (parent().await, Log::default(), gate());
    let probe = Probe { pre_start: turn, ..Probe::new(&log) };
    let (child, _) = ActorRuntime::spawn_linked_instant(None, probe, (), parent.get_cell()).unwrap();
    child.cast(Order::Change(3, Turn::Pass)).unwrap();
    let asking = tokio::spawn({
        let child = child.clone();
        async move { child.call(Order::Ask, Some(PATIENCE)).await }
    });
    open.notify_one();
    assert!(matches!(asking.await.unwrap().unwrap(), CallResult::Success(3)));

    let refused = Probe { pre_start: Turn::Fail, ..Probe::new(&log) };
    let (child, start) = ActorRuntime::spawn_linked_instant(None, refused, (), parent.get_cell()).unwrap();
    let begin = tokio::time::Instant::now();
    let answer = child.call(Order::Ask, Some(PATIENCE)).await.unwrap();
    assert!(matches!(answer, CallResult::SenderError), "a queued caller is told at once");
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert!(start.await.unwrap().is_err(), "only the join handle has the reason");
    until_idle().await;
    heard.close();
    while let Some(event) = heard.recv().await {
        assert!(matches!(event, Event::Started(..)), "{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_actor_without_a_parent_starts_alone() {
    let log = Log::default();
    let (actor, _) = Actor::spawn(None, Probe::new(&log), ()).await.unwrap();
    assert!(actor.try_get_supervisor().is_none());
    let (parent, mut heard) = parent().await;
    actor.link(parent.get_cell());
    actor.cast(Order::Do(Turn::Fail)).unwrap();
    assert_eq!(next_failure(&mut heard).await.to_string(), "typed 7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_blocks_in_its_first_message_holds_up_the_parent_it_has_just_woken() {
    let ((parent, _heard), log) = (parent().await, Log::default());
    let (release, until) = std::sync::mpsc::sync_channel(0);
    let (child, start) = ActorRuntime::spawn_linked_instant(None, Probe::new(&log), (), parent.get_cell()).unwrap();
    child.cast(Order::BlockAtOnce(until)).unwrap();
    log.until("blocked").await;
    // The announcement of the start has put the parent next in line on the thread that is blocked now.
    let asked = parent.call(Order::Ask, Some(Duration::from_millis(100))).await.unwrap();
    drop(release);
    assert!(matches!(asked, CallResult::Timeout), "{asked:?}");
    assert!(matches!(parent.call(Order::Ask, Some(PATIENCE)).await.unwrap(), CallResult::Success(0)));
    start.await.unwrap().unwrap();
}
