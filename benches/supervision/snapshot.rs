//! What does a picture of 100,000 nodes cost, and whom does it hold up?
//!
//! Goals: 50 ms of processor time, and no change reaches a follower more than 20 ms later because of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use supervision::tree::Query;
use supervision::{SupervisorHandle, TreeStore};

use crate::contenders::{Contender, Life, Ours, Worker, root};
use crate::report::{Options, Table, note};
use crate::{on_worker, two_threads};

const NODES: usize = 100_000;
const CHANGES: usize = 60;

pub(crate) fn run(options: &Options) {
    if !options.wants("snapshot") {
        return;
    }
    let runtime = two_threads();
    let tree = TreeStore::new();
    let root = on_worker(&runtime, grow(tree.clone()));
    let mut table = Table::new(format!("snapshot of {NODES} nodes, processor time"));
    for _ in 0..options.rounds(15) {
        let before = processor_time();
        let nodes = tree.snapshot(&Query::default()).nodes.len();
        table.add("snapshot", processor_time() - before, 1);
        assert!(nodes > NODES, "all nodes");
    }
    table.print("");
    let mut table = Table::new("from a change to its arrival at a follower");
    for round in 0..options.rounds(5) {
        for (name, busy) in [("undisturbed", false), ("during snapshots", true)] {
            let late = on_worker(&runtime, lateness(root.clone(), tree.clone(), busy, round));
            for one in late {
                table.add(name, one, 1);
            }
        }
    }
    table.print("undisturbed");
    note(&format!("the latest: {}", table.worst()));
    on_worker(&runtime, async move { drop(root.shutdown(Duration::from_secs(600)).await) });
}

async fn grow(tree: TreeStore) -> SupervisorHandle {
    let root = root(tree).await;
    let parent = (root.clone(), Life::default());
    for n in 0..NODES {
        drop(Ours::spawn(&parent, n).await);
    }
    root
}

/// Times from asking for a child to a follower's hearing of it, while another thread takes snapshots or does not.
async fn lateness(root: SupervisorHandle, tree: TreeStore, busy: bool, round: usize) -> Vec<Duration> {
    let over = Arc::new(AtomicBool::new(!busy));
    let photographer = photograph(tree.clone(), Arc::clone(&over));
    let mut follower = tree.subscribe();
    let mut late = Vec::with_capacity(CHANGES);
    for n in 0..CHANGES {
        let slot = supervision::Slot::new();
        let id = format!("late-{round}-{busy}-{n}");
        let spec = Worker::spec(id, &slot, &Life::default());
        let began = Instant::now();
        root.start_child(spec).await.expect("a child");
        follower.next().await.expect("a change");
        late.push(began.elapsed());
        // The next change is to meet a follower that has heard everything.
        while tokio::time::timeout(Duration::from_millis(30), follower.next()).await.is_ok() {}
    }
    over.store(true, Ordering::SeqCst);
    photographer.join().expect("joined");
    late
}

#[expect(clippy::disallowed_methods, reason = "joined by the one caller")]
fn photograph(tree: TreeStore, over: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        while !over.load(Ordering::SeqCst) {
            drop(tree.snapshot(&Query::default()));
        }
    })
}

/// What this thread has used of a processor.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanos = text.split_whitespace().next().and_then(|first| first.parse().ok()).expect("nanoseconds");
    Duration::from_nanos(nanos)
}
