//! How long after one crash is the child up again?
//!
//! From sending the message that makes it fail to the start of its next incarnation, one of a hundred siblings at a
//! time.

use std::time::{Duration, Instant};

use crate::contenders::{BASE, Contender, Life};
use crate::report::{Options, Table};
use crate::{in_turns, two_threads};

const CHILDREN: usize = 100;

pub(crate) fn run(options: &Options) {
    if !options.wants("crash") {
        return;
    }
    let runtime = two_threads();
    let mut table = Table::new("one crash to running");
    for _ in 0..options.rounds(40) {
        in_turns!(options, table, &runtime, CHILDREN, round(CHILDREN));
    }
    table.print(BASE);
}

async fn round<C: Contender>(children: usize) -> Duration {
    let life = Life::default();
    let parent = C::parent(&life).await;
    let mut started = Vec::with_capacity(children);
    for n in 0..children {
        started.push(C::spawn(&parent, n).await);
    }
    let began = Instant::now();
    for child in &started {
        life.after(1, || C::crash(child)).await;
    }
    let spent = began.elapsed();
    drop(started);
    C::stop_all(parent, Vec::new()).await;
    spent
}
