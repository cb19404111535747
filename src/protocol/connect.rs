//! Parameters of `connect`, the first request of every connection, and the challenge it answers.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::ErrorShape;
use super::schema::{self, COUNT, MAX_SAFE, NAME, Object, POSITIVE, Schema, TEXT, list};
use super::scope::Role;
use super::version::{Leniency, Range};

/// The method.
pub const METHOD: &str = "connect";
/// The event that opens every connection.
pub const CHALLENGE_EVENT: &str = "connect.challenge";

/// Ids a client may have.
pub const CLIENT_IDS: &[&str] = &[
    "webchat-ui",
    CONTROL_UI,
    "openclaw-browser-copilot",
    "openclaw-tui",
    "webchat",
    CLI,
    GATEWAY_CLIENT,
    "openclaw-macos",
    "openclaw-linux",
    "openclaw-ios",
    "openclaw-watchos",
    "openclaw-android",
    "node-host",
    "openclaw-worker",
    "test",
    "fingerprint",
    "openclaw-probe",
];
/// The browser client.
pub const CONTROL_UI: &str = "openclaw-control-ui";
/// The command line.
pub const CLI: &str = "cli";
/// A helper process of the command line.
pub const GATEWAY_CLIENT: &str = "gateway-client";

/// Modes a client may be in.
pub const CLIENT_MODES: &[&str] = &["webchat", "cli", "ui", "backend", "node", "worker", "probe", "test"];

/// Who connects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientInfo {
    /// One of [`CLIENT_IDS`].
    pub id: String,
    /// For a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The client's own version.
    pub version: String,
    /// Build of a browser client; we never check it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// Operating system; pinned at pairing.
    pub platform: String,
    /// Kind of machine; pinned at pairing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// Model of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_identifier: Option<String>,
    /// IANA time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// One of [`CLIENT_MODES`].
    pub mode: String,
    /// Distinguishes several instances of one client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
}

/// Proof of a device: its key and a signature over what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceProof {
    /// Lower-case hex SHA-256 of the raw public key.
    pub id: String,
    /// Ed25519 public key: 32 raw bytes in base64url, or PEM.
    pub public_key: String,
    /// Signature in base64url.
    pub signature: String,
    /// When it was signed, epoch milliseconds.
    pub signed_at: i64,
    /// The challenge's nonce.
    pub nonce: String,
}

/// Credentials. `Debug` names the fields that are set and shows none of them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectAuth {
    /// The gateway's token, or a device token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// From a setup code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootstrap_token: Option<String>,
    /// Issued to this device by an earlier hello-ok.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_token: Option<String>,
    /// The gateway's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Of helper processes of the original gateway; ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_runtime_token: Option<String>,
    /// Of helper processes of the original gateway; ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_runtime_identity_token: Option<String>,
}

impl ConnectAuth {
    /// The token a device signs: the first that is present, never a password.
    #[must_use]
    pub fn signed_token(&self) -> &str {
        [&self.token, &self.device_token, &self.bootstrap_token]
            .into_iter()
            .find_map(|token| token.as_deref().filter(|token| !token.is_empty()))
            .unwrap_or("")
    }
}

impl fmt::Debug for ConnectAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = [
            ("token", &self.token),
            ("bootstrapToken", &self.bootstrap_token),
            ("deviceToken", &self.device_token),
            ("password", &self.password),
            ("approvalRuntimeToken", &self.approval_runtime_token),
            ("agentRuntimeIdentityToken", &self.agent_runtime_identity_token),
        ];
        f.write_str("ConnectAuth")?;
        f.debug_set().entries(set.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name)).finish()
    }
}

/// Parameters of `connect`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectParams {
    /// Oldest protocol the client speaks.
    pub min_protocol: i64,
    /// Newest protocol the client speaks.
    pub max_protocol: i64,
    /// Who it is.
    pub client: ClientInfo,
    /// Role asked for; `operator` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Scopes asked for, in the client's order; unknown ones are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// What the client can show; grants nothing.
    #[serde(default)]
    pub caps: Vec<String>,
    /// Commands a node offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<Vec<String>>,
    /// What a node may do on its machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<BTreeMap<String, bool>>,
    /// PATH of a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_env: Option<String>,
    /// Of nodes; not interpreted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computer_use: Option<Value>,
    /// Of nodes; not interpreted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_runs: Option<Value>,
    /// Which catalogue the client wants in its first `models.snapshot`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_catalog: Option<Value>,
    /// Device proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceProof>,
    /// Credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<ConnectAuth>,
    /// Language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// User agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

