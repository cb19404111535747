//! The door: who is paired, who asks to be, who guesses too often.
//!
//! The decisions are [`super::auth`]'s; this keeps the records they are about, in one place and in one order.

mod actor;
mod batch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use supervision::{Address, CallError, Slot};

use actor::DevicesMessage;
pub(crate) use actor::Operation;
pub use actor::{Admission, DevicesArgs, child_spec};

use super::auth::registry::{DeviceRecord, DeviceToken, PendingPairing};
use super::auth::{Decision, UpgradeFacts};
use crate::protocol::ConnectParams;
use crate::protocol::error::ErrorShape;
use crate::protocol::scope::Role;

/// How long the store may take before a client is told to come back.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the door. Cheap to clone; made before the actor behind it.
#[derive(Clone)]
pub struct DevicesHandle(Arc<Inner>);

struct Inner {
    slot: Slot<DevicesMessage>,
    address: Address<DevicesMessage>,
}

impl Default for DevicesHandle {
    fn default() -> Self {
        Self::new()
    }
}

/// Paired devices and waiting requests, newest first.
#[derive(Debug, Clone, Default)]
pub struct DeviceList {
    /// Requests that wait for an operator.
    pub pending: Vec<PendingPairing>,
    /// Paired devices.
    pub paired: Vec<DeviceRecord>,
}

/// What an operation on device records gives.
type Operated<T> = Result<T, ErrorShape>;

impl DevicesHandle {
    /// A handle whose actor is not there yet.
    #[must_use]
    pub fn new() -> Self {
        let slot = Slot::new();
        let address = slot.address();
        Self(Arc::new(Inner { slot, address }))
    }

    /// Judges a `connect`. What must be durable is, when this resolves.
    ///
    /// # Errors
    /// When nobody is at the door, or the records can't be kept.
    pub async fn admit(&self, attempt: Admission) -> Result<Decision, CallError> {
        self.0.address.call(|reply| DevicesMessage::Admit { attempt: Box::new(attempt), reply }, PATIENCE).await
    }

    /// All records.
    ///
    /// # Errors
    /// `UNAVAILABLE` when nobody is at the door.
    pub async fn list(&self) -> Operated<DeviceList> {
        self.0.address.call(|reply| DevicesMessage::List { reply }, PATIENCE).await.map_err(away)
    }

    /// Approves a request on behalf of somebody who holds `held`.
    ///
    /// # Errors
    /// When it is gone or asks for more than `held`.
    pub async fn approve(&self, request_id: String, held: Vec<String>) -> Operated<DeviceRecord> {
        self.operate(|reply| Operation::Approve { request_id, held, reply }).await
    }

    /// Rejects a request; gives the id of its device.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn reject(&self, request_id: String) -> Operated<String> {
        self.operate(|reply| Operation::Reject { request_id, reply }).await
    }

    /// Forgets a device.
    ///
    /// # Errors
    /// When there is none.
    pub async fn remove(&self, device_id: String) -> Operated<()> {
        self.operate(|reply| Operation::Remove { device_id, reply }).await
    }

    /// Gives a device a name.
    ///
    /// # Errors
    /// When there is none.
    pub async fn rename(&self, device_id: String, label: String) -> Operated<()> {
        self.operate(|reply| Operation::Rename { device_id, label, reply }).await
    }

    /// Replaces a device's token.
    ///
    /// # Errors
    /// When there is none, or the scopes go beyond what was approved.
    pub async fn rotate(&self, device_id: String, role: Role, scopes: Option<Vec<String>>) -> Operated<DeviceToken> {
        self.operate(|reply| Operation::Rotate { device_id, role, scopes, reply }).await
    }

    /// Voids a device's token.
    ///
    /// # Errors
    /// When there is none.
    pub async fn revoke(&self, device_id: String, role: Role) -> Operated<()> {
        self.operate(|reply| Operation::Revoke { device_id, role, reply }).await
    }

    async fn operate<T: Send>(&self, build: impl FnOnce(supervision::Reply<Operated<T>>) -> Operation) -> Operated<T> {
        let answer = self.0.address.call(|reply| DevicesMessage::Operate(build(reply)), PATIENCE).await;
        answer.map_err(away)?
    }

    fn slot(&self) -> &Slot<DevicesMessage> {
        &self.0.slot
    }
}

fn away(error: CallError) -> ErrorShape {
    ErrorShape::unavailable(format!("device records are not available: {error}")).retryable()
}

impl fmt::Debug for DevicesHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DevicesHandle")
    }
}

/// The facts of one `connect`.
pub(crate) fn admission(upgrade: UpgradeFacts, params: ConnectParams, nonce: String) -> Admission {
    Admission { upgrade, params, nonce }
}
