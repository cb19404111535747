//! The crash matrix: many kills, and at the end everything is there.
//!
//! `CRASH_SEED` (printed) gives the same messages, fates and moments again; `CRASH_KILLS` says how many kills there are in all.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::check::{self, Verdict};
use crate::drive::{self, Fate};
use crate::record::{Kind, Record};
use crate::rig::Rig;
use crate::{names, snapshot};

/// Kills of both tests together, unless said otherwise.
const KILLS: usize = 100;
/// The seed unless said otherwise.
const SEED: u64 = 20_261_121;
/// Places that are passed rarely: the first time must do.
const RARE: [&str; 4] = ["store.projection", "store.rename", "store.payload", "resume"];
/// How often a named place is waited for.
const TRIES: usize = 3;
/// Longest time from the start of the process to the resumed call of a model, unless said otherwise: for a build
/// without optimisation on a busy machine.
const RESUME_MS: u64 = 10_000;

fn number(variable: &str, otherwise: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

fn kills() -> usize {
    usize::try_from(number("CRASH_KILLS", KILLS as u64)).unwrap()
}

/// Six of ten kills are at random instants, the others at named places.
fn random_kills() -> usize {
    kills() * 6 / 10
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_instants_lose_nothing() {
    let seed = number("CRASH_SEED", SEED);
    let mut dice = StdRng::seed_from_u64(seed);
    let mut rig = Rig::new(seed).await;
    for _ in 0..random_kills() {
        let fate = if dice.random_range(0..4) == 0 {
            Fate::Starting(Duration::from_micros(dice.random_range(0..400_000)))
        } else {
            Fate::Talking(Duration::from_micros(dice.random_range(0..350_000)))
        };
        drive::live(&mut rig, &fate).await;
    }
    conclude(rig, seed, "random instants").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_every_named_place_lose_nothing() {
    let seed = number("CRASH_SEED", SEED) + 1;
    let mut dice = StdRng::seed_from_u64(seed);
    let mut rig = Rig::new(seed).await;
    let names = names::all();
    let count = (kills() - random_kills()).max(names.len());
    let mut missed = Vec::new();
    for name in names.iter().cycle().take(count) {
        let nth = if RARE.iter().any(|rare| name.starts_with(rare)) { 1 } else { dice.random_range(1..=3) };
        // A place that is not passed, such as resuming when nothing is open, is after one more kill in full work.
        for _ in 0..TRIES {
            if drive::live(&mut rig, &Fate::At(name.clone(), nth)).await {
                break;
            }
            missed.push(format!("{name}:{nth}"));
        }
    }
    eprintln!("named places: {} kills, not passed in time: {missed:?}", rig.kills.len());
    let never: Vec<&String> = names
        .iter()
        .filter(|name| {
            !rig.kills
                .iter()
                .any(|kill| kill.how.rsplit_once(':').is_some_and(|(at, nth)| at == *name && !nth.contains(' ')))
        })
        .collect();
    conclude(rig, seed, "named places").await;
    assert!(never.is_empty(), "never passed: {never:?}");
}

async fn conclude(mut rig: Rig, seed: u64, what: &str) {
    drive::finish(&mut rig).await;
    let record = rig.record();
    let verdict = check::check(&record, snapshot::pieces);
    let resumed = resume_times(&record, &rig);
    report(what, seed, &record, &verdict, &resumed);
    let idle: Vec<&str> =
        record.kills.iter().filter(|kill| kill.unanswered == 0).map(|kill| kill.how.as_str()).collect();
    if !verdict.violations.is_empty() {
        let folder = rig.keep();
        let shown = format!("{:#?}\n{:#?}\n{:#?}", record.kills, record.delivered, record.asked);
        std::fs::write(folder.join("record.txt"), shown).unwrap();
        panic!("CRASH_SEED={seed}: {:#?}\nkept: {}", verdict.violations, folder.display());
    }
    assert!(idle.is_empty(), "nothing was in flight: {idle:?}");
    let unseen: Vec<Kind> = check::unseen(&record);
    assert!(unseen.is_empty(), "never sent: {unseen:?}");
    assert!(!record.effects.is_empty(), "nothing was changed");
    let limit = number("CRASH_RESUME_MS", RESUME_MS);
    let slowest = percentile(&resumed, 99);
    assert!(!resumed.is_empty() && slowest <= Duration::from_millis(limit), "resumed after {slowest:?}");
}

/// From the start of a process to the call of the model, for each run that a life before had called it for.
fn resume_times(record: &Record, rig: &Rig) -> Vec<Duration> {
    let mut times = Vec::new();
    for (at, asked) in record.asked.iter().enumerate() {
        let before = || record.asked[..at].iter().filter(|earlier| earlier.id == asked.id);
        let is_resumed = before().any(|earlier| earlier.life < asked.life);
        let is_first = !before().any(|earlier| earlier.life == asked.life);
        if is_resumed && is_first {
            times.push(asked.from.saturating_sub(rig.starts[asked.life as usize].0));
        }
    }
    times.sort();
    times
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}

fn report(what: &str, seed: u64, record: &Record, verdict: &Verdict, resumed: &[Duration]) {
    let accepted = record.offered.iter().filter(|offered| offered.accepted).count();
    let busy = record.kills.iter().filter(|kill| kill.open.is_busy()).count();
    let sending: usize = record.kills.iter().map(|kill| kill.open.sending.len()).sum();
    let intents: usize = record.kills.iter().map(|kill| kill.open.intents.len()).sum();
    eprintln!(
        "{what}: CRASH_SEED={seed} {} kills ({busy} with open work in the store), {} messages, {accepted} accepted, {} calls of the \
         model, {} pieces delivered; pieces being sent at a kill {sending}, calls open at a kill {intents}; {:?}; {} violations",
        record.kills.len(),
        record.offered.len(),
        record.asked.len(),
        record.delivered.len(),
        verdict.figures,
        verdict.violations.len(),
    );
    eprintln!(
        "{what}: {} resumed runs, from exec to the model: p50 {:?}, p90 {:?}, p99 {:?}, slowest {:?}",
        resumed.len(),
        percentile(resumed, 50),
        percentile(resumed, 90),
        percentile(resumed, 99),
        percentile(resumed, 100),
    );
    for upper in [50, 100, 200, 300, 400, 500, 700, 1000, 2000, 5000] {
        let count = resumed.iter().filter(|time| time.as_millis() <= upper).count();
        eprintln!("{what}:   <= {upper:>4} ms {count:>5}");
    }
}
