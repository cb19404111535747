//! What does it cost to bring a key's actor up with its first message, and to let it go again?
//!
//! Ours goes through the directory and is let go by a sweep; the others start, ask and stop an actor per key, without
//! anything that keeps two of one key apart.

use std::time::{Duration, Instant};

use supervision::{ChildSpec, Directory, DirectoryOptions, DynamicOptions, Restart, SupervisorSlot, TreeStore};

use crate::contenders::{BASE, Contender, DEADLINE, Erlang, Life, Message, Worker, root};
use crate::report::{Options, Table};
use crate::{in_turns, on_worker, two_threads};

const KEYS: usize = 2_000;
/// Ours with all that a directory promises; the line before it is the same crate without.
const DIRECTORY: &str = "our directory";

pub(crate) fn run(options: &Options) {
    if !options.wants("directory") {
        return;
    }
    let runtime = two_threads();
    let mut erlang = Erlang::start(options);
    let mut table = Table::new("directory: activate with a call, passivate");
    for _ in 0..options.rounds(15) {
        in_turns!(options, table, &runtime, KEYS, others(KEYS));
        if options.admits(DIRECTORY) {
            table.add(DIRECTORY, on_worker(&runtime, ours(KEYS)), KEYS);
        }
        if let Some(erlang) = &mut erlang {
            table.add(Erlang::NAME, erlang.time("directory", KEYS), KEYS);
        }
    }
    table.print(BASE);
}

async fn others<C: Contender>(keys: usize) -> Duration {
    let parent = C::parent(&Life::default()).await;
    let mut started = Vec::with_capacity(keys);
    let began = Instant::now();
    for n in 0..keys {
        let child = C::spawn(&parent, n).await;
        C::call(&child, 1).await;
        started.push(child);
    }
    for child in started {
        C::leave(&parent, child).await;
    }
    let spent = began.elapsed();
    C::stop_all(parent, Vec::new()).await;
    spent
}

/// A directory of workers that let go at once when swept.
pub(crate) async fn open(max_live: usize) -> (supervision::SupervisorHandle, Directory<u64, Message>) {
    let root = root(TreeStore::new()).await;
    let workers = SupervisorSlot::new();
    root.start_child(ChildSpec::dynamic("workers", "workers", &workers, DynamicOptions::default()))
        .await
        .expect("a supervisor");
    let options = DirectoryOptions { idle_after: Duration::ZERO, max_live, ..DirectoryOptions::default() };
    let life = Life::default();
    let directory = Directory::new(options, &workers, move |key: &u64, slot| {
        Worker::spec(key.to_string(), slot, &life).restart(Restart::Temporary)
    });
    (root, directory)
}

async fn ours(keys: usize) -> Duration {
    let (root, directory) = open(keys).await;
    let began = Instant::now();
    for key in 0..keys as u64 {
        directory.call(&key, |reply| Message::Get(1, reply), DEADLINE).await.expect("answered");
    }
    while directory.live_count() > 0 {
        directory.sweep();
        tokio::task::yield_now().await;
    }
    let spent = began.elapsed();
    root.shutdown(Duration::from_secs(60)).await;
    spent
}
