//! What is written by hand on locks and atomics, under a model checker: every order in which its threads can run is
//! tried, up to a number of preemptions, and every value an atomic may show.
//!
//! The very files of the crate are compiled here once more, with the checker's locks in place of the standard ones;
//! `supervision/src/sync.rs` is the one place where they differ. The runtime's own semaphores and wakers are not taken
//! apart. `LOOM_MAX_PREEMPTIONS` is how many preemptions are tried, two by default; a soak takes more.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails at the spot")]
#![allow(dead_code, unreachable_pub, reason = "of the files compiled here, only what is checked is used")]

#[path = "../../src/clock.rs"]
mod clock;
mod mailbox;
mod registry;

/// What the files under test find in place of the crate's own.
mod sync {
    pub(crate) use std::sync::PoisonError;

    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}

/// Tries `scenario` in every order.
fn check(scenario: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(2));
    model.check(scenario);
}
