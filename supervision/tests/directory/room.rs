//! How many actors there may be, and who makes room.

use std::sync::atomic::Ordering;
use std::time::Duration;

use supervision::{DirectoryError, DirectoryOptions};

use crate::{Message, add, world};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_never_more_live_actors_than_allowed() {
    let (root, directory, world) = world(DirectoryOptions { max_live: 20, ..DirectoryOptions::default() }).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let directory = directory.clone();
        tasks.spawn(async move {
            for n in 0..200 {
                add(&directory, (n * 7 + task * 31) % 150).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(world.most.load(Ordering::SeqCst), 20);
    assert!(world.activations.load(Ordering::SeqCst) > 150, "nobody had to make room");
    root.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_is_refused_if_all_are_busy_and_waits_for_one_that_is_leaving() {
    let (root, directory, _) = world(DirectoryOptions { max_live: 1, ..DirectoryOptions::default() }).await;
    let (go, wait) = tokio::sync::oneshot::channel();
    directory.call(&1, |begun| Message::DrainLater { begun, go: wait }, Duration::from_secs(30)).await.unwrap();
    assert!(matches!(add(&directory, 2).await, Err(DirectoryError::Crowded)));
    go.send(()).unwrap();
    while directory.is_live(&1) {
        tokio::task::yield_now().await;
    }
    add(&directory, 1).await.unwrap();
    // Its end takes a while; two starts find nobody idle but somebody on the way out.
    assert_eq!(directory.relieve(5), 1);
    assert_eq!(directory.relieve(5), 0, "asked once is enough");
    add(&directory, 2).await.unwrap();
    assert_eq!(directory.live_count(), 1);
    root.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn those_idle_for_longest_are_let_go_to_relieve_memory() {
    let (root, directory, _) = world(DirectoryOptions::default()).await;
    for key in (0..50).chain(0..10) {
        add(&directory, key).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(directory.relieve(20), 20);
    let left: Vec<u32> = (0..50).filter(|key| directory.is_live(key)).collect();
    assert_eq!(left, (0..10).chain(30..50).collect::<Vec<_>>());
    root.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn among_many_one_that_was_idle_for_long_makes_room() {
    let many = 200;
    let (root, directory, world) = world(DirectoryOptions { max_live: many, ..DirectoryOptions::default() }).await;
    for key in 0..many as u32 {
        add(&directory, key).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The older half goes before the younger: of sixteen looked at, some are old.
    for key in 1000..1050 {
        add(&directory, key).await.unwrap();
    }
    let young = (100..many as u32).filter(|key| !directory.is_live(key)).count();
    assert_eq!(young, 0, "of the younger half had to go");
    assert_eq!(world.most.load(Ordering::SeqCst), many);
    root.shutdown(Duration::from_secs(5)).await;
}
