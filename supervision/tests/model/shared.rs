//! What the machine's own tests use as well: programs, the naive supervisor, and how cases are drawn.

pub(crate) mod naive;
pub(crate) mod program;
pub(crate) mod seeds;

/// The crate under test, under the name both users of this folder know it by.
pub(crate) mod api {
    pub(crate) use supervision::{
        AutoShutdown, BackoffPolicy, Budget, Exhausted, Jitter, ResetRule, Restart, Strategy,
    };
}
