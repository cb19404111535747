//! Names and groups, which all trees of a process share.

use ractor::{SpawnErr, pg, registry};

use crate::probe::{Event, Log, PATIENCE, Probe, gate, next_end, parent, until_idle};

#[tokio::test(start_paused = true)]
async fn a_name_is_free_before_post_stop_has_run() {
    let ((parent, _heard), log, (open, turn)) = (parent().await, Log::default(), gate());
    let flushing = Probe { post_stop: turn, ..Probe::new(&log) };
    let (first, _) = flushing.start(Some("facts-name"), &parent).await.unwrap();
    first.stop(None);
    log.until("post_stop").await;
    let (second, _) = Probe::new(&log).start(Some("facts-name"), &parent).await.unwrap();
    assert_eq!(registry::where_is("facts-name"), Some(second.get_cell()));
    assert_ne!(first.get_status(), ractor::ActorStatus::Stopped, "two at once");
    open.notify_one();
    first.wait(Some(PATIENCE)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn groups_are_kept_apart_by_scope_and_forget_actors_that_stop() {
    let ((parent, mut heard), log, (open, turn)) = (parent().await, Log::default(), gate());
    let (scope, group) = ("facts-scope".to_owned(), "facts-group".to_owned());
    pg::monitor_scope(scope.clone(), parent.get_cell());
    let (member, _) = Probe { post_stop: turn, ..Probe::new(&log) }.under(&parent).await;
    pg::join_scoped(scope.clone(), group.clone(), vec![member.get_cell()]);
    assert_eq!(pg::get_scoped_members(&scope, &group), [member.get_cell()]);
    assert!(pg::get_scoped_members(&"facts-other".to_owned(), &group).is_empty());
    member.stop(None);
    log.until("post_stop").await;
    assert!(pg::get_scoped_members(&scope, &group).is_empty(), "gone while it still runs");
    let told: Vec<_> = [next_end(&mut heard).await, next_end(&mut heard).await].into_iter().collect();
    assert!(matches!(&told[0], Event::Joined(name) if *name == group), "{told:?}");
    assert!(matches!(&told[1], Event::Left(name) if *name == group), "{told:?}");
    open.notify_one();
    until_idle().await;
}

#[test]
fn names_are_shared_by_every_runtime_of_the_process() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (one, other, log) = (runtime(), runtime(), Log::default());
    let (here, _heard) = one.block_on(parent());
    let (there, _heard_there) = other.block_on(parent());
    one.block_on(Probe::new(&log).start(Some("facts-shared"), &here)).unwrap();
    match other.block_on(Probe::new(&log).start(Some("facts-shared"), &there)) {
        Err(SpawnErr::ActorAlreadyRegistered(name)) => assert_eq!(name, "facts-shared"),
        other => panic!("{:?}", other.map(drop)),
    }
}

#[test]
fn panics_unwind() {
    assert!(std::panic::catch_unwind(|| panic!("caught")).is_err());
    const { assert!(cfg!(panic = "unwind")) }
}
