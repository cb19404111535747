//! The parts everything stands on: how long until they are back, and whether anything is lost.

use std::time::{Duration, Instant};

use serde_json::json;
use supervision::chaos::Fault;

use super::field::{Field, send};
use super::{FAULTS, is_wanted, median, ms, name, spread};

/// What is rebuilt with all that stands after it.
const PARTS: [(&str, &str); 5] = [
    ("store", "root/core/store"),
    ("config", "root/core/config"),
    ("sessions", "root/core/sessions"),
    ("control", "root/core/control"),
    ("core", "root/core"),
];
/// Turns under way when it strikes.
const UNDER_WAY: usize = 16;
/// Messages sent, one after another, while it strikes.
const BURST: usize = 40;
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn all(names: &[String], rounds: usize) {
    println!(
        "{:10} {:6} | {:>24} {:>24} | {:>8} {:>6}",
        "part", "fault", "runs again", "a message is accepted", "accepted", "lost"
    );
    for (part, path) in PARTS.into_iter().filter(|(part, _)| is_wanted(names, part)) {
        // A supervisor awaits nothing, so it can't hang.
        let faults = FAULTS.into_iter().filter(|fault| *fault != Fault::Hang || matches!(part, "store" | "config"));
        for fault in faults {
            let (mut up, mut open) = (Vec::new(), Vec::new());
            let (mut accepted, mut lost) = (0, 0);
            for _ in 0..rounds {
                let rebuilt = once(path, fault).await;
                up.push(ms(rebuilt.up));
                open.push(ms(rebuilt.open));
                accepted += rebuilt.accepted;
                lost += rebuilt.lost;
            }
            println!(
                "{part:10} {:6} | {:>24} {:>24} | {accepted:>8} {lost:>6}",
                name(fault),
                told(&mut up),
                told(&mut open)
            );
        }
    }
}

fn told(times: &mut [f64]) -> String {
    let (low, high) = spread(times);
    format!("{:.0} ({low:.0} to {high:.0})", median(times))
}

struct Rebuilt {
    up: Duration,
    open: Duration,
    accepted: usize,
    lost: usize,
}

async fn once(path: &str, fault: Fault) -> Rebuilt {
    let field = Field::start().await;
    let mut accepted = Vec::new();
    for at in 0..UNDER_WAY {
        let run = format!("under-way-{at}");
        send(&field.seats[0].client, &format!("agent:a{}:s{at}", at % 4), &run, "slow 5").await.expect("accepted");
        accepted.push(run);
    }
    let burst = async {
        let mut accepted = Vec::new();
        for at in 0..BURST {
            let run = format!("burst-{at}");
            if send(&field.seats[1].client, &format!("b{}", at % 4), &run, "hello").await.is_some() {
                accepted.push(run);
            }
        }
        accepted
    };
    let blow = async {
        // In the middle of the burst.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let before = field.node(path).expect("it is there");
        let begin = Instant::now();
        field.running.tree.chaos().expect("armed").strike(path, fault).expect("struck");
        let opened = async {
            loop {
                if let Some(seat) = field.seat().await
                    && send(&seat.client, "after", "after", "hello").await.is_some()
                    && field.node(path).is_some_and(|now| (now.id, now.incarnation) != (before.id, before.incarnation))
                {
                    return (begin.elapsed(), seat);
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::join!(field.again(path, &before, begin), opened)
    };
    let (in_burst, (up, (open, seat))) = tokio::join!(burst, blow);
    accepted.extend(in_burst);
    accepted.push(String::from("after"));
    let mut lost = 0;
    for run in &accepted {
        let wait = json!({"runId": run, "timeoutMs": 30_000});
        let answer = tokio::time::timeout(PATIENCE, seat.client.request("agent.wait", wait)).await;
        if !matches!(&answer, Ok(Ok(answer)) if answer["status"] == "ok") {
            println!("  {run}: {answer:?}");
            lost += 1;
        }
    }
    drop(seat);
    field.stop().await;
    Rebuilt { up, open, accepted: accepted.len(), lost }
}
