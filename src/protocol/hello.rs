//! `hello-ok`, the answer to an accepted `connect`. Closed at each level; optional parts are left out, never null.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::frame::StateVersion;
use super::limits;
use super::presence::PresenceEntry;
use super::version;

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HelloOk {
    /// Always `hello-ok`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Always [`version::CURRENT`].
    pub protocol: i64,
    /// Who answers.
    pub server: ServerInfo,
    /// What works here.
    pub features: Features,
    /// The state of things.
    pub snapshot: Snapshot,
    /// Where plugins' own surfaces are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_surface_urls: Option<Value>,
    /// What the connection is and may do.
    pub auth: HelloAuth,
    /// Limits.
    pub policy: Policy,
}

impl HelloOk {
    /// A hello with our limits.
    #[must_use]
    pub fn new(server: ServerInfo, features: Features, snapshot: Snapshot, auth: HelloAuth) -> Self {
        Self {
            kind: "hello-ok".to_owned(),
            protocol: version::CURRENT,
            server,
            features,
            snapshot,
            plugin_surface_urls: None,
            auth,
            policy: Policy::default(),
        }
    }
}

/// Who answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerInfo {
    /// Version of the gateway.
    pub version: String,
    /// Build of a bundled user interface; absent, for we bundle none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// Changes with every start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// `bundled` or `configured`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_ui_build_source: Option<String>,
    /// This connection.
    pub conn_id: String,
}

/// What works here. Browser clients hide what is not listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Features {
    /// Methods.
    pub methods: Vec<String>,
    /// Events.
    pub events: Vec<String>,
    /// Capability names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
}

/// The state of things at the moment of connecting.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Snapshot {
    /// Whether work is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspension: Option<Suspension>,
    /// Who is there; empty for connections that may not read.
    pub presence: Vec<PresenceEntry>,
    /// The last health snapshot, or `{}`.
    pub health: Value,
    /// Versions of the two.
    pub state_version: StateVersion,
    /// How long the gateway has been up.
    pub uptime_ms: u64,
    /// Opaque; compared with `config.get`'s `configRevisionHash`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied_config_hash: Option<String>,
    /// Where a message goes when nothing else is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_defaults: Option<SessionDefaults>,
    /// To administrators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_schedule: Option<Value>,
    /// An update, when one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_available: Option<Value>,
    /// To administrators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_path: Option<String>,
    /// To administrators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<String>,
    /// `none`, `token`, `password` or `trusted-proxy`; to administrators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_mode: Option<String>,
}

/// Whether work is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// `accepting`, `preparing`, `draining` or `prepared`.
    pub phase: String,
}

/// Where a message goes when nothing else is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionDefaults {
    /// Agent that answers.
    pub default_agent_id: String,
    /// Whether it has a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_configured: Option<bool>,
    /// `sole`, `legacy` or `explicit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership: Option<String>,
    /// Whether the user must choose an agent first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection_required: Option<bool>,
    /// Always `main`.
    pub main_key: String,
    /// Key of the main session.
    pub main_session_key: String,
    /// `per-sender` or `global`.
    pub scope: String,
}

/// What the connection is and may do. `Debug` shows no token.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HelloAuth {
    /// How it was let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// `operator` or `node`.
    pub role: String,
    /// What it may do from now on.
    pub scopes: Vec<String>,
    /// Opaque, for drafts a client keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_scope: Option<String>,
    /// Whether older drafts may be taken over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_migration_allowed: Option<bool>,
    /// To be used instead of the shared secret next time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_token: Option<String>,
    /// When that token was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_at_ms: Option<i64>,
}

impl std::fmt::Debug for HelloAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HelloAuth")
            .field("method", &self.method)
            .field("role", &self.role)
            .field("scopes", &self.scopes)
            .field("has_device_token", &self.device_token.is_some())
            .finish_non_exhaustive()
    }
}

/// Limits a client must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Largest frame.
    pub max_payload: u64,
    /// Most bytes buffered for a slow reader.
    pub max_buffered_bytes: u64,
    /// Between two ticks.
    pub tick_interval_ms: u64,
    /// Attachments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachments: Option<AttachmentPolicy>,
    /// How a session may be shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_session_visibilities: Option<Vec<String>>,
    /// Whether there is anybody to share with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_multiple_session_sharing_identities: Option<bool>,
}

/// Limits of attachments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentPolicy {
    /// Any file.
    pub max_bytes: u64,
    /// An image.
    pub max_image_bytes: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_payload: limits::MAX_PAYLOAD as u64,
            max_buffered_bytes: limits::MAX_BUFFERED_BYTES as u64,
            tick_interval_ms: 30_000,
            attachments: Some(AttachmentPolicy {
                max_bytes: limits::MAX_ATTACHMENT_BYTES,
                max_image_bytes: limits::MAX_IMAGE_BYTES,
            }),
            allowed_session_visibilities: Some(["shared", "read-only", "suggest", "draft"].map(str::to_owned).to_vec()),
            has_multiple_session_sharing_identities: Some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_hello_leaves_optional_parts_out() {
        let hello = HelloOk::new(
            ServerInfo { version: "1".into(), conn_id: "c".into(), ..ServerInfo::default() },
            Features::default(),
            Snapshot { health: serde_json::json!({}), ..Snapshot::default() },
            HelloAuth { role: "operator".into(), ..HelloAuth::default() },
        );
        let value = serde_json::to_value(&hello).unwrap();
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&value), ["type", "protocol", "server", "features", "snapshot", "auth", "policy"]);
        assert_eq!(keys(&value["snapshot"]), ["presence", "health", "stateVersion", "uptimeMs"]);
        assert_eq!(keys(&value["auth"]), ["role", "scopes"]);
        assert_eq!(value["policy"]["maxPayload"], 26_214_400);
    }

    #[test]
    fn debug_shows_no_device_token() {
        let auth = HelloAuth { device_token: Some("hunter2".into()), ..HelloAuth::default() };
        assert!(!format!("{auth:?}").contains("hunter2"));
    }
}
