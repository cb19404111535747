//! Devices that are paired, and those that ask to be.
//!
//! A plain value. Operations compute [`Change`]s; the owner persists them and applies them, in this order.

use std::collections::BTreeMap;

use actors::clock::EpochMs;

use crate::protocol::{ErrorShape, Role, Scope, scope};

use super::tokens::Fresh;

mod change;
mod records;

pub use change::{Change, DeviceStore, DeviceStoreError};
use records::token_scopes;
pub use records::{ApprovedVia, DeviceRecord, DeviceToken, PendingPairing};

/// How long a request waits for an operator; a device that asks again keeps it alive.
pub const PENDING_LIFETIME_MS: EpochMs = 5 * 60 * 1_000;
/// Requests kept; the oldest gives way.
pub const MAX_PENDING: usize = 64;

/// Why an operator's decision cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// No such request, or it has expired.
    #[error("unknown requestId")]
    UnknownRequest,
    /// No such device.
    #[error("unknown deviceId")]
    UnknownDevice,
    /// The device has no token in that role.
    #[error("device has no token for this role")]
    UnknownToken,
    /// A token cannot cover more than the device.
    #[error("scope is not approved for this device: {0}")]
    ScopeNotApproved(String),
    /// Nobody can grant what they do not have.
    #[error("missing scope: {0}")]
    BeyondApprover(String),
}

impl From<RegistryError> for ErrorShape {
    fn from(error: RegistryError) -> Self {
        match &error {
            RegistryError::BeyondApprover(name) => {
                ErrorShape::missing_scope(Scope::parse(name).unwrap_or(Scope::Admin))
            }
            RegistryError::UnknownRequest
            | RegistryError::UnknownDevice
            | RegistryError::UnknownToken
            | RegistryError::ScopeNotApproved(_) => ErrorShape::invalid_request(error.to_string()),
        }
    }
}

/// Paired and waiting devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceRegistry {
    devices: BTreeMap<String, DeviceRecord>,
    pending: BTreeMap<String, PendingPairing>,
}

impl DeviceRegistry {
    /// The registry with these devices.
    #[must_use]
    pub fn new(devices: Vec<DeviceRecord>) -> Self {
        let devices = devices.into_iter().map(|device| (device.device_id.clone(), device)).collect();
        Self { devices, pending: BTreeMap::new() }
    }

    /// A paired device.
    #[must_use]
    pub fn device(&self, device_id: &str) -> Option<&DeviceRecord> {
        self.devices.get(device_id)
    }

    /// All paired devices, newest approval first.
    #[must_use]
    pub fn devices(&self) -> Vec<&DeviceRecord> {
        let mut all: Vec<_> = self.devices.values().collect();
        all.sort_by_key(|device| std::cmp::Reverse(device.approved_at_ms));
        all
    }

