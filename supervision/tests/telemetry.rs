//! Events, counters by kind, and the watchdog.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails at the spot")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::{Command, Puppet, Recorder};
use supervision::tree::{Action, MailboxLevel, NodeView, View};
use supervision::{ExitClass, TelemetryEvent, WatchdogOptions};

const BUDGET: Duration = Duration::from_secs(20);

/// Looks often, so that the tests take no long.
const KEEN: WatchdogOptions = WatchdogOptions {
    tick: Duration::from_millis(5),
    slow_after: Duration::from_millis(50),
    mailbox_warn: 0.5,
    mailbox_crit: 1.0,
};

/// Notes the names of events, with the path they are about, in the record.
fn note(tree: &TreeStore) -> Recorder {
    let record = Recorder::new();
    let notes = record.clone();
    tree.observe(move |event| {
        notes.note(match event.whom() {
            Some(whom) => format!("{} {}#{}", event.name(), whom.path, whom.incarnation),
            None => event.name().to_owned(),
        });
    });
    record
}

async fn start(tree: &TreeStore, children: Vec<ChildSpec>) -> SupervisorHandle {
    let spec = SupervisorSpec { children, ..SupervisorSpec::default() };
    Supervisor::start_root(spec, tree.clone()).await.unwrap()
}

/// Waits until a node shows something.
async fn shows(tree: &TreeStore, path: &str, what: impl Fn(&NodeView) -> bool) -> NodeView {
    let mut changes = tree.subscribe();
    let seen = async {
        loop {
            match tree.node(&path.into()) {
                Some(node) if what(&node) => return node,
                Some(_) | None => drop(changes.next().await),
            }
        }
    };
    tokio::time::timeout(BUDGET, seen).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_life_is_told_step_by_step() {
    let (tree, record) = (TreeStore::new(), Recorder::new());
    let events = note(&tree);
    let a = Puppet::new("a", &record);
    let backoff = BackoffPolicy { initial: Duration::from_secs(1), max_attempts: Some(1), ..BackoffPolicy::default() };
    let backoff = BackoffPolicy {
        on_exhausted: Exhausted::GiveUp,
        reset_after: ResetRule::Never,
        jitter: Jitter::None,
        ..backoff
    };
    let root = start(&tree, vec![a.spec().backoff(backoff).counts(false)]).await;
    a.tell(Command::Error("broken"));
    events.until("restarted root/a#2").await;
    tree.act(&"root/a".into(), Action::Restart).await.unwrap();
    a.tell(Command::Panic("bang"));
    events.until("restarted root/a#4").await;
    a.tell(Command::Error("broken again"));
    events.until("gave_up root/a#4").await;
    root.shutdown(BUDGET).await;
    let of_a: Vec<String> = events.lines().into_iter().filter(|line| line.contains("root/a")).collect();
    let expected = [
        "spec_added root/a#0",
        "spawned root/a#1",
        "running root/a#1",
        "exit_abnormal root/a#1",
        "restart_scheduled root/a#1",
        "spawned root/a#2",
        "running root/a#2",
        "restarted root/a#2",
        "stopping root/a#2",
        "exit_clean root/a#2",
        "spawned root/a#3",
        "running root/a#3",
        "restarted root/a#3",
        "exit_abnormal root/a#3",
        "restart_scheduled root/a#3",
        "spawned root/a#4",
        "running root/a#4",
        "restarted root/a#4",
        "exit_abnormal root/a#4",
        "gave_up root/a#4",
        "spec_removed root/a#4",
    ];
    assert_eq!(of_a, expected);
    let stats = tree.kind_stats();
    let kind = a.spec().kind();
    assert_eq!((stats[kind].nodes, stats[kind].spawned, stats[kind].restarts), (0, 4, 2));
    assert_eq!(stats[kind].exits_of(ExitClass::Error), 2);
    assert_eq!(stats[kind].exits_of(ExitClass::Panic), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_and_a_meltdown_are_told() {
    let (tree, record) = (TreeStore::new(), Recorder::new());
    let events = note(&tree);
    let a = Puppet::new("a", &record);
    let slot = SupervisorSlot::new();
    let of = a.clone();
    let inner = ChildSpec::supervisor("inner", "inner", &slot, move || SupervisorSpec {
        intensity: Intensity { max_restarts: 0, period: Duration::from_secs(5) },
        children: vec![of.spec()],
        ..SupervisorSpec::default()
    });
    let root = start(&tree, vec![inner.restart(Restart::Temporary)]).await;
    a.tell(Command::Error("broken"));
    events.until("meltdown root/inner#1").await;
    let broken = Puppet::new("broken", &record);
    broken.fail_starts(1);
    assert!(root.start_child(broken.spec()).await.is_err());
    assert!(events.lines().contains(&"init_failed root/broken#1".to_owned()), "{:?}", events.lines());
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_stops_too_late_is_told() {
    let (tree, record) = (TreeStore::new(), Recorder::new());
    let events = note(&tree);
    let a = Puppet::new("a", &record);
    let root = start(&tree, vec![a.spec().shutdown(Shutdown::Timeout(Duration::from_secs(1)))]).await;
    a.tell(Command::Hang);
    record.until("hang a#1").await;
    root.terminate_child(&"a".into()).await.unwrap();
    events.until("shutdown_timeout root/a#1").await;
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_harms_nobody() {
    let (tree, record) = (TreeStore::new(), Recorder::new());
    tree.observe(|_| panic!("an observer's own fault"));
    let events = note(&tree);
    // An observer may look at the tree it is told of.
    let again = tree.clone();
    tree.observe(move |event| {
        drop(event.whom().map(|whom| again.node(&whom.path)));
    });
    let a = Puppet::new("a", &record);
    let root = start(&tree, vec![a.spec()]).await;
    a.tell(Command::Error("broken"));
    events.until("running root/a#2").await;
    root.shutdown(BUDGET).await;
}

/// There is but one worker, and the actor blocks it: whoever looks must not need it.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_watchdog_sees_a_blocked_actor_while_it_blocks_every_worker() {
    let (tree, record) = (TreeStore::new(), Recorder::new());
    let slow = Arc::new(Mutex::new(Vec::new()));
    let (seen, look) = tokio::sync::watch::channel(0);
    let told = Arc::clone(&slow);
    tree.observe(move |event| {
        if let TelemetryEvent::SlowHandler { whom, elapsed } = event {
            told.lock().unwrap().push((whom.path.to_string(), *elapsed));
            seen.send_modify(|count| *count += 1);
        }
    });
    let a = Puppet::new("a", &record);
    let root = start(&tree, vec![ChildSpec::watchdog("watchdog", KEEN), a.spec()]).await;
    let free = Arc::new(AtomicBool::new(false));
    a.tell(Command::Block(Arc::clone(&free)));
    let mut first = look.clone();
    tokio::time::timeout(BUDGET, first.wait_for(|count| *count > 0)).await.unwrap().unwrap();
    assert!(!free.load(Ordering::SeqCst), "it is still blocked");
    let node = tree.node(&"root/a".into()).unwrap();
    assert!(node.alerts.as_ref().unwrap().slow_handler.is_some());
    assert!(node.in_hand.unwrap() >= KEEN.slow_after);
    free.store(true, Ordering::SeqCst);
    shows(&tree, "root/a", |node| node.alerts.is_none()).await;
    let told = slow.lock().unwrap().clone();
    assert_eq!(told.len(), 1, "once for a message: {told:?}");
    assert_eq!(told[0].0, "root/a");
    assert!(told[0].1 >= KEEN.slow_after);
    let report = root.shutdown(BUDGET).await;
    assert!(report.stragglers.is_empty(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_that_fills_up_is_told_once_each_way() {
    let (tree, record) = (TreeStore::new(), Recorder::new());
    let events = note(&tree);
    let a = Puppet::new("a", &record);
    let spec = a.spec().mailbox(Mailbox::reject(4));
    let root = start(&tree, vec![ChildSpec::watchdog("watchdog", KEEN), spec]).await;
    let free = Arc::new(AtomicBool::new(false));
    a.tell(Command::Block(Arc::clone(&free)));
    a.tell(Command::Note("second".to_owned()));
    events.until("mailbox_high root/a#1").await;
    let node = shows(&tree, "root/a", |node| node.alerts.is_some()).await;
    assert_eq!(node.alerts.as_ref().unwrap().mailbox, MailboxLevel::High);
    a.tell(Command::Note("third".to_owned()));
    a.tell(Command::Note("fourth".to_owned()));
    let critical =
        |node: &NodeView| node.alerts.as_ref().is_some_and(|alerts| alerts.mailbox == MailboxLevel::Critical);
    shows(&tree, "root/a", critical).await;
    free.store(true, Ordering::SeqCst);
    events.until("mailbox_normal root/a#1").await;
    let count = |name: &str| events.lines().iter().filter(|line| line.starts_with(name)).count();
    assert_eq!((count("mailbox_high"), count("mailbox_normal")), (2, 1), "{:?}", events.lines());
    root.shutdown(BUDGET).await;
}

/// Asks the next in line to ask the one after, and so on.
enum Relay {
    Ask(Vec<Address<Relay>>, Reply<Result<(), CallError>>),
    Hang,
}

struct Asker;

impl Actor for Asker {
    type Message = Relay;
    type Args = ();
    type State = ();

    async fn pre_start(&self, (): (), _: &Ctx<Relay>) -> Result<(), BoxError> {
        Ok(())
    }

    async fn handle(&self, (): &mut (), message: Relay, _: &Ctx<Relay>) -> ActorResult {
        match message {
            Relay::Hang => std::future::pending().await,
            Relay::Ask(mut line, reply) => {
                let answer = match line.pop() {
                    None => Ok(()),
                    Some(next) => {
                        let asked = Box::pin(next.call(|reply| Relay::Ask(line, reply), BUDGET)).await;
                        asked.unwrap_or_else(Err)
                    }
                };
                reply.send(answer);
            }
        }
        Ok(())
    }
}

fn asker(id: &'static str, slot: &Slot<Relay>) -> ChildSpec {
    ChildSpec::actor(id, "asker", slot, |_| (Asker, ())).shutdown(Shutdown::Brutal)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_whom_is_shown_and_a_refused_cycle_is_told() {
    let tree = TreeStore::new();
    let cycles = Recorder::new();
    let told = cycles.clone();
    tree.observe(move |event| {
        if let TelemetryEvent::WaitCycle { paths } = event {
            told.note(paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" > "));
        }
    });
    let (a, b) = (Slot::new(), Slot::new());
    let children = vec![ChildSpec::watchdog("watchdog", KEEN), asker("a", &a), asker("b", &b)];
    let root = start(&tree, children).await;
    // a asks b, which asks a.
    let round = vec![a.address(), b.address()];
    let answer = a.address().call(|reply| Relay::Ask(round, reply), BUDGET).await.unwrap();
    assert_eq!(answer, Err(CallError::WouldDeadlock));
    cycles.until("root/b > root/a > root/b").await;

    assert!(tree.waits().is_empty());
    b.address().try_cast(Relay::Hang).unwrap();
    let address = a.address();
    let line = vec![b.address()];
    let asking = tokio::spawn(async move { address.call(|reply| Relay::Ask(line, reply), BUDGET).await });
    let node =
        shows(&tree, "root/a", |node| node.alerts.as_ref().is_some_and(|alerts| !alerts.waits_for.is_empty())).await;
    let waits = tree.waits();
    assert_eq!(waits.len(), 1);
    assert_eq!((waits[0].from_path.as_str(), waits[0].to_path.as_str()), ("root/a", "root/b"));
    assert_eq!(node.alerts.as_ref().unwrap().waits_for, [waits[0].to]);
    root.shutdown(BUDGET).await;
    assert_eq!(asking.await.unwrap().and_then(|answer| answer), Err(CallError::Crashed));
    assert!(tree.waits().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_directory_tells_who_comes_and_goes_and_what_was_given_up() {
    let (tree, record) = (TreeStore::new(), Recorder::new());
    let events = note(&tree);
    let slot = SupervisorSlot::new();
    let root = start(&tree, vec![ChildSpec::dynamic("keys", "keys", &slot, DynamicOptions::default())]).await;
    let puppet = record.clone();
    let directory = Directory::<String, Command>::new(
        DirectoryOptions { idle_after: Duration::from_secs(1), ..DirectoryOptions::default() },
        &slot,
        move |key, slot| Puppet::new(key, &puppet).in_slot(slot).spec().restart(Restart::Temporary),
    );
    directory.ensure(&"a".to_owned()).await.unwrap();
    assert!(events.lines().contains(&"activated root/keys/a#1".to_owned()), "{:?}", events.lines());
    tokio::time::sleep(Duration::from_secs(5)).await;
    directory.sweep();
    events.until("passivated root/keys/a#1").await;
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_sampler_reads_the_counters_of_its_view_only() {
    let (tree, record) = (TreeStore::new(), Recorder::new());
    let (a, b) = (Puppet::new("a", &record), Puppet::new("b", &record));
    let root = start(&tree, vec![a.spec(), b.spec()]).await;
    let view = View { root: Some("root/a".into()), ..View::default() };
    let mut sampler = tree.seen_by(supervision::tree::Viewer::full()).sampler(view);
    let first = sampler.sample();
    assert_eq!(first.ids, [tree.node(&"root/a".into()).unwrap().id]);
    assert_eq!(first.rate, [0.0]);
    for _ in 0..10 {
        a.incarnation().await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let second = sampler.sample();
    assert_eq!((second.rate.as_slice(), second.depth.as_slice()), ([5.0].as_slice(), [0].as_slice()));
    assert_eq!((second.oldest, second.busy), (vec![None], vec![None]));
    root.shutdown(BUDGET).await;
}
