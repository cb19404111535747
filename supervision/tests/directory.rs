//! Actors by key: one incarnation at a time, no message lost to passivation or to a neighbour's crash.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails at the spot")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::{Command, Puppet, Recorder};
use supervision::{Directory, DirectoryError};

#[derive(Default)]
struct World {
    /// What each key has handled, in order, over all incarnations.
    log: Mutex<HashMap<u32, Vec<(u32, u32)>>>,
    live: Mutex<HashMap<u32, i32>>,
    overlaps: AtomicUsize,
    activations: AtomicUsize,
}

struct Counter {
    world: Arc<World>,
    key: u32,
}

enum Message {
    Add { sender: u32, n: u32, reply: Option<Reply<()>> },
    Crash,
    Drain,
}

struct Life {
    world: Arc<World>,
    key: u32,
}

impl Drop for Life {
    fn drop(&mut self) {
        *self.world.live.lock().unwrap().entry(self.key).or_default() -= 1;
    }
}

impl Actor for Counter {
    type Message = Message;
    type Args = ();
    type State = Life;

    async fn pre_start(&self, (): (), _: &Ctx<Message>) -> Result<Life, BoxError> {
        self.world.activations.fetch_add(1, Ordering::SeqCst);
        let mut live = self.world.live.lock().unwrap();
        let count = live.entry(self.key).or_default();
        *count += 1;
        if *count > 1 {
            self.world.overlaps.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Life { world: Arc::clone(&self.world), key: self.key })
    }

    async fn handle(&self, _: &mut Life, message: Message, ctx: &Ctx<Message>) -> ActorResult {
        match message {
            Message::Add { sender, n, reply } => {
                tokio::task::yield_now().await;
                self.world.log.lock().unwrap().entry(self.key).or_default().push((sender, n));
                if let Some(reply) = reply {
                    reply.send(());
                }
            }
            Message::Crash => return Err("crash".into()),
            Message::Drain => ctx.drain(),
        }
        Ok(())
    }

    async fn post_stop(&self, _: &mut Life, _: &Ctx<Message>) -> ActorResult {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(())
    }
}

async fn world(options: DirectoryOptions) -> (SupervisorHandle, Directory<u32, Message>, Arc<World>) {
    let slot = PartitionSlot::new();
    let world = Arc::new(World::default());
    let spec = SupervisorSpec {
        children: vec![ChildSpec::partitioned("counters", "counters", &slot, 2, DynamicOptions::default())],
        ..SupervisorSpec::default()
    };
    let root = Supervisor::start_root(spec, TreeStore::new()).await.unwrap();
    let of = Arc::clone(&world);
    let directory = Directory::new(options, &slot, move |key: &u32, slot| {
        let (world, key) = (Arc::clone(&of), *key);
        ChildSpec::actor(key.to_string(), "counter", slot, move |_| (Counter { world: Arc::clone(&world), key }, ()))
            .restart(Restart::Temporary)
            .mailbox(Mailbox::wait(16))
    });
    (root, directory, world)
}

fn quick() -> DirectoryOptions {
    DirectoryOptions { idle_after: Duration::ZERO, crash_backoff: None, ..DirectoryOptions::default() }
}

/// Each sender's messages to each key were handled once and in order.
fn assert_exact(world: &World, senders: u32, keys: u32, each: u32) {
    let log = world.log.lock().unwrap();
    for key in 0..keys {
        for sender in 0..senders {
            let got: Vec<u32> =
                log.get(&key).into_iter().flatten().filter(|(s, _)| *s == sender).map(|(_, n)| *n).collect();
            assert_eq!(got, (0..each).collect::<Vec<_>>(), "key {key} sender {sender}");
        }
    }
    assert_eq!(world.overlaps.load(Ordering::SeqCst), 0, "two incarnations of one key");
}

