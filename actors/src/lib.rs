//! The assistant gateway as actors: sessions, runs, channels, providers, credentials, store, configuration.
//!
//! Knows nothing of served sockets, wire frames or command lines; those live in the root package.
//! Modules use only modules of a lower layer (checked by `tests/architecture`):
//!
//! | layer | modules |
//! |---|---|
//! | 0 | `ids` `clock` `message` `secret` `failpoint` |
//! | 1 | `config` `store` |
//! | 2 | `auth_profiles` |
//! | 3 | `providers` `tools` `channels` |
//! | 4 | `agents` `delivery` |
//! | 5 | `sessions` |
//! | 6 | (nothing yet) |
//! | 7 | `gateway` |

use std::time::Duration;

/// How long an actor of the gateway may work on one message before it is started anew.
///
/// Handlers wait for nothing: what takes time is a task of the actor that reports back. A handler that is done when it is
/// first looked at is never cut short, however slow the machine, so only one that got stuck meets this limit. A quarter of
/// a second leaves the other half of the 500 ms in which store and configuration are to be rebuilt.
pub const HANDLER_LIMIT: Duration = Duration::from_millis(250);

pub mod agents;
pub mod auth_profiles;
pub mod channels;
pub mod clock;
pub mod config;
pub mod delivery;
mod failpoint;
pub mod gateway;
pub mod ids;
pub mod message;
pub mod providers;
pub mod secret;
pub mod sessions;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tools;
