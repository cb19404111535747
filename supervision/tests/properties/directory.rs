//! Actors by key under random disturbance: what each sender sent to a key is handled once, in order, or came back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use proptest::test_runner::Config;
use supervision::prelude::*;

#[derive(Default)]
struct World {
    /// What each key was given by each sender, in the order it was opened, over all incarnations.
    opened: Mutex<BTreeMap<(u32, u32), Vec<u32>>>,
    live: Mutex<BTreeMap<u32, u32>>,
    overlaps: AtomicUsize,
}

struct Keyed {
    world: Arc<World>,
    key: u32,
}

#[derive(Debug)]
enum Message {
    Add { sender: u32, n: u32, then: Then },
    Ping(Reply<()>),
}

/// What a message does to its actor.
#[derive(Clone, Copy, Debug)]
enum Then {
    Nothing,
    Yield,
    Error,
    Panic,
    Drain,
    Stop,
}

/// One incarnation.
struct Life {
    world: Arc<World>,
    key: u32,
}

impl Drop for Life {
    fn drop(&mut self) {
        *self.world.live.lock().unwrap().entry(self.key).or_default() -= 1;
    }
}

impl Actor for Keyed {
    type Message = Message;
    type Args = ();
    type State = Life;

    async fn pre_start(&self, (): (), _: &Ctx<Message>) -> Result<Life, BoxError> {
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
            Message::Ping(reply) => reply.send(()),
            Message::Add { sender, n, then } => {
                self.world.opened.lock().unwrap().entry((sender, self.key)).or_default().push(n);
                match then {
                    Then::Nothing => {}
                    Then::Yield => tokio::task::yield_now().await,
                    Then::Error => return Err("error".into()),
                    Then::Panic => panic!("panic"),
                    Then::Drain => ctx.drain(),
                    Then::Stop => ctx.stop("enough"),
                }
            }
        }
        Ok(())
    }
}

/// One step of a sender.
#[derive(Clone, Copy, Debug)]
enum Step {
    Cast(u32, Then),
    Ask(u32),
    Sweep,
    Relieve(usize),
    Kill(u32),
    Yield,
}

const KEYS: u32 = 4;

fn step() -> impl Strategy<Value = Step> {
    let then = prop_oneof![
        20 => Just(Then::Nothing), 6 => Just(Then::Yield),
        1 => Just(Then::Error), 1 => Just(Then::Panic), 1 => Just(Then::Drain), 1 => Just(Then::Stop)
    ];
    prop_oneof![
        12 => (0..KEYS, then).prop_map(|(key, then)| Step::Cast(key, then)),
        2 => (0..KEYS).prop_map(Step::Ask),
        1 => Just(Step::Sweep),
        1 => (1..4usize).prop_map(Step::Relieve),
        1 => (0..KEYS).prop_map(Step::Kill),
        1 => Just(Step::Yield),
    ]
}

#[derive(Clone, Copy, Debug)]
struct Rules {
    max_live: usize,
    waits: bool,
    restart: Restart,
    stop_mode: StopMode,
}

fn rules() -> impl Strategy<Value = Rules> {
    let restart = prop_oneof![2 => Just(Restart::Temporary), 1 => Just(Restart::Transient)];
    let mode = prop_oneof![Just(StopMode::Stop), Just(StopMode::Drain)];
    (2..6usize, any::<bool>(), restart, mode).prop_map(|(max_live, waits, restart, stop_mode)| Rules {
        max_live,
        waits,
        restart,
        stop_mode,
    })
}

proptest! {
    // Made no smaller: what the two threads do is not part of the program.
    #![proptest_config(Config { max_shrink_iters: 0, ..super::config(12) })]

    #[test]
    fn each_message_to_a_key_is_opened_once_and_in_order_or_comes_back(
        rules in rules(),
        programs in prop::collection::vec(prop::collection::vec(step(), 20..80), 2..6),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(storm(rules, programs));
    }
}

