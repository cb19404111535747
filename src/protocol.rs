//! The wire: frames, handshake, scopes, events, errors and the parameters and results of every method we serve.
//!
//! Only std and serde. Names, numbers and texts are those of gateway protocol version 4; `docs/protocol.md` lists what
//! of it is implemented. Nothing here opens a socket, reads a clock or decides who may do what: [`scope`] knows what a
//! scope implies, the decision is the control plane's.

pub mod close;
pub mod connect;
pub mod device;
pub mod error;
pub mod event;
pub mod frame;
pub mod hello;
pub mod limits;
pub mod methods;
pub mod presence;
pub mod schema;
pub mod scope;
pub mod version;

pub use close::Close;
pub use connect::ConnectParams;
pub use error::{DetailCode, ErrorCode, ErrorShape};
pub use frame::{Event, FrameFault, Request, Response, ServerFrame, StateVersion};
pub use hello::HelloOk;
pub use scope::{Role, Scope, ScopeRule};
