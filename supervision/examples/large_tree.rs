//! What a snapshot of a large tree costs, and how long it holds others up.
//!
//! `cargo run --release -p supervision --example large_tree [nodes]`; 100,000 actors unless told. Prints the processor time
//! of a snapshot, the longest time anybody waited to write a change or to hear of it meanwhile, and the memory per actor.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program of its own that prints what it measures"
)]

use std::error::Error;
use std::time::{Duration, Instant};

use supervision::Redaction;
use supervision::prelude::*;
use supervision::tree::{Query, Summarise, TreeReader, TreeUpdate, Viewer};

/// Children of one supervisor.
const GROUP: usize = 1000;

struct Idle;

impl Actor for Idle {
    type Message = u64;
    type Args = ();
    type State = ();

    async fn pre_start(&self, (): (), _: &Ctx<u64>) -> Result<(), BoxError> {
        Ok(())
    }

    async fn handle(&self, (): &mut (), number: u64, ctx: &Ctx<u64>) -> ActorResult {
        ctx.set_detail("number", number.to_string());
        Ok(())
    }
}

/// Processor time of this thread.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
    Duration::from_nanos(nanos)
}

/// Memory of this process in bytes.
fn memory() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    stat.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let nodes: usize = std::env::args().nth(1).and_then(|nodes| nodes.parse().ok()).unwrap_or(100_000);
    let (tree, writer, before) = (TreeStore::new(), Slot::new(), memory());
    let root = grow(&tree, nodes, &writer).await?;
    println!("memory: {} bytes per actor, all included", memory().saturating_sub(before) / nodes.max(1) as u64);
    for viewer in [Viewer::full(), Viewer::plain()] {
        // In a thread of its own, whose processor time is that of the snapshots alone.
        let reader = tree.seen_by(viewer);
        if std::thread::spawn(move || snapshots(&reader)).join().is_err() {
            println!("the measurement failed");
        }
    }
    let begin = cpu();
    let snapshot = tree.snapshot(&Query { summarise: Some(Summarise::default()), ..Query::default() });
    let (shown, counted) = (snapshot.nodes.len(), snapshot.summaries.len());
    println!("shown as {shown} nodes and {counted} summaries: processor {:?}", cpu() - begin);
    changes(&tree, &writer).await;
    root.shutdown(Duration::from_secs(60)).await;
    Ok(())
}

/// Starts the actors, every other one personal.
async fn grow(
    tree: &TreeStore,
    nodes: usize,
    writer: &Slot<u64>,
) -> Result<SupervisorHandle, Box<dyn Error + Send + Sync>> {
    let groups: Vec<SupervisorSlot> = (0..nodes.div_ceil(GROUP)).map(|_| SupervisorSlot::new()).collect();
    let children = groups
        .iter()
        .enumerate()
        .map(|(n, slot)| ChildSpec::dynamic(format!("group{n}"), "group", slot, DynamicOptions::default()));
    let spec = SupervisorSpec { children: children.collect(), ..SupervisorSpec::default() };
    let root = Supervisor::start_root(spec, tree.clone()).await?;
    let begin = Instant::now();
    for n in 0..nodes {
        let slot = if n == 0 { writer.clone() } else { Slot::new() };
        let class = if n % 2 == 0 { Redaction::Personal } else { Redaction::Public };
        let spec = ChildSpec::actor(format!("actor{n}"), "actor", &slot, |_| (Idle, ())).redact(class);
        groups[n / GROUP].handle().start_child(spec).await?;
    }
    println!("{nodes} actors started in {:?}", begin.elapsed());
    Ok(root)
}

/// Takes some snapshots and says what they cost.
fn snapshots(reader: &TreeReader) {
    let mut nodes = 0;
    let mut times: Vec<(Duration, Duration)> = (0..10)
        .map(|_| {
            let (busy, begin) = (cpu(), Instant::now());
            nodes = reader.snapshot(&Query::default()).nodes.len();
            (cpu() - busy, begin.elapsed())
        })
        .collect();
    times.sort();
    let ((median, _), (most, wall)) = (times[5], times[9]);
    println!(
        "{:?}: snapshot of {nodes} nodes: processor median {median:?}, most {most:?}; then {wall:?}",
        reader.viewer()
    );
}

/// Changes a node again and again while snapshots are taken without pause, and says how long that took at most.
async fn changes(tree: &TreeStore, writer: &Slot<u64>) {
    let (reader, stop) = (tree.clone(), CancellationToken::new());
    let stopped = stop.clone();
    let taking = std::thread::spawn(move || {
        let mut taken = 0;
        while !stopped.is_cancelled() {
            taken += usize::from(!reader.snapshot(&Query::default()).nodes.is_empty());
        }
        taken
    });
    let mut changes = tree.subscribe();
    let mut longest = Duration::ZERO;
    for number in 0..40 {
        // Longer than a tick, so that the change is to be sent at once.
        tokio::time::sleep(Duration::from_millis(260)).await;
        let begin = Instant::now();
        drop(writer.address().try_cast(number));
        while let Some(TreeUpdate::Delta(delta)) = changes.next().await {
            if !delta.ops.is_empty() {
                break;
            }
        }
        longest = longest.max(begin.elapsed());
    }
    stop.cancel();
    let taken = taking.join().unwrap_or_default();
    println!("during {taken} snapshots: longest way of a change to a follower {longest:?}");
}
