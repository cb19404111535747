//! What the design relies on in the actor runtime below, one test per fact, asked of the runtime itself.
//!
//! Nothing of `supervision` takes part, so when the runtime is upgraded these tests say what has moved.
//! `docs/supervision.md` lists the facts and why each matters.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails at the spot")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else comes fails the test")]

mod events;
mod probe;
mod process_wide;
mod queues;
mod starting;
mod stopping;
