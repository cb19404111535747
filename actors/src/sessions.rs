//! Sessions: one actor per session key, the only owner of that key's transcript, queue and run slot.
//!
//! Input is accepted when it is in the store and flushed; the run slot is free or taken by exactly one run; a session
//! that nobody talks to has no actor, only its row and its file.

mod abort;
pub mod accept;
mod accounts;
mod answers;
mod arrivals;
mod command;
mod compact;
pub mod conversation;
pub mod directory;
pub mod dm_scope;
mod effects;
mod expiry;
mod finish;
pub mod handle;
pub mod history;
mod intake;
mod journal;
mod queue;
pub mod recovery;
mod runs;
mod session;
mod settings;
mod synthetic;
mod working;
mod writer;

pub use accept::{Submission, SubmitAck, SubmitError};
pub use directory::{SessionServices, Sessions};
pub use handle::SessionsHandle;
pub use settings::effective_queue_mode;
pub use working::Working;
