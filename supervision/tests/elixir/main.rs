//! What Elixir asks of its `DynamicSupervisor` and `PartitionSupervisor`, case by case, against the real runtime.
//!
//! `cases.tsv` lists all of them: `D` is tested directly, `A` in the form the intent has here, `-` does not apply. A test
//! holds the list to the tests.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails at the spot")]

#[path = "../otp/support.rs"]
#[allow(dead_code, reason = "shared with OTP's cases, which use more of it")]
mod support;

mod dynamic_restart;
mod dynamic_start;
mod dynamic_stop;
mod partition;
mod table;

use std::time::Duration;

use supervision::AdminError;
use supervision::prelude::*;

use crate::support::LONG;

/// Retries so late that the child is down for the rest of the test.
fn late() -> BackoffPolicy {
    BackoffPolicy {
        initial: Duration::from_secs(600),
        max: LONG,
        factor: 1.0,
        jitter: Jitter::None,
        max_attempts: None,
        reset_after: ResetRule::Never,
        window: None,
        on_exhausted: Exhausted::GiveUp,
    }
}

fn is_full<T>(outcome: &Result<T, AdminError>) -> bool {
    matches!(outcome, Err(AdminError::MaxChildren))
}
