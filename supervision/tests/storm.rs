//! Storms: large trees under many faults at once, and one supervisor through very many lives of a child.
//!
//! Short by default. `SOAK_SECONDS` and `SOAK_CYCLES` make them long, and the first also makes the tree large.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails at the spot")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use supervision::chaos::Fault;
use supervision::prelude::*;
use supervision::tree::{NodeState, Query, TreeOp, TreeUpdate, apply};

const BUDGET: Duration = Duration::from_secs(30);

fn from_env(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.trim().parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// What a node of the storm is told to do.
#[derive(Clone, Copy, Debug)]
enum Blow {
    Panic,
    Error,
    Stop,
    /// A task of its panics, which ends it from aside.
    Task,
    /// Blocks its thread until the flag is set.
    Block(&'static AtomicBool),
}

/// Counts the live incarnations of one node.
#[derive(Default)]
struct Count {
    live: AtomicI64,
    starts: AtomicU64,
    twice: AtomicBool,
}

struct Leaf(Arc<Count>);

struct Alive(Arc<Count>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Actor for Leaf {
    type Message = Blow;
    type Args = ();
    type State = Alive;

    async fn pre_start(&self, (): (), ctx: &Ctx<Blow>) -> Result<Alive, BoxError> {
        if self.0.live.fetch_add(1, Ordering::SeqCst) != 0 {
            self.0.twice.store(true, Ordering::SeqCst);
        }
        self.0.starts.fetch_add(1, Ordering::SeqCst);
        ctx.spawn_scoped(std::future::pending());
        Ok(Alive(Arc::clone(&self.0)))
    }

    async fn handle(&self, _: &mut Alive, blow: Blow, ctx: &Ctx<Blow>) -> ActorResult {
        match blow {
            Blow::Panic => panic!("storm"),
            Blow::Error => return Err("storm".into()),
            Blow::Stop => ctx.stop("storm"),
            Blow::Task => ctx.spawn_scoped(async { panic!("storm") }),
            Blow::Block(until) => {
                while !until.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        Ok(())
    }
}

/// A leaf of the tree and what is known of it.
struct Node {
    slot: Slot<Blow>,
    count: Arc<Count>,
}

impl Node {
    fn new() -> Self {
        Self { slot: Slot::new(), count: Arc::default() }
    }

    fn spec(&self, id: &str) -> ChildSpec {
        let count = Arc::clone(&self.count);
        ChildSpec::actor(id, "leaf", &self.slot, move |_| (Leaf(Arc::clone(&count)), ()))
    }
}

fn plenty() -> Intensity {
    Intensity { max_restarts: 1_000_000, period: Duration::from_secs(1) }
}

/// Waits until the tree shows as many running nodes as it should, by following it.
async fn until_running(tree: &TreeStore, wanted: usize) {
    let running = || tree.snapshot(&Query::default()).nodes.iter().filter(|n| n.state == NodeState::Running).count();
    let mut changes = tree.subscribe();
    let wait = async {
        while running() != wanted {
            changes.next().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(120), wait).await.is_err() {
        panic!("{} nodes run, not {wanted}", running());
    }
}

/// Follows a tree from a snapshot on, until told to stop; gives back what it made of it.
async fn follow(tree: TreeStore, stop: Arc<AtomicBool>) -> (u64, BTreeMap<u64, supervision::tree::NodeView>) {
    let mut changes = tree.subscribe();
    let take = || {
        let snapshot = tree.snapshot(&Query::default());
        (snapshot.seq, snapshot.nodes.into_iter().map(|node| (node.id, node)).collect::<BTreeMap<_, _>>())
    };
    let (mut seq, mut nodes) = take();
    loop {
        let next = tokio::time::timeout(Duration::from_millis(200), changes.next()).await;
        match next {
            Ok(Some(TreeUpdate::Delta(delta))) if delta.seq <= seq => {}
            Ok(Some(TreeUpdate::Delta(delta))) => {
                assert_eq!(delta.seq, seq + 1, "a batch was lost");
                apply(&mut nodes, &delta);
                seq = delta.seq;
            }
            Ok(Some(TreeUpdate::Reset)) => (seq, nodes) = take(),
            Ok(None) => return (seq, nodes),
            Err(_) if stop.load(Ordering::SeqCst) => return (seq, nodes),
            Err(_) => {}
        }
    }
}

/// A tree of `n` leaves below supervisors of every strategy, fixed and dynamic.
async fn forest(tree: &TreeStore, nodes: &[Node]) -> SupervisorHandle {
    let mut children = Vec::new();
    let mut dynamic = Vec::new();
    for (group, leaves) in nodes.chunks(20).enumerate() {
        let slot = SupervisorSlot::new();
        let id = format!("g{group}");
        if group % 4 == 3 {
            let options = DynamicOptions { intensity: plenty(), ..DynamicOptions::default() };
            children.push(ChildSpec::dynamic(id, "group", &slot, options));
            dynamic.push((slot, group));
            continue;
        }
        let strategy = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne][group % 4];
        let rules = SupervisorSpec {
            strategy,
            intensity: plenty(),
            children: leaves.iter().enumerate().map(|(at, leaf)| leaf.spec(&format!("l{at}"))).collect(),
            ..SupervisorSpec::default()
        };
        children.push(ChildSpec::supervisor(id, "group", &slot, move || rules.clone()));
    }
    let rules = SupervisorSpec { intensity: plenty(), children, ..SupervisorSpec::default() };
    let root = Supervisor::start_root(rules, tree.clone()).await.unwrap();
    for (slot, group) in dynamic {
        for (at, leaf) in nodes.chunks(20).nth(group).unwrap().iter().enumerate() {
            slot.handle().start_child(leaf.spec(&format!("l{at}"))).await.unwrap();
        }
    }
    root
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_a_tree_in_a_storm_of_faults_comes_back_to_its_spec() {
    let long = from_env("SOAK_SECONDS");
    let (seconds, leaves) = (long.unwrap_or(2), if long.is_some() { 10_000 } else { 300 });
    let seed = from_env("SOAK_SEED").unwrap_or(1);
    let tasks_before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let tree = TreeStore::new();
    let chaos = tree.arm_chaos();
    let nodes: Vec<Node> = (0..leaves).map(|_| Node::new()).collect();
    let root = forest(&tree, &nodes).await;
    let stop = Arc::new(AtomicBool::new(false));
    let follower = tokio::spawn(follow(tree.clone(), Arc::clone(&stop)));
    let mut rng = StdRng::seed_from_u64(seed);
    let (begin, mut blows, mut kills) = (Instant::now(), 0u64, 0u64);
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    let groups = nodes.len().div_ceil(20);
    while begin.elapsed() < Duration::from_secs(seconds) {
        tick.tick().await;
        // A thousand faults a second.
        for _ in 0..10 {
            let at = rng.random_range(0..nodes.len());
            let kind = rng.random_range(0..5);
            let struck = match [Blow::Panic, Blow::Error, Blow::Stop, Blow::Task].get(kind) {
                Some(blow) => nodes[at].slot.address().try_cast(*blow).is_ok(),
                None => chaos.inject(format!("root/g{}/l{}", at / 20, at % 20).as_str(), Fault::Kill).is_ok(),
            };
            blows += u64::from(struck);
        }
        // Now and then a whole group is killed, or stopped and started, however it is just then. The children of a
        // dynamic one would be nobody's to bring back.
        let group = rng.random_range(0..groups);
        match rng.random_range(0..40) {
            0 if group % 4 != 3 => {
                kills += u64::from(chaos.inject(format!("root/g{group}").as_str(), Fault::Kill).is_ok())
            }
            1 if group % 4 != 3 => {
                let (root, group) = (root.clone(), ChildId::from(format!("g{group}")));
                kills += 1;
                drop(tokio::spawn(async move { root.cycle_child(&group).await }));
            }
            _ => {}
        }
    }
    let stormed = begin.elapsed();
    until_running(&tree, 1 + groups + nodes.len()).await;
    let settled = begin.elapsed() - stormed;
    for (at, node) in nodes.iter().enumerate() {
        node.slot.address().wait_live().await;
        assert_eq!(node.count.live.load(Ordering::SeqCst), 1, "leaf {at}");
        assert!(!node.count.twice.load(Ordering::SeqCst), "leaf {at} ran twice at once");
    }
    stop.store(true, Ordering::SeqCst);
    let (seq, followed) = follower.await.unwrap();
    let snapshot = tree.snapshot(&Query::default());
    assert_eq!(snapshot.seq, seq, "the follower is up to date");
    for node in &snapshot.nodes {
        assert_eq!(Some(&node.facts), followed.get(&node.id).map(|node| &node.facts));
    }
    assert_eq!(snapshot.nodes.len(), followed.len());
    let starts: u64 = nodes.iter().map(|node| node.count.starts.load(Ordering::SeqCst)).sum();
    eprintln!(
        "c1: seed {seed}, {leaves} leaves, {blows} faults and {kills} kills and restarts of groups in {stormed:?}, {starts} starts, at rest after {settled:?}"
    );
    assert!(starts > leaves as u64, "nothing happened");
    drop(snapshot);
    root.shutdown(BUDGET).await;
    assert!(tree.snapshot(&Query::default()).nodes.is_empty());
    assert!(nodes.iter().all(|node| node.count.live.load(Ordering::SeqCst) == 0));
    drop((root, tree));
    let none_left = async {
        while tokio::runtime::Handle::current().metrics().num_alive_tasks() > tasks_before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), none_left).await.unwrap();
}

/// Ten thousand children, and the supervisor they are under.
async fn crowd(n: usize, intensity: Intensity) -> (SupervisorHandle, SupervisorSlot, TreeStore, Vec<Node>) {
    let tree = TreeStore::new();
    let slot = SupervisorSlot::new();
    let nodes: Vec<Node> = (0..n).map(|_| Node::new()).collect();
    let rules = SupervisorSpec {
        intensity,
        children: nodes.iter().enumerate().map(|(at, node)| node.spec(&format!("l{at}"))).collect(),
        ..SupervisorSpec::default()
    };
    let crowd = ChildSpec::supervisor("crowd", "crowd", &slot, move || rules.clone());
    let root_rules = SupervisorSpec { children: vec![crowd.restart(Restart::Temporary)], ..SupervisorSpec::default() };
    let root = Supervisor::start_root(root_rules, tree.clone()).await.unwrap();
    (root, slot, tree, nodes)
}

fn strike_all(nodes: &[Node]) {
    for node in nodes {
        assert!(node.slot.address().try_cast(Blow::Error).is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c2_ten_thousand_children_that_crash_at_once_are_all_restarted() {
    const N: usize = 10_000;
    let (root, slot, tree, nodes) = crowd(N, plenty()).await;
    let begin = Instant::now();
    strike_all(&nodes);
    until_running(&tree, N + 2).await;
    for node in &nodes {
        node.slot.address().wait_live().await;
    }
    eprintln!("c2: {N} crashes, all up again after {:?}", begin.elapsed());
    let infos = slot.handle().which_children().await.unwrap();
    assert_eq!(infos.len(), N);
    assert!(infos.iter().all(|info| info.incarnation == 2 && info.restarts == 1));
    root.shutdown(BUDGET).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c2_ten_thousand_children_that_crash_at_once_melt_down_a_small_budget() {
    const N: usize = 10_000;
    let small = Intensity { max_restarts: 100, period: Duration::from_secs(5) };
    let (root, slot, tree, nodes) = crowd(N, small).await;
    let begin = Instant::now();
    strike_all(&nodes);
    let reason = slot.handle().wait().await;
    eprintln!("c2: meltdown of {N} children in {:?}", begin.elapsed());
    assert_eq!(reason.text(), "intensity");
    until_running(&tree, 1).await;
    assert!(nodes.iter().all(|node| node.count.live.load(Ordering::SeqCst) == 0));
    let starts: u64 = nodes.iter().map(|node| node.count.starts.load(Ordering::SeqCst)).sum();
    assert!(starts <= N as u64 + 100, "{starts} starts");
    root.shutdown(BUDGET).await;
}

/// Lets the blocked ones go, also if the test fails before.
struct Release;

/// Whether blocked actors may go on.
static RELEASE: AtomicBool = AtomicBool::new(false);

impl Drop for Release {
    fn drop(&mut self) {
        RELEASE.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn c5_children_that_block_their_threads_are_shown_as_zombies_and_hold_nobody_up() {
    let tree = TreeStore::new();
    let nodes: Vec<Node> = (0..6).map(|_| Node::new()).collect();
    let limit = Shutdown::Timeout(Duration::from_millis(100));
    let children = nodes.iter().enumerate().map(|(at, node)| node.spec(&format!("l{at}")).shutdown(limit));
    let rules = SupervisorSpec { children: children.collect(), ..SupervisorSpec::default() };
    let root = Supervisor::start_root(rules, tree.clone()).await.unwrap();
    let _release = Release;
    for at in [1, 3] {
        assert!(nodes[at].slot.address().try_cast(Blow::Block(&RELEASE)).is_ok());
    }
    let mut changes = tree.subscribe();
    let seen = tokio::spawn(async move {
        loop {
            let Some(TreeUpdate::Delta(delta)) = changes.next().await else { return false };
            let zombie = |op: &TreeOp| matches!(op, TreeOp::Add(node) if node.state == NodeState::Zombie);
            if delta.ops.iter().any(zombie) {
                return true;
            }
        }
    });
    let begin = Instant::now();
    let report = root.shutdown(BUDGET).await;
    let took = begin.elapsed();
    // Each blocked one costs its deadline and the grace of a second after the kill; nobody else costs anything.
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(20), "{took:?}");
    let mut stragglers: Vec<String> = report.stragglers.iter().map(ToString::to_string).collect();
    stragglers.sort();
    assert_eq!(stragglers, ["root/l1", "root/l3"]);
    for (at, node) in nodes.iter().enumerate() {
        assert_eq!(node.count.live.load(Ordering::SeqCst), i64::from(at == 1 || at == 3), "leaf {at}");
    }
    assert!(tokio::time::timeout(BUDGET, seen).await.unwrap().unwrap(), "the first was shown as a zombie meanwhile");
    RELEASE.store(true, Ordering::SeqCst);
    let both_end = async {
        while nodes.iter().any(|node| node.count.live.load(Ordering::SeqCst) != 0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BUDGET, both_end).await.unwrap();
    assert!(nodes.iter().all(|node| node.count.live.load(Ordering::SeqCst) == 0));
}

/// Memory in use, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c7_memory_stays_flat_over_very_many_lives_under_one_supervisor() {
    let cycles = from_env("SOAK_CYCLES").unwrap_or(20_000);
    let tree = TreeStore::new();
    let node = Node::new();
    let slot = SupervisorSlot::new();
    let children = vec![
        node.spec("leaf"),
        ChildSpec::dynamic(
            "crowd",
            "crowd",
            &slot,
            DynamicOptions { intensity: plenty(), ..DynamicOptions::default() },
        ),
    ];
    let rules = SupervisorSpec { intensity: plenty(), children, ..SupervisorSpec::default() };
    let root = Supervisor::start_root(rules, tree.clone()).await.unwrap();
    let (begin, mut early) = (Instant::now(), 0);
    let (leaf, brief) = (ChildId::from("leaf"), Node::new());
    for cycle in 0..cycles {
        match cycle % 4 {
            // The same child again, by hand and after a crash; a new one, kept and not kept.
            0 => root.cycle_child(&leaf).await.unwrap(),
            1 => {
                let starts = node.count.starts.load(Ordering::SeqCst);
                assert!(node.slot.address().try_cast(Blow::Error).is_ok());
                while node.count.starts.load(Ordering::SeqCst) == starts {
                    tokio::task::yield_now().await;
                }
                node.slot.address().wait_live().await;
            }
            kept => {
                let id = format!("c{cycle}");
                let restart = if kept == 2 { Restart::Permanent } else { Restart::Temporary };
                slot.handle().start_child(brief.spec(&id).restart(restart)).await.unwrap();
                let id = ChildId::from(id);
                slot.handle().terminate_child(&id).await.unwrap();
                if kept == 2 {
                    slot.handle().delete_child(&id).await.unwrap();
                }
            }
        }
        if cycle == cycles / 4 {
            early = resident();
        }
    }
    let late = resident();
    eprintln!(
        "c7: {cycles} lives in {:?}; {} KiB after a quarter, {} KiB at the end",
        begin.elapsed(),
        early / 1024,
        late / 1024
    );
    assert!(late < early + 16 * 1024 * 1024, "memory grew from {early} to {late}");
    assert_eq!(node.count.live.load(Ordering::SeqCst), 1);
    assert_eq!(tree.snapshot(&Query::default()).nodes.len(), 3);
    root.shutdown(BUDGET).await;
}
