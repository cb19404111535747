//! What does a question and its answer cost, with a deadline?
//!
//! One caller, one actor, one call after the other: on one thread, and on two, where the wake-up of the other thread is
//! most of it. Goal: at most what ractor's own call with a timeout costs.

use std::time::{Duration, Instant};

use tokio::runtime::Builder;

use crate::contenders::{BASE, Contender, Erlang, Life};
use crate::report::{Options, Table};
use crate::{in_turns, two_threads};

const CALLS: usize = 20_000;

pub(crate) fn run(options: &Options) {
    if options.wants("call-one-thread") {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut table = Table::new("call round trip, one thread");
        for _ in 0..options.rounds(25) {
            in_turns!(options, table, &runtime, CALLS, round(CALLS));
        }
        table.print(BASE);
    }
    if options.wants("call-two-threads") {
        let runtime = two_threads();
        let mut erlang = Erlang::start(options);
        let mut table = Table::new("call round trip, two threads");
        for _ in 0..options.rounds(15) {
            in_turns!(options, table, &runtime, CALLS, round(CALLS));
            if let Some(erlang) = &mut erlang {
                table.add(Erlang::NAME, erlang.time("call", CALLS), CALLS);
            }
        }
        table.print(BASE);
    }
}

async fn round<C: Contender>(calls: usize) -> Duration {
    let parent = C::parent(&Life::default()).await;
    let child = C::spawn(&parent, 0).await;
    let mut answers = 0;
    for n in 0..calls as u64 / 10 {
        answers += C::call(&child, n).await;
    }
    let began = Instant::now();
    for n in 0..calls as u64 {
        answers += C::call(&child, n).await;
    }
    let spent = began.elapsed();
    assert!(answers > 0, "answered");
    C::stop_all(parent, vec![child]).await;
    spent
}
