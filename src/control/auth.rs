//! Who is let in and what they may do: pure decisions over plain values, no sockets, no clock, no disk.
//!
//! [`decide`] takes everything known about a `connect` and says accept or refuse, together with the [`Effect`]s the
//! caller must carry out (records to persist, failures to count, operators to tell). [`authorize()`] is asked before each
//! method. The caller keeps [`DeviceRegistry`] and [`RateLimiter`], applies the effects to them, and persists device
//! changes through [`DeviceStore`] *before* it answers: a device token that was handed out must survive a crash.
//!
//! Refuses by default: what no rule admits is refused. Bootstrap tokens and proxy identities other than the one the
//! listener vouches for are not known here.

pub mod admission;
pub mod authorize;
pub mod credentials;
pub mod grants;
pub mod locality;
pub mod origin;
pub mod pairing;
pub mod proof;
pub mod rate_limit;
pub mod registry;
pub mod tokens;

pub use admission::{Accepted, Attempt, Decision, Effect, Outcome, Refusal, decide};
pub use authorize::{Caller, MethodGate, RoleStrikes, authorize};
pub use credentials::{AuthConfig, AuthMethod, AuthMode};
pub use locality::{Locality, UpgradeFacts};
pub use rate_limit::{LimitKey, RateLimiter, RateLimits, WriteBudget};
pub use registry::{Change, DeviceRecord, DeviceRegistry, DeviceStore, DeviceStoreError, PendingPairing};
pub use tokens::{Fresh, SystemFresh, TokenText};
