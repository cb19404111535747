//! What a connection may do once it is let in.

use crate::protocol::connect::{CLI, GATEWAY_CLIENT};
use crate::protocol::{ConnectParams, Role, Scope, scope};

use super::credentials::AuthMethod;
use super::locality::{Locality, UpgradeFacts};

/// True for the helper processes of the command line: this machine, no browser.
#[must_use]
pub fn is_backend_helper(facts: &UpgradeFacts, params: &ConnectParams) -> bool {
    params.client.id == GATEWAY_CLIENT
        && params.client.mode == "backend"
        && facts.is_local_peer()
        && facts.origin.is_none()
}

/// Scopes of a connection without a device: none, except for the command line and its helpers on this machine, and
/// for users a proxy vouches for.
#[must_use]
pub fn without_device(facts: &UpgradeFacts, params: &ConnectParams, method: AuthMethod) -> Vec<String> {
    let is_cli = params.client.id == CLI
        && params.client.mode == "cli"
        && Locality::of(facts, method.is_shared_secret()) == Locality::DirectLocal
        && facts.origin.is_none()
        && method.is_shared_secret();
    let keeps = is_cli || is_backend_helper(facts, params) || method == AuthMethod::TrustedProxy;
    if keeps { capped(facts, params.requested_scopes(), method) } else { Vec::new() }
}

/// Scopes of a connection with a paired device: what it asked for. Nodes have none.
#[must_use]
pub fn with_device(facts: &UpgradeFacts, params: &ConnectParams, role: Role, method: AuthMethod) -> Vec<String> {
    match role {
        Role::Operator => capped(facts, params.requested_scopes(), method),
        Role::Node => Vec::new(),
    }
}

/// A proxy may cap what its users can do. `operator.admin` under a cap becomes the cap's own scopes that admin implies.
fn capped(facts: &UpgradeFacts, asked: &[String], method: AuthMethod) -> Vec<String> {
    match (&facts.scope_cap, method) {
        (Some(cap), AuthMethod::TrustedProxy) => {
            let kept = asked.iter().filter(|name| scope::covers(cap, name)).cloned();
            let mut kept: Vec<String> = kept.collect();
            if asked.iter().any(|name| name == Scope::Admin.as_str()) {
                kept.extend(cap.iter().filter(|name| !asked.contains(name)).cloned());
            }
            kept
        }
        _ => asked.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(id: &str, mode: &str) -> ConnectParams {
        let mut params = ConnectParams::default();
        params.client.id = id.into();
        params.client.mode = mode.into();
        params.scopes = Some(vec!["operator.read".into(), "operator.bogus".into()]);
        params
    }

    fn facts(peer: &str, host: &str, origin: Option<&'static str>) -> UpgradeFacts {
        let mut headers = vec![("host", host)];
        headers.extend(origin.map(|origin| ("origin", origin)));
        UpgradeFacts::from_headers(peer.parse().unwrap(), headers)
    }

    #[test]
    fn only_the_command_line_and_its_helpers_keep_scopes_without_a_device() {
        use AuthMethod::{None as Open, Password, Token, TrustedProxy};
        let page = Some("http://localhost:1");
        for (client, peer, host, origin, method, keeps) in [
            (("cli", "cli"), "127.0.0.1", "localhost:1", None, Token, true),
            (("cli", "cli"), "127.0.0.1", "localhost:1", None, Password, true),
            (("cli", "cli"), "127.0.0.1", "localhost:1", None, Open, false),
            (("cli", "cli"), "127.0.0.1", "localhost:1", page, Token, false),
            (("cli", "cli"), "127.0.0.1", "gateway.example:1", None, Token, false),
            (("cli", "cli"), "192.168.1.9", "localhost:1", None, Token, false),
            (("cli", "probe"), "127.0.0.1", "localhost:1", None, Token, false),
            (("test", "test"), "127.0.0.1", "localhost:1", None, Token, false),
            (("gateway-client", "backend"), "127.0.0.1", "localhost:1", None, Token, true),
            (("gateway-client", "backend"), "127.0.0.1", "localhost:1", None, Open, true),
            (("gateway-client", "backend"), "127.0.0.1", "localhost:1", page, Token, false),
            (("gateway-client", "backend"), "192.168.1.9", "localhost:1", None, Token, false),
            (("openclaw-control-ui", "webchat"), "127.0.0.1", "localhost:1", page, TrustedProxy, true),
        ] {
            let params = params(client.0, client.1);
            let scopes = without_device(&facts(peer, host, origin), &params, method);
            let expected = if keeps { params.requested_scopes().to_vec() } else { vec![] };
            assert_eq!(scopes, expected, "{client:?} {peer} {host} {origin:?} {method:?}");
        }
    }

    #[test]
    fn a_proxy_caps_its_users() {
        let mut at = facts("127.0.0.1", "localhost", None);
        at.scope_cap = Some(vec!["operator.read".into()]);
        let mut asked = params("openclaw-control-ui", "webchat");
        asked.scopes = Some(vec!["operator.admin".into(), "operator.write".into()]);
        assert_eq!(without_device(&at, &asked, AuthMethod::TrustedProxy), ["operator.read"]);
        asked.scopes = Some(vec!["operator.read".into(), "operator.write".into()]);
        assert_eq!(without_device(&at, &asked, AuthMethod::TrustedProxy), ["operator.read"]);
    }
}
