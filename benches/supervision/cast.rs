//! What does sending without an answer cost?
//!
//! Bursts of 500 into a mailbox with room for 1,024, each closed by a call so that the receiver's part is counted too.
//! Goal: at most 1.3 times a bare ractor's unbounded, unmetered cast.

use std::time::{Duration, Instant};

use tokio::runtime::Builder;

use crate::contenders::{BASE, Contender, Erlang, Life};
use crate::report::{Options, Table};
use crate::{in_turns, two_threads};

const BURST: usize = 500;
const BURSTS: usize = 100;

pub(crate) fn run(options: &Options) {
    let casts = BURST * BURSTS;
    if options.wants("cast-one-thread") {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut table = Table::new("one-way send, one thread");
        for _ in 0..options.rounds(25) {
            in_turns!(options, table, &runtime, casts, round());
        }
        table.print(BASE);
    }
    if options.wants("cast-two-threads") {
        let runtime = two_threads();
        let mut erlang = Erlang::start(options);
        let mut table = Table::new("one-way send, two threads");
        for _ in 0..options.rounds(15) {
            in_turns!(options, table, &runtime, casts, round());
            if let Some(erlang) = &mut erlang {
                table.add(Erlang::NAME, erlang.time("cast", casts), casts);
            }
        }
        table.print(BASE);
    }
}

async fn round<C: Contender>() -> Duration {
    let parent = C::parent(&Life::default()).await;
    let child = C::spawn(&parent, 0).await;
    let mut spent = Duration::ZERO;
    for warm in [true, false] {
        let began = Instant::now();
        for _ in 0..if warm { BURSTS / 10 } else { BURSTS } {
            for n in 0..BURST as u64 {
                C::cast(&child, n);
            }
            assert!(C::call(&child, 1).await > 0, "answered");
        }
        spent = began.elapsed();
    }
    C::stop_all(parent, vec![child]).await;
    spent
}
