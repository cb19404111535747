#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails at the spot")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::child_spec::{ChildSpec, Redaction};
use crate::exit::ExitClass;
use crate::machine::Handling;
use crate::path::{ActorPath, ChildId};
use crate::tree::node::{ChildState, NewNode, NodeId};
use crate::tree::snapshot::Taking;
use crate::tree::soft::Soft;
use crate::tree::{
    ExitRecord, NodeFacts, NodeState, NodeView, Query, Snapshot, Summarise, TopBy, TreeOp, TreeReader, TreeStore,
    TreeUpdate, View, Viewer, apply,
};

/// What must not be seen by somebody who may not.
const SECRET: &str = "SECRET";
const KINDS: [&str; 3] = ["session", "channel", "worker"];

fn config() -> Config {
    let cases = std::env::var("SOAK_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64);
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// Something supervisors or actors do. Numbers pick among the nodes there are.
#[derive(Clone, Debug)]
enum Op {
    Add { under: usize, kind: usize, personal: bool, label: bool },
    Show { node: usize, state: NodeState },
    Exit { node: usize },
    Detail { node: usize, value: u8 },
    Busy { node: usize, on: bool },
    Relabel { node: usize, label: u8 },
    Remove { node: usize },
    Clear { node: usize },
    Zombie { node: usize },
    Wait(u64),
}

fn state() -> impl Strategy<Value = NodeState> {
    prop_oneof![
        Just(NodeState::Starting),
        Just(NodeState::Running),
        Just(NodeState::Stopping),
        (0..3i64, 0..3u32).prop_map(|(at, attempt)| NodeState::BackingOff { at, attempt, max_attempts: None }),
        Just(NodeState::CoolingDown { until: 5 }),
        Just(NodeState::Failed),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let node = 0..64usize;
    prop_oneof![
        6 => (0..64usize, 0..3usize, any::<bool>(), any::<bool>())
            .prop_map(|(under, kind, personal, label)| Op::Add { under, kind, personal, label }),
        6 => (node.clone(), state()).prop_map(|(node, state)| Op::Show { node, state }),
        2 => node.clone().prop_map(|node| Op::Exit { node }),
        3 => (node.clone(), 0..3u8).prop_map(|(node, value)| Op::Detail { node, value }),
        2 => (node.clone(), any::<bool>()).prop_map(|(node, on)| Op::Busy { node, on }),
        1 => (node.clone(), 0..3u8).prop_map(|(node, label)| Op::Relabel { node, label }),
        2 => node.clone().prop_map(|node| Op::Remove { node }),
        1 => node.clone().prop_map(|node| Op::Clear { node }),
        1 => node.prop_map(|node| Op::Zombie { node }),
        6 => prop_oneof![Just(1u64), Just(30), Just(300)].prop_map(Op::Wait),
    ]
}

/// A store and what its supervisors would know.
struct World {
    store: TreeStore,
    nodes: Vec<(NodeId, ActorPath, Arc<Soft>)>,
    made: u64,
}

impl World {
    fn new() -> Self {
        let mut world = Self { store: TreeStore::with_clock(|| 1000), nodes: Vec::new(), made: 0 };
        let (id, path) = (ChildId::from("root"), ActorPath::root(&"root".into()));
        let (node, soft) = world.store.insert(NewNode::root(&id, &path));
        world.nodes.push((node, path, soft));
        world
    }

    fn add(&mut self, under: usize, kind: usize, personal: bool, label: bool) {
        let (parent, above, _) = self.nodes[under % self.nodes.len()].clone();
        self.made += 1;
        let id = ChildId::from(format!("{}{}", if personal { SECRET } else { "n" }, self.made));
        let class = if personal { Redaction::Personal } else { Redaction::Public };
        let mut spec = ChildSpec::task(id.clone(), KINDS[kind], |_| async { Ok(()) }).redact(class);
        if label {
            spec = spec.label(format!("{} label {}", if personal { SECRET } else { "plain" }, self.made));
        }
        let path = above.join(&id);
        let new = NewNode {
            parent: Some(parent),
            path: &path,
            name: &id,
            spec: Some(&spec),
            meter: Some(Arc::default()),
            controller: None,
        };
        let (node, soft) = self.store.insert(new);
        self.nodes.push((node, path, soft));
    }

    fn forget(&mut self) {
        let inner = self.store.lock();
        self.nodes.retain(|(id, ..)| inner.nodes.contains_key(id));
    }

    /// A text of a node: if the node is personal, so is the text.
    fn text(&self, path: &ActorPath, text: &str) -> String {
        if path.as_str().contains(SECRET) { format!("{SECRET} {text}") } else { text.to_owned() }
    }

    fn run(&mut self, op: &Op) -> Option<Duration> {
        let pick = |node: &usize| self.nodes[node % self.nodes.len()].clone();
        let store = self.store.clone();
        match op {
            Op::Add { under, kind, personal, label } => self.add(*under, *kind, *personal, *label),
            Op::Show { node, state } => {
                let (id, ..) = pick(node);
                let facts = store.lock().nodes[&id].view.clone();
                let begins = matches!(state, NodeState::Starting);
                let incarnation = facts.incarnation + u64::from(begins);
                store.show(
                    id,
                    ChildState {
                        state: *state,
                        incarnation,
                        restarts: incarnation / 2,
                        attempt: 0,
                        max_attempts: None,
                        suspended: false,
                    },
                );
            }
            Op::Exit { node } => {
                let (id, path, _) = pick(node);
                // A supervisor's reason may name a child.
                let text = if id == 0 { format!("child {SECRET} failed") } else { self.text(&path, "broken") };
                store.record_exit(
                    id,
                    ExitRecord {
                        class: ExitClass::Error,
                        text,
                        location: None,
                        at: 1,
                        incarnation: 1,
                        handling: Handling::Restart,
                    },
                );
            }
            Op::Detail { node, value } => {
                let (id, path, soft) = pick(node);
                let value = self.text(&path, &value.to_string());
                let told = if value.ends_with('0') { soft.clear_detail("d") } else { soft.set_detail("d", value) };
                if told {
                    store.soft_changed(id);
                }
            }
            Op::Busy { node, on } => {
                let (id, path, soft) = pick(node);
                if soft.set_busy(on.then(|| self.text(&path, "busy")), 7) {
                    store.soft_changed(id);
                }
            }
            Op::Relabel { node, label } => {
                let (id, path, _) = pick(node);
                let label = self.text(&path, &label.to_string());
                store.show_spec(id, &ChildSpec::task("x", "x", |_| async { Ok(()) }).label(label));
            }
            Op::Remove { node } => {
                let (id, ..) = pick(node);
                if id != 0 {
                    store.remove(id);
                }
            }
            Op::Clear { node } => store.clear_children(pick(node).0),
            Op::Zombie { node } => {
                let (id, path, _) = pick(node);
                let parent = store.lock().nodes[&id].view.parent;
                if let Some(parent) = parent {
                    self.made += 1;
                    store.insert_zombie(parent, id, &path, self.made);
                }
            }
            Op::Wait(ms) => return Some(Duration::from_millis(*ms)),
        }
        self.forget();
        None
    }
}

/// Views are described by numbers, too, since nobody knows the paths beforehand.
#[derive(Clone, Debug)]
struct Follower {
    root: Option<usize>,
    depth: Option<usize>,
    closed: Option<usize>,
    ids: Option<Vec<u64>>,
    personal: bool,
    /// After which operations it takes a snapshot, and after which it reads what it has missed.
    looks: Vec<bool>,
    reads: Vec<bool>,
}

fn follower(ops: usize) -> impl Strategy<Value = Follower> {
    (
        proptest::option::of(0..64usize),
        proptest::option::of(0..3usize),
        proptest::option::of(0..64usize),
        proptest::option::weighted(0.2, proptest::collection::vec(0..60u64, 0..20)),
        any::<bool>(),
        proptest::collection::vec(proptest::bool::weighted(0.08), ops),
        proptest::collection::vec(proptest::bool::weighted(0.1), ops),
    )
        .prop_map(|(root, depth, closed, ids, personal, looks, reads)| Follower {
            root,
            depth,
            closed,
            ids,
            personal,
            looks,
            reads,
        })
}

/// A tree as somebody has it.
struct Model {
    seq: u64,
    nodes: BTreeMap<u64, NodeView>,
}

impl Model {
    /// Brings it to a number, from the batches themselves; false if they are not known any more.
    fn catch_up(&mut self, reader: &TreeReader, seq: u64) -> bool {
        let Some(batches) = reader.store.0.feed.since(self.seq) else { return false };
        for batch in batches.iter().take_while(|batch| batch.seq <= seq) {
            let ops = batch.ops(&View::default(), reader.viewer());
            apply(&mut self.nodes, &crate::tree::TreeDelta { prev: batch.seq - 1, seq: batch.seq, ops });
            self.seq = batch.seq;
        }
        true
    }
}

/// Says in which nodes two trees differ.
#[track_caller]
fn same(ours: &BTreeMap<u64, NodeView>, theirs: &BTreeMap<u64, NodeView>) {
    let ids: BTreeSet<u64> = ours.keys().chain(theirs.keys()).copied().collect();
    let differ: Vec<_> = ids.iter().filter(|id| ours.get(id) != theirs.get(id)).collect();
    if let Some(first) = differ.first() {
        panic!("{differ:?} differ, the first: {:#?} and {:#?}", ours.get(first), theirs.get(first));
    }
}

/// Without counters, which are read and not followed.
fn followed(snapshot: &Snapshot) -> BTreeMap<u64, NodeView> {
    snapshot.nodes.iter().map(|node| (node.id, NodeView::from(node.facts.clone()))).collect()
}

struct Following {
    reader: TreeReader,
    view: View,
    changes: crate::tree::TreeSubscription,
    models: Vec<Model>,
}

impl Following {
    fn begin(world: &World, of: &Follower) -> Self {
        let reader = world.store.seen_by(Viewer { personal: of.personal });
        let shown = |at: usize| {
            let (id, ..) = world.nodes[at % world.nodes.len()];
            let facts = world.store.lock().nodes[&id].view.clone();
            reader.viewer().path(&facts).clone()
        };
        let view = View {
            root: of.root.map(shown),
            depth: of.depth,
            closed: of.closed.map(shown).into_iter().collect(),
            ids: of.ids.clone().map(|ids| ids.into_iter().collect()),
        };
        let start = reader.snapshot(&view.clone().into());
        let changes = reader.subscribe(view.clone(), Some((start.epoch, start.seq)));
        let models = vec![Model { seq: start.seq, nodes: followed(&start) }];
        Self { reader, view, changes, models }
    }

    /// Takes a further snapshot, somewhere between the batches that are still to be read.
    fn look(&mut self) {
        let now = self.reader.snapshot(&self.view.clone().into());
        self.models.push(Model { seq: now.seq, nodes: followed(&now) });
    }

    /// Reads all there is and compares with the tree as it is now.
    fn read(&mut self) {
        let now = self.reader.snapshot(&self.view.clone().into());
        let mut told = 0;
        while let Some(update) = self.changes.ready() {
            match update {
                TreeUpdate::Reset => self.models = vec![Model { seq: now.seq, nodes: followed(&now) }],
                TreeUpdate::Delta(delta) => {
                    assert!(delta.prev < delta.seq && told <= delta.prev, "{told} {delta:?}");
                    told = delta.seq;
                    for model in &mut self.models {
                        if delta.seq <= model.seq {
                            continue;
                        }
                        assert!(delta.prev <= model.seq, "a gap: {} before {delta:?}", model.seq);
                        apply(&mut model.nodes, &delta);
                        model.seq = delta.seq;
                    }
                }
            }
        }
        for model in &self.models {
            same(&model.nodes, &followed(&now));
        }
    }
}

fn on_paused_time(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(test);
}

proptest! {
    #![proptest_config(config())]

    /// Whoever looks, at whatever part, with whatever lag: any snapshot and what comes after it give any later one.
    #[test]
    fn a_snapshot_and_the_batches_after_it_give_any_later_snapshot_of_any_view(
        before in proptest::collection::vec(op(), 0..60),
        ops in proptest::collection::vec(op(), 100),
        followers in proptest::collection::vec(follower(100), 1..5),
    ) {
        on_paused_time(async {
            let mut world = World::new();
            for op in &before {
                world.run(op);
            }
            let mut all: Vec<Following> = followers.iter().map(|of| Following::begin(&world, of)).collect();
            for (at, op) in ops.iter().enumerate() {
                if let Some(time) = world.run(op) {
                    tokio::time::sleep(time).await;
                }
                for (following, of) in all.iter_mut().zip(&followers) {
                    if of.looks[at] {
                        following.look();
                    }
                    if of.reads[at] {
                        following.read();
                    }
                }
            }
            all.iter_mut().for_each(Following::read);
        });
    }

    /// The chunks of a snapshot are read at different times; the snapshot is of one moment.
    #[test]
    fn a_snapshot_is_of_one_moment_though_the_tree_changes_while_it_is_taken(
        before in proptest::collection::vec(op(), 30..120),
        between in proptest::collection::vec(proptest::collection::vec(op(), 0..6), 40),
        of in follower(0),
        summarise in proptest::option::weighted(0.2, 0..4usize),
    ) {
        on_paused_time(async {
            let mut world = World::new();
            for op in &before {
                world.run(op);
            }
            let following = Following::begin(&world, &of);
            let mut query = Query::from(following.view.clone());
            query.summarise = summarise.map(|over| Summarise { over, ..Summarise::default() });
            let whole = following.reader.snapshot(&Query::default());
            let mut model = Model { seq: whole.seq, nodes: followed(&whole) };
            let mut taking = Taking::begin(&following.reader, &query);
            for ops in &between {
                if !taking.chunk() {
                    break;
                }
                for op in ops {
                    if let Some(time) = world.run(op) {
                        tokio::time::sleep(time).await;
                    }
                }
                if !model.catch_up(&following.reader, taking.number()) {
                    return;
                }
            }
            while taking.chunk() {}
            let snapshot = match taking.finish() {
                Ok(snapshot) => snapshot,
                Err(_) => return,
            };
            if !model.catch_up(&following.reader, snapshot.seq) {
                return;
            }
            let viewer = Viewer::full();
            model.nodes.retain(|_, node| snapshot.view.contains(node, viewer));
            same(&followed(&snapshot), &model.nodes);
            let mut seen = BTreeSet::new();
            for node in &snapshot.nodes {
                let orphan = node.parent.is_some_and(|parent| model.nodes.contains_key(&parent) && !seen.contains(&parent));
                assert!(!orphan, "parents come before children");
                seen.insert(node.id);
            }
        });
    }

    /// Nothing personal reaches a viewer who may not read it, by whatever way.
    #[test]
    fn a_plain_viewer_sees_nothing_personal(ops in proptest::collection::vec(op(), 1..120)) {
        on_paused_time(async {
            let mut world = World::new();
            let plain = world.store.seen_by(Viewer::plain());
            let mut changes = plain.subscribe(View::default(), None);
            let mut paths = BTreeSet::new();
            for op in &ops {
                if let Some(time) = world.run(op) {
                    tokio::time::sleep(time).await;
                }
                while let Some(update) = changes.ready() {
                    clean(&update);
                    if let TreeUpdate::Delta(delta) = &update {
                        paths.extend(delta.ops.iter().filter_map(added));
                    }
                }
            }
            let summarise = Summarise { over: 0, expanded: BTreeSet::from(["root".into()]), top: 5, by: TopBy::Worst };
            clean(&plain.snapshot(&Query { summarise: Some(summarise), ..Query::default() }));
            let all = plain.snapshot(&Query::default());
            clean(&all);
            let known: BTreeMap<u64, ActorPath> = all.nodes.iter().map(|node| (node.id, node.path.clone())).collect();
            for node in &all.nodes {
                let parent = node.parent.and_then(|parent| known.get(&parent));
                prop_assert_within(parent, node);
                assert_eq!(plain.node(&node.path).map(|found| found.path.clone()), Some(node.path.clone()));
                clean(&plain.children(&node.path));
                clean(&plain.children_page(&node.path, None, 3));
            }
            for path in &paths {
                clean(&plain.history(path));
            }
            // What may not be read cannot be guessed, either.
            let asks = |text: &str| plain.snapshot(&Query { text: Some(text.to_owned()), ..Query::default() });
            assert!(asks(SECRET).nodes.is_empty());
            for (_, path, _) in world.nodes.iter().filter(|(_, path, _)| path.as_str().contains(SECRET)) {
                assert!(plain.node(path).is_none() && plain.history(path).is_empty());
                assert!(plain.snapshot(&Query { root: Some(path.clone()), ..Query::default() }).nodes.is_empty());
                assert!(world.store.node(path).is_some(), "others see it");
            }
        });
    }
}

fn added(op: &TreeOp) -> Option<ActorPath> {
    match op {
        TreeOp::Add(facts) => Some(facts.path.clone()),
        TreeOp::Remove(_) | TreeOp::Patch { .. } => None,
    }
}

#[track_caller]
fn clean(what: &impl std::fmt::Debug) {
    let text = format!("{what:?}");
    assert!(!text.contains(SECRET), "{text}");
}

/// Pseudonyms of a node are the same in its own path and in those below it.
#[track_caller]
fn prop_assert_within(parent: Option<&ActorPath>, node: &NodeFacts) {
    if let Some(parent) = parent {
        assert_eq!(*parent.as_str(), node.path.as_str()[..parent.as_str().len()]);
    }
}

#[test]
fn snapshots_are_exact_while_others_write() {
    for _ in 0..(config().cases / 32).clamp(2, 10) {
        let mut world = World::new();
        for n in 0..200 {
            world.add(n / 3, n % 3, n % 2 == 0, false);
        }
        let store = world.store.clone();
        let start = store.snapshot(&Query::default());
        let mut model = Model { seq: start.seq, nodes: followed(&start) };
        let nodes = world.nodes.clone();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for writer in 0..3usize {
                let (store, nodes, stop) = (&store, &nodes, &stop);
                scope.spawn(move || {
                    let mut turn = writer;
                    while !stop.load(Ordering::Relaxed) {
                        turn += 3;
                        let (id, _, soft) = &nodes[turn * 7 % nodes.len()];
                        if turn % 5 == 0 && soft.set_detail("turn", turn.to_string()) {
                            store.soft_changed(*id);
                        }
                        store.record_exit(*id, exit(turn));
                    }
                });
            }
            for _ in 0..8 {
                let snapshot = store.snapshot(&Query::default());
                if model.catch_up(&store.seen_by(Viewer::full()), snapshot.seq) {
                    same(&model.nodes, &followed(&snapshot));
                } else {
                    model = Model { seq: snapshot.seq, nodes: followed(&snapshot) };
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}

fn exit(turn: usize) -> ExitRecord {
    ExitRecord {
        class: ExitClass::Error,
        text: turn.to_string(),
        location: None,
        at: 0,
        incarnation: 1,
        handling: Handling::Restart,
    }
}

#[test]
fn crowded_children_come_as_a_summary_until_expanded() {
    on_paused_time(async {
        let mut world = World::new();
        for _ in 0..20 {
            world.add(0, 0, false, false);
        }
        world.run(&Op::Show { node: 7, state: NodeState::Failed });
        world.run(&Op::Show { node: 9, state: NodeState::CoolingDown { until: 1 } });
        let by = |by| Summarise { over: 10, top: 2, by, ..Summarise::default() };
        let store = world.store.clone();
        let ask = |rule: Summarise| store.snapshot(&Query { summarise: Some(rule), ..Query::default() });
        let snapshot = ask(by(TopBy::Worst));
        assert_eq!(snapshot.nodes.len(), 1);
        let summary = &snapshot.summaries[0];
        assert_eq!((summary.parent, summary.children), (0, 20));
        assert_eq!(summary.states, BTreeMap::from([("starting", 18), ("failed", 1), ("cooling_down", 1)]));
        let top: Vec<u64> = summary.top.iter().map(|node| node.id).collect();
        assert_eq!(top, [7, 9]);
        let equals: Vec<u64> = ask(by(TopBy::Restarts)).summaries[0].top.iter().map(|node| node.id).collect();
        assert_eq!(equals, [1, 2], "of equals, the first started");
        // What is summarised is not followed.
        let mut changes = world.store.subscribe_view(snapshot.view.clone(), Some((snapshot.epoch, snapshot.seq)));
        world.run(&Op::Show { node: 3, state: NodeState::Running });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(changes.ready(), None);
        let expanded = Summarise { expanded: BTreeSet::from(["root".into()]), ..by(TopBy::Worst) };
        assert_eq!(ask(expanded).nodes.len(), 21);
    });
}

#[test]
fn children_come_in_pages_in_start_order() {
    let mut world = World::new();
    for n in 0..25 {
        world.add(0, n % 3, false, true);
    }
    world.run(&Op::Remove { node: 10 });
    let reader = world.store.seen_by(Viewer::full());
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let (page, next) = reader.children_page(&"root".into(), after, 10);
        assert!(page.len() <= 10);
        seen.extend(page.iter().map(|node| node.id));
        let Some(next) = next else { break };
        after = Some(next);
    }
    assert_eq!(seen, (1..=25).filter(|id| *id != 10).collect::<Vec<_>>());
    assert_eq!(reader.children_page(&"nowhere".into(), None, 10), (Vec::new(), None));

    // A filtered query has pages as well.
    let mut query = Query { kinds: vec!["session".to_owned()], limit: Some(3), ..Query::default() };
    let mut found = Vec::new();
    loop {
        let page = reader.snapshot(&query);
        found.extend(page.nodes.iter().map(|node| node.id));
        let Some(next) = page.next else { break };
        query.after = Some(next);
    }
    assert_eq!(found, [1, 4, 7, 13, 16, 19, 22, 25]);
    let text = Query { text: Some("LABEL 12".to_owned()), ..Query::default() };
    assert_eq!(reader.snapshot(&text).nodes.iter().map(|node| node.id).collect::<Vec<_>>(), [12]);
    let states = Query { states: vec!["running".to_owned()], ..Query::default() };
    assert!(reader.snapshot(&states).nodes.is_empty());
}

#[test]
fn an_unchanged_node_is_kept_once() {
    on_paused_time(async {
        let mut world = World::new();
        world.add(0, 0, false, false);
        world.run(&Op::Show { node: 1, state: NodeState::Running });
        tokio::time::sleep(Duration::from_secs(1)).await;
        let inner = world.store.lock();
        for node in inner.nodes.values() {
            assert!(Arc::ptr_eq(&node.view, node.published.as_ref().unwrap()));
        }
    });
}

#[test]
fn what_a_plain_viewer_was_shown_does_not_stay_when_the_node_changes() {
    on_paused_time(async {
        let mut world = World::new();
        world.add(0, 0, true, false);
        let plain = world.store.seen_by(Viewer::plain());
        let path = plain.snapshot(&Query::default()).nodes[1].path.clone();
        for state in [NodeState::Running, NodeState::Failed, NodeState::Stopping] {
            world.run(&Op::Show { node: 1, state });
            assert_eq!(plain.node(&path).unwrap().state, state);
        }
        assert_eq!(plain.snapshot(&Query::default()).nodes[1].state, NodeState::Stopping);
    });
}

#[test]
fn many_changes_at_once_are_sent_in_several_batches() {
    on_paused_time(async {
        let mut world = World::new();
        let mut changes = world.store.subscribe();
        tokio::time::sleep(Duration::from_secs(1)).await;
        for _ in 0..20 {
            world.add(0, 0, false, false);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let batches = world.store.0.feed.since(changes.seq()).unwrap();
        assert!(batches.len() > 3);
        assert!(batches.iter().all(|batch| batch.changes.len() <= crate::tree::batch::BATCH));
        let mut nodes = BTreeMap::new();
        while let Some(TreeUpdate::Delta(delta)) = changes.ready() {
            apply(&mut nodes, &delta);
        }
        assert_eq!(nodes.len(), 20);
    });
}
