//! Devices: `device.pair.*` and `device.token.*`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::params;
use crate::protocol::schema::{NAME, Object, Schema, list};
use crate::protocol::scope::Role;

/// No parameters: `device.pair.list`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListParams {}
params!(ListParams, "device.pair.list", Object::closed(&[], &[]));

/// Result of `device.pair.list`: pending requests and paired devices, without their tokens' texts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ListResult {
    /// Waiting.
    pub pending: Vec<Value>,
    /// Paired.
    pub paired: Vec<Value>,
}

/// A request by its id.
const REQUEST: Object = Object::closed(&["requestId"], &[("requestId", NAME)]);
/// A device by its id.
const DEVICE: Object = Object::closed(&["deviceId"], &[("deviceId", NAME)]);

/// Parameters of `device.pair.approve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApproveParams {
    /// Which request.
    pub request_id: String,
}
params!(ApproveParams, "device.pair.approve", REQUEST);

/// Parameters of `device.pair.reject`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectParams {
    /// Which request.
    pub request_id: String,
}
params!(RejectParams, "device.pair.reject", REQUEST);

/// Parameters of `device.pair.remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoveParams {
    /// Which device.
    pub device_id: String,
}
params!(RemoveParams, "device.pair.remove", DEVICE);

/// Parameters of `device.pair.rename`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenameParams {
    /// Which device.
    pub device_id: String,
    /// Its name from now on.
    pub label: String,
}
params!(
    RenameParams,
    "device.pair.rename",
    Object::closed(&["deviceId", "label"], &[("deviceId", NAME), ("label", Schema::Text(1, 64))])
);

/// Parameters of `device.token.rotate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RotateParams {
    /// Which device.
    pub device_id: String,
    /// In which role.
    pub role: String,
    /// For fewer scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
}
params!(
    RotateParams,
    "device.token.rotate",
    Object::closed(&["deviceId", "role"], &[("deviceId", NAME), ("role", NAME), ("scopes", list(&NAME))])
);

/// Parameters of `device.token.revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevokeParams {
    /// Which device.
    pub device_id: String,
    /// In which role.
    pub role: String,
}
params!(
    RevokeParams,
    "device.token.revoke",
    Object::closed(&["deviceId", "role"], &[("deviceId", NAME), ("role", NAME)])
);

/// Result of `device.token.rotate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RotateResult {
    /// Which device.
    pub device_id: String,
    /// In which role.
    pub role: Role,
    /// For what.
    pub scopes: Vec<String>,
    /// When.
    pub rotated_at_ms: i64,
    /// `inline`, or `withheld-cross-device` for another device than the caller's.
    pub token_delivery: String,
    /// The token, for the caller's own device only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Payload of event `device.pair.resolved`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// Which request.
    pub request_id: String,
    /// Which device.
    pub device_id: String,
    /// `approved` or `rejected`.
    pub decision: String,
    /// When.
    pub ts: i64,
}
