//! The locks of what is written by hand here, in one place: the model checker compiles the same files with its own.

pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};
