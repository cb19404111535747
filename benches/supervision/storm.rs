//! 10,000 children crash at once: how long until all run again?
//!
//! From the first message that makes one fail to the start of the last successor; for 1,000, 10,000 and 100,000. Goals
//! at 10,000: at most 1.3 times a parent that does nothing but start the child again, a twentieth of Erlang's time, and
//! a straight line to 100,000.

use std::time::{Duration, Instant};

use crate::contenders::{BASE, Contender, Erlang, Life};
use crate::report::{Options, Table};
use crate::{in_turns, two_threads};

pub(crate) fn run(options: &Options) {
    for (children, rounds) in [(1_000, 15), (10_000, 9), (100_000, 3)] {
        if !options.wants(&format!("storm-{children}.")) {
            continue;
        }
        let runtime = two_threads();
        // Its supervisor goes through all restarts of the period at each one: 100,000 would take it several minutes.
        let mut erlang = if children <= 10_000 { Erlang::start(options) } else { None };
        let mut table = Table::new(format!("{children} crash at once, per child"));
        for _ in 0..options.rounds(rounds) {
            in_turns!(options, table, &runtime, children, round(children));
            if let Some(erlang) = &mut erlang {
                table.add(Erlang::NAME, erlang.time("storm", children), children);
            }
        }
        table.print(BASE);
    }
}

async fn round<C: Contender>(children: usize) -> Duration {
    let life = Life::default();
    let parent = C::parent(&life).await;
    let mut started = Vec::with_capacity(children);
    for n in 0..children {
        started.push(C::spawn(&parent, n).await);
    }
    let began = Instant::now();
    life.after(children, || started.iter().for_each(C::crash)).await;
    let spent = began.elapsed();
    C::stop_all(parent, Vec::new()).await;
    spent
}
