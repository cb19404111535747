//! The machine against a naive supervisor and other oracles, on programs made at random.
//!
//! Each test is named for the properties it shows; how many cases and which, see `seeds`.

use std::time::Duration;

use super::*;

#[path = "../../../tests/model/shared"]
mod shared {
    pub(super) mod naive;
    #[allow(dead_code, reason = "the machine does not know how a child is stopped")]
    pub(super) mod program;
    pub(super) mod seeds;

    mod api {
        pub(crate) use crate::backoff::{BackoffPolicy, Budget, Exhausted, Jitter, ResetRule};
        pub(crate) use crate::child_spec::{AutoShutdown, Restart, Strategy};
    }
}

mod bench;
mod budgets;
mod events;
mod programs;
