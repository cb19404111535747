//! Which web pages may open a socket.
//!
//! Checked whenever a browser says where it is, and always for the Control UI, which is always a browser.

use serde_json::json;

use crate::protocol::connect::CONTROL_UI;
use crate::protocol::{DetailCode, ErrorShape};

use super::credentials::AuthConfig;
use super::locality::{UpgradeFacts, host_name, is_loopback_host, is_private_ip, port};

/// Why a page is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginFault {
    /// A page, but none of ours.
    NotAllowed,
    /// A Control UI without a readable origin.
    MissingOrInvalid,
}

impl OriginFault {
    /// `details.reason`.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotAllowed => "origin not allowed",
            Self::MissingOrInvalid => "origin missing or invalid",
        }
    }

    /// The error a client gets.
    #[must_use]
    pub fn error(self) -> ErrorShape {
        let hint = "open the page from the gateway itself or list its origin in gateway.controlUi.allowedOrigins";
        ErrorShape::invalid_request(format!("{} ({hint})", self.reason())).with_details(json!({
            "code": DetailCode::ControlUiOriginNotAllowed.as_str(), "reason": self.reason(),
        }))
    }
}

/// Judges the origin of an upgrade.
///
/// # Errors
/// When the page is none of ours.
pub fn check(facts: &UpgradeFacts, client_id: &str, config: &AuthConfig) -> Result<(), OriginFault> {
    let Some(origin) = facts.origin.as_deref().filter(|origin| !origin.is_empty()) else {
        return if client_id == CONTROL_UI { Err(OriginFault::MissingOrInvalid) } else { Ok(()) };
    };
    if config.allowed_origins.iter().any(|allowed| allowed == "*" || same(allowed, origin)) {
        return Ok(());
    }
    let page = Page::parse(origin).ok_or(OriginFault::MissingOrInvalid)?;
    let is_same_host = facts.host.as_deref().is_some_and(|host| page.is_served_by(host));
    let is_near = (is_loopback_host(&page.host) && facts.is_local_peer())
        || is_private_ip(&page.host)
        || page.host.ends_with(".local")
        || page.host.ends_with(".ts.net");
    let is_local_page = facts.is_local_peer() && is_loopback_host(&page.host);
    if (is_same_host && (is_near || config.host_header_origin_fallback)) || is_local_page {
        return Ok(());
    }
    Err(OriginFault::NotAllowed)
}

fn same(allowed: &str, origin: &str) -> bool {
    let plain = |text: &str| text.trim().trim_end_matches('/').to_ascii_lowercase();
    plain(allowed) == plain(origin)
}

/// A parsed origin.
struct Page {
    host: String,
    port: u16,
    default_port: u16,
}

impl Page {
    fn parse(origin: &str) -> Option<Self> {
        let (scheme, authority) = origin.split_once("://")?;
        let default_port = match scheme.to_ascii_lowercase().as_str() {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let authority = authority.trim_end_matches('/');
        let host = host_name(authority).to_ascii_lowercase();
        if host.is_empty() || host.contains(['/', '@', ' ', '?', '#']) {
            return None;
        }
        Some(Self { host, port: port(authority).unwrap_or(default_port), default_port })
    }

    fn is_served_by(&self, host: &str) -> bool {
        host_name(host).eq_ignore_ascii_case(&self.host) && port(host).unwrap_or(self.default_port) == self.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        peer: &'static str,
        host: &'static str,
        origin: Option<&'static str>,
        allowed: &'static [&'static str],
        fallback: bool,
    }

    const LOCAL: Case =
        Case { peer: "127.0.0.1", host: "127.0.0.1:18789", origin: None, allowed: &[], fallback: false };
    const LAN: Case = Case { peer: "192.168.1.9", host: "192.168.1.2:18789", ..LOCAL };

    fn judge(case: &Case, client: &str) -> Result<(), OriginFault> {
        let mut headers = vec![("host", case.host)];
        headers.extend(case.origin.map(|origin| ("origin", origin)));
        let facts = UpgradeFacts::from_headers(case.peer.parse().unwrap(), headers);
        let config = AuthConfig {
            allowed_origins: case.allowed.iter().map(|one| (*one).to_owned()).collect(),
            host_header_origin_fallback: case.fallback,
            ..AuthConfig::default()
        };
        check(&facts, client, &config)
    }

    #[test]
    fn pages_are_admitted_by_the_four_rules() {
        use OriginFault::{MissingOrInvalid, NotAllowed};
        let bad_host = "gateway.example";
        for (case, expected) in [
            (Case { origin: None, ..LOCAL }, Err(MissingOrInvalid)),
            (Case { origin: Some("null"), ..LOCAL }, Err(MissingOrInvalid)),
            (Case { origin: Some("http://127.0.0.1:18789"), ..LOCAL }, Ok(())),
            (Case { origin: Some("http://localhost:5173"), ..LOCAL }, Ok(())),
            (Case { origin: Some("http://evil.example"), ..LOCAL }, Err(NotAllowed)),
            (Case { origin: Some("http://localhost.evil.example"), ..LOCAL }, Err(NotAllowed)),
            (Case { origin: Some("http://192.168.1.2:18789"), ..LAN }, Ok(())),
            (Case { origin: Some("http://192.168.1.2:8080"), ..LAN }, Err(NotAllowed)),
            (Case { origin: Some("http://localhost:18789"), ..LAN }, Err(NotAllowed)),
            (Case { origin: Some("http://localhost:18789"), host: "localhost:18789", ..LAN }, Err(NotAllowed)),
            (Case { origin: Some("https://box.tail1.ts.net"), host: "box.tail1.ts.net", ..LAN }, Ok(())),
            (Case { origin: Some("http://box.local:18789"), host: "box.local:18789", ..LAN }, Ok(())),
            (Case { origin: Some("https://gateway.example"), host: bad_host, ..LAN }, Err(NotAllowed)),
            (Case { origin: Some("https://gateway.example"), host: bad_host, fallback: true, ..LAN }, Ok(())),
            (Case { origin: Some("https://ui.example"), allowed: &["https://UI.example/"], ..LAN }, Ok(())),
            (Case { origin: Some("https://ui.example"), allowed: &["*"], ..LAN }, Ok(())),
        ] {
            assert_eq!(judge(&case, CONTROL_UI), expected, "{:?} at {}", case.origin, case.host);
        }
    }

    #[test]
    fn only_the_control_ui_must_have_an_origin() {
        assert_eq!(judge(&LOCAL, "cli"), Ok(()));
        assert_eq!(judge(&Case { origin: Some("http://evil.example"), ..LOCAL }, "cli"), Err(OriginFault::NotAllowed));
    }
}
