//! One client: its socket, what waits for it, its handshake and its requests.
//!
//! The socket is a task that decides nothing; the actor decides and never touches the socket. Between them are the
//! inbox (frames read and not looked at) and the outbox (frames decided and not written), both bounded.

mod actor;
pub(crate) mod context;
mod handshake;
mod inbox;
pub(crate) mod outbox;
mod requests;
mod socket;

pub(crate) use actor::{ConnectionArgs, child_spec};
