//! Actors by key: one incarnation at a time, no message lost to passivation or to a neighbour's crash.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails at the spot")]

mod room;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::{Command, Puppet, Recorder};
use supervision::{DirectoryError, LocalOnly, NodeName, Place, Placement};

#[derive(Default)]
struct World {
    /// How many incarnations there are, and how many there have been at once at most.
    count: AtomicUsize,
    most: AtomicUsize,
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
    Add {
        sender: u32,
        n: u32,
        reply: Option<Reply<()>>,
    },
    Crash,
    Drain,
    /// Says that it is being handled, waits to be let go on, then drains.
    DrainLater {
        begun: Reply<()>,
        go: tokio::sync::oneshot::Receiver<()>,
    },
}

struct Life {
    world: Arc<World>,
    key: u32,
}

impl Drop for Life {
    fn drop(&mut self) {
        *self.world.live.lock().unwrap().entry(self.key).or_default() -= 1;
        self.world.count.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Actor for Counter {
    type Message = Message;
    type Args = ();
    type State = Life;

    async fn pre_start(&self, (): (), _: &Ctx<Message>) -> Result<Life, BoxError> {
        self.world.activations.fetch_add(1, Ordering::SeqCst);
        self.world.most.fetch_max(self.world.count.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
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
            Message::DrainLater { begun, go } => {
                begun.send(());
                go.await?;
                ctx.drain();
            }
        }
        Ok(())
    }

    async fn post_stop(&self, _: &mut Life, _: &Ctx<Message>) -> ActorResult {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(())
    }
}

async fn world(options: DirectoryOptions) -> (SupervisorHandle, Directory<u32, Message>, Arc<World>) {
    world_of(options, Mailbox::wait(16), Restart::Temporary).await
}

async fn world_of(
    options: DirectoryOptions,
    mailbox: Mailbox,
    restart: Restart,
) -> (SupervisorHandle, Directory<u32, Message>, Arc<World>) {
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
            .restart(restart)
            .mailbox(mailbox)
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

async fn add(directory: &Directory<u32, Message>, key: u32) -> Result<(), DirectoryError> {
    directory.call(&key, |reply| Message::Add { sender: 0, n: 0, reply: Some(reply) }, Duration::from_secs(30)).await
}

/// Waits until the directory knows of nobody.
async fn until_forgotten(directory: &Directory<u32, Message>) {
    let gone = async {
        while directory.known_count() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_refused_by_an_ending_incarnation_is_handled_by_the_next() {
    let (root, directory, world) = world_of(quick(), Mailbox::wait(1), Restart::Temporary).await;
    let (go, wait) = tokio::sync::oneshot::channel();
    let first = directory.clone();
    let holding = tokio::spawn(async move {
        let build = |begun| Message::DrainLater { begun, go: wait };
        first.call(&1, build, Duration::from_secs(30)).await
    });
    holding.await.unwrap().unwrap();
    // The one message it has room for is in hand: this one has found its incarnation and waits for room.
    let mut late = Box::pin(directory.cast(&1, Message::Add { sender: 0, n: 0, reply: None }));
    assert!(futures_util::poll!(&mut late).is_pending());
    // Room there is now, but the incarnation takes in nothing any more: the message comes back and is sent anew.
    go.send(()).unwrap();
    late.await.unwrap();
    add(&directory, 1).await.unwrap();
    assert_eq!(world.log.lock().unwrap()[&1], [(0, 0), (0, 0)]);
    assert_eq!(world.activations.load(Ordering::SeqCst), 2);
    root.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_passivated_key_costs_nothing() {
    let (root, directory, world) = world(quick()).await;
    for key in 0..100 {
        add(&directory, key).await.unwrap();
    }
    assert_eq!((directory.live_count(), directory.known_count()), (100, 100));
    assert_eq!(directory.sweep(), 100);
    until_forgotten(&directory).await;
    assert_eq!((directory.live_count(), world.count.load(Ordering::SeqCst)), (0, 0));
    root.shutdown(Duration::from_secs(5)).await;
    // Nor does one that could not be started.
    assert!(matches!(add(&directory, 1).await, Err(DirectoryError::Start(_))));
    assert_eq!(directory.known_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_crashed_is_remembered_for_as_long_as_it_matters() {
    let options = DirectoryOptions::default();
    let memory = Duration::from_secs(30);
    let (root, directory, _) = world(options).await;
    directory.cast(&1, Message::Crash).await.unwrap();
    while directory.is_live(&1) {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(memory / 2).await;
    directory.sweep();
    assert_eq!(directory.known_count(), 1, "one more crash would be its second");
    tokio::time::sleep(memory / 2).await;
    directory.sweep();
    assert_eq!(directory.known_count(), 0);
    root.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_supervisor_brings_it_back_is_found_again() {
    let (root, directory, world) = world_of(quick(), Mailbox::wait(16), Restart::Transient).await;
    for round in 1..=5 {
        directory.cast(&1, Message::Crash).await.unwrap();
        while world.activations.load(Ordering::SeqCst) <= round {
            directory.sweep();
            tokio::task::yield_now().await;
        }
        add(&directory, 1).await.unwrap();
        assert_eq!(directory.live_count(), 1);
    }
    assert_eq!(world.overlaps.load(Ordering::SeqCst), 0);
    root.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_belongs_to_another_node_is_refused() {
    struct EvenHere;
    impl Placement<u32> for EvenHere {
        fn place(&self, key: &u32) -> Place {
            if key.is_multiple_of(2) { Place::Local } else { Place::Elsewhere(NodeName::new("odd")) }
        }
    }
    let slot = SupervisorSlot::new();
    let record = Recorder::new();
    let spec = SupervisorSpec {
        children: vec![ChildSpec::dynamic("all", "all", &slot, DynamicOptions::default())],
        ..SupervisorSpec::default()
    };
    let root = Supervisor::start_root(spec, TreeStore::new()).await.unwrap();
    let noted = record.clone();
    let template = move |key: &u32, slot: &Slot<Command>| {
        Puppet::new(&key.to_string(), &noted).in_slot(slot).spec().restart(Restart::Temporary)
    };
    let directory = Directory::placed(DirectoryOptions::default(), &slot, template, EvenHere);
    directory.ensure(&2).await.unwrap();
    let odd = |error: &DirectoryError| matches!(error, DirectoryError::Elsewhere(node) if node.as_str() == "odd");
    let refused = directory.cast(&3, Command::Note("back".into())).await.unwrap_err();
    assert!(odd(&refused.error) && matches!(refused.message, Command::Note(line) if line == "back"));
    assert!(odd(&directory.ensure(&3).await.unwrap_err()));
    assert!(odd(&directory.call(&3, Command::Incarnation, Duration::from_secs(5)).await.unwrap_err()));
    assert_eq!(directory.known_count(), 1);
    assert_eq!(LocalOnly.place(&3), Place::Local);
    root.shutdown(Duration::from_secs(5)).await;
}
