//! Trees, counts, what is kept and what is not, and odds and ends.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::Recorder;
use supervision::tree::{NodeState, Query};
use supervision::{ActorId, AdminError, CallError, DirectoryError, NotLinked, TemplateSlot};
use tokio::time::Instant;

use crate::elsewhere::*;
use crate::support::*;

const STRATEGIES: [Strategy; 3] = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne];

#[tokio::test(start_paused = true)]
async fn child_unlink() {
    let record = Recorder::new();
    let [first, last] = ["first", "last"].map(|name| Probe::new(name, &record));
    let naughty = Probe::new("naughty", &record);
    let specs = vec![first.spec(), naughty.spec(), last.spec()];
    let (root, tree) = start(SupervisorSpec { children: specs, ..rules(Strategy::OneForOne, 2) }).await;

    // It stops when asked, but its supervisor does not hear of it.
    naughty.unlink().await;
    let begin = Instant::now();
    root.terminate_child(&naughty.id()).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5), "it was waited for until it would have been killed");
    assert!(record.lines().contains(&"stop naughty#1".to_owned()), "{record:?}");
    assert_eq!(root.which_child(&naughty.id()).await.unwrap().state, NodeState::Exited);

    // It ends by itself unheard; a stop finds out.
    root.restart_child(&naughty.id()).await.unwrap();
    naughty.unlink().await;
    naughty.die(Death::Error).await;
    root.terminate_child(&naughty.id()).await.unwrap();
    assert_eq!(root.which_child(&naughty.id()).await.unwrap().state, NodeState::Exited);

    // Nor does it hold up the end of the whole, and it does not outlive it.
    root.restart_child(&naughty.id()).await.unwrap();
    naughty.unlink().await;
    naughty.leaves(Leave::Never);
    record.clear();
    let report = root.shutdown(LONG).await;
    assert_eq!(report.stragglers, ["root/naughty".into()]);
    assert_eq!(record.lines(), ["stop last#1", "drop last#1", "drop naughty#3", "stop first#1", "drop first#1"]);
    assert!(tree.snapshot(&Query::default()).nodes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn tree() {
    let record = Recorder::new();
    let [child1, child2, child3, child4] =
        ["child1", "child2", "child3", "child4"].map(|name| Probe::new(name, &record));
    let [slot1, slot2, slot3] = [SupervisorSlot::new(), SupervisorSlot::new(), SupervisorSlot::new()];
    let [sup1, sup2, sup3] = [slot1.handle(), slot2.handle(), slot3.handle()];
    let (top, tree) = start(rules(Strategy::OneForAll, 4)).await;
    let (one, two) = (child1.clone(), child2.clone());
    let full = ChildSpec::supervisor("sup1", "supervisor", &slot1, move || SupervisorSpec {
        children: vec![one.spec(), two.spec()],
        ..rules(Strategy::OneForOne, 4)
    });
    let empty = |id, slot| ChildSpec::supervisor(id, "supervisor", slot, || rules(Strategy::OneForOne, 4));
    top.start_child(full).await.unwrap();
    top.start_child(empty("sup2", &slot2)).await.unwrap();
    top.start_child(empty("sup3", &slot3)).await.unwrap();
    top.terminate_child(&"sup3".into()).await.unwrap();
    assert_eq!(counts(&top).await, [3, 2, 3, 0]);
    assert_eq!(counts(&sup1).await, [2, 2, 0, 2]);
    assert_eq!(counts(&sup2).await, [0, 0, 0, 0]);

    sup2.start_child(child3.spec()).await.unwrap();
    sup2.start_child(child4.spec()).await.unwrap();
    assert_eq!(counts(&sup2).await, [2, 2, 0, 2]);
    let settled_ones = [actors(&sup1).await, actors(&sup2).await];

    // Who dies is restarted, and nobody else.
    child4.die(Death::Error).await;
    until_up(&tree, "root/sup2/child4", 2).await;
    assert_eq!(actors(&sup1).await, settled_ones[0]);
    assert_eq!(actors(&sup2).await[0], settled_ones[1][0]);
    assert_ne!(actors(&sup2).await[1], settled_ones[1][1]);
    assert_eq!(counts(&sup1).await, [2, 2, 0, 2]);

    // A supervisor that gives up takes the others along. All come back as they are specified: without what was started
    // later, and the one that was stopped among them.
    child3.all_starts(Birth::Fail);
    child3.tell(Order::Die(Death::Error));
    until_up(&tree, "root/sup3", 2).await;
    assert_eq!(counts(&top).await, [3, 3, 3, 0]);
    let supervisors: Vec<String> = states(&top).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(supervisors, ["sup1", "sup2", "sup3"]);
    assert_eq!(counts(&sup1).await, [2, 2, 0, 2]);
    let below: HashSet<ActorId> = actors(&sup1).await.into_iter().flatten().collect();
    assert!(settled_ones[0].iter().flatten().all(|old| !below.contains(old)));
    assert_eq!([counts(&sup2).await, counts(&sup3).await], [[0, 0, 0, 0]; 2]);
    assert!(child1.is_alive() && child2.is_alive() && !child3.is_alive() && !child4.is_alive());
    assert_eq!(tree.node(&"root".into()).unwrap().intensity.unwrap().used, 1);
    assert!(top.shutdown(LONG).await.stragglers.is_empty());
}

async fn actors(sup: &SupervisorHandle) -> Vec<Option<ActorId>> {
    sup.which_children().await.unwrap().into_iter().map(|child| child.actor).collect()
}

#[tokio::test(start_paused = true)]
async fn count_children() {
    let world = simple(at_most(2), |spec| spec.restart(Restart::Temporary)).await;
    // Each notes its life for itself: waiting for one must not mean to read what all have noted.
    let probes: Vec<Probe> = (0..2000).map(|n| Probe::new(&n.to_string(), &Recorder::new())).collect();
    for (first, last) in [(0, 1000), (1000, 2000)] {
        for probe in &probes[first..last] {
            world.children.start_child(probe.clone()).await.unwrap();
        }
        for _ in 0..2 {
            assert_eq!(counts(&world.sup).await, [1, last, 0, last]);
            let known: HashSet<_> = actors(&world.sup).await.into_iter().flatten().collect();
            assert_eq!(known.len(), last);
        }
    }
    for probe in &probes {
        probe.die(Death::Killed).await;
    }
    settled().await;
    assert_eq!(counts(&world.sup).await, [1, 0, 0, 0]);
    assert!(world.root.shutdown(LONG).await.stragglers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn count_children_supervisor() {
    let slot = TemplateSlot::<SupervisorSlot>::new();
    let make = |below: &SupervisorSlot, id: ChildId| {
        ChildSpec::supervisor(id, "supervisor", below, || rules(Strategy::OneForOne, 2)).restart(Restart::Temporary)
    };
    let (root, _) = start_below(ChildSpec::template("simple", "simple", &slot, at_most(2), make)).await;
    let sup = slot.handle().supervisor();
    let below: Vec<SupervisorSlot> = (0..2000).map(|_| SupervisorSlot::new()).collect();
    for (first, last) in [(0, 1000), (1000, 2000)] {
        for below in &below[first..last] {
            slot.handle().start_child(below.clone()).await.unwrap();
        }
        for _ in 0..2 {
            assert_eq!(counts(&sup).await, [1, last, last, 0]);
            assert!(sup.which_children().await.unwrap().iter().all(|child| child.is_supervisor));
        }
    }
    // One that supervises more is stopped with what is below it.
    let record = Recorder::new();
    let probe = Probe::new("probe", &record);
    below[7].handle().start_child(probe.spec()).await.unwrap();
    for actor in actors(&sup).await.into_iter().flatten() {
        sup.terminate_actor(actor).await.unwrap();
    }
    assert_eq!(counts(&sup).await, [1, 0, 0, 0]);
    assert_eq!(record.lines(), ["start probe#1", "stop probe#1", "drop probe#1"]);
    assert!(root.shutdown(LONG).await.stragglers.is_empty());
}

/// Something large that a start captures, and a child that does not care.
fn heavy(name: &str, load: &Arc<[u8; 4096]>, record: &Recorder) -> ChildSpec {
    let (load, probe) = (Arc::clone(load), Probe::new(name, record));
    ChildSpec::actor(name, "probe", probe.slot(), {
        let probe = probe.clone();
        move |_| {
            assert_eq!(load.len(), 4096);
            (probe.clone(), ())
        }
    })
}

#[tokio::test(start_paused = true)]
async fn do_not_save_start_parameters_for_temporary_children() {
    const KEPT: [(Restart, usize); 3] = [(Restart::Permanent, 100), (Restart::Transient, 100), (Restart::Temporary, 0)];
    let record = Recorder::new();
    for strategy in STRATEGIES {
        for (restart, kept) in KEPT {
            let load = Arc::new([0; 4096]);
            let (root, _) = start(rules(strategy, 2)).await;
            for n in 0..100 {
                root.start_child(heavy(&n.to_string(), &load, &record).restart(restart)).await.unwrap();
            }
            assert_eq!(counts(&root).await, [100, 100, 0, 100]);
            assert_eq!(Arc::strong_count(&load) - 1, kept, "{strategy:?} {restart:?}");
            root.shutdown(LONG).await;
            assert_eq!(Arc::strong_count(&load), 1, "nothing is kept of a supervisor that is over");
        }
    }
    for (restart, kept) in KEPT {
        let load = Arc::new([0; 4096]);
        let slot = TemplateSlot::<Arc<[u8; 4096]>>::new();
        let noted = record.clone();
        let make = move |load: &Arc<[u8; 4096]>, id: ChildId| heavy(id.as_str(), load, &noted).restart(restart);
        let (root, _) = start_below(ChildSpec::template("simple", "simple", &slot, at_most(2), make)).await;
        for _ in 0..100 {
            slot.handle().start_child(Arc::clone(&load)).await.unwrap();
        }
        assert_eq!(counts(&slot.handle().supervisor()).await, [1, 100, 0, 100]);
        // A child that may be started again keeps its argument, and the spec that was made of it.
        let held = Arc::strong_count(&load) - 1;
        assert!(if kept == 0 { held == 0 } else { held >= kept }, "{restart:?}: {held}");
        root.shutdown(LONG).await;
        assert_eq!(Arc::strong_count(&load), 1, "nothing is kept of a supervisor that is over");
    }
}

#[derive(Clone, Copy, Debug)]
enum How {
    ByItself(Death),
    BySupervisor,
}

#[tokio::test(start_paused = true)]
async fn do_not_save_child_specs_for_temporary_children() {
    let hows = [
        How::ByItself(Death::Killed),
        How::ByItself(Death::Normal),
        How::ByItself(Death::Error),
        How::ByItself(Death::Panic),
        How::BySupervisor,
    ];
    for strategy in STRATEGIES {
        for how in hows {
            let (root, tree) = start(rules(strategy, 5)).await;
            for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
                let record = Recorder::new();
                let child = Probe::new(restart.as_str(), &record);
                let spec = || child.spec().restart(restart);
                let path = format!("root/{}", child.name);
                root.start_child(spec()).await.unwrap();
                match how {
                    How::ByItself(death) => child.die(death).await,
                    How::BySupervisor => root.terminate_child(&child.id()).await.unwrap(),
                }
                match (restart, how) {
                    (Restart::Temporary, _) => {
                        until_gone(&tree, &path).await;
                        root.start_child(spec()).await.unwrap();
                    }
                    (Restart::Permanent | Restart::Transient, How::BySupervisor)
                    | (Restart::Transient, How::ByItself(Death::Normal)) => {
                        until_state(&tree, &path, NodeState::Exited).await;
                        assert!(matches!(root.start_child(spec()).await, Err(AdminError::AlreadyPresent)));
                        root.restart_child(&child.id()).await.unwrap();
                    }
                    (Restart::Permanent | Restart::Transient, How::ByItself(_)) => {
                        until_up(&tree, &path, 2).await;
                        let refused = root.start_child(spec()).await;
                        assert!(matches!(refused, Err(AdminError::AlreadyStarted(Some(_)))), "{refused:?}");
                    }
                }
                assert!(child.is_alive(), "{strategy:?} {restart:?} {how:?}");
            }
            assert!(root.shutdown(LONG).await.stragglers.is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn temporary_bystander() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        for death in [Death::Normal, Death::Error] {
            let record = Recorder::new();
            let [first, second] = ["first", "second"].map(|name| Probe::new(name, &record));
            let (root, tree) = start(rules(strategy, 2)).await;
            root.start_child(first.spec()).await.unwrap();
            root.start_child(second.spec().restart(Restart::Temporary)).await.unwrap();
            first.die(death).await;
            until_up(&tree, "root/first", 2).await;
            settled().await;
            // Stopped in order, not started again, and forgotten.
            let lines = record.lines();
            assert!(lines.contains(&"stop second#1".to_owned()), "{lines:?}");
            assert!(!second.is_alive() && !lines.contains(&"start second#2".to_owned()), "{lines:?}");
            assert_eq!(states(&root).await, [("first".to_owned(), NodeState::Running)]);
            assert_eq!(counts(&root).await, [1, 1, 0, 1]);
            assert_eq!(tree.node(&"root".into()).unwrap().intensity.unwrap().used, 1);
            root.start_child(second.spec().restart(Restart::Temporary)).await.unwrap();
            assert!(root.shutdown(LONG).await.stragglers.is_empty());
        }
    }
}

/// One server known everywhere by its key, under a supervisor under another one.
struct Global {
    root: SupervisorHandle,
    tree: TreeStore,
    sup: SupervisorHandle,
    directory: Directory<&'static str, Order>,
    record: Recorder,
}

impl Global {
    async fn start() -> Self {
        let record = Recorder::new();
        let slot = SupervisorSlot::new();
        let servers = ChildSpec::dynamic("servers", "servers", &slot, at_most(3));
        let (root, tree) = start(SupervisorSpec { children: vec![servers], ..rules(Strategy::OneForAll, 3) }).await;
        let noted = record.clone();
        let options = DirectoryOptions { crash_backoff: None, ..DirectoryOptions::default() };
        let directory = Directory::new(options, &slot, move |key: &&'static str, slot| {
            Probe::new(key, &noted).in_slot(slot).spec()
        });
        directory.ensure(&"server").await.unwrap();
        Self { root, tree, sup: slot.handle(), directory, record }
    }

    async fn who(&self) -> Option<ActorId> {
        self.directory.call(&"server", Order::Incarnation, LONG).await.unwrap();
        self.sup.which_child(&"server".into()).await.unwrap().actor
    }

    async fn tell(&self, order: Order) {
        self.directory.cast(&"server", order).await.unwrap();
    }

    /// Somebody else answers to the key, and nobody besides.
    async fn answers_anew(self, before: Option<ActorId>) {
        let now = self.who().await;
        assert!(now.is_some() && now != before, "{now:?} {before:?}");
        assert_eq!(self.directory.live_count(), 1);
        let lives = |what: &str| self.record.lines().into_iter().filter(|line| line.starts_with(what)).count();
        assert_eq!((lives("start "), lives("drop ")), (2, 1), "{:?}", self.record);
        assert!(self.root.shutdown(LONG).await.stragglers.is_empty());
        assert!(!self.directory.is_live(&"server"));
        let gone = self.directory.call(&"server", Order::Incarnation, LONG).await;
        assert!(!matches!(gone, Ok(_) | Err(DirectoryError::Call(CallError::Timeout))), "{gone:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn simple_global_supervisor() {
    // The supervisor is killed.
    let global = Global::start().await;
    let before = global.who().await;
    global.tell(Order::KillSupervisor).await;
    until_up(&global.tree, "root/servers", 2).await;
    global.answers_anew(before).await;

    // The server is killed, and ends by itself with a failure.
    for death in [Death::Killed, Death::Error] {
        let global = Global::start().await;
        let before = global.who().await;
        global.tell(Order::Die(death)).await;
        until_up(&global.tree, "root/servers/server", 2).await;
        global.answers_anew(before).await;
    }

    // It is stopped and started by hand.
    let global = Global::start().await;
    let before = global.who().await;
    global.sup.terminate_child(&"server".into()).await.unwrap();
    assert!(!global.directory.is_live(&"server"));
    global.sup.restart_child(&"server".into()).await.unwrap();
    assert!(global.directory.is_live(&"server"));
    global.answers_anew(before).await;
}

#[tokio::test(start_paused = true)]
async fn order_of_children() {
    let record = Recorder::new();
    // Not in any order but their own.
    let probes = ["ch7", "ch3", "ch10", "ch2", "ch5"].map(|name| Probe::new(name, &record));
    let children = probes.iter().map(Probe::spec).collect();
    let (root, tree) = start(SupervisorSpec { children, ..rules(Strategy::RestForOne, 2) }).await;
    assert_eq!(record.lines(), ["start ch7#1", "start ch3#1", "start ch10#1", "start ch2#1", "start ch5#1"]);
    let names = |states: Vec<(String, NodeState)>| states.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(names(states(&root).await), ["ch7", "ch3", "ch10", "ch2", "ch5"]);

    record.clear();
    probes[2].die(Death::Error).await;
    until_up(&tree, "root/ch5", 2).await;
    let expected = [
        "drop ch10#1",
        "stop ch5#1",
        "drop ch5#1",
        "stop ch2#1",
        "drop ch2#1",
        "start ch10#2",
        "start ch2#2",
        "start ch5#2",
    ];
    assert_eq!(record.lines(), expected);

    // Stopped, forgotten and added again it is the last; stopped and started again it keeps its place.
    root.terminate_child(&probes[1].id()).await.unwrap();
    root.delete_child(&probes[1].id()).await.unwrap();
    root.terminate_child(&probes[3].id()).await.unwrap();
    root.start_child(probes[1].spec()).await.unwrap();
    root.restart_child(&probes[3].id()).await.unwrap();
    assert_eq!(names(states(&root).await), ["ch7", "ch10", "ch2", "ch5", "ch3"]);

    record.clear();
    assert!(root.shutdown(LONG).await.stragglers.is_empty());
    let expected =
        ["ch3#1", "ch5#2", "ch2#3", "ch10#2", "ch7#1"].map(|life| [format!("stop {life}"), format!("drop {life}")]);
    assert_eq!(record.lines(), expected.concat());
}

#[tokio::test(start_paused = true)]
async fn already_started_outside_supervisor() {
    let record = Recorder::new();
    let elsewhere = Probe::new("elsewhere", &record);
    let (owner, _) = start(SupervisorSpec { children: vec![elsewhere.spec()], ..rules(Strategy::OneForOne, 2) }).await;
    let (root, tree) = start(rules(Strategy::OneForOne, 2)).await;

    // A start that finds its place taken says so, and whoever asked is told.
    #[derive(Debug, thiserror::Error)]
    #[error("already started elsewhere")]
    struct Taken;
    let probe = elsewhere.clone();
    let spec = ChildSpec::custom("child", "probe", elsewhere.slot(), move |start| {
        let probe = probe.clone();
        async move {
            if probe.is_alive() {
                return Err(Taken.into());
            }
            let slot = probe.slot().clone();
            start.spawn(&slot, probe, ()).await
        }
    });
    let refused = root.start_child(spec.clone().restart(Restart::Transient)).await.unwrap_err();
    let AdminError::StartFailed(ExitReason::InitFailed(reason)) = &refused else { panic!("{refused:?}") };
    let ExitReason::Error(error) = reason.as_ref() else { panic!("{reason}") };
    assert!(error.is::<Taken>(), "{error}");
    assert_eq!(counts(&root).await, [0, 0, 0, 0]);
    assert_eq!(elsewhere.incarnation().await, 1);

    // A start that passes off an actor of another supervisor is refused.
    let lent = Probe::new("lent", &record);
    let loot = lend(&owner, &lent).await;
    let place = Slot::<Order>::new();
    let thief = ChildSpec::custom("child", "probe", &place, move |_| {
        let loot = loot.lock().unwrap().take();
        async move { loot.ok_or_else(|| "nothing to give".into()) }
    });
    let refused = root.start_child(thief).await.unwrap_err();
    assert!(refused.to_string().contains(&NotLinked.to_string()), "{refused}");
    assert_eq!(counts(&root).await, [0, 0, 0, 0]);
    assert!(tree.node(&"root/child".into()).is_none());
    assert!(!place.address().is_live());
    assert_eq!(lent.incarnation().await, 1);

    // The end of this supervisor is nothing to either of them.
    assert!(root.shutdown(LONG).await.stragglers.is_empty());
    assert_eq!([elsewhere.incarnation().await, lent.incarnation().await], [1, 1]);
    assert!(owner.shutdown(LONG).await.stragglers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn which_children() {
    let record = Recorder::new();
    let [one, two] = ["child1", "child2"].map(|name| Probe::new(name, &record));
    let (root, _) = start(rules(Strategy::OneForOne, 2)).await;
    let unknown = || async { matches!(root.which_child(&"childx".into()).await, Err(AdminError::NotFound)) };
    let seen = || async {
        let children = root.which_children().await.unwrap();
        // One by one they are described as in the list, by id and by actor.
        for child in &children {
            let alone = root.which_child(&child.id).await.unwrap();
            assert_eq!((&alone.id, alone.actor, alone.state), (&child.id, child.actor, child.state));
            if let Some(actor) = child.actor {
                assert_eq!(root.which_actor(actor).await.unwrap().id, child.id);
            }
        }
        children.into_iter().map(|child| (child.id.to_string(), child.actor, child.is_supervisor)).collect::<Vec<_>>()
    };
    assert_eq!(seen().await, []);
    assert!(unknown().await);

    let first = root.start_child(one.spec()).await.unwrap().actor;
    assert!(first.is_some());
    assert_eq!(seen().await, [("child1".to_owned(), first, false)]);
    let second = root.start_child(two.spec()).await.unwrap().actor;
    assert_eq!(seen().await, [("child1".to_owned(), first, false), ("child2".to_owned(), second, false)]);
    assert!(unknown().await);

    root.terminate_child(&one.id()).await.unwrap();
    assert_eq!(seen().await, [("child1".to_owned(), None, false), ("child2".to_owned(), second, false)]);
    assert!(matches!(root.which_actor(first.unwrap()).await, Err(AdminError::NotFound)));

    root.delete_child(&one.id()).await.unwrap();
    assert_eq!(seen().await, [("child2".to_owned(), second, false)]);
    assert!(matches!(root.which_child(&one.id()).await, Err(AdminError::NotFound)));
    assert!(unknown().await);
    assert!(root.shutdown(LONG).await.stragglers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn which_children_simple_one_for_one() {
    let record = Recorder::new();
    let world = simple(at_most(2), |spec| spec.restart(Restart::Temporary)).await;
    let (elsewhere, _) = start(rules(Strategy::OneForOne, 2)).await;
    let foreign = elsewhere.start_child(Probe::new("foreign", &record).spec()).await.unwrap().actor.unwrap();
    let unknown = async |actor| matches!(world.sup.which_actor(actor).await, Err(AdminError::NotFound));
    let seen = || async {
        let children = world.sup.which_children().await.unwrap();
        for child in &children {
            assert_eq!(world.sup.which_actor(child.actor.unwrap()).await.unwrap().id, child.id);
        }
        children.into_iter().map(|child| child.actor.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(seen().await, []);
    assert!(unknown(foreign).await);

    let mut actors = Vec::new();
    for name in ["one", "two"] {
        actors.extend(world.children.start_child(Probe::new(name, &record)).await.unwrap().actor);
        assert_eq!(seen().await, actors);
        assert!(unknown(foreign).await);
    }
    world.sup.terminate_actor(actors[0]).await.unwrap();
    assert_eq!(seen().await, [actors[1]]);
    assert!(unknown(actors[0]).await && unknown(foreign).await);
    // Ids are names in the tree and nothing to ask by.
    let id = world.sup.which_actor(actors[1]).await.unwrap().id;
    assert!(matches!(world.sup.which_child(&id).await, Err(AdminError::NotSupported)));
    assert!(world.root.shutdown(LONG).await.stragglers.is_empty());
}
