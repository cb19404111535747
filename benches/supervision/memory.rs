//! What does an idle actor weigh?
//!
//! Each contender starts its actors in a process of its own; what the resident set grows by is divided by their number.
//! For ours also: a million keys of a directory touched in turn with at most 10,000 live. Goal: 150 MB.

use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::contenders::{BASE, Channel, Contender, DEADLINE, Erlang, Kameo, Life, Message, Ours, Ractor};
use crate::directory::open;
use crate::report::{Options, Table, note};
use crate::{contenders, on_worker, two_threads};

const ACTORS: usize = 50_000;
const KEYS: usize = 1_000_000;
const LIVE: usize = 10_000;

pub(crate) fn run(options: &Options) {
    if options.wants("memory") {
        let mut table = Table::new(format!("resident set per idle actor, {ACTORS} of them"));
        for _ in 0..options.rounds(3) {
            for name in
                [Channel::NAME, Ractor::NAME, Kameo::NAME, Ours::NAME].into_iter().filter(|name| options.admits(name))
            {
                table.value(name, elsewhere(name)[0]);
            }
            if let Some(mut erlang) = Erlang::start(options) {
                table.value(Erlang::NAME, erlang.ask("memory", ACTORS) as f64);
            }
        }
        table.print_bytes(BASE);
    }
    if options.wants("million") {
        let mut table = Table::new(format!("a directory of {KEYS} keys touched, at most {LIVE} live: resident set"));
        let [before, full, per_key] = elsewhere("million")[..] else { return };
        table.value("before", before);
        table.value("after", full);
        table.print_bytes("before");
        note(&format!("{per_key:.0} ns per key"));
    }
}

/// What a process of its own says.
fn elsewhere(name: &str) -> Vec<f64> {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program).args(["--alone", name]).output().expect("run");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stderr);
    text.split_whitespace().map(|number| number.parse().expect("a number")).collect()
}

/// The part that runs in a process of its own.
pub(crate) fn alone(arguments: &[String]) -> ExitCode {
    contenders::quiet();
    let runtime = two_threads();
    match arguments.first().map(String::as_str) {
        Some(Channel::NAME) => on_worker(&runtime, weigh::<Channel>()),
        Some(Ractor::NAME) => on_worker(&runtime, weigh::<Ractor>()),
        Some(Kameo::NAME) => on_worker(&runtime, weigh::<Kameo>()),
        Some(Ours::NAME) => on_worker(&runtime, weigh::<Ours>()),
        Some("million") => on_worker(&runtime, million()),
        Some(_) | None => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

async fn weigh<C: Contender>() {
    let parent = C::parent(&Life::default()).await;
    let mut started = Vec::with_capacity(ACTORS);
    let first = C::spawn(&parent, ACTORS).await;
    let before = resident();
    for n in 0..ACTORS {
        started.push(C::spawn(&parent, n).await);
    }
    eprintln!("{}", (resident() - before) / ACTORS);
    drop(first);
    C::stop_all(parent, started).await;
}

async fn million() {
    let (root, directory) = open(LIVE).await;
    directory.call(&0, |reply| Message::Get(1, reply), DEADLINE).await.expect("answered");
    let before = resident();
    let began = Instant::now();
    for key in 0..KEYS as u64 {
        directory.call(&key, |reply| Message::Get(1, reply), DEADLINE).await.expect("answered");
    }
    let spent = began.elapsed();
    eprintln!("{before} {} {}", resident(), spent.as_nanos() / KEYS as u128);
    drop(directory);
    root.shutdown(std::time::Duration::from_secs(60)).await;
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident set");
    let kilobytes: usize = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    kilobytes * 1024
}
