//! How many messages a second are accepted, each flushed before it is answered?
//!
//! Set-up: the store's actor alone, on this machine's disk, and so many senders that each wait for their answer before they send the next
//! message: what a session commits to accept one (the record, and the id by which a repeat is recognised). Beside it
//! the same disk with nothing else: a write of 512 bytes and its `fdatasync`, one after another, which is what a sender alone could
//! reach at best. Budget: 5,000 a second with 256 senders; one sender within twice the raw sync.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench talks to the terminal, and ends when it can't measure"
)]

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use actors::clock::Clock;
use actors::store::records::DedupeRecord;
use actors::store::{self, Commit, Outcome, StoreArgs, StoreHandle, keys, value};
use futures_util::future::join_all;
use supervision::{Supervisor, SupervisorSpec, TreeStore};

/// How long each number of senders is measured.
const ROUND: Duration = Duration::from_secs(3);

fn main() {
    let home = tempfile::Builder::new().prefix("acceptance").tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a home");
    let raw = raw_syncs(&home.path().join("raw"));
    report("raw write and sync", 1, raw);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure(home.path()));
}

async fn measure(home: &Path) {
    let (spec, store) = store::child_spec(StoreArgs { state_dir: home.join("state"), clock: Clock::system() });
    let spec = SupervisorSpec { children: vec![spec], ..SupervisorSpec::default() };
    let root = Supervisor::start_root(spec, TreeStore::new()).await.expect("a store");
    for senders in [1, 16, 64, 256, 1024] {
        let until = Instant::now() + ROUND;
        let times = join_all((0..senders).map(|sender| send(store.clone(), senders, sender, until))).await;
        report("accepted and flushed", senders, times.concat());
    }
    let stats = store.stats().await.expect("stats");
    println!("{} records in {} batches", stats.records, stats.batches);
    root.shutdown(Duration::from_secs(30)).await;
}

async fn send(store: StoreHandle, round: usize, sender: usize, until: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    let session = format!("agent:main:explicit:s{sender}");
    for number in 0.. {
        if Instant::now() >= until {
            break;
        }
        let event = format!("{round}-{sender}-{number}");
        let began = Instant::now();
        let done = store.accept(message(&session, &event, number)).await.expect("accepted");
        assert_eq!(done, Outcome::Committed);
        times.push(began.elapsed());
    }
    times
}

fn message(session: &str, event: &str, number: u64) -> Commit {
    let dedupe = keys::named(keys::DEDUPE, &format!("rpc/{event}"));
    let memory = DedupeRecord {
        session: session.to_owned(),
        run_id: event.to_owned(),
        fingerprint: "0123456789abcdef".repeat(4),
        expires_at: i64::MAX,
    };
    let record = serde_json::json!({
        "seq": number,
        "session": session,
        "run_id": event,
        "dedupe": format!("dedupe/rpc/{event}"),
        "text": "What is the weather like where you are, and what should I wear tomorrow?",
        "at": 0,
        "epoch": 1,
    });
    let key = keys::numbered(keys::ACCEPT, &format!("{session}/{event}"), number);
    let record = value::encode(&record).expect("encoded");
    let memory = value::encode(&memory).expect("encoded");
    Commit::new().expect_absent(dedupe.clone()).put(dedupe, memory).put(key, record)
}

/// Overwrites a file that has its length already, as the database does.
fn raw_syncs(path: &Path) -> Vec<Duration> {
    let mut file = std::fs::File::create(path).expect("a file");
    file.write_all(&vec![0; 4 << 20]).expect("written");
    file.sync_all().expect("synced");
    let (mut times, until) = (Vec::new(), Instant::now() + ROUND);
    while Instant::now() < until {
        let began = Instant::now();
        file.seek(SeekFrom::Start(512 * (times.len() as u64 % 4096))).expect("sought");
        file.write_all(&[7; 512]).expect("written");
        file.sync_data().expect("synced");
        times.push(began.elapsed());
    }
    times
}

fn report(name: &str, senders: usize, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    let rate = times.len() as f64 / ROUND.as_secs_f64();
    println!("{name:22} {senders:5} at once  {rate:9.0} a second  p50 {:>9.2?}  p99 {:>9.2?}", at(50), at(99));
}
