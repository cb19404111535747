//! Supervisors that end with their significant children: with the first, with the last, or not at all.

use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::Recorder;
use supervision::tree::NodeState;
use supervision::{AdminError, AutoShutdown, ExitClass, ReconfigureOptions, SpecError};

use crate::support::*;

const MODES: [AutoShutdown; 3] = [AutoShutdown::Never, AutoShutdown::AnySignificant, AutoShutdown::AllSignificant];
const STRATEGIES: [Strategy; 3] = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne];
/// Ends that are failures.
const ABNORMAL: [Death; 3] = [Death::Error, Death::Panic, Death::Killed];
/// Ends that are none.
const CLEAN: [Death; 3] = [Death::Normal, Death::Shutdown, Death::ShutdownWith("done")];

fn guarded(auto_shutdown: AutoShutdown) -> SupervisorSpec {
    SupervisorSpec { auto_shutdown, ..rules(Strategy::OneForOne, 5) }
}

/// A supervisor with three children, of whom the first two are significant.
struct World {
    root: SupervisorHandle,
    tree: TreeStore,
    record: Recorder,
    children: [Probe; 3],
}

async fn world(auto_shutdown: AutoShutdown, restart: Restart) -> World {
    let record = Recorder::new();
    let children = ["a", "b", "c"].map(|name| Probe::new(name, &record));
    let (root, tree) = start(guarded(auto_shutdown)).await;
    for (at, child) in children.iter().enumerate() {
        root.start_child(child.spec().restart(restart).significant(at < 2)).await.unwrap();
    }
    record.clear();
    World { root, tree, record, children }
}

impl World {
    /// Whatever has happened did not end the supervisor, nor any child but the first.
    async fn goes_on(&self) {
        goes_on(&self.root).await;
        assert!(self.children[1].is_alive() && self.children[2].is_alive(), "{:?}", self.record);
        assert_eq!([self.children[1].incarnation().await, self.children[2].incarnation().await], [1, 1]);
    }

    /// The supervisor has ended by itself, and those it still had before it, newest first.
    async fn ended_after(self, stopped: &[&str]) {
        ended(&self.root).await;
        let lines = self.record.lines();
        let stops: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("stop ")).collect();
        assert_eq!(stops, stopped, "{lines:?}");
        assert!(self.children.iter().all(|child| !child.is_alive()));
        assert!(self.tree.snapshot(&Default::default()).nodes.is_empty());
    }
}

async fn goes_on(root: &SupervisorHandle) {
    settled().await;
    assert!(root.count_children().await.is_ok(), "the supervisor has ended");
}

async fn ended(root: &SupervisorHandle) {
    let reason = tokio::time::timeout(LONG, root.wait()).await.unwrap();
    assert_eq!((reason.class(), reason.text().as_str()), (ExitClass::Shutdown, "auto"));
    assert!(matches!(root.count_children().await, Err(AdminError::NoProc)));
}

