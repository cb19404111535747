//! What is counted and what is said about actors: the only place that names life-cycle events and their fields.

pub(crate) mod event;
pub(crate) mod latency;
pub(crate) mod meter;
pub(crate) mod observers;
pub(crate) mod watchdog;
