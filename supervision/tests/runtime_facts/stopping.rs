//! Stop, drain and kill: what each interrupts, and what it leaves behind.

use std::time::Duration;

use ractor::rpc::CallResult;
use ractor::{ActorRef, ActorStatus, MessagingErr, RactorErr};

use crate::probe::{Event, Log, Order, PATIENCE, Probe, Turn, next_end, next_termination, occupy, parent, until_idle};

#[tokio::test(start_paused = true)]
async fn a_drain_processes_what_was_admitted_and_returns_later_messages_to_their_sender() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    let (child, _) = Probe::new(&log).under(&parent).await;
    let open = occupy(&child, &log).await;
    child.cast(Order::Note("admitted")).unwrap();
    child.drain().unwrap();
    match child.cast(Order::Note("too late")) {
        Err(MessagingErr::SendErr(Order::Note(line))) => assert_eq!(line, "too late"),
        other => panic!("{other:?}"),
    }
    open.notify_one();
    assert_eq!(next_termination(&mut heard).await.1.as_deref(), Some("Drained"));
    assert!(log.has("admitted") && !log.has("too late"));
}

/// Has an actor that is busy asked, ends it, and says what the queued caller got and how long it took.
async fn asked_of_one_that_ends(end: impl Fn(&ActorRef<Order>)) -> (CallResult<u32>, Duration, Log) {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    let (child, _) = Probe::new(&log).under(&parent).await;
    let open = occupy(&child, &log).await;
    child.cast(Order::Note("queued")).unwrap();
    let asking = tokio::spawn({
        let child = child.clone();
        async move { child.call(Order::Ask, Some(PATIENCE)).await.unwrap() }
    });
    until_idle().await;
    let begin = tokio::time::Instant::now();
    end(&child);
    open.notify_one();
    let answer = asking.await.unwrap();
    next_end(&mut heard).await;
    (answer, begin.elapsed(), log)
}

