//! Supervisors held to their properties by programs made at random, on tokio's paused clock.
//!
//! Each test is named for the properties it shows; how many cases and which, see `shared/seeds.rs`.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails at the spot")]

mod hangs;
mod panics;
mod programs;
mod shared;
mod stage;
mod toy;
