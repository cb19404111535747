//! Children that hang, crash in odd places, or will not die.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails at the spot")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::{Command, Puppet, Recorder};
use supervision::tree::{ActError, Action, NodeState, Query, TreeUpdate};
use supervision::{AdminError, ExitClass};

async fn root(children: Vec<ChildSpec>) -> (SupervisorHandle, TreeStore) {
    let tree = TreeStore::new();
    let spec = SupervisorSpec {
        intensity: Intensity { max_restarts: 50, period: Duration::from_secs(5) },
        children,
        ..SupervisorSpec::default()
    };
    (Supervisor::start_root(spec, tree.clone()).await.unwrap(), tree)
}

const BUDGET: Duration = Duration::from_secs(20);

/// Waits for the tree to show a state, by following it.
async fn until_state(tree: &TreeStore, path: &str, wanted: impl Fn(&NodeState) -> bool) {
    let mut changes = tree.subscribe();
    let wait = async {
        while !tree.node(&path.into()).is_some_and(|node| wanted(&node.state)) {
            changes.next().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(600), wait).await.is_err() {
        panic!("{path} is {:?}", tree.node(&path.into()));
    }
}

#[tokio::test(start_paused = true)]
async fn restart_types_are_kept_to() {
    let record = Recorder::new();
    let permanent = Puppet::new("permanent", &record);
    let transient = Puppet::new("transient", &record);
    let temporary = Puppet::new("temporary", &record);
    let (root, tree) = root(vec![
        permanent.spec(),
        transient.spec().restart(Restart::Transient),
        temporary.spec().restart(Restart::Temporary),
    ])
    .await;
    permanent.tell(Command::Stop("done"));
    record.until("start permanent#2").await;
    transient.tell(Command::Error("broken"));
    record.until("start transient#2").await;
    transient.address().wait_live().await;
    transient.tell(Command::Stop("done"));
    until_state(&tree, "root/transient", |state| *state == NodeState::Exited).await;
    temporary.tell(Command::Error("broken"));
    record.until("drop temporary#1").await;
    let ids: Vec<String> = root.which_children().await.unwrap().iter().map(|child| child.id.to_string()).collect();
    assert_eq!(ids, ["permanent", "transient"]);
    assert_eq!(tree.history(&"root/temporary".into())[0].class, ExitClass::Error);
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_does_not_stop_is_killed_at_its_deadline() {
    let record = Recorder::new();
    let (a, b) = (Puppet::new("a", &record), Puppet::new("b", &record).hang_stop());
    let (root, _) = root(vec![a.spec(), b.spec().shutdown(Shutdown::Timeout(Duration::from_secs(3)))]).await;
    let begin = tokio::time::Instant::now();
    let report = root.shutdown(BUDGET).await;
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(4), "{took:?}");
    assert_eq!(report.stragglers, ["root/b".into()]);
    assert!(record.lines().contains(&"stop a#1".to_owned()), "{record:?}");
}

#[tokio::test(start_paused = true)]
async fn a_spent_shutdown_budget_kills_what_is_left_at_every_depth() {
    let record = Recorder::new();
    let slot = SupervisorSlot::new();
    let stuck = Puppet::new("stuck", &record).hang_stop();
    let of = stuck.clone();
    let inner = ChildSpec::supervisor("inner", "inner", &slot, move || SupervisorSpec {
        children: vec![of.spec().shutdown(Shutdown::Infinity)],
        ..SupervisorSpec::default()
    });
    let (root, tree) = root(vec![Puppet::new("a", &record).spec(), inner]).await;
    let begin = tokio::time::Instant::now();
    let report = root.shutdown(Duration::from_secs(2)).await;
    assert!(begin.elapsed() < Duration::from_secs(3));
    assert_eq!(report.stragglers, ["root/inner/stuck".into(), "root/a".into()]);
    assert!(tree.snapshot(&Query::default()).nodes.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_blocked_in_synchronous_code_becomes_a_zombie_and_holds_nobody_up() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let (root, tree) = root(vec![a.spec().shutdown(Shutdown::Brutal)]).await;
    let release = Arc::new(AtomicBool::new(false));
    a.tell(Command::Block(Arc::clone(&release)));
    record.until("block a#1").await;
    root.cycle_child(&"a".into()).await.unwrap();
    assert_eq!(a.incarnation().await, 2);
    let zombies = |tree: &TreeStore| {
        tree.snapshot(&Query::default()).nodes.iter().filter(|node| node.state == NodeState::Zombie).count()
    };
    assert_eq!(zombies(&tree), 1);
    let mut changes = tree.subscribe();
    release.store(true, Ordering::SeqCst);
    while zombies(&tree) > 0 {
        changes.next().await;
    }
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_answers_while_children_hang_in_start_and_stop() {
    let record = Recorder::new();
    let slow = Puppet::new("slow", &record).hang_stop();
    let (root, tree) = root(vec![slow.spec().shutdown(Shutdown::Infinity)]).await;
    let (hang, of) = (Puppet::new("hang", &record).hang_start(), root.clone());
    let starting = tokio::spawn(async move { of.start_child(hang.spec()).await });
    let of = root.clone();
    let stopping = tokio::spawn(async move { of.terminate_child(&"slow".into()).await });
    record.until("hang hang#1").await;
    until_state(&tree, "root/slow", |state| *state == NodeState::Stopping).await;
    let children = tokio::time::timeout(Duration::from_millis(10), root.which_children()).await.unwrap().unwrap();
    assert_eq!(
        children.iter().map(|child| child.state).collect::<Vec<_>>(),
        [NodeState::Stopping, NodeState::Starting]
    );
    // Stopped while starting: the start is given up at once.
    root.terminate_child(&"hang".into()).await.unwrap();
    assert!(matches!(starting.await.unwrap(), Err(AdminError::Terminated)));
    assert!(root.shutdown(Duration::from_secs(1)).await.stragglers.contains(&"root/slow".into()));
    stopping.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_start_that_takes_too_long_fails() {
    let record = Recorder::new();
    let (root, tree) = root(vec![]).await;
    let hang = Puppet::new("hang", &record).hang_start();
    let error = root.start_child(hang.spec().init_timeout(Duration::from_secs(2))).await.unwrap_err();
    assert!(matches!(error, AdminError::StartFailed(supervision::ExitReason::InitTimeout)), "{error}");
    assert!(tree.node(&"root/hang".into()).is_none());
    root.shutdown(BUDGET).await;
}

fn isolated(attempts: u32) -> BackoffPolicy {
    BackoffPolicy {
        initial: Duration::from_secs(5),
        max: Duration::from_secs(300),
        factor: 2.0,
        jitter: Jitter::None,
        max_attempts: Some(attempts),
        reset_after: ResetRule::Never,
        window: None,
        on_exhausted: Exhausted::GiveUp,
    }
}

#[tokio::test(start_paused = true)]
async fn backoff_runs_to_give_up_and_a_restart_by_hand_brings_it_back() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    a.fail_starts(4);
    let (root, tree) = root(vec![a.spec().counts(false).backoff(isolated(3))]).await;
    let begin = tokio::time::Instant::now();
    assert!(matches!(tree.node(&"root/a".into()).unwrap().state, NodeState::BackingOff { attempt: 1, .. }));
    until_state(&tree, "root/a", |state| *state == NodeState::Failed).await;
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(35) && took < Duration::from_secs(36), "{took:?}");
    assert_eq!(record.lines(), ["fail a#1", "fail a#2", "fail a#3", "fail a#4"]);
    tree.act(&"root/a".into(), Action::Restart).await.unwrap();
    assert_eq!(a.incarnation().await, 5);
    assert_eq!(tree.node(&"root/a".into()).unwrap().attempt, 0);
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_fatal_exit_fails_the_child_at_once_and_drops_its_checkpoint() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let born = Puppet::new("born", &record).fatal_start();
    let (root, tree) =
        root(vec![a.spec().counts(false).backoff(isolated(3)), born.spec().counts(false).backoff(isolated(3))]).await;
    assert_eq!(tree.node(&"root/born".into()).unwrap().state, NodeState::Failed);
    let count = || a.address();
    assert_eq!(count().call(Command::Count, BUDGET).await.unwrap(), 1);
    a.tell(Command::Error("soft"));
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(count().call(Command::Count, BUDGET).await.unwrap(), 2, "a checkpoint survives a crash");
    a.tell(Command::Fatal("token revoked"));
    until_state(&tree, "root/a", |state| *state == NodeState::Failed).await;
    let node = tree.node(&"root/a".into()).unwrap();
    let last = node.last_exit.clone().unwrap();
    assert_eq!((last.class, last.text.as_str()), (ExitClass::Fatal, "token revoked"));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(node.incarnation, 2);
    tree.act(&"root/a".into(), Action::Start).await.unwrap();
    assert_eq!(count().call(Command::Count, BUDGET).await.unwrap(), 1);
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_scoped_task_ends_its_actor_with_the_place() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let (root, tree) = root(vec![a.spec()]).await;
    a.tell(Command::TaskPanic("deep down"));
    record.until("start a#2").await;
    let exit = &tree.history(&"root/a".into())[0];
    assert_eq!((exit.class, exit.text.as_str()), (ExitClass::Panic, "deep down"));
    assert!(exit.location.is_some());
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_stops_at_once_is_seen_whichever_report_comes_first() {
    // An actor that asks to stop in its start ends right after it, often before the start is reported.
    struct Brief;
    impl Actor for Brief {
        type Message = ();
        type Args = ();
        type State = ();
        async fn pre_start(&self, (): (), ctx: &Ctx<()>) -> Result<(), BoxError> {
            ctx.stop("done");
            Ok(())
        }
        async fn handle(&self, (): &mut (), (): (), _: &Ctx<()>) -> ActorResult {
            Ok(())
        }
    }
    let (root, tree) = root(vec![]).await;
    for n in 0..200 {
        let spec = ChildSpec::actor(format!("brief{n}"), "brief", &Slot::new(), |_| (Brief, ()));
        root.start_child(spec.restart(Restart::Transient)).await.unwrap();
    }
    until_state(&tree, "root/brief199", |state| *state == NodeState::Exited).await;
    assert_eq!(root.count_children().await.unwrap().active, 0);
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn worker_children_are_shown_reported_and_stopped_with_their_worker() {
    let record = Recorder::new();
    let parent = Puppet::new("parent", &record);
    let (root, tree) = root(vec![parent.spec()]).await;
    let (x, y) = (Puppet::new("run:1", &record), Puppet::new("run:2", &record));
    parent.tell(Command::StartChild(Box::new(x.spec())));
    parent.tell(Command::StartChild(Box::new(y.spec())));
    record.until_that(|lines| lines.iter().filter(|line| line.starts_with("start run")).count() == 2).await;
    until_state(&tree, "root/parent/run:2", |state| *state == NodeState::Running).await;
    let node = tree.node(&"root/parent/run:1".into()).unwrap();
    assert!(node.flags.worker_child);
    x.tell(Command::Error("broken"));
    record.until("child run:1: error").await;
    assert!(tree.node(&"root/parent/run:1".into()).is_none());
    assert_eq!(tree.history(&"root/parent/run:1".into()).len(), 1);
    assert!(matches!(tree.act(&"root/parent/run:2".into(), Action::Restart).await, Err(ActError::NotSupported)));
    tree.act(&"root/parent/run:2".into(), Action::Stop).await.unwrap();
    record.until("child run:2: shutdown").await;
    let z = Puppet::new("run:3", &record);
    z.fail_starts(1);
    parent.tell(Command::StartChild(Box::new(z.spec())));
    record.until("child run:3: init_failed").await;
    parent.tell(Command::StartChild(Box::new(z.spec())));
    record.until("start run:3#1").await;
    record.clear();
    root.shutdown(BUDGET).await;
    assert_eq!(record.lines(), ["stop run:3#1", "drop run:3#1", "stop parent#1", "drop parent#1"]);
}

#[tokio::test(start_paused = true)]
async fn a_crashed_worker_leaves_no_child_behind() {
    let record = Recorder::new();
    let parent = Puppet::new("parent", &record);
    let (root, tree) = root(vec![parent.spec()]).await;
    parent.tell(Command::StartChild(Box::new(Puppet::new("run", &record).spec())));
    record.until("start run#1").await;
    parent.tell(Command::Panic("boom"));
    record.until("start parent#2").await;
    let lines = record.lines();
    let at = |line: &str| lines.iter().position(|seen| seen == line).unwrap();
    assert!(at("drop run#1") < at("start parent#2"), "{lines:?}");
    assert!(tree.node(&"root/parent/run".into()).is_none());
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_child_is_restarted_on_error_and_waited_for_when_it_watches_its_token() {
    let record = Recorder::new();
    let runs = Arc::new(AtomicU32::new(0));
    let (noted, count) = (record.clone(), Arc::clone(&runs));
    let polite = ChildSpec::task("polite", "task", move |ctx| {
        let (noted, run) = (noted.clone(), count.fetch_add(1, Ordering::SeqCst));
        async move {
            if run == 0 {
                return Err("first run fails".into());
            }
            noted.note("up");
            ctx.cancel().cancelled().await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            noted.note("flushed");
            Ok(())
        }
    });
    let rude = ChildSpec::task("rude", "task", |_| std::future::pending());
    let (root, _) = root(vec![polite, rude]).await;
    record.until("up").await;
    let begin = tokio::time::Instant::now();
    assert!(root.shutdown(BUDGET).await.stragglers.is_empty());
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert_eq!(record.lines(), ["up", "flushed"]);
}

#[tokio::test(start_paused = true)]
async fn scoped_tasks_and_timers_end_with_their_actor() {
    struct Owner(Arc<AtomicBool>, Recorder);
    struct Gone(Arc<AtomicBool>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    impl Actor for Owner {
        type Message = &'static str;
        type Args = ();
        type State = Vec<supervision::Timer>;
        async fn pre_start(&self, (): (), ctx: &Ctx<&'static str>) -> Result<Self::State, BoxError> {
            let gone = Gone(Arc::clone(&self.0));
            ctx.spawn_scoped(async move {
                let _gone = gone;
                std::future::pending::<()>().await;
            });
            ctx.send_after(Duration::from_secs(1), "dropped").cancel();
            ctx.send_after(Duration::from_secs(2), "detached").detach();
            Ok(vec![ctx.send_after(Duration::from_secs(3), "kept"), ctx.send_after(Duration::from_secs(60), "late")])
        }
        async fn handle(&self, _: &mut Self::State, message: &'static str, _: &Ctx<&'static str>) -> ActorResult {
            self.1.note(message);
            if message == "kept" { Err("end".into()) } else { Ok(()) }
        }
    }
    let record = Recorder::new();
    let gone = Arc::new(AtomicBool::new(false));
    let (flag, noted) = (Arc::clone(&gone), record.clone());
    let spec = ChildSpec::actor("owner", "owner", &Slot::new(), move |_| (Owner(Arc::clone(&flag), noted.clone()), ()));
    let (root, tree) = root(vec![spec.restart(Restart::Temporary)]).await;
    let mut changes = tree.subscribe();
    while tree.node(&"root/owner".into()).is_some() {
        assert!(matches!(changes.next().await, Some(TreeUpdate::Delta(_))));
    }
    assert!(gone.load(Ordering::SeqCst), "a scoped task outlived its actor");
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(record.lines(), ["detached", "kept"]);
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn too_many_restarts_end_the_supervisor_and_the_root_says_so() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let spec =
        SupervisorSpec { children: vec![a.spec(), Puppet::new("b", &record).spec()], ..SupervisorSpec::default() };
    let root = Supervisor::start_root(spec, TreeStore::new()).await.unwrap();
    a.tell(Command::Error("one"));
    record.until("start a#2").await;
    a.address().wait_live().await;
    a.tell(Command::Error("two"));
    let reason = root.wait().await;
    assert_eq!((reason.class(), reason.text().as_str()), (ExitClass::Shutdown, "intensity"));
    assert!(record.lines().contains(&"stop b#1".to_owned()), "siblings are stopped in order");
    assert!(matches!(root.which_children().await, Err(AdminError::NoProc)));
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_melts_down_is_restarted_with_its_subtree() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let slot = SupervisorSlot::new();
    let of = a.clone();
    let inner = ChildSpec::supervisor("inner", "inner", &slot, move || SupervisorSpec {
        intensity: Intensity { max_restarts: 0, period: Duration::from_secs(5) },
        children: vec![of.spec()],
        ..SupervisorSpec::default()
    });
    let (root, tree) = root(vec![inner]).await;
    a.tell(Command::Error("one"));
    record.until_that(|lines| lines.iter().filter(|line| *line == "start a#1").count() == 2).await;
    until_state(&tree, "root/inner/a", |state| *state == NodeState::Running).await;
    assert_eq!(slot.handle().count_children().await.unwrap().active, 1);
    assert_eq!(tree.node(&"root/inner".into()).unwrap().incarnation, 2);
    root.shutdown(BUDGET).await;
}

/// Panics wherever it is told to.
struct Landmine {
    place: &'static str,
    record: Recorder,
}

struct Fuse(bool);

impl Drop for Fuse {
    fn drop(&mut self) {
        if self.0 && !std::thread::panicking() {
            panic!("in drop");
        }
    }
}

impl Actor for Landmine {
    type Message = Fuse;
    type Args = ();
    type State = Fuse;

    async fn pre_start(&self, (): (), ctx: &Ctx<Fuse>) -> Result<Fuse, BoxError> {
        self.record.note(format!("start {}#{}", self.place, ctx.incarnation()));
        let first = ctx.incarnation() == 1;
        Ok(Fuse(first && self.place == "state"))
    }

    async fn handle(&self, state: &mut Fuse, mut message: Fuse, ctx: &Ctx<Fuse>) -> ActorResult {
        message.0 = false;
        match self.place {
            "payload" if ctx.incarnation() == 1 => std::panic::panic_any(Fuse(true)),
            "state" if !state.0 => {}
            "stop" => ctx.stop("now"),
            _ => return Err("end".into()),
        }
        Ok(())
    }

    async fn post_stop(&self, _: &mut Fuse, ctx: &Ctx<Fuse>) -> ActorResult {
        assert!(ctx.incarnation() > 1, "in post_stop");
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_any_odd_place_is_contained() {
    for place in ["payload", "state", "stop", "queue"] {
        let record = Recorder::new();
        let (noted, slot) = (record.clone(), Slot::new());
        let spec = ChildSpec::actor(place, "landmine", &slot, move |_| (Landmine { place, record: noted.clone() }, ()));
        let (root, tree) = root(vec![spec]).await;
        slot.address().try_cast(Fuse(false)).unwrap_or_else(|error| panic!("{error}"));
        if place == "queue" {
            // Dropped unopened, and its drop panics.
            slot.address().try_cast(Fuse(true)).unwrap_or_else(|error| panic!("{error}"));
        }
        record.until(&format!("start {place}#2")).await;
        slot.address().wait_live().await;
        assert_eq!(root.count_children().await.unwrap().active, 1, "{place}");
        let class = tree.history(&format!("root/{place}").as_str().into())[0].class;
        let expected = match place {
            "payload" | "stop" => ExitClass::Panic,
            _ => ExitClass::Error,
        };
        assert_eq!(class, expected, "{place}");
        assert!(root.shutdown(BUDGET).await.stragglers.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_making_the_arguments_is_a_failed_start() {
    let (root, _) = root(vec![]).await;
    let spec = ChildSpec::actor("odd", "odd", &Slot::new(), |start| {
        assert!(start.incarnation() > 1, "not yet");
        (Landmine { place: "none", record: Recorder::new() }, ())
    });
    let error = root.start_child(spec).await.unwrap_err();
    assert!(matches!(&error, AdminError::StartFailed(reason) if reason.location().is_some()), "{error}");
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_temporary_childs_start_captured_is_let_go() {
    let record = Recorder::new();
    let (root, _) = root(vec![]).await;
    let captured = Arc::new(());
    let (held, puppet) = (Arc::clone(&captured), Puppet::new("brief", &record));
    let spec = ChildSpec::actor("brief", "puppet", &Slot::new(), move |_| {
        let _held = &held;
        (puppet.clone(), ())
    });
    root.start_child(spec.restart(Restart::Temporary)).await.unwrap();
    assert_eq!(Arc::strong_count(&captured), 1);
    root.shutdown(BUDGET).await;
}