impl ConnectParams {
    /// Validates and reads the parameters.
    ///
    /// # Errors
    /// With the words clients of this protocol know, `invalid connect params: at /client/id: …`.
    pub fn parse(params: Value) -> Result<Self, ErrorShape> {
        if let Some(complaint) = CONNECT.complaint(&params) {
            return Err(ErrorShape::invalid_params(METHOD, &complaint));
        }
        serde_json::from_value(schema::normalised(params))
            .map_err(|error| ErrorShape::invalid_params(METHOD, &error.to_string()))
    }

    /// The name of the role asked for.
    #[must_use]
    pub fn role_name(&self) -> &str {
        self.role.as_deref().unwrap_or(Role::Operator.as_str())
    }

    /// Scopes asked for.
    #[must_use]
    pub fn requested_scopes(&self) -> &[String] {
        self.scopes.as_deref().unwrap_or_default()
    }

    /// True when the client says it can do `cap`.
    #[must_use]
    pub fn has_cap(&self, cap: &str) -> bool {
        self.caps.iter().any(|one| one == cap)
    }

    /// The versions it speaks.
    #[must_use]
    pub fn versions(&self) -> Range {
        Range { min: self.min_protocol, max: self.max_protocol }
    }

    /// How old its protocol may be.
    #[must_use]
    pub fn leniency(&self) -> Leniency {
        match self.client.mode.as_str() {
            "probe" => Leniency::Probe,
            "node" if self.role_name() == Role::Node.as_str() => Leniency::Node,
            _ => Leniency::None,
        }
    }

    /// The credentials, empty when none were sent.
    #[must_use]
    pub fn credentials(&self) -> ConnectAuth {
        self.auth.clone().unwrap_or_default()
    }
}

/// Payload of the challenge.
#[must_use]
pub fn challenge(nonce: &str, now_ms: i64) -> Value {
    json!({ "nonce": nonce, "ts": now_ms, "capabilities": ["model-catalog-snapshot"] })
}

const CLIENT: Object = Object::closed(
    &["id", "version", "platform", "mode"],
    &[
        ("id", Schema::OneOf(CLIENT_IDS)),
        ("displayName", NAME),
        ("version", NAME),
        ("buildId", Schema::Text(1, 96)),
        ("platform", NAME),
        ("deviceFamily", NAME),
        ("modelIdentifier", NAME),
        ("timeZone", Schema::Text(1, 64)),
        ("mode", Schema::OneOf(CLIENT_MODES)),
        ("instanceId", NAME),
    ],
);

const WORKER_RUNS: Object = Object::closed(
    &["bundleHash", "openclawVersion", "protocolFeatures"],
    &[
        ("bundleHash", Schema::Text(64, 64)),
        ("openclawVersion", Schema::Text(1, 128)),
        ("protocolFeatures", Schema::List(&Schema::Text(1, 128), 0, 64, true)),
        ("bundlePrewarm", Schema::Int(1, MAX_SAFE)),
    ],
);

const CATALOG_OF_AGENT: Object = Object::closed(&[], &[("agentId", NAME), ("sessionKey", NAME)]);
const CATALOG_BY_SHORT_ID: Object =
    Object::closed(&["shortId"], &[("agentId", NAME), ("shortId", NAME), ("slugHint", NAME)]);

const DEVICE: Object = Object::closed(
    &["id", "publicKey", "signature", "signedAt", "nonce"],
    &[("id", NAME), ("publicKey", NAME), ("signature", NAME), ("signedAt", COUNT), ("nonce", NAME)],
);

