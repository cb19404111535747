//! Properties of mailboxes, queues and directories, on random programs.
//!
//! `SOAK_CASES` is how many programs each property is tried on; the default is for every run. A failing program is
//! made smaller, printed, and its seed written to `tests/proptest-regressions/`, from where the next run tries it
//! first. `PROPTEST_RNG_SEED` makes a whole run repeatable. What the scheduler does on two threads is not part of the
//! seed: such a property prints its program, which may need several runs to fail again.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails at the spot")]

mod consumer;
mod directory;
mod mailbox;
mod stable_queue;

use proptest::test_runner::Config;
use supervision::prelude::*;

/// `cases` programs, unless `SOAK_CASES` says otherwise.
fn config(cases: u32) -> Config {
    let cases = std::env::var("SOAK_CASES").ok().map_or(cases, |text| text.parse().unwrap());
    Config { cases, max_shrink_iters: 500, ..Config::default() }
}

/// One thread and time that jumps: what happens depends on the program alone.
fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

async fn root(children: Vec<ChildSpec>) -> (SupervisorHandle, TreeStore) {
    let tree = TreeStore::new();
    tree.arm_chaos();
    let spec = SupervisorSpec {
        intensity: Intensity { max_restarts: 100_000, period: std::time::Duration::from_secs(1) },
        children,
        ..SupervisorSpec::default()
    };
    (Supervisor::start_root(spec, tree.clone()).await.unwrap(), tree)
}
