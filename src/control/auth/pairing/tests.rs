use super::*;
use crate::control::auth::registry::ApprovedVia;

fn params(client: &str, platform: &str, scopes: &[&str]) -> ConnectParams {
    let mut params = ConnectParams::default();
    params.client.id = client.into();
    params.client.platform = platform.into();
    params.scopes = Some(scopes.iter().map(|one| (*one).to_owned()).collect());
    params
}

fn record() -> DeviceRecord {
    DeviceRecord {
        device_id: "d".into(),
        public_key: "k".into(),
        display_name: None,
        label: None,
        platform: "Linux".into(),
        device_family: Some("Desktop".into()),
        client_id: "cli".into(),
        client_mode: "cli".into(),
        role: Role::Operator,
        roles: vec![Role::Operator],
        scopes: vec!["operator.write".into()],
        approved_via: ApprovedVia::Owner,
        created_at_ms: 0,
        approved_at_ms: 0,
        last_seen_at_ms: None,
        last_seen_reason: None,
        tokens: vec![],
    }
}

#[test]
fn the_reason_is_the_first_that_applies() {
    use PairingReason::*;
    for (platform, family, role, scopes, expected) in [
        (" linux", "desktop ", Role::Operator, &["operator.read"][..], None),
        ("linux", "desktop", Role::Operator, &["operator.admin"], Some(ScopeUpgrade)),
        ("linux", "desktop", Role::Operator, &["operator.bogus"], Some(ScopeUpgrade)),
        ("linux", "desktop", Role::Node, &[], Some(RoleUpgrade)),
        ("darwin", "desktop", Role::Node, &[], Some(MetadataUpgrade)),
        ("linux", "", Role::Operator, &[], Some(MetadataUpgrade)),
    ] {
        let mut params = params("cli", platform, scopes);
        params.client.device_family = Some(family.into());
        assert_eq!(reason(&params, role, Some(&record())), expected, "{platform} {family} {role:?} {scopes:?}");
        assert_eq!(reason(&params, role, None), Some(NotPaired));
    }
}

#[test]
fn silence_is_for_this_machine_only() {
    use AuthMethod::{DeviceToken, Token};
    use PairingReason::*;
    let page = Some("http://localhost:1");
    for (reason, peer, client, origin, method, expected) in [
        (NotPaired, "127.0.0.1", "cli", None, Token, true),
        (NotPaired, "127.0.0.1", "openclaw-control-ui", page, Token, true),
        (NotPaired, "127.0.0.1", "cli", page, Token, false),
        (NotPaired, "192.168.1.9", "cli", None, Token, false),
        (ScopeUpgrade, "127.0.0.1", "cli", None, Token, true),
        (ScopeUpgrade, "127.0.0.1", "cli", None, DeviceToken, false),
        (RoleUpgrade, "127.0.0.1", "cli", None, DeviceToken, false),
        (MetadataUpgrade, "127.0.0.1", "cli", None, Token, true),
        (MetadataUpgrade, "127.0.0.1", "cli", None, DeviceToken, false),
        (MetadataUpgrade, "127.0.0.1", "openclaw-macos", None, DeviceToken, true),
        (MetadataUpgrade, "127.0.0.1", "openclaw-control-ui", page, Token, false),
    ] {
        let mut headers = vec![("host", "localhost:1")];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let facts = UpgradeFacts::from_headers(peer.parse().unwrap(), headers);
        let params = params(client, "linux", &[]);
        let silent = |config: &AuthConfig| is_silent(reason, &facts, &params, method, config);
        assert_eq!(silent(&AuthConfig::default()), expected, "{reason:?} {peer} {client} {origin:?} {method:?}");
        assert!(!silent(&AuthConfig { silent_pairing: false, ..AuthConfig::default() }));
    }
}
