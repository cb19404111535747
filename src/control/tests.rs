//! The control plane over real sockets on loopback, with a small tree of its own.

mod clients;
mod faults;
mod handshake;
mod http;
mod requests;
mod support;
