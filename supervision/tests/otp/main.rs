//! OTP's own suite for supervisors, case by case under its own names, against the real runtime.
//!
//! `cases.tsv` lists all of them: `D` is tested directly, `A` in the form the intent has here, `T` cannot be written
//! down because of the types (the test shows what is left), `-` does not apply. A test checks the list, and the table
//! in `docs/supervision.md` that is made from it.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails at the spot")]

mod elsewhere;
mod log;
mod support;

mod child_adm;
mod child_specs;
mod loops;
mod misc;
mod reconfigure;
mod reports;
mod restart;
mod scale;
mod significant;
mod sup_start;
mod sup_start_map;
mod sup_stop;
mod table;
mod termination;
