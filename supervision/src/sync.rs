//! The locks and counters of what is written by hand here, in one place: the model checker (`tests/model_check/`)
//! compiles the same files with its own.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};
