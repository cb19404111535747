//! How to connect.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::protocol::connect::{CLI, ClientInfo, ConnectAuth, ConnectParams};
use crate::protocol::{Role, limits, version};

use super::device::{DeviceIdentity, ProofVersion};

/// How to connect. `Debug` shows no credential.
#[derive(Clone)]
pub struct ClientOptions {
    /// `ws://`, `wss://`, `http://` or `https://`.
    pub url: String,
    /// Credentials.
    pub auth: ConnectAuth,
    /// Device to sign with.
    pub identity: Option<Arc<DeviceIdentity>>,
    /// Which text it signs.
    pub proof: ProofVersion,
    /// Who we are.
    pub client: ClientInfo,
    /// What we are.
    pub role: Role,
    /// What we ask for.
    pub scopes: Vec<String>,
    /// What we can show.
    pub caps: Vec<String>,
    /// Sent as `Origin`, as a browser would.
    pub origin: Option<String>,
    /// From the first byte to hello-ok.
    pub connect_timeout: Duration,
    /// For each answer, unless a call says otherwise.
    pub request_timeout: Duration,
}

impl ClientOptions {
    /// A command line at `url` with the gateway's token, asking for `scopes`.
    pub fn cli<'a>(url: impl Into<String>, token: Option<String>, scopes: impl IntoIterator<Item = &'a str>) -> Self {
        let client = ClientInfo {
            id: CLI.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            platform: std::env::consts::OS.to_owned(),
            mode: "cli".to_owned(),
            ..ClientInfo::default()
        };
        Self {
            url: url.into(),
            auth: ConnectAuth { token, ..ConnectAuth::default() },
            identity: None,
            proof: ProofVersion::default(),
            client,
            role: Role::Operator,
            scopes: scopes.into_iter().map(str::to_owned).collect(),
            caps: Vec::new(),
            origin: None,
            connect_timeout: limits::HANDSHAKE_TIMEOUT,
            request_timeout: limits::REQUEST_TIMEOUT,
        }
    }

    /// The parameters of `connect` in answer to a challenge.
    #[must_use]
    pub fn params(&self, nonce: &str, ts: i64) -> ConnectParams {
        let has_auth = self.auth != ConnectAuth::default();
        let mut params = ConnectParams {
            min_protocol: version::CURRENT,
            max_protocol: version::CURRENT,
            client: self.client.clone(),
            role: Some(self.role.as_str().to_owned()),
            scopes: Some(self.scopes.clone()),
            caps: self.caps.clone(),
            auth: has_auth.then(|| self.auth.clone()),
            ..ConnectParams::default()
        };
        if let Some(identity) = &self.identity {
            identity.prove(&mut params, nonce, ts, self.proof);
        }
        params
    }

    /// The WebSocket address.
    #[must_use]
    pub fn socket_url(&self) -> String {
        match self.url.split_once("://") {
            Some(("http", rest)) => format!("ws://{rest}"),
            Some(("https", rest)) => format!("wss://{rest}"),
            Some(_) => self.url.clone(),
            None => format!("ws://{}", self.url),
        }
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("url", &self.url)
            .field("auth", &self.auth)
            .field("identity", &self.identity)
            .field("client", &self.client.id)
            .field("role", &self.role)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_web_socket_addresses() {
        for (url, expected) in [
            ("127.0.0.1:1", "ws://127.0.0.1:1"),
            ("http://h:1/x", "ws://h:1/x"),
            ("https://h", "wss://h"),
            ("ws://h", "ws://h"),
        ] {
            assert_eq!(ClientOptions::cli(url, None, []).socket_url(), expected);
        }
    }

    #[test]
    fn a_command_line_sends_its_token_and_no_device() {
        let options = ClientOptions::cli("h", Some("hunter2".into()), ["operator.read"]);
        let params = options.params("n", 1);
        assert_eq!(params.credentials().signed_token(), "hunter2");
        assert!(params.device.is_none());
        assert!(ConnectParams::parse(serde_json::to_value(&params).unwrap()).is_ok());
        assert!(!format!("{options:?}").contains("hunter2"));
        assert!(ClientOptions::cli("h", None, []).params("n", 1).auth.is_none());
    }
}
