//! A client of the gateway: for the command line and for tests.
//!
//! [`connect`] returns a [`Client`] to call methods with and a [`Driver`], the future that moves frames. Nothing happens
//! unless the driver is polled: run it beside the work, as [`run_with`] does, or as a task of its own with
//! [`Driver::detached`]. Dropping it closes the socket.
//!
//! Every request has a deadline. Events go through a bounded queue; a reader that is too slow misses some and sees it by
//! the gap in their numbers. Reconnecting is the caller's business, [`Reconnect`] says when.

mod connection;
mod device;
mod error;
mod options;
mod reconnect;
mod request;

pub use connection::{Driver, DriverTask, connect, run_with};
pub use device::{DeviceIdentity, IdentityError, ProofVersion};
pub use error::ClientError;
pub use options::ClientOptions;
pub use reconnect::Reconnect;
pub use request::{Client, Events, PendingAnswer};
