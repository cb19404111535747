//! Children that fail at each new start, for ever: their supervisor answers, stops them, and can be stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::Recorder;
use supervision::tree::NodeState;
use supervision::{AdminError, TemplateSlot};
use tokio::time::Instant;

use crate::support::*;

/// How long a failing start takes. That is long enough never to fail too often within [`RULES`].
const EFFORT: Duration = Duration::from_secs(2);

const RULES: Intensity = Intensity { max_restarts: 20, period: Duration::from_secs(10) };

/// Less than one effort: whoever is answered within it did not wait for one.
const AT_ONCE: Duration = Duration::from_millis(500);

/// A child whose starts take their time and then fail, while it is told so.
#[derive(Clone)]
struct Hopeless {
    probe: Probe,
    record: Recorder,
    failing: Arc<AtomicBool>,
}

impl Hopeless {
    fn new(name: &str, failing: &Arc<AtomicBool>) -> Self {
        let record = Recorder::new();
        Self { probe: Probe::new(name, &record), record, failing: Arc::clone(failing) }
    }

    fn spec(&self) -> ChildSpec {
        let own = self.clone();
        let spec = ChildSpec::custom(self.probe.name.as_str(), "probe", self.probe.slot(), move |start| {
            let own = own.clone();
            async move {
                if own.failing.load(Ordering::SeqCst) {
                    own.record.note("try");
                    tokio::time::sleep(EFFORT).await;
                    own.record.note("fail");
                    return Err("hopeless".into());
                }
                let slot = own.probe.slot().clone();
                start.spawn(&slot, own.probe, ()).await
            }
        });
        spec.shutdown(Shutdown::Brutal)
    }

    /// It dies, and has tried more often to come back than a supervisor would forgive in a moment.
    async fn loops(&self) {
        self.record.clear();
        self.probe.die(Death::Error).await;
        self.tries(10).await;
    }

    async fn tries(&self, times: usize) {
        self.record.until_that(move |lines| lines.iter().filter(|line| *line == "try").count() >= times).await;
    }

    async fn has_given_up(&self) {
        self.record.clear();
        tokio::time::sleep(3 * EFFORT).await;
        assert_eq!(self.record.lines(), Vec::<String>::new());
    }
}

fn patient(strategy: Strategy) -> SupervisorSpec {
    SupervisorSpec { strategy, intensity: RULES, ..SupervisorSpec::default() }
}

/// What is asked is answered although a start is under way.
async fn at_once<T>(asked: impl Future<Output = T>) -> T {
    tokio::time::timeout(AT_ONCE, asked).await.unwrap()
}

/// OTP's answers about a child that is being restarted.
async fn is_between(root: &SupervisorHandle, child: &Hopeless) {
    let id = child.probe.id();
    let present = at_once(root.start_child(child.spec())).await;
    assert!(matches!(present, Err(AdminError::AlreadyPresent)), "{present:?}");
    assert!(matches!(at_once(root.restart_child(&id)).await, Err(AdminError::Restarting)));
    assert!(matches!(at_once(root.delete_child(&id)).await, Err(AdminError::Restarting)));
    let seen = at_once(root.which_child(&id)).await.unwrap();
    assert_eq!((seen.state, seen.actor), (NodeState::Restarting, None));
}

