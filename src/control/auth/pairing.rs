//! Must a proven device be approved, and by whom?

use serde_json::{Map, Value, json};

use crate::protocol::connect::CONTROL_UI;
use crate::protocol::device::plain;
use crate::protocol::{ConnectParams, DetailCode, ErrorCode, ErrorShape, Role, scope};

use super::credentials::{AuthConfig, AuthMethod};
use super::locality::{Locality, UpgradeFacts};
use super::registry::{DeviceRecord, PendingPairing};

/// Why a device needs approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairingReason {
    /// It was never approved.
    NotPaired,
    /// It asks for a role it does not have.
    RoleUpgrade,
    /// It asks for scopes it does not have.
    ScopeUpgrade,
    /// It says it is another machine than it was.
    MetadataUpgrade,
}

impl PairingReason {
    /// `details.reason`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotPaired => "not-paired",
            Self::RoleUpgrade => "role-upgrade",
            Self::ScopeUpgrade => "scope-upgrade",
            Self::MetadataUpgrade => "metadata-upgrade",
        }
    }

    fn requirement(self) -> &'static str {
        match self {
            Self::NotPaired => "device is not approved yet",
            Self::RoleUpgrade => "device is asking for a higher role than currently approved",
            Self::ScopeUpgrade => "device is asking for more scopes than currently approved",
            Self::MetadataUpgrade => "device identity changed and must be re-approved",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::NotPaired => "Approve this device from the pending pairing requests.",
            Self::RoleUpgrade => "Review the requested role, then approve the pending upgrade.",
            Self::ScopeUpgrade => "Review the requested scopes, then approve the pending upgrade.",
            Self::MetadataUpgrade => "Review the changed device details, then approve the pending request.",
        }
    }

    /// The error a waiting device gets.
    #[must_use]
    pub fn error(self, request: &PendingPairing, record: Option<&DeviceRecord>) -> ErrorShape {
        let mut details = Map::new();
        let mut put = |key: &str, value: Value| details.insert(key.to_owned(), value);
        put("code", DetailCode::PairingRequired.as_str().into());
        put("reason", self.as_str().into());
        put("requestId", request.request_id.clone().into());
        put("remediationHint", self.hint().into());
        put("deviceId", request.device_id.clone().into());
        put("requestedRole", request.role.as_str().into());
        put("requestedScopes", json!(request.scopes));
        if let Some(record) = record {
            put("approvedRoles", json!(record.roles));
            put("approvedScopes", json!(record.scopes));
        }
        ErrorShape::new(ErrorCode::NotPaired, format!("pairing required: {}", self.requirement()))
            .with_details(Value::Object(details))
    }
}

/// Clients that are apps of this machine, not pages.
const NATIVE_APPS: &[&str] =
    &["openclaw-macos", "openclaw-linux", "openclaw-ios", "openclaw-watchos", "openclaw-android"];
/// Clients that are pages of ours.
const OWN_PAGES: &[&str] = &[CONTROL_UI, "webchat-ui", "webchat"];

/// Why the device must be approved, or `None` when it already is.
#[must_use]
pub fn reason(params: &ConnectParams, role: Role, record: Option<&DeviceRecord>) -> Option<PairingReason> {
    let Some(record) = record else { return Some(PairingReason::NotPaired) };
    let family = params.client.device_family.as_deref().unwrap_or("");
    let is_pinned_to_other = |pinned: &str, now: &str| !pinned.is_empty() && plain(pinned) != plain(now);
    if is_pinned_to_other(&record.platform, &params.client.platform)
        || is_pinned_to_other(record.device_family.as_deref().unwrap_or(""), family)
    {
        return Some(PairingReason::MetadataUpgrade);
    }
    if !record.roles.contains(&role) {
        return Some(PairingReason::RoleUpgrade);
    }
    match role {
        Role::Operator if scope::first_uncovered(&record.scopes, params.requested_scopes()).is_some() => {
            Some(PairingReason::ScopeUpgrade)
        }
        Role::Operator | Role::Node => None,
    }
}

/// True when this machine's devices need not wait for an operator.
#[must_use]
pub fn is_silent(
    reason: PairingReason,
    facts: &UpgradeFacts,
    params: &ConnectParams,
    method: AuthMethod,
    config: &AuthConfig,
) -> bool {
    let client = params.client.id.as_str();
    let is_near = Locality::of(facts, method.is_shared_secret()).is_local();
    let is_ours = facts.origin.is_none() || OWN_PAGES.contains(&client);
    if !config.silent_pairing || !is_near || !is_ours {
        return false;
    }
    match reason {
        PairingReason::NotPaired => true,
        PairingReason::RoleUpgrade | PairingReason::ScopeUpgrade => match method {
            AuthMethod::None | AuthMethod::Token | AuthMethod::Password => true,
            AuthMethod::TrustedProxy | AuthMethod::DeviceToken => false,
        },
        PairingReason::MetadataUpgrade => {
            NATIVE_APPS.contains(&client) || (method.is_shared_secret() && facts.origin.is_none())
        }
    }
}

#[cfg(test)]
mod tests;
