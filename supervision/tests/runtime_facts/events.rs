//! What a supervisor hears of a child's end: the event, the state and the reason.

use ractor::{Actor, ActorCell, SupervisionEvent};

use crate::probe::{
    Event, Log, Order, PATIENCE, Probe, Turn, Typed, next_end, next_failure, next_termination, parent, until_idle,
};

#[tokio::test(start_paused = true)]
async fn a_stopped_child_hands_over_its_state_and_its_reason() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    for reason in [None, Some("enough".to_owned())] {
        let (child, _) = Probe::new(&log).under(&parent).await;
        child.cast(Order::Change(5, Turn::Pass)).unwrap();
        until_idle().await;
        child.stop(reason.clone());
        assert_eq!(next_termination(&mut heard).await, (Some(5), reason));
    }
}

#[tokio::test(start_paused = true)]
async fn a_drained_child_says_so() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    let (child, _) = Probe::new(&log).under(&parent).await;
    child.drain().unwrap();
    assert_eq!(next_termination(&mut heard).await, (Some(0), Some("Drained".to_owned())));
    assert!(log.has("post_stop"));
}

#[tokio::test(start_paused = true)]
async fn a_child_killed_in_a_handler_hands_over_a_state_that_may_be_half_changed() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    let (child, _) = Probe::new(&log).under(&parent).await;
    child.cast(Order::Change(1, Turn::Hang)).unwrap();
    log.until("changed").await;
    child.kill();
    assert_eq!(next_termination(&mut heard).await, (Some(1), Some("killed".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_child_killed_while_idle_hands_over_its_state() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    let (child, _) = Probe::new(&log).under(&parent).await;
    until_idle().await;
    child.kill();
    assert_eq!(next_termination(&mut heard).await, (Some(0), Some("killed".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_child_killed_before_or_after_its_loop_hands_over_nothing() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    let killed = (None, Some("killed".to_owned()));
    let (child, _) = Probe::new(&log).under(&parent).await;
    child.kill();
    assert_eq!(next_termination(&mut heard).await, killed, "before it ran");

    let (child, _) = Probe { post_start: Turn::Hang, ..Probe::new(&log) }.under(&parent).await;
    until_idle().await;
    child.kill();
    assert_eq!(next_termination(&mut heard).await, killed, "in post_start");

    let (child, _) = Probe { post_stop: Turn::Hang, ..Probe::new(&log) }.under(&parent).await;
    until_idle().await;
    child.stop(None);
    until_idle().await;
    child.kill();
    assert_eq!(next_termination(&mut heard).await, killed, "in post_stop");
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_the_words_of_a_kill_looks_like_a_kill() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    let (child, _) = Probe::new(&log).under(&parent).await;
    until_idle().await;
    child.stop(Some("killed".to_owned()));
    assert_eq!(next_termination(&mut heard).await, (Some(0), Some("killed".to_owned())));
    assert!(log.has("post_stop"), "yet it was a stop");
}

#[tokio::test(start_paused = true)]
async fn an_aborted_task_is_reported_as_cancelled_and_without_state() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    let (_, task) = Probe::new(&log).under(&parent).await;
    until_idle().await;
    task.abort();
    assert_eq!(next_termination(&mut heard).await, (None, Some("actor_task_cancelled".to_owned())));
}

#[test]
fn a_dropped_runtime_reports_its_actors_as_cancelled() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (watching, dropped, log) = (runtime(), runtime(), Log::default());
    let (parent, mut heard) = watching.block_on(parent());
    let (child, _) = dropped.block_on(Probe::new(&log).under(&parent));
    drop(dropped);
    let end = watching.block_on(next_termination(&mut heard));
    assert_eq!(end, (None, Some("actor_task_cancelled".to_owned())));
    assert_eq!(child.get_status(), ractor::ActorStatus::Stopped);
}

#[tokio::test(start_paused = true)]
async fn an_error_keeps_its_type_and_a_panic_becomes_text() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    let mut failure_of = async |turn| {
        let (child, _) = Probe::new(&log).under(&parent).await;
        child.cast(Order::Do(turn)).unwrap();
        next_failure(&mut heard).await
    };
    assert_eq!(failure_of(Turn::Fail).await.downcast_ref::<Typed>(), Some(&Typed(7)));
    assert_eq!(failure_of(Turn::Panic).await.to_string(), "boom");
    let lost = failure_of(Turn::PanicAny).await.to_string();
    assert_eq!(lost, "Unknown panic occurred which couldn't be coerced to a string");
}

#[tokio::test(start_paused = true)]
async fn the_state_of_a_failed_actor_is_lost_and_may_outlive_the_event() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    let (child, over) = Probe::new(&log).under(&parent).await;
    child.cast(Order::Do(Turn::Fail)).unwrap();
    assert_eq!(next_failure(&mut heard).await.to_string(), "typed 7");
    over.await.unwrap();
    // Dropped by the actor's own task, after the event was sent and the end announced.
    assert!(log.has("state dropped while Stopped"), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failing_post_stop_turns_a_stop_into_a_failure() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    for (turn, text) in [(Turn::Fail, "typed 7"), (Turn::Panic, "boom")] {
        let (child, _) = Probe { post_stop: turn, ..Probe::new(&log) }.under(&parent).await;
        child.stop(Some("enough".to_owned()));
        assert_eq!(next_failure(&mut heard).await.to_string(), text);
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_event_the_name_is_free_and_the_child_has_no_children_left() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    let (child, _) = Probe::new(&log).start(Some("facts-event"), &parent).await.unwrap();
    let (grandchild, _) = Probe::new(&log).under(&child).await;
    child.stop(None);
    match next_end(&mut heard).await {
        Event::Terminated { cell, children, named, .. } => {
            assert_eq!((cell, children, named), (child.get_cell(), 0, false));
        }
        other => panic!("{other:?}"),
    }
    grandchild.wait(Some(PATIENCE)).await.unwrap();
    child.wait(Some(PATIENCE)).await.unwrap();
    assert!(parent.get_children().is_empty());
    assert!(child.try_get_supervisor().is_none());
}

#[tokio::test(start_paused = true)]
async fn linking_to_a_dead_or_draining_supervisor_does_nothing() {
    let ((dead, _heard), log) = (parent().await, Log::default());
    dead.stop(None);
    dead.wait(None).await.unwrap();
    let (draining, _heard) = parent().await;
    draining.cast(Order::Do(Turn::Hang)).unwrap();
    draining.drain().unwrap();
    let (actor, _) = Actor::spawn(None, Probe::new(&log), ()).await.unwrap();
    for supervisor in [dead, draining] {
        actor.link(supervisor.get_cell());
        assert!(actor.try_get_supervisor().is_none());
        assert!(supervisor.get_children().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_unlinked_child_ends_unheard() {
    let ((parent, mut heard), log) = (parent().await, Log::default());
    let (quiet, _) = Probe::new(&log).under(&parent).await;
    quiet.unlink(parent.get_cell());
    quiet.stop(None);
    quiet.wait(None).await.unwrap();
    let (child, _) = Probe::new(&log).under(&parent).await;
    child.stop(Some("heard".to_owned()));
    assert_eq!(next_termination(&mut heard).await.1.as_deref(), Some("heard"));
}

/// Has the runtime's own answer to a child's end.
struct Untaught;

impl Actor for Untaught {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ractor::ActorRef<()>, (): ()) -> Result<(), ractor::ActorProcessingErr> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_does_not_handle_exits_stops_at_the_first_one() {
    let log = Log::default();
    let (untaught, _) = Actor::spawn(None, Untaught, ()).await.unwrap();
    let (child, _) = Actor::spawn_linked(None, Probe::new(&log), (), untaught.get_cell()).await.unwrap();
    child.stop(None);
    untaught.wait(Some(PATIENCE)).await.unwrap();
}

#[test]
fn sizes_of_what_each_mailbox_holds_are_as_measured() {
    assert_eq!(size_of::<ractor::message::BoxedMessage>(), 2 * size_of::<usize>());
    assert_eq!(size_of::<SupervisionEvent>(), 80);
    assert_eq!(size_of::<ActorCell>(), size_of::<usize>());
}
