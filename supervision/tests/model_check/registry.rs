//! The directory's books of one key, compiled with the checker's locks.

#[path = "../../src/registry/ledger.rs"]
mod ledger;

mod backlog;
