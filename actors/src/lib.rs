//! The assistant gateway as actors: sessions, runs, channels, providers, credentials, store, configuration.
//!
//! Knows nothing of served sockets, wire frames or command lines; those live in the root package.
//! Modules use only modules of a lower layer (checked by `tests/architecture`):
//!
//! | layer | modules |
//! |---|---|
//! | 0 | `ids` `clock` `message` `secret` |
//! | 1 | `config` `store` |
//! | 2 | `auth_profiles` |
//! | 3 | `providers` `tools` `channels` |
//! | 4 | `agents` `delivery` |
//! | 5 | `sessions` |
//! | 6 | (nothing yet) |
//! | 7 | `gateway` |

pub mod agents;
pub mod auth_profiles;
pub mod channels;
pub mod clock;
pub mod config;
pub mod delivery;
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
