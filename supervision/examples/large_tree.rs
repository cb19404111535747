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

use supervision::prelude::*;
use supervision::tree::{Query, Summarise, TreeUpdate, Viewer};

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
    let tree = TreeStore::new();
    let before = memory();
    let groups: Vec<SupervisorSlot> = (0..nodes.div_ceil(GROUP)).map(|_| SupervisorSlot::new()).collect();
    let children = groups
        .iter()
        .enumerate()
        .map(|(n, slot)| ChildSpec::dynamic(format!("group{n}"), "group", slot, DynamicOptions::default()));
    let spec = SupervisorSpec { children: children.collect(), ..SupervisorSpec::default() };
    let root = Supervisor::start_root(spec, tree.clone()).await?;
    let writer: Slot<u64> = Slot::new();
    let mut started = Instant::now();
    for n in 0..nodes {
        let slot = if n == 0 { writer.clone() } else { Slot::new() };
        let spec = ChildSpec::actor(format!("actor{n}"), "actor", &slot, |_| (Idle, ()));
        let spec = if n % 2 == 0 { spec.redact(supervision::Redaction::Personal) } else { spec };
        groups[n / GROUP].handle().start_child(spec).await?;
    }
    println!("{nodes} actors started in {:?}", started.elapsed());
    println!("memory: {} bytes per actor, all included", (memory() - before) / nodes as u64);

    // In a thread of its own, as a request of a client would be in a task of its own.
    for viewer in [Viewer::full(), Viewer::plain()] {
        let reader = tree.seen_by(viewer);
        let times: Vec<_> = std::thread::spawn(move || {
            (0..10)
                .map(|_| {
                    let (busy, begin) = (cpu(), Instant::now());
                    let snapshot = reader.snapshot(&Query::default());
                    (cpu() - busy, begin.elapsed(), snapshot.nodes.len())
                })
                .collect()
        })
        .join()
        .unwrap_or_default();
        let (mut busy, mut wall): (Vec<_>, Vec<_>) = times.iter().map(|(busy, wall, _)| (*busy, *wall)).unzip();
        busy.sort();
        wall.sort();
        let seen = times.first().map_or(0, |(_, _, nodes)| *nodes);
        println!(
            "snapshot of {seen} nodes, {viewer:?}: processor median {:?} most {:?}, wall median {:?}",
            busy[5], busy[9], wall[5]
        );
    }
    let begin = cpu();
    let rule = Summarise::default();
    let snapshot = tree.snapshot(&Query { summarise: Some(rule), ..Query::default() });
    println!(
        "summarised to {} nodes and {} summaries: processor {:?}",
        snapshot.nodes.len(),
        snapshot.summaries.len(),
        cpu() - begin
    );

    // Changes while snapshots are taken without pause.
    let reader = tree.clone();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let taking = std::thread::spawn(move || {
        let mut taken = 0;
        while !stopped.is_cancelled() {
            taken += usize::from(!reader.snapshot(&Query::default()).nodes.is_empty());
        }
        taken
    });
    let mut changes = tree.subscribe();
    let (mut longest, mut worst_write) = (Duration::ZERO, Duration::ZERO);
    for number in 0..40 {
        // Longer than a tick, so that the change is sent at once.
        tokio::time::sleep(Duration::from_millis(260)).await;
        started = Instant::now();
        writer
            .address()
            .call(
                |reply| {
                    drop(reply);
                    number
                },
                Duration::from_secs(5),
            )
            .await
            .map_or((), |()| ());
        worst_write = worst_write.max(started.elapsed());
        while let Some(TreeUpdate::Delta(delta)) = changes.next().await {
            if !delta.ops.is_empty() {
                break;
            }
        }
        longest = longest.max(started.elapsed());
    }
    stop.cancel();
    println!(
        "with {:?} snapshots meanwhile: longest write {worst_write:?}, longest way of a change to a follower {longest:?}",
        taking.join().ok()
    );
    started = Instant::now();
    root.shutdown(Duration::from_secs(60)).await;
    println!("stopped in {:?}", started.elapsed());
    Ok(())
}
