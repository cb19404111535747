//! Where a connection comes from.

use std::net::IpAddr;

/// What the HTTP upgrade said.
#[derive(Debug, Clone)]
pub struct UpgradeFacts {
    /// Address of the peer.
    pub remote: IpAddr,
    /// The `Host` header.
    pub host: Option<String>,
    /// The `Origin` header.
    pub origin: Option<String>,
    /// True when a header says that somebody forwarded the request.
    pub is_forwarded: bool,
    /// The `x-openclaw-scopes` header, which caps identity-authenticated connections.
    pub scope_cap: Option<Vec<String>>,
    /// The user a trusted proxy vouches for. Set by the listener alone, after it checked the peer.
    pub proxy_user: Option<String>,
}

/// Headers a forwarder adds.
const FORWARDED: &[&str] = &[
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-real-ip",
    "cf-connecting-ip",
    "tailscale-user-login",
];

impl UpgradeFacts {
    /// Reads the facts from a peer address and header name/value pairs.
    pub fn from_headers<'a>(remote: IpAddr, headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut facts = Self {
            remote: remote.to_canonical(),
            host: None,
            origin: None,
            is_forwarded: false,
            scope_cap: None,
            proxy_user: None,
        };
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            match name.as_str() {
                "host" => facts.host = Some(value.trim().to_owned()),
                "origin" => facts.origin = Some(value.trim().to_owned()),
                "x-openclaw-scopes" => {
                    let scopes = value.split([',', ' ']).map(str::trim).filter(|scope| !scope.is_empty());
                    facts.scope_cap = Some(scopes.map(str::to_owned).collect());
                }
                other if FORWARDED.contains(&other) => facts.is_forwarded = true,
                _ => {}
            }
        }
        facts
    }

    /// True when the peer is this machine and nobody forwarded the request.
    #[must_use]
    pub fn is_local_peer(&self) -> bool {
        self.remote.is_loopback() && !self.is_forwarded
    }
}

/// How near a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locality {
    /// Loopback peer that also addressed us by a local name; nothing in between.
    DirectLocal,
    /// Loopback peer that addressed us by another name, sent no Origin, and knows the shared secret.
    SharedSecretLoopback,
    /// Anything else.
    Remote,
}

impl Locality {
    /// Judges an upgrade; `knows_secret` is true once the shared secret was verified.
    #[must_use]
    pub fn of(facts: &UpgradeFacts, knows_secret: bool) -> Self {
        if !facts.is_local_peer() {
            return Self::Remote;
        }
        if facts.host.as_deref().is_some_and(|host| is_loopback_host(host_name(host))) {
            return Self::DirectLocal;
        }
        if knows_secret && facts.origin.is_none() { Self::SharedSecretLoopback } else { Self::Remote }
    }

    /// True for everything on this machine.
    #[must_use]
    pub fn is_local(self) -> bool {
        match self {
            Self::DirectLocal | Self::SharedSecretLoopback => true,
            Self::Remote => false,
        }
    }
}

/// The host of `host[:port]`, without the brackets of an IPv6 address.
#[must_use]
pub fn host_name(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.chars().all(|c| c.is_ascii_digit()) => host,
        Some(_) | None => authority,
    }
}

/// The port of `host[:port]`.
#[must_use]
pub fn port(authority: &str) -> Option<u16> {
    let tail = match authority.rsplit_once(']') {
        Some((_, tail)) => tail.strip_prefix(':')?,
        None if authority.matches(':').count() == 1 => authority.rsplit_once(':')?.1,
        None => return None,
    };
    tail.parse().ok()
}

/// True for `localhost` and loopback addresses.
#[must_use]
pub fn is_loopback_host(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// True for addresses of private networks, link-local ones included.
#[must_use]
pub fn is_private_ip(host: &str) -> bool {
    match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => {
            let [a, b, ..] = ip.octets();
            // 100.64/10 is where overlay networks live.
            ip.is_private() || ip.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        Ok(IpAddr::V6(ip)) => ip.is_unique_local() || ip.is_unicast_link_local(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_come_apart() {
        for (authority, host, number) in [
            ("localhost:18789", "localhost", Some(18789)),
            ("127.0.0.1", "127.0.0.1", None),
            ("[::1]:80", "::1", Some(80)),
            ("[::1]", "::1", None),
            ("::1", "::1", None),
            ("example.com:x", "example.com:x", None),
        ] {
            assert_eq!((host_name(authority), port(authority)), (host, number), "{authority}");
        }
    }

    #[test]
    fn locality_needs_peer_host_and_no_forwarder() {
        for (peer, headers, secret, expected) in [
            ("127.0.0.1", vec![("Host", "localhost:18789")], false, Locality::DirectLocal),
            ("::1", vec![("host", "[::1]:18789")], false, Locality::DirectLocal),
            ("::ffff:127.0.0.1", vec![("host", "127.0.0.1:1")], false, Locality::DirectLocal),
            ("127.0.0.1", vec![("host", "gateway.test:1")], true, Locality::SharedSecretLoopback),
            ("127.0.0.1", vec![("host", "gateway.test:1")], false, Locality::Remote),
            (
                "127.0.0.1",
                vec![("host", "gateway.test:1"), ("origin", "http://gateway.test:1")],
                true,
                Locality::Remote,
            ),
            ("127.0.0.1", vec![("host", "localhost"), ("X-Forwarded-For", "1.2.3.4")], true, Locality::Remote),
            ("192.168.1.5", vec![("host", "localhost")], true, Locality::Remote),
            ("127.0.0.1", vec![], false, Locality::Remote),
        ] {
            let facts = UpgradeFacts::from_headers(peer.parse().unwrap(), headers.clone());
            assert_eq!(Locality::of(&facts, secret), expected, "{peer} {headers:?}");
        }
    }

    #[test]
    fn private_networks_are_known() {
        for (host, expected) in
            [("10.1.2.3", true), ("100.100.1.1", true), ("fd00::1", true), ("8.8.8.8", false), ("name", false)]
        {
            assert_eq!(is_private_ip(host), expected, "{host}");
        }
    }
}