    /// All requests still waiting at `now`, newest first.
    #[must_use]
    pub fn waiting(&self, now: EpochMs) -> Vec<&PendingPairing> {
        let mut all: Vec<_> = self.pending.values().filter(|one| is_alive(one, now)).collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.ts));
        all
    }

    /// A waiting request.
    ///
    /// # Errors
    /// When there is none of that id, or it has expired.
    pub fn request(&self, request_id: &str, now: EpochMs) -> Result<&PendingPairing, RegistryError> {
        self.pending.get(request_id).filter(|one| is_alive(one, now)).ok_or(RegistryError::UnknownRequest)
    }

    /// Carries out a change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Put(device) => {
                self.devices.insert(device.device_id.clone(), *device);
            }
            Change::Remove(device_id) => {
                self.devices.remove(&device_id);
            }
            Change::Seen { device_id, at_ms, reason } => {
                if let Some(device) = self.devices.get_mut(&device_id) {
                    device.last_seen_at_ms = Some(at_ms);
                    device.last_seen_reason = Some(reason);
                }
            }
            Change::PutPending(pending) => {
                self.pending.insert(pending.request_id.clone(), *pending);
            }
            Change::DropPending(request_id) => {
                self.pending.remove(&request_id);
            }
        }
    }

    /// The changes that make `wanted` wait, and the request as it then stands: an older one of the same wish is kept
    /// alive under its id, any other of the same device gives way.
    #[must_use]
    pub fn ask(&self, mut wanted: PendingPairing, now: EpochMs) -> (Vec<Change>, PendingPairing, bool) {
        let mut changes: Vec<Change> = Vec::new();
        let mut is_new = true;
        let mut kept: Vec<&PendingPairing> = Vec::new();
        for one in self.pending.values() {
            if is_alive(one, now) && is_new && one.asks_the_same(&wanted) {
                wanted.request_id.clone_from(&one.request_id);
                is_new = false;
            } else if one.device_id == wanted.device_id || !is_alive(one, now) {
                changes.push(Change::DropPending(one.request_id.clone()));
            } else {
                kept.push(one);
            }
        }
        kept.sort_by_key(|one| one.ts);
        let surplus = (kept.len() + 1).saturating_sub(MAX_PENDING);
        changes.extend(kept.iter().take(surplus).map(|one| Change::DropPending(one.request_id.clone())));
        changes.push(Change::PutPending(Box::new(wanted.clone())));
        (changes, wanted, is_new)
    }

    /// Approves a request on behalf of somebody who holds `held`.
    ///
    /// # Errors
    /// When the request is gone, or asks for more than the approver has.
    pub fn approve(
        &self,
        request_id: &str,
        held: &[String],
        now: EpochMs,
        fresh: &dyn Fresh,
    ) -> Result<(DeviceRecord, Vec<Change>), RegistryError> {
        let request = self.request(request_id, now)?;
        if let Some(beyond) = scope::first_uncovered(held, &request.scopes) {
            return Err(RegistryError::BeyondApprover(beyond.to_owned()));
        }
        let device = self.granted(request, ApprovedVia::Owner, now, fresh);
        let changes = vec![Change::Put(Box::new(device.clone())), Change::DropPending(request_id.to_owned())];
        Ok((device, changes))
    }

    /// The record of a device after `request` is granted.
    #[must_use]
    pub fn granted(&self, request: &PendingPairing, via: ApprovedVia, now: EpochMs, fresh: &dyn Fresh) -> DeviceRecord {
        let mut device = self.devices.get(&request.device_id).cloned().unwrap_or_else(|| DeviceRecord {
            device_id: request.device_id.clone(),
            public_key: request.public_key.clone(),
            display_name: None,
            label: None,
            platform: String::new(),
            device_family: None,
            client_id: String::new(),
            client_mode: String::new(),
            role: request.role,
            roles: Vec::new(),
            scopes: Vec::new(),
            approved_via: via,
            created_at_ms: now,
            approved_at_ms: now,
            last_seen_at_ms: None,
            last_seen_reason: None,
            tokens: Vec::new(),
        });
        device.approved_via = via;
        device.approved_at_ms = now;
        device.platform.clone_from(&request.platform);
        device.device_family.clone_from(&request.device_family);
        device.client_id.clone_from(&request.client_id);
        device.client_mode.clone_from(&request.client_mode);
        if request.display_name.is_some() {
            device.display_name.clone_from(&request.display_name);
        }
        if !device.roles.contains(&request.role) {
            device.roles.push(request.role);
        }
        for name in &request.scopes {
            if !device.scopes.contains(name) {
                device.scopes.push(name.clone());
            }
        }
        device.ensure_token(request.role, now, fresh);
        device
    }

    /// Rejects a request; its device id.
    ///
    /// # Errors
    /// When the request is gone.
    pub fn reject(&self, request_id: &str, now: EpochMs) -> Result<(String, Vec<Change>), RegistryError> {
        let request = self.request(request_id, now)?;
        Ok((request.device_id.clone(), vec![Change::DropPending(request_id.to_owned())]))
    }

    /// Forgets a device. Its live sockets are to be closed.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove(&self, device_id: &str) -> Result<Vec<Change>, RegistryError> {
        self.known(device_id)?;
        Ok(vec![Change::Remove(device_id.to_owned())])
    }

    /// Gives a device a name.
    ///
    /// # Errors
    /// When there is none.
    pub fn rename(&self, device_id: &str, label: &str) -> Result<Vec<Change>, RegistryError> {
        let mut device = self.known(device_id)?.clone();
        device.label = Some(label.to_owned());
        Ok(vec![Change::Put(Box::new(device))])
    }

    /// Replaces a device's token, for fewer scopes if `scopes` says so. The old one is void at once.
    ///
    /// # Errors
    /// When there is no such device or token, or the scopes go beyond what was approved.
    pub fn rotate(
        &self,
        device_id: &str,
        role: Role,
        scopes: Option<&[String]>,
        now: EpochMs,
        fresh: &dyn Fresh,
    ) -> Result<(DeviceToken, Vec<Change>), RegistryError> {
        let mut device = self.known(device_id)?.clone();
        let wanted = scopes.unwrap_or(&device.scopes);
        if let Some(beyond) = scope::first_uncovered(&device.scopes, wanted) {
            return Err(RegistryError::ScopeNotApproved(beyond.to_owned()));
        }
        let wanted = token_scopes(role, wanted);
        let token = device.tokens.iter_mut().find(|token| token.role == role).ok_or(RegistryError::UnknownToken)?;
        token.token = fresh.token();
        token.scopes = wanted;
        token.rotated_at_ms = Some(now);
        let token = token.clone();
        Ok((token, vec![Change::Put(Box::new(device))]))
    }

    /// Voids a device's token. Its live sockets are to be closed.
    ///
    /// # Errors
    /// When there is no such device or token.
    pub fn revoke(&self, device_id: &str, role: Role) -> Result<Vec<Change>, RegistryError> {
        let mut device = self.known(device_id)?.clone();
        let before = device.tokens.len();
        device.tokens.retain(|token| token.role != role);
        if device.tokens.len() == before {
            return Err(RegistryError::UnknownToken);
        }
        Ok(vec![Change::Put(Box::new(device))])
    }

    fn known(&self, device_id: &str) -> Result<&DeviceRecord, RegistryError> {
        self.devices.get(device_id).ok_or(RegistryError::UnknownDevice)
    }
}

fn is_alive(pending: &PendingPairing, now: EpochMs) -> bool {
    now - pending.ts < PENDING_LIFETIME_MS
}

#[cfg(test)]
mod tests;
