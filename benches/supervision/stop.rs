//! How long does it take to stop 100,000 children in order?
//!
//! Last started, first stopped; each has ended before the next is asked to.

use std::time::{Duration, Instant};

use crate::contenders::{BASE, Contender, Erlang, Life};
use crate::report::{Options, Table};
use crate::{in_turns, two_threads};

pub(crate) fn run(options: &Options) {
    for (children, rounds) in [(10_000, 9), (100_000, 3)] {
        if !options.wants(&format!("stop-{children}.")) {
            continue;
        }
        let runtime = two_threads();
        let mut erlang = Erlang::start(options);
        let mut table = Table::new(format!("stop {children} in order, per child"));
        for _ in 0..options.rounds(rounds) {
            in_turns!(options, table, &runtime, children, round(children));
            if let Some(erlang) = &mut erlang {
                table.add(Erlang::NAME, erlang.time("stop", children), children);
            }
        }
        table.print(BASE);
    }
}

async fn round<C: Contender>(children: usize) -> Duration {
    let parent = C::parent(&Life::default()).await;
    let mut started = Vec::with_capacity(children);
    for n in 0..children {
        started.push(C::spawn(&parent, n).await);
    }
    let began = Instant::now();
    C::stop_all(parent, started).await;
    began.elapsed()
}
