//! Fakes for tests of this crate and of the daemon: they speak the true wire formats on loopback, or stand in for a
//! port in memory.

pub mod fake_models;
pub mod memory_profiles;
pub mod outbox;
pub mod sink;
pub mod telegram;
