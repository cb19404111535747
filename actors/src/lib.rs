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
//! | 6 | (cron, heartbeat) |
//! | 7 | `gateway` |

pub mod clock;
pub mod ids;
pub mod message;
pub mod secret;
