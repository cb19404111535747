//! The root package of openclawd: the daemon, its control plane, the client and the wire they share.
//!
//! Both binaries are thin over this library. Who may use whom: `protocol` knows nobody, `client` knows `protocol`,
//! `control` knows `protocol` and the actors, `occtl` knows `client` and `protocol` and nothing of the daemon.

pub mod client;
pub mod control;
pub mod daemon;
pub mod occtl;
pub mod protocol;
