//! The ports of an actor: their order, their bounds, and calls through them.

use std::time::Duration;

use ractor::rpc::CallResult;
use ractor::{Actor, OutputPort};

use crate::probe::{Log, Order, Probe, Turn, next_termination, occupy, parent, until_idle};

#[tokio::test(start_paused = true)]
async fn an_exit_event_comes_before_messages() {
    let log = Log::default();
    let (parent, _) = Actor::spawn(None, Probe::new(&log), ()).await.unwrap();
    let (child, over) = Probe::new(&Log::default()).under(&parent).await;
    until_idle().await;
    let open = occupy(&parent, &log).await;
    parent.cast(Order::Note("message")).unwrap();
    child.stop(None);
    over.await.unwrap();
    open.notify_one();
    log.until("message").await;
    let tail: Vec<_> = log.lines().into_iter().skip_while(|line| line != "done").collect();
    assert_eq!(tail, ["done", "event", "message"]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_comes_before_exit_events_and_messages() {
    let log = Log::default();
    let (parent, _) = Actor::spawn(None, Probe::new(&log), ()).await.unwrap();
    let (child, over) = Probe::new(&Log::default()).under(&parent).await;
    until_idle().await;
    let open = occupy(&parent, &log).await;
    parent.cast(Order::Note("message")).unwrap();
    child.stop(None);
    over.await.unwrap();
    parent.stop(None);
    open.notify_one();
    parent.wait(None).await.unwrap();
    let tail: Vec<_> = log.lines().into_iter().skip_while(|line| line != "done").collect();
    assert_eq!(tail[..2], ["done", "post_stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_kill_comes_before_a_stop() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    let (child, _) = Probe::new(&log).under(&parent).await;
    until_idle().await;
    child.stop(Some("enough".to_owned()));
    child.kill();
    assert_eq!(next_termination(&mut heard).await, (Some(0), Some("killed".to_owned())));
    assert!(!log.has("post_stop"));
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_takes_any_number_of_messages() {
    let ((parent, _heard), log) = (parent().await, Log::default());
    let (child, _) = Probe::new(&log).under(&parent).await;
    let open = occupy(&child, &log).await;
    for _ in 0..100_000 {
        child.cast(Order::Do(Turn::Pass)).unwrap();
    }
    child.cast(Order::Note("last")).unwrap();
    open.notify_one();
    log.until("last").await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_timed_out_stays_queued_and_its_port_says_so() {
    let ((parent, _heard), log) = (parent().await, Log::default());
    let (child, _) = Probe::new(&log).under(&parent).await;
    let open = occupy(&child, &log).await;
    let answer = child.call(Order::IsGone, Some(Duration::from_secs(1))).await.unwrap();
    assert!(matches!(answer, CallResult::Timeout), "{answer:?}");
    open.notify_one();
    log.until("caller gone").await;
}

#[tokio::test(start_paused = true)]
async fn each_timer_is_a_task_that_its_handle_ends() {
    let ((parent, _heard), log) = (parent().await, Log::default());
    let (child, _) = Probe::new(&log).under(&parent).await;
    until_idle().await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let hour = Duration::from_secs(3600);
    let timers: Vec<_> = (0..10).map(|_| child.send_after(hour, || Order::Note("late"))).collect();
    let kill = child.kill_after(hour);
    assert_eq!(tasks(), before + 11);
    timers.iter().for_each(|timer| timer.abort());
    kill.abort();
    tokio::time::sleep(2 * hour).await;
    assert_eq!(tasks(), before);
    assert!(!log.has("late"));
}

#[tokio::test(start_paused = true)]
async fn an_output_port_skips_what_a_slow_subscriber_missed_and_tells_nobody() {
    let log = Log::default();
    let (subscriber, _) = Actor::spawn(None, Probe::new(&log), ()).await.unwrap();
    let port = OutputPort::<u32>::default();
    port.subscribe(subscriber.clone(), |n| Some(Order::Change(n, Turn::Pass)));
    until_idle().await;
    for n in 1..=100 {
        port.send(n);
    }
    until_idle().await;
    let arrived = log.lines().iter().filter(|line| *line == "changed").count();
    assert!((10..=16).contains(&arrived), "{arrived} of 100 arrived");
    let answer = subscriber.call(Order::Ask, None).await.unwrap();
    assert!(matches!(answer, CallResult::Success(100)), "the last of them: {answer:?}");
}
