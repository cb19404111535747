//! What does a fault in one part cost the others, and how long is a part away?
//!
//! Set-up: a whole gateway started with `--chaos` on loopback, its store on this machine's disk, the built-in demo model
//! (a number every 100 ms), 32 sessions of 4 agents streaming at once over 4 WebSocket connections, a Telegram account on a fake server. First
//! table, for each class of actor and each way to fail: five pairs of rounds, one with the fault and one without, in
//! alternating order, each pair in a gateway of its own; class `nobody` has no fault in either round and shows what the
//! machine alone does. A session's delay is what its turn took longer, end to end, in
//! the round with the fault. Second table: the parts everything stands on. How long until they run again, until a new
//! client is let in and its message accepted, and whether anything that was accepted is missing.
//! Budget: no other session is delayed by more than 10 ms; store and configuration are back within 500 ms; nothing
//! accepted is lost.
//!
//! `make measure-faults`. Arguments: names of classes, to measure these alone; `--pairs N`.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench talks to the terminal, and ends when it can't measure"
)]

mod field;
mod rebuilds;

use std::time::Duration;

use supervision::chaos::Fault;

use field::{Field, SESSIONS, Victim};

/// Pairs of rounds of each class and fault.
const PAIRS: usize = 5;
/// Ways to fail.
const FAULTS: [Fault; 3] = [Fault::Panic, Fault::Hang, Fault::Kill];

/// Classes that fail without taking others along.
const CLASSES: [Victim; 15] = [
    Victim::Nobody,
    Victim::Path("lifecycle", "root/lifecycle"),
    Victim::Kind("auth profile", "auth_profile"),
    Victim::Path("provider", "root/core/providers/p0"),
    Victim::Kind("delivery lane", "delivery lane"),
    Victim::Kind("channel account", "channel account"),
    Victim::Path("reconciler", "root/core/upkeep/reconciler"),
    Victim::Path("health monitor", "root/core/upkeep/channel_health"),
    Victim::Path("devices", "root/core/control/devices"),
    Victim::Path("broadcast", "root/core/control/broadcast"),
    Victim::Path("listener", "root/core/control/listener"),
    Victim::Connection,
    Victim::Session,
    Victim::Run,
    Victim::Tool,
];

fn main() {
    let mut names: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let pairs = names.iter().position(|name| name == "--pairs").map_or(PAIRS, |at| {
        let count = names.get(at + 1).and_then(|count| count.parse().ok()).expect("--pairs takes a number");
        names.drain(at..at + 2);
        count
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        println!("load average at the start: {}", load());
        println!("{SESSIONS} sessions streaming, {pairs} pairs; times in ms\n");
        println!(
            "{:16} {:6} {:>9} {:>9} | {:>8} {:>16} {:>8} | {:>7} {:>5}",
            "class", "fault", "without", "with", "delay", "spread of pairs", "most", "away", "ends"
        );
        for victim in CLASSES.into_iter().filter(|victim| is_wanted(&names, victim.name())) {
            // Nobody fails in one way only.
            let ways = if matches!(victim, Victim::Nobody) { 1 } else { FAULTS.len() };
            for fault in FAULTS.into_iter().take(ways) {
                others(victim, fault, pairs).await;
            }
        }
        println!();
        Box::pin(rebuilds::all(&names, pairs)).await;
        println!("\nload average at the end: {}", load());
    });
}

pub(crate) fn is_wanted(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|wanted| wanted == name)
}

/// What a fault costs those it is not for.
async fn others(victim: Victim, fault: Fault, pairs: usize) {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let mut delays: Vec<Vec<f64>> = vec![Vec::new(); SESSIONS];
    let (mut of_pairs, mut away, mut wrong) = (Vec::new(), Vec::new(), 0);
    for pair in 0..pairs {
        let mut field = Field::start().await;
        field.round("warm", victim, None).await;
        let struck_first = pair % 2 == 1;
        let first = field.round("first", victim, struck_first.then_some(fault)).await;
        let second = field.round("second", victim, (!struck_first).then_some(fault)).await;
        let (quiet, struck) = if struck_first { (second, first) } else { (first, second) };
        wrong += quiet.wrong + struck.wrong;
        away.extend(struck.away.map(ms));
        let mut differences = Vec::new();
        for (at, (before, after)) in quiet.took.iter().zip(&struck.took).enumerate() {
            let difference = ms(*after) - ms(*before);
            delays[at].push(difference);
            differences.push(difference);
            without.push(ms(*before));
            with.push(ms(*after));
        }
        of_pairs.push(median(&mut differences));
        field.stop().await;
    }
    // What is one session's alone shows in all of its pairs; what is the machine's does not.
    let most = delays.iter_mut().map(|delays| median(delays)).fold(f64::MIN, f64::max);
    let (low, high) = spread(&of_pairs);
    println!(
        "{:16} {:6} {:>9.1} {:>9.1} | {:>+8.2} {:>16} {:>+8.2} | {:>7} {:>5}",
        victim.name(),
        name(fault),
        median(&mut without),
        median(&mut with),
        median(&mut of_pairs),
        format!("{low:+.2}..{high:+.2}"),
        most,
        if away.is_empty() { String::from("-") } else { format!("{:.0}", median(&mut away)) },
        if wrong == 0 { String::from("ok") } else { format!("{wrong}!") },
    );
}

pub(crate) fn name(fault: Fault) -> &'static str {
    match fault {
        Fault::Panic => "panic",
        Fault::Hang => "hang",
        Fault::Kill => "kill",
        Fault::Error
        | Fault::Block(_)
        | Fault::PanicAtStart
        | Fault::FailStart(_)
        | Fault::HangAtStart
        | Fault::PanicAtStop
        | Fault::HangAtStop => unreachable!("{fault:?} is not measured"),
    }
}

pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub(crate) fn spread(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)))
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
