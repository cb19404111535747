//! The served port: who is let as far as an answer, and what the answer is.

mod actor;
mod facts;
mod front;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

pub(crate) use actor::{ListenerArgs, child_spec};
pub(crate) use front::Front;

/// A bound port. It is bound once and outlives the actor that accepts on it: a listener that crashes loses no port,
/// and clients that knock meanwhile wait in the backlog.
#[derive(Debug, Clone)]
pub struct BoundPort {
    listener: Arc<TcpListener>,
    address: SocketAddr,
}

impl BoundPort {
    /// Binds `address`; port 0 takes any free one.
    ///
    /// # Errors
    /// When it can't be bound, for instance because somebody else serves it.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener: Arc::new(listener), address })
    }

    /// What is served.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A listener of the runtime on the same port.
    pub(crate) fn listen(&self) -> io::Result<tokio::net::TcpListener> {
        tokio::net::TcpListener::from_std(self.listener.try_clone()?)
    }
}
