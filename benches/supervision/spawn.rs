//! What does a supervised start cost?
//!
//! One child after the other under one parent, each up before the next is asked for.

use std::time::{Duration, Instant};

use crate::contenders::{BASE, Contender, Erlang, Life};
use crate::report::{Options, Table};
use crate::{in_turns, two_threads};

const CHILDREN: usize = 2_000;

pub(crate) fn run(options: &Options) {
    if !options.wants("spawn") {
        return;
    }
    let runtime = two_threads();
    let mut erlang = Erlang::start(options);
    let mut table = Table::new("supervised start");
    for _ in 0..options.rounds(15) {
        in_turns!(options, table, &runtime, CHILDREN, round(CHILDREN));
        if let Some(erlang) = &mut erlang {
            table.add(Erlang::NAME, erlang.time("spawn", CHILDREN), CHILDREN);
        }
    }
    table.print(BASE);
}

async fn round<C: Contender>(children: usize) -> Duration {
    let parent = C::parent(&Life::default()).await;
    let mut started = Vec::with_capacity(children);
    let began = Instant::now();
    for n in 0..children {
        started.push(C::spawn(&parent, n).await);
    }
    let spent = began.elapsed();
    C::stop_all(parent, started).await;
    spent
}