async fn storm(disturb: impl Fn(u32, u32) -> Option<Message> + Copy + Send + 'static, sweep: bool) {
    let (root, directory, world) = world(quick()).await;
    let (senders, keys, each) = (6, 4, 60);
    let mut tasks = tokio::task::JoinSet::new();
    for sender in 0..senders {
        let directory = directory.clone();
        tasks.spawn(async move {
            for n in 0..each {
                for key in 0..keys {
                    if let Some(message) = disturb(sender, n) {
                        directory.cast(&key, message).await.unwrap();
                    }
                    directory.cast(&key, Message::Add { sender, n, reply: None }).await.unwrap();
                }
                if sweep {
                    directory.sweep();
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    // Idle at last, all go, and come back for a last request behind everything.
    if sweep {
        while directory.live_count() > 0 {
            directory.sweep();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    for key in 0..keys {
        let build = |reply| Message::Add { sender: 1000, n: 0, reply: Some(reply) };
        directory.call(&key, build, Duration::from_secs(30)).await.unwrap();
    }
    assert_exact(&world, senders, keys, each);
    assert_eq!(directory.dead_letters().total(), 0);
    assert!(world.activations.load(Ordering::SeqCst) > keys as usize, "nothing was disturbed");
    root.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_is_lost_while_actors_are_passivated() {
    storm(|_, _| None, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_is_lost_while_actors_drain_themselves() {
    storm(|sender, n| (sender == 0 && n % 5 == 0).then_some(Message::Drain), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_behind_a_crash_reach_the_next_incarnation_in_order() {
    storm(|sender, n| (sender == 0 && n % 7 == 0).then_some(Message::Crash), true).await;
}

#[tokio::test(start_paused = true)]
async fn the_actor_idle_for_longest_makes_room() {
    let (root, directory, world) = world(DirectoryOptions { max_live: 2, ..DirectoryOptions::default() }).await;
    for key in 0..5 {
        let build = |reply| Message::Add { sender: 0, n: 0, reply: Some(reply) };
        directory.call(&key, build, Duration::from_secs(5)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(directory.live_count() <= 2);
    }
    assert!(directory.is_live(&4) && directory.is_live(&3) && !directory.is_live(&2));
    assert_eq!(world.activations.load(Ordering::SeqCst), 5);
    root.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn idle_actors_go_after_their_time_and_busy_ones_stay() {
    let slot = SupervisorSlot::new();
    let record = Recorder::new();
    let spec = SupervisorSpec {
        children: vec![ChildSpec::dynamic("all", "all", &slot, DynamicOptions::default())],
        ..SupervisorSpec::default()
    };
    let root = Supervisor::start_root(spec, TreeStore::new()).await.unwrap();
    let noted = record.clone();
    let options = DirectoryOptions { idle_after: Duration::from_secs(60), ..DirectoryOptions::default() };
    let directory = Directory::new(options, &slot, move |key: &&str, slot| {
        Puppet::new(key, &noted).in_slot(slot).spec().restart(Restart::Temporary)
    });
    directory.cast(&"idle", Command::Note("hello".into())).await.unwrap();
    directory.cast(&"busy", Command::Busy(Some("thinking".into()))).await.unwrap();
    directory.cast(&"busy", Command::Note("busy".into())).await.unwrap();
    record.until("busy").await;
    assert_eq!(directory.sweep(), 0);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(directory.sweep(), 1);
    record.until("stop idle#1").await;
    assert!(directory.is_live(&"busy") && !directory.is_live(&"idle"));
    directory.cast(&"idle", Command::Note("again".into())).await.unwrap();
    record.until("again").await;
    assert_eq!(directory.live_count(), 2);
    root.shutdown(Duration::from_secs(5)).await;
    let error = directory.cast(&"idle", Command::Drain).await.unwrap_err();
    assert!(matches!(error.error, DirectoryError::Start(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_keeps_crashing_is_refused_for_a_while() {
    let (root, directory, _) = world(DirectoryOptions::default()).await;
    directory.cast(&1, Message::Crash).await.unwrap();
    let mut refused = 0;
    for _ in 0..50 {
        match directory.cast(&1, Message::Crash).await {
            Ok(()) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(undelivered) => {
                assert!(matches!(undelivered.error, DirectoryError::BackingOff(_)), "{undelivered:?}");
                refused += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    assert!(refused > 25, "{refused}");
    tokio::time::sleep(Duration::from_secs(11)).await;
    directory.ensure(&1).await.unwrap();
    root.shutdown(Duration::from_secs(5)).await;
}