#[tokio::test(start_paused = true)]
async fn hanging_restart_loop() {
    let failing = Arc::new(AtomicBool::new(false));
    let child = Hopeless::new("child", &failing);
    let (root, tree) = start(patient(Strategy::OneForOne)).await;
    root.start_child(child.spec()).await.unwrap();

    failing.store(true, Ordering::SeqCst);
    child.loops().await;
    is_between(&root, &child).await;
    assert_eq!(counts(&root).await, [1, 0, 0, 1]);

    at_once(root.terminate_child(&child.probe.id())).await.unwrap();
    assert_eq!(states(&root).await, [("child".to_owned(), NodeState::Exited)]);
    child.has_given_up().await;

    failing.store(false, Ordering::SeqCst);
    root.restart_child(&child.probe.id()).await.unwrap();
    failing.store(true, Ordering::SeqCst);
    child.loops().await;
    let begin = Instant::now();
    assert!(root.shutdown(LONG).await.stragglers.is_empty());
    assert!(begin.elapsed() < AT_ONCE);
    child.has_given_up().await;
    assert!(tree.snapshot(&Default::default()).nodes.is_empty());

    // The same while it waits for its next try.
    let child = Hopeless::new("child", &failing);
    let pause = BackoffPolicy {
        initial: EFFORT,
        max: EFFORT,
        factor: 1.0,
        jitter: Jitter::None,
        max_attempts: None,
        reset_after: ResetRule::Never,
        window: None,
        on_exhausted: Exhausted::Escalate,
    };
    let (root, tree) = start(patient(Strategy::OneForOne)).await;
    failing.store(false, Ordering::SeqCst);
    let spec = || child.spec().backoff(pause.clone());
    root.start_child(spec()).await.unwrap();
    failing.store(true, Ordering::SeqCst);
    child.loops().await;
    until_node(&tree, "root/child", |node| {
        node.is_some_and(|node| matches!(node.state, NodeState::BackingOff { attempt, .. } if attempt > 10))
    })
    .await;
    assert!(matches!(at_once(root.start_child(spec())).await, Err(AdminError::AlreadyPresent)));
    assert!(matches!(at_once(root.restart_child(&"child".into())).await, Err(AdminError::Restarting)));
    assert!(matches!(at_once(root.delete_child(&"child".into())).await, Err(AdminError::Restarting)));
    assert_eq!(counts(&root).await, [1, 0, 0, 1]);
    at_once(root.terminate_child(&"child".into())).await.unwrap();
    child.has_given_up().await;
    at_once(root.delete_child(&"child".into())).await.unwrap();
    assert!(root.shutdown(LONG).await.stragglers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn hanging_restart_loop_rest_for_one() {
    let record = Recorder::new();
    let failing = Arc::new(AtomicBool::new(false));
    let (first, child, last) =
        (Probe::new("first", &record), Hopeless::new("child", &failing), Probe::new("last", &record));
    let (root, tree) = start(patient(Strategy::RestForOne)).await;
    for spec in [first.spec(), child.spec(), last.spec()] {
        root.start_child(spec).await.unwrap();
    }
    let before = root.which_child(&first.id()).await.unwrap().actor;

    failing.store(true, Ordering::SeqCst);
    child.loops().await;
    is_between(&root, &child).await;
    // The one before is untouched; the one after is down until its predecessor is up.
    let seen = at_once(root.which_children()).await.unwrap();
    assert_eq!(seen.iter().map(|child| child.actor).collect::<Vec<_>>(), [before, None, None]);
    assert_eq!(counts(&root).await, [3, 1, 0, 3]);
    assert!(!last.is_alive() && record.lines().contains(&"stop last#1".to_owned()));

    // Without it there is nothing left to wait for.
    at_once(root.terminate_child(&child.probe.id())).await.unwrap();
    until_up(&tree, "root/last", 2).await;
    assert_eq!(root.which_child(&child.probe.id()).await.unwrap().state, NodeState::Exited);
    assert_eq!(first.incarnation().await, 1);
    child.has_given_up().await;

    failing.store(false, Ordering::SeqCst);
    root.restart_child(&child.probe.id()).await.unwrap();
    failing.store(true, Ordering::SeqCst);
    child.loops().await;
    let begin = Instant::now();
    assert!(root.shutdown(LONG).await.stragglers.is_empty());
    assert!(begin.elapsed() < AT_ONCE);
    child.has_given_up().await;
    let starts = record.lines().into_iter().filter(|line| line.starts_with("start first")).count();
    assert_eq!(starts, 1, "the one before was never restarted");
    assert!(tree.snapshot(&Default::default()).nodes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn hanging_restart_loop_simple() {
    let failing = Arc::new(AtomicBool::new(false));
    let slot = TemplateSlot::<Hopeless>::new();
    let options = DynamicOptions { intensity: RULES, ..DynamicOptions::default() };
    let make = |child: &Hopeless, _| child.spec();
    let (root, tree) = start_below(ChildSpec::template("simple", "simple", &slot, options, make)).await;
    let sup = slot.handle().supervisor();
    let child = Hopeless::new("child", &failing);
    let first = slot.handle().start_child(child.clone()).await.unwrap().actor.unwrap();

    failing.store(true, Ordering::SeqCst);
    child.loops().await;
    let id = ChildId::from("1");
    assert!(matches!(at_once(sup.restart_child(&id)).await, Err(AdminError::NotSupported)));
    assert!(matches!(at_once(sup.delete_child(&id)).await, Err(AdminError::NotSupported)));
    let seen = at_once(sup.which_children()).await.unwrap();
    assert_eq!(
        seen.iter().map(|child| (child.state, child.actor)).collect::<Vec<_>>(),
        [(NodeState::Restarting, None)]
    );
    assert_eq!(counts(&sup).await, [1, 0, 0, 1]);

    // It is still known by the actor it last was.
    assert_eq!(at_once(sup.which_actor(first)).await.unwrap().state, NodeState::Restarting);
    at_once(sup.terminate_actor(first)).await.unwrap();
    child.has_given_up().await;
    assert_eq!(counts(&sup).await, [1, 0, 0, 0]);

    failing.store(false, Ordering::SeqCst);
    let child = Hopeless::new("child", &failing);
    slot.handle().start_child(child.clone()).await.unwrap();
    failing.store(true, Ordering::SeqCst);
    child.loops().await;
    let begin = Instant::now();
    assert!(root.shutdown(LONG).await.stragglers.is_empty());
    assert!(begin.elapsed() < AT_ONCE);
    child.has_given_up().await;
    assert!(tree.snapshot(&Default::default()).nodes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn count_restarting_children() {
    let failing = Arc::new(AtomicBool::new(false));
    let slot = TemplateSlot::<Hopeless>::new();
    let options = DynamicOptions { intensity: RULES, ..DynamicOptions::default() };
    let make = |child: &Hopeless, _| child.spec();
    let (root, tree) = start_below(ChildSpec::template("simple", "simple", &slot, options, make)).await;
    let sup = slot.handle().supervisor();
    let children = ["one", "two", "three"].map(|name| Hopeless::new(name, &failing));

    assert_eq!(counts(&sup).await, [1, 0, 0, 0]);
    for (n, child) in children.iter().enumerate() {
        slot.handle().start_child(child.clone()).await.unwrap();
        assert_eq!(counts(&sup).await, [1, n + 1, 0, n + 1]);
    }
    for (n, child) in children.iter().enumerate() {
        child.probe.die(Death::Error).await;
        until_up(&tree, &format!("root/simple/{}", n + 1), 2).await;
    }
    assert_eq!(counts(&sup).await, [1, 3, 0, 3]);

    // Those that are on their way back count as children, not as active ones.
    failing.store(true, Ordering::SeqCst);
    children[0].loops().await;
    children[1].loops().await;
    assert_eq!(counts(&sup).await, [1, 1, 0, 3]);

    failing.store(false, Ordering::SeqCst);
    for n in 1..=3 {
        until_state(&tree, &format!("root/simple/{n}"), NodeState::Running).await;
    }
    assert_eq!(counts(&sup).await, [1, 3, 0, 3]);
    for left in (0..3).rev() {
        let actor = sup.which_children().await.unwrap()[left].actor.unwrap();
        sup.terminate_actor(actor).await.unwrap();
        assert_eq!(counts(&sup).await, [1, left, 0, left]);
    }
    assert!(root.shutdown(LONG).await.stragglers.is_empty());
}
