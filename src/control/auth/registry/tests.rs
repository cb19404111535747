use super::*;
use crate::control::auth::tokens::{SystemFresh, TokenText};

const NOW: EpochMs = 1_000_000;

fn wish(device: &str, request: &str, scopes: &[&str]) -> PendingPairing {
    PendingPairing {
        request_id: request.into(),
        device_id: device.into(),
        public_key: "key".into(),
        display_name: None,
        platform: "linux".into(),
        device_family: None,
        client_id: "cli".into(),
        client_mode: "cli".into(),
        role: Role::Operator,
        roles: vec![Role::Operator],
        scopes: scopes.iter().map(|one| (*one).to_owned()).collect(),
        remote_ip: None,
        silent: false,
        is_repair: false,
        ts: NOW,
    }
}

fn apply(registry: &mut DeviceRegistry, changes: Vec<Change>) {
    for change in changes {
        registry.apply(change);
    }
}

fn asked(registry: &mut DeviceRegistry, pending: PendingPairing, now: EpochMs) -> (PendingPairing, bool) {
    let (changes, pending, is_new) = registry.ask(pending, now);
    apply(registry, changes);
    (pending, is_new)
}

fn admin() -> Vec<String> {
    vec!["operator.admin".into()]
}

fn paired(scopes: &[&str]) -> DeviceRegistry {
    let mut registry = DeviceRegistry::default();
    asked(&mut registry, wish("d", "r", scopes), NOW);
    let (_, changes) = registry.approve("r", &admin(), NOW, &SystemFresh).unwrap();
    apply(&mut registry, changes);
    registry
}

#[test]
fn an_approved_device_has_a_token_for_its_scopes() {
    let registry = paired(&["operator.write", "operator.read"]);
    let device = registry.device("d").unwrap();
    assert_eq!(device.approved_via, ApprovedVia::Owner);
    assert_eq!(device.scopes, ["operator.write", "operator.read"]);
    let token = device.token(Role::Operator).unwrap();
    assert_eq!(token.scopes, ["operator.read", "operator.write"]);
    assert_eq!(token.issued_at_ms(), NOW);
    assert!(registry.waiting(NOW).is_empty());
    assert_eq!(registry.request("r", NOW), Err(RegistryError::UnknownRequest));
}

#[test]
fn asking_again_keeps_the_request_and_asking_for_more_replaces_it() {
    let mut registry = DeviceRegistry::default();
    let first = asked(&mut registry, wish("d", "r1", &["operator.read"]), NOW);
    assert!(first.1);
    let mut again = wish("d", "r2", &["operator.read"]);
    again.ts = NOW + 10;
    let again = asked(&mut registry, again, NOW + 10);
    assert_eq!((again.0.request_id.as_str(), again.1), ("r1", false));
    let more = asked(&mut registry, wish("d", "r3", &["operator.admin"]), NOW + 20);
    assert_eq!((more.0.request_id.as_str(), more.1), ("r3", true));
    assert_eq!(registry.waiting(NOW + 20).len(), 1);
}

#[test]
fn requests_expire_and_their_number_is_bounded() {
    let mut registry = DeviceRegistry::default();
    for n in 0..MAX_PENDING + 5 {
        let mut one = wish(&format!("d{n}"), &format!("r{n}"), &[]);
        one.ts = NOW + EpochMs::try_from(n).unwrap();
        asked(&mut registry, one, NOW);
    }
    assert_eq!(registry.waiting(NOW).len(), MAX_PENDING);
    assert!(registry.request("r0", NOW).is_err() && registry.request("r68", NOW).is_ok());
    assert!(registry.waiting(NOW + PENDING_LIFETIME_MS + 100).is_empty());
}

#[test]
fn nobody_grants_what_they_do_not_have() {
    let mut registry = DeviceRegistry::default();
    asked(&mut registry, wish("d", "r", &["operator.admin"]), NOW);
    let held = vec!["operator.pairing".to_owned(), "operator.write".to_owned()];
    let error = registry.approve("r", &held, NOW, &SystemFresh).unwrap_err();
    assert_eq!(ErrorShape::from(error).message, "missing scope: operator.admin");
}

#[test]
fn a_second_approval_adds_to_the_first() {
    let mut registry = paired(&["operator.read"]);
    let before = registry.device("d").unwrap().token(Role::Operator).unwrap().token.clone();
    asked(&mut registry, wish("d", "r2", &["operator.read", "operator.write"]), NOW);
    let (device, changes) = registry.approve("r2", &admin(), NOW + 5, &SystemFresh).unwrap();
    apply(&mut registry, changes);
    assert_eq!(device.scopes, ["operator.read", "operator.write"]);
    assert_eq!((device.created_at_ms, device.approved_at_ms), (NOW, NOW + 5));
    let token = device.token(Role::Operator).unwrap();
    assert_eq!(token.scopes, device.scopes);
    assert!(token.token == before);
}

#[test]
fn rotation_replaces_and_revocation_voids() {
    let mut registry = paired(&["operator.read", "operator.write"]);
    let old = registry.device("d").unwrap().tokens[0].token.clone();
    let narrow = ["operator.read".to_owned()];
    let (token, changes) = registry.rotate("d", Role::Operator, Some(&narrow), NOW + 9, &SystemFresh).unwrap();
    apply(&mut registry, changes);
    assert!(token.token != old && token.scopes == narrow && token.issued_at_ms() == NOW + 9);
    let beyond = ["operator.admin".to_owned()];
    assert!(matches!(
        registry.rotate("d", Role::Operator, Some(&beyond), NOW, &SystemFresh),
        Err(RegistryError::ScopeNotApproved(_))
    ));
    let changes = registry.revoke("d", Role::Operator).unwrap();
    apply(&mut registry, changes);
    assert!(registry.device("d").unwrap().tokens.is_empty());
    assert_eq!(registry.revoke("d", Role::Operator), Err(RegistryError::UnknownToken));
    assert!(matches!(registry.rotate("x", Role::Operator, None, NOW, &SystemFresh), Err(RegistryError::UnknownDevice)));
}

#[test]
fn renaming_and_removing_need_a_device() {
    let mut registry = paired(&[]);
    let changes = registry.rename("d", "Laptop").unwrap();
    apply(&mut registry, changes);
    assert_eq!(registry.device("d").unwrap().label.as_deref(), Some("Laptop"));
    let changes = registry.remove("d").unwrap();
    apply(&mut registry, changes);
    assert_eq!(registry.remove("d"), Err(RegistryError::UnknownDevice));
    assert_eq!(registry.rename("d", "x"), Err(RegistryError::UnknownDevice));
}

#[test]
fn records_survive_storage_and_debug_shows_no_token() {
    let registry = paired(&["operator.read"]);
    let device = registry.device("d").unwrap();
    let text = serde_json::to_string(device).unwrap();
    assert_eq!(&serde_json::from_str::<DeviceRecord>(&text).unwrap(), device);
    let token = device.tokens[0].token.expose();
    assert!(text.contains(token) && !format!("{registry:?}").contains(token));
    let shown = device.shown(Some(true));
    assert!(!shown.to_string().contains(token));
    assert_eq!(shown["connected"], true);
    assert_eq!(
        shown["tokens"],
        serde_json::json!([{"role": "operator", "scopes": ["operator.read"], "createdAtMs": NOW}])
    );
    let again = DeviceRegistry::new(vec![device.clone()]);
    assert_eq!(again, registry);
    assert_eq!(TokenText::new("a"), TokenText::new("a"));
}
