//! Runs a property over many generated cases, each from a seed of its own.
//!
//! `SOAK_CASES` says how many cases, `SOAK_SEED` the seed of the first; case n has that seed plus n. A failure names the
//! seed of its case, so `SOAK_SEED=<that> SOAK_CASES=1` replays that case alone. Without `SOAK_SEED` the cases are always
//! the same ones. `SOAK_SHRINK` bounds how long a smaller failing case is looked for; 0 takes the case as it is.

use std::fmt::Debug;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// The first seed unless the environment names another.
const FIRST: u64 = 1;

fn from_env(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.trim().parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// Checks `property` on `short` cases, or as many as `SOAK_CASES` says.
///
/// # Panics
/// With the smallest failing case found and the seed that leads to it.
pub(crate) fn holds<S>(short: u32, strategy: S, property: impl Fn(S::Value) -> Result<(), TestCaseError>)
where
    S: Strategy,
    S::Value: Debug + Clone,
{
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("property");
    let cases = from_env("SOAK_CASES").unwrap_or(u64::from(short));
    let first = from_env("SOAK_SEED").unwrap_or(FIRST);
    let shrink = from_env("SOAK_SHRINK").and_then(|steps| u32::try_from(steps).ok()).unwrap_or(4096);
    eprintln!("{name}: {cases} cases from seed {first}");
    for seed in (0..cases).map(|case| first.wrapping_add(case)) {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config { failure_persistence: None, max_shrink_iters: shrink, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let tree = strategy.new_tree(&mut runner).unwrap_or_else(|why| panic!("{name}: no case: {why}"));
        match runner.run_one(tree, &property) {
            Ok(_) => {}
            Err(TestError::Abort(why)) => panic!("{name}: seed {seed} was given up: {why}"),
            Err(TestError::Fail(why, case)) => {
                panic!("{name}: {why}\nsmallest case: {case:#?}\nto replay: SOAK_SEED={seed} SOAK_CASES=1")
            }
        }
    }
}