#[tokio::test(start_paused = true)]
async fn a_stop_drops_queued_messages_and_their_callers_know_at_once() {
    let (answer, took, log) = asked_of_one_that_ends(|child| child.stop(None)).await;
    assert!(matches!(answer, CallResult::SenderError), "{answer:?}");
    assert_eq!(took, Duration::ZERO);
    assert!(log.has("done") && !log.has("queued"), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn a_kill_drops_queued_messages_and_their_callers_know_at_once() {
    let (answer, took, log) = asked_of_one_that_ends(|child| child.kill()).await;
    assert!(matches!(answer, CallResult::SenderError), "{answer:?}");
    assert_eq!(took, Duration::ZERO);
    assert!(!log.has("done") && !log.has("queued"), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_interrupt_a_handler() {
    let ((parent, _heard), log) = (parent().await, Log::default());
    let (child, _) = Probe::new(&log).under(&parent).await;
    let open = occupy(&child, &log).await;
    child.stop(None);
    tokio::time::sleep(PATIENCE).await;
    assert_eq!(child.get_status(), ActorStatus::Running);
    open.notify_one();
    child.wait(None).await.unwrap();
    assert!(log.has("done"));
}

#[tokio::test(start_paused = true)]
async fn a_kill_ends_a_handler_where_it_waits() {
    let ((parent, _heard), log) = (parent().await, Log::default());
    let (child, _) = Probe::new(&log).under(&parent).await;
    let _shut = occupy(&child, &log).await;
    let begin = tokio::time::Instant::now();
    child.kill();
    child.wait(None).await.unwrap();
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert!(!log.has("done"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_cannot_interrupt_synchronous_code() {
    let ((parent, _heard), log) = (parent().await, Log::default());
    let (child, _) = Probe::new(&log).under(&parent).await;
    let (release, until) = std::sync::mpsc::sync_channel(0);
    child.cast(Order::Block(until)).unwrap();
    log.until("blocked").await;
    child.kill();
    assert!(child.wait(Some(Duration::from_millis(20))).await.is_err());
    drop(release);
    child.wait(Some(PATIENCE)).await.unwrap();
    assert!(log.has("unblocked") && !log.has("went on"), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn a_kill_ends_a_supervisors_answer_to_an_exit_half_way() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    let (supervisor, _) = Probe { on_event: Turn::Hang, ..Probe::new(&log) }.under(&parent).await;
    let (child, _) = Probe::new(&Log::default()).under(&supervisor).await;
    child.stop(None);
    log.until("event").await;
    supervisor.kill();
    assert_eq!(next_termination(&mut heard).await.1.as_deref(), Some("killed"));
}

#[tokio::test(start_paused = true)]
async fn post_stop_is_skipped_after_a_panic_an_error_and_a_kill() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    for end in [Turn::Panic, Turn::Fail, Turn::Hang] {
        let (child, _) = Probe::new(&log).under(&parent).await;
        child.cast(Order::Do(end)).unwrap();
        until_idle().await;
        child.kill();
        next_end(&mut heard).await;
    }
    assert!(!log.has("post_stop"), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn children_of_an_ended_actor_are_killed_at_every_depth_without_post_stop() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    let (child, _) = Probe::new(&Log::default()).under(&parent).await;
    let (grandchild, _) = Probe::new(&log).under(&child).await;
    let (below, _) = Probe::new(&log).under(&grandchild).await;
    until_idle().await;
    child.stop(None);
    next_end(&mut heard).await;
    grandchild.wait(Some(PATIENCE)).await.unwrap();
    below.wait(Some(PATIENCE)).await.unwrap();
    assert!(!log.has("post_stop"), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn the_kill_that_follows_a_parents_end_passes_over_children_that_are_stopping() {
    let ((parent, _heard), log) = (parent().await, Log::default());
    let (child, _) = Probe { post_stop: Turn::Hang, ..Probe::new(&log) }.under(&parent).await;
    child.stop(None);
    log.until("post_stop").await;
    parent.kill();
    parent.wait(None).await.unwrap();
    tokio::time::sleep(PATIENCE).await;
    assert_eq!(child.get_status(), ActorStatus::Stopping, "it is nobody's child now, and alive");
    child.kill();
    child.wait(None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_may_be_gone_before_its_children_are() {
    let ((parent, _heard), log) = (parent().await, Log::default());
    let (child, _) = Probe::new(&log).under(&parent).await;
    let (release, until) = std::sync::mpsc::sync_channel(0);
    child.cast(Order::Block(until)).unwrap();
    log.until("blocked").await;
    parent.stop_and_wait(None, Some(PATIENCE)).await.unwrap();
    assert_eq!(child.get_status(), ActorStatus::Running);
    drop(release);
    child.wait(Some(PATIENCE)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn stop_and_wait_fails_at_once_if_a_stop_was_already_sent() {
    let ((parent, _heard), log) = (parent().await, Log::default());
    let (child, _) = Probe::new(&log).under(&parent).await;
    let open = occupy(&child, &log).await;
    child.stop(None);
    match child.stop_and_wait(None, Some(PATIENCE)).await {
        Err(RactorErr::Messaging(MessagingErr::ChannelClosed)) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(child.get_status(), ActorStatus::Running);
    open.notify_one();
    child.wait(None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn stop_and_wait_leaves_the_actor_running_when_the_time_is_up() {
    let ((parent, _heard), log) = (parent().await, Log::default());
    let (child, _) = Probe::new(&log).under(&parent).await;
    let _shut = occupy(&child, &log).await;
    match child.stop_and_wait(None, Some(Duration::from_secs(1))).await {
        Err(RactorErr::Timeout) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(child.get_status(), ActorStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn stopping_all_children_is_concurrent_and_never_kills() {
    let ((parent, _heard), log) = (parent().await, Log::default());
    let mut children = Vec::new();
    for _ in 0..3 {
        let (child, _) = Probe::new(&log).under(&parent).await;
        child.cast(Order::Do(Turn::Hang)).unwrap();
        children.push(child);
    }
    until_idle().await;
    let begin = tokio::time::Instant::now();
    parent.stop_children_and_wait(None, Some(Duration::from_secs(1))).await;
    assert_eq!(begin.elapsed(), Duration::from_secs(1), "one limit for all");
    assert!(children.iter().all(|child| child.get_status() == ActorStatus::Running));
}

#[tokio::test(start_paused = true)]
async fn children_are_not_listed_in_the_order_of_their_starts() {
    let ((parent, _heard), log) = (parent().await, Log::default());
    let mut started = Vec::new();
    for _ in 0..64 {
        started.push(Probe::new(&log).under(&parent).await.0.get_id());
    }
    let mut listed: Vec<_> = parent.get_children().iter().map(|child| child.get_id()).collect();
    assert_ne!(listed, started);
    listed.sort();
    assert_eq!(listed, started);
}

#[tokio::test(start_paused = true)]
async fn a_task_of_a_handler_outlives_its_actor() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    for end in [Turn::Pass, Turn::Panic, Turn::Hang] {
        let (child, over) = Probe::new(&log).under(&parent).await;
        let (go, at_go) = tokio::sync::oneshot::channel();
        let (done, is_done) = tokio::sync::oneshot::channel();
        child.cast(Order::Task(at_go, done)).unwrap();
        let kill = matches!(end, Turn::Hang);
        child.cast(Order::Do(end)).unwrap();
        until_idle().await;
        if kill {
            child.kill()
        } else {
            child.stop(None)
        }
        let ended = next_end(&mut heard).await;
        assert!(matches!(ended, Event::Terminated { .. } | Event::Failed { .. }));
        over.await.unwrap();
        go.send(()).unwrap();
        is_done.await.unwrap();
    }
}