async fn world(rules: Rules) -> (SupervisorHandle, SupervisorHandle, Directory<u32, Message>, Arc<World>) {
    let slot = SupervisorSlot::new();
    let world = Arc::new(World::default());
    let patient =
        DynamicOptions { intensity: Intensity { max_restarts: 100_000, period: LONG }, ..DynamicOptions::default() };
    let (root, _) = super::root(vec![ChildSpec::dynamic("keyed", "keyed", &slot, patient)]).await;
    let of = Arc::clone(&world);
    let options = DirectoryOptions {
        idle_after: Duration::ZERO,
        max_live: rules.max_live,
        crash_backoff: None,
        ..DirectoryOptions::default()
    };
    let directory = Directory::new(options, &slot, move |key: &u32, slot| {
        let (world, key) = (Arc::clone(&of), *key);
        ChildSpec::actor(key.to_string(), "keyed", slot, move |_| (Keyed { world: Arc::clone(&world), key }, ()))
            .restart(rules.restart)
            .stop_mode(rules.stop_mode)
            .shutdown(Shutdown::Brutal)
            .mailbox(if rules.waits { Mailbox::wait(3) } else { Mailbox::reject(3) })
    });
    (root, slot.handle(), directory, world)
}

const LONG: Duration = Duration::from_secs(30);

/// Runs one sender's program; gives what came back.
async fn send(
    sender: u32,
    program: Vec<Step>,
    directory: Directory<u32, Message>,
    parent: SupervisorHandle,
) -> (Vec<(u32, u32)>, BTreeSet<(u32, u32)>) {
    let (mut sent, mut returned) = (Vec::new(), BTreeSet::new());
    for (n, step) in (0u32..).zip(program) {
        match step {
            Step::Cast(key, then) => {
                sent.push((key, n));
                if let Err(undelivered) = directory.cast(&key, Message::Add { sender, n, then }).await {
                    assert!(
                        matches!(undelivered.message, Message::Add { sender: s, n: m, .. } if (s, m) == (sender, n))
                    );
                    returned.insert((key, n));
                }
            }
            Step::Ask(key) => drop(directory.call(&key, Message::Ping, LONG).await),
            Step::Sweep => drop(directory.sweep().to_string()),
            Step::Relieve(n) => drop(directory.relieve(n).to_string()),
            Step::Kill(key) => drop(parent.terminate_child(&key.to_string().into()).await),
            Step::Yield => tokio::task::yield_now().await,
        }
    }
    (sent, returned)
}

async fn storm(rules: Rules, programs: Vec<Vec<Step>>) {
    let (root, parent, directory, world) = world(rules).await;
    let senders: Vec<_> = (0u32..)
        .zip(programs)
        .map(|(sender, program)| tokio::spawn(send(sender, program, directory.clone(), parent.clone())))
        .collect();
    let mut outcomes = Vec::new();
    for sender in senders {
        outcomes.push(sender.await.unwrap());
    }
    // Behind everything that was taken in: when all have answered, all has been opened.
    for key in 0..KEYS {
        let answered = async {
            while directory.call(&key, Message::Ping, LONG).await.is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(LONG, answered).await.unwrap();
    }
    let opened = world.opened.lock().unwrap().clone();
    for (sender, (sent, returned)) in (0u32..).zip(outcomes) {
        for key in 0..KEYS {
            let expected: Vec<u32> =
                sent.iter().filter(|one| one.0 == key && !returned.contains(one)).map(|(_, n)| *n).collect();
            let got = opened.get(&(sender, key)).cloned().unwrap_or_default();
            assert_eq!(
                got,
                expected,
                "sender {sender} to key {key}; {} dead letters",
                directory.dead_letters().total()
            );
        }
    }
    assert_eq!(directory.dead_letters().total(), 0);
    assert_eq!(world.overlaps.load(Ordering::SeqCst), 0, "two incarnations of one key");
    root.shutdown(LONG).await;
    assert!(world.live.lock().unwrap().values().all(|count| *count == 0));
}