const AUTH: Object = Object::closed(
    &[],
    &[
        ("token", TEXT),
        ("bootstrapToken", TEXT),
        ("deviceToken", TEXT),
        ("password", TEXT),
        ("approvalRuntimeToken", TEXT),
        ("agentRuntimeIdentityToken", TEXT),
    ],
);

const CONNECT: Object = Object::closed(
    &["minProtocol", "maxProtocol", "client"],
    &[
        ("minProtocol", POSITIVE),
        ("maxProtocol", POSITIVE),
        ("client", Schema::Object(&CLIENT)),
        ("caps", list(&NAME)),
        ("commands", list(&NAME)),
        ("computerUse", Schema::Any),
        ("workerRuns", Schema::Object(&WORKER_RUNS)),
        ("permissions", Schema::Map(&Schema::Bool, schema::NO_LIMIT)),
        ("pathEnv", TEXT),
        ("role", NAME),
        ("scopes", list(&NAME)),
        ("modelCatalog", Schema::AnyOf(&[Schema::Object(&CATALOG_OF_AGENT), Schema::Object(&CATALOG_BY_SHORT_ID)])),
        ("device", Schema::Object(&DEVICE)),
        ("auth", Schema::Object(&AUTH)),
        ("locale", TEXT),
        ("userAgent", TEXT),
    ],
);

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Value {
        json!({"minProtocol": 4, "maxProtocol": 4,
            "client": {"id": "cli", "version": "1", "platform": "linux", "mode": "cli"}})
    }

    #[test]
    fn the_smallest_connect_is_an_operator_without_scopes() {
        let params = ConnectParams::parse(good()).unwrap();
        assert_eq!(params.role_name(), "operator");
        assert!(params.requested_scopes().is_empty() && params.caps.is_empty());
        assert_eq!(params.credentials().signed_token(), "");
    }

    #[test]
    fn bad_parameters_are_told_in_known_words() {
        for (path, value, expected) in [
            ("/client/id", json!("nope"), "at /client/id: must be equal to one of the allowed values"),
            ("/client/mode", json!(1), "at /client/mode: must be equal to one of the allowed values"),
            ("/minProtocol", json!(0), "at /minProtocol: must be >= 1"),
            ("/minProtocol", json!("4"), "at /minProtocol: must be integer"),
            ("/bogus", json!(1), "at root: unexpected property 'bogus'"),
            ("/client/bogus", json!(1), "at /client: unexpected property 'bogus'"),
            ("/device", json!({}), "at /device: must have required property 'id'"),
            ("/auth", json!({"token": 5}), "at /auth/token: must be string"),
            ("/scopes", json!("operator.read"), "at /scopes: must be array"),
            ("/permissions", json!({"camera": 1}), "at /permissions/camera: must be boolean"),
        ] {
            let mut params = good();
            let (parent, key) = path.rsplit_once('/').unwrap();
            params.pointer_mut(parent).unwrap()[key] = value;
            let error = ConnectParams::parse(params).unwrap_err();
            assert_eq!(error.message, format!("invalid connect params: {expected}"));
        }
        let error = ConnectParams::parse(json!({})).unwrap_err();
        assert_eq!(error.message, "invalid connect params: must have required property 'minProtocol'");
    }

    #[test]
    fn debug_shows_no_credential() {
        let auth = ConnectAuth { token: Some("hunter2".into()), ..ConnectAuth::default() };
        let text = format!("{auth:?}");
        assert!(text.contains("token") && !text.contains("hunter2"));
    }

    #[test]
    fn the_signed_token_is_the_first_present_and_never_the_password() {
        let auth = |token: &str, device: &str, password: &str| ConnectAuth {
            token: Some(token.into()),
            device_token: Some(device.into()),
            password: Some(password.into()),
            ..ConnectAuth::default()
        };
        assert_eq!(auth("t", "d", "p").signed_token(), "t");
        assert_eq!(auth("", "d", "p").signed_token(), "d");
        assert_eq!(auth("", "", "p").signed_token(), "");
    }

    #[test]
    fn params_survive_the_wire() {
        let params = ConnectParams::parse(good()).unwrap();
        let again = ConnectParams::parse(serde_json::to_value(&params).unwrap()).unwrap();
        assert_eq!(params, again);
    }
}
