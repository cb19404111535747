//! Messages on their way out: one lane per channel account drains the outbox and sends through the channel.
//!
//! A lane owns nothing that must survive: what is to be sent, how far it got and when it is tried again is in the
//! outbox, behind [`contract::OutboxPort`]. Pieces, pace and the consequence of each failure are decided by pure code
//! (`chunk`, `rate`, `retry`).

pub mod chunk;
pub mod contract;
pub mod handle;
pub mod job;
pub mod lane;
pub mod rate;
pub mod retry;