#[tokio::test(start_paused = true)]
async fn nonsignificant_temporary() {
    for mode in MODES {
        let record = Recorder::new();
        let child = Probe::new("child", &record);
        let (root, tree) = start(guarded(mode)).await;
        let temporary = || child.spec().restart(Restart::Temporary);
        root.start_child(temporary()).await.unwrap();
        root.terminate_child(&child.id()).await.unwrap();
        goes_on(&root).await;
        for death in Death::ALL {
            record.clear();
            root.start_child(temporary()).await.unwrap();
            child.die(death).await;
            until_gone(&tree, "root/child").await;
            goes_on(&root).await;
        }
        assert!(root.shutdown(LONG).await.stragglers.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn nonsignificant_transient() {
    for mode in MODES {
        let record = Recorder::new();
        let child = Probe::new("child", &record);
        let (root, tree) = start(guarded(mode)).await;
        root.start_child(child.spec().restart(Restart::Transient)).await.unwrap();
        root.terminate_child(&child.id()).await.unwrap();
        goes_on(&root).await;
        root.restart_child(&child.id()).await.unwrap();
        for (death, incarnation) in ABNORMAL.into_iter().zip(3..) {
            child.die(death).await;
            until_up(&tree, "root/child", incarnation).await;
            goes_on(&root).await;
        }
        for death in CLEAN {
            child.die(death).await;
            until_state(&tree, "root/child", NodeState::Exited).await;
            goes_on(&root).await;
            root.restart_child(&child.id()).await.unwrap();
        }
        assert!(root.shutdown(LONG).await.stragglers.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn significant_temporary() {
    // Any: a stop by hand is not an end by itself; every other end is, whatever the reason.
    for death in Death::ALL {
        let world = world(AutoShutdown::AnySignificant, Restart::Temporary).await;
        world.root.terminate_child(&"a".into()).await.unwrap();
        world.goes_on().await;
        world.root.start_child(world.children[0].spec().restart(Restart::Temporary).significant(true)).await.unwrap();
        world.record.clear();
        world.children[0].die(death).await;
        let mut stopped = vec!["c#1", "b#1"];
        if death.class() == ExitClass::Normal || death.class() == ExitClass::Shutdown {
            stopped.insert(0, "a#1");
        }
        world.ended_after(&stopped).await;
    }
    // All: only with the last of them.
    for death in Death::ALL {
        let world = world(AutoShutdown::AllSignificant, Restart::Temporary).await;
        world.children[0].die(death).await;
        world.goes_on().await;
        world.record.clear();
        world.children[1].die(Death::Error).await;
        world.ended_after(&["c#1"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn significant_transient() {
    let first = world(AutoShutdown::AnySignificant, Restart::Transient).await;
    first.root.terminate_child(&"a".into()).await.unwrap();
    first.goes_on().await;
    first.root.restart_child(&"a".into()).await.unwrap();
    // A failure is followed by a restart, so the child has not ended.
    for (death, incarnation) in ABNORMAL.into_iter().zip(3..) {
        first.children[0].die(death).await;
        until_up(&first.tree, "root/a", incarnation).await;
        first.goes_on().await;
    }
    first.record.clear();
    first.children[0].die(Death::Normal).await;
    first.ended_after(&["a#5", "c#1", "b#1"]).await;

    for death in CLEAN {
        let any = world(AutoShutdown::AnySignificant, Restart::Transient).await;
        any.children[0].die(death).await;
        any.ended_after(&["a#1", "c#1", "b#1"]).await;

        let all = world(AutoShutdown::AllSignificant, Restart::Transient).await;
        all.children[0].die(death).await;
        all.goes_on().await;
        all.record.clear();
        all.children[1].die(death).await;
        all.ended_after(&["b#1", "c#1"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn significant_simple() {
    let record = Recorder::new();
    let probes = ["a", "b"].map(|name| Probe::new(name, &record));
    let temporary = |spec: ChildSpec| spec.restart(Restart::Temporary).significant(true);

    let any = simple(DynamicOptions { auto_shutdown: AutoShutdown::AnySignificant, ..at_most(5) }, temporary).await;
    for probe in &probes {
        any.children.start_child(probe.clone()).await.unwrap();
    }
    probes[0].die(Death::Normal).await;
    until_gone(&any.tree, "root/simple").await;
    assert_eq!(last_exit(&any.tree, "root/simple").text, "auto");
    assert!(!probes[1].is_alive());
    goes_on(&any.root).await;

    record.clear();
    let all = simple(DynamicOptions { auto_shutdown: AutoShutdown::AllSignificant, ..at_most(5) }, temporary).await;
    for probe in &probes {
        all.children.start_child(probe.clone()).await.unwrap();
    }
    probes[0].die(Death::Normal).await;
    until_gone(&all.tree, "root/simple/1").await;
    goes_on(&all.sup).await;
    assert!(probes[1].is_alive());
    probes[1].die(Death::Normal).await;
    until_gone(&all.tree, "root/simple").await;
    assert_eq!(last_exit(&all.tree, "root/simple").text, "auto");
}

#[tokio::test(start_paused = true)]
async fn significant_bystander() {
    for strategy in STRATEGIES {
        for mode in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
            for bystanders in [Restart::Transient, Restart::Temporary] {
                let record = Recorder::new();
                let [a, b, c] = ["a", "b", "c"].map(|name| Probe::new(name, &record));
                let (root, tree) = start(SupervisorSpec {
                    auto_shutdown: mode,
                    children: vec![
                        a.spec().restart(bystanders).significant(true),
                        b.spec().restart(Restart::Transient),
                        c.spec().restart(bystanders).significant(true),
                    ],
                    ..rules(strategy, 5)
                })
                .await;
                b.die(Death::Killed).await;
                until_up(&tree, "root/b", 2).await;
                goes_on(&root).await;
                let taken = match strategy {
                    Strategy::OneForOne => [false, false],
                    Strategy::OneForAll => [true, true],
                    Strategy::RestForOne => [false, true],
                };
                for (bystander, taken) in [&a, &c].into_iter().zip(taken) {
                    match (taken, bystanders) {
                        (true, Restart::Temporary) => assert!(!bystander.is_alive(), "{strategy:?} {bystander:?}"),
                        (true, Restart::Transient | Restart::Permanent) => assert_eq!(bystander.incarnation().await, 2),
                        (false, _) => assert_eq!(bystander.incarnation().await, 1),
                    }
                }
                assert!(root.shutdown(LONG).await.stragglers.is_empty());
            }
        }
    }

    // Nor does one that ends by itself, and cleanly, while it waits to be stopped with the others.
    let record = Recorder::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| Probe::new(name, &record));
    let (root, tree) = start(SupervisorSpec {
        auto_shutdown: AutoShutdown::AnySignificant,
        children: vec![a.spec().restart(Restart::Transient).significant(true), b.spec(), c.spec()],
        ..rules(Strategy::OneForAll, 5)
    })
    .await;
    c.leaves(Leave::After(Duration::from_secs(2)));
    b.tell(Order::Die(Death::Error));
    until_state(&tree, "root/c", NodeState::Stopping).await;
    a.die(Death::Normal).await;
    until_up(&tree, "root/c", 2).await;
    goes_on(&root).await;
    assert_eq!([a.incarnation().await, b.incarnation().await, c.incarnation().await], [2, 2, 2]);
    c.leaves(Leave::Promptly);
    assert!(root.shutdown(LONG).await.stragglers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn significant_escalation() {
    for significant in [true, false] {
        let record = Recorder::new();
        let (worker, bystander) = (Probe::new("worker", &record), Probe::new("bystander", &record));
        let slot = SupervisorSlot::new();
        let inner = ChildSpec::supervisor("inner", "supervisor", &slot, || guarded(AutoShutdown::AnySignificant))
            .restart(Restart::Transient)
            .significant(significant);
        let (outer, tree) =
            start(SupervisorSpec { children: vec![bystander.spec(), inner], ..guarded(AutoShutdown::AnySignificant) })
                .await;
        slot.handle().start_child(worker.spec().restart(Restart::Transient).significant(true)).await.unwrap();
        worker.die(Death::Normal).await;
        if significant {
            ended(&outer).await;
            assert!(!bystander.is_alive());
        } else {
            until_state(&tree, "root/inner", NodeState::Exited).await;
            assert_eq!(last_exit(&tree, "root/inner").text, "auto");
            goes_on(&outer).await;
            assert!(bystander.is_alive());
            assert!(matches!(slot.handle().count_children().await, Err(AdminError::NoProc)));
            assert!(outer.shutdown(LONG).await.stragglers.is_empty());
        }
    }
}

/// A supervisor whose mode is changed while it runs, and two children that are significant or to be.
struct Changing {
    root: SupervisorHandle,
    tree: TreeStore,
    children: [Probe; 2],
}

async fn changing(from: AutoShutdown) -> Changing {
    let record = Recorder::new();
    let (root, tree) = start(guarded(from)).await;
    Changing { root, tree, children: ["a", "b"].map(|name| Probe::new(name, &record)) }
}

impl Changing {
    async fn start(&self, at: usize) -> Result<(), AdminError> {
        let spec = self.children[at].spec().restart(Restart::Transient).significant(true);
        self.root.start_child(spec).await.map(drop)
    }

    async fn refuses(&self, at: usize) {
        match self.start(at).await {
            Err(AdminError::Spec(SpecError::SignificantIgnored(id))) => assert_eq!(id, self.children[at].id()),
            other => panic!("{other:?}"),
        }
    }

    /// Takes over another mode; the children there are stay as they are.
    async fn change(&self, to: AutoShutdown) {
        let before = counts(&self.root).await;
        self.root.reconfigure(guarded(to), ReconfigureOptions::default()).await.unwrap();
        goes_on(&self.root).await;
        assert_eq!(counts(&self.root).await, before);
    }

    /// Its end does not end the supervisor.
    async fn ends_alone(&self, at: usize) {
        self.children[at].die(Death::Normal).await;
        until_state(&self.tree, &format!("root/{}", self.children[at].name), NodeState::Exited).await;
        goes_on(&self.root).await;
    }

    /// Its end ends the supervisor and the other child.
    async fn ends_all(&self, at: usize) {
        self.children[at].die(Death::Normal).await;
        ended(&self.root).await;
        assert!(self.children.iter().all(|child| !child.is_alive()));
    }
}

#[tokio::test(start_paused = true)]
async fn significant_upgrade_never_any() {
    let world = changing(AutoShutdown::Never).await;
    world.refuses(0).await;
    world.change(AutoShutdown::AnySignificant).await;
    world.start(0).await.unwrap();
    world.start(1).await.unwrap();
    world.ends_all(0).await;
}

#[tokio::test(start_paused = true)]
async fn significant_upgrade_any_never() {
    let world = changing(AutoShutdown::AnySignificant).await;
    world.start(0).await.unwrap();
    world.change(AutoShutdown::Never).await;
    assert!(world.children[0].is_alive());
    world.refuses(1).await;
    world.ends_alone(0).await;
    // What the child was started with is kept, and no longer means anything.
    world.root.restart_child(&"a".into()).await.unwrap();
    assert!(world.root.shutdown(LONG).await.stragglers.is_empty());
    assert!(!world.children[0].is_alive());
}

#[tokio::test(start_paused = true)]
async fn significant_upgrade_never_all() {
    let world = changing(AutoShutdown::Never).await;
    world.refuses(0).await;
    world.change(AutoShutdown::AllSignificant).await;
    world.start(0).await.unwrap();
    world.start(1).await.unwrap();
    world.ends_alone(0).await;
    assert!(world.children[1].is_alive());
    world.ends_all(1).await;
}

#[tokio::test(start_paused = true)]
async fn significant_upgrade_all_never() {
    let world = changing(AutoShutdown::AllSignificant).await;
    world.start(0).await.unwrap();
    world.change(AutoShutdown::Never).await;
    assert!(world.children[0].is_alive());
    world.refuses(1).await;
    world.ends_alone(0).await;
    world.root.restart_child(&"a".into()).await.unwrap();
    assert!(world.root.shutdown(LONG).await.stragglers.is_empty());
    assert!(!world.children[0].is_alive());
}

#[tokio::test(start_paused = true)]
async fn significant_upgrade_any_all() {
    let world = changing(AutoShutdown::AnySignificant).await;
    world.start(0).await.unwrap();
    world.start(1).await.unwrap();
    world.change(AutoShutdown::AllSignificant).await;
    world.ends_alone(0).await;
    assert!(world.children[1].is_alive());
    world.ends_all(1).await;
}

#[tokio::test(start_paused = true)]
async fn significant_upgrade_all_any() {
    let world = changing(AutoShutdown::AllSignificant).await;
    world.start(0).await.unwrap();
    world.start(1).await.unwrap();
    world.change(AutoShutdown::AnySignificant).await;
    world.ends_all(0).await;
}

#[tokio::test(start_paused = true)]
async fn significant_upgrade_child() {
    let with = |mode, child: &Probe, significant| SupervisorSpec {
        children: vec![child.spec().restart(Restart::Transient).significant(significant)],
        ..guarded(mode)
    };
    let change = async |root: &SupervisorHandle, spec| {
        let report = root.reconfigure(spec, ReconfigureOptions::default()).await?;
        assert_eq!(report.kept, ["child".into()]);
        goes_on(root).await;
        Ok::<(), AdminError>(())
    };

    // Where significance means nothing, a child can't become significant, and nothing of the change is taken over.
    let child = Probe::new("child", &Recorder::new());
    let (root, _) = start(with(AutoShutdown::Never, &child, false)).await;
    let refused = change(&root, with(AutoShutdown::Never, &child, true)).await;
    assert!(matches!(refused, Err(AdminError::Spec(SpecError::SignificantIgnored(_)))), "{refused:?}");
    goes_on(&root).await;
    assert_eq!(child.incarnation().await, 1);
    assert!(!root.get_spec(&"child".into()).await.unwrap().significant);
    assert!(root.shutdown(LONG).await.stragglers.is_empty());

    let child = Probe::new("child", &Recorder::new());
    let (root, _) = start(with(AutoShutdown::AnySignificant, &child, false)).await;
    change(&root, with(AutoShutdown::AnySignificant, &child, true)).await.unwrap();
    assert_eq!(child.incarnation().await, 1);
    child.die(Death::Normal).await;
    ended(&root).await;

    let child = Probe::new("child", &Recorder::new());
    let (root, tree) = start(with(AutoShutdown::AnySignificant, &child, true)).await;
    change(&root, with(AutoShutdown::AnySignificant, &child, false)).await.unwrap();
    assert_eq!(child.incarnation().await, 1);
    child.die(Death::Normal).await;
    until_state(&tree, "root/child", NodeState::Exited).await;
    goes_on(&root).await;
    assert!(root.shutdown(LONG).await.stragglers.is_empty());
}
