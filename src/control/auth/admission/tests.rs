use actors::secret::Secret;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::control::auth::tokens::SystemFresh;
use crate::protocol::device::Statement;

const NOW: EpochMs = 1_795_226_093_912;
const NONCE: &str = "14ce55b5-57be-4b2a-96b1-00e1d2860803";
const ALL: [&str; 3] = ["operator.admin", "operator.read", "operator.write"];

/// A gateway with its memory, and clients that knock.
struct Gate {
    config: AuthConfig,
    devices: DeviceRegistry,
    limiter: RateLimiter,
    peer: &'static str,
    host: &'static str,
    origin: Option<&'static str>,
    now: EpochMs,
}

impl Gate {
    fn new() -> Self {
        Self {
            config: AuthConfig { token: Some(Secret::new("right")), ..AuthConfig::default() },
            devices: DeviceRegistry::default(),
            limiter: RateLimiter::new(),
            peer: "127.0.0.1",
            host: "127.0.0.1:18789",
            origin: None,
            now: NOW,
        }
    }

    /// Decides and carries the effects out, as the control plane does.
    fn knock(&mut self, params: &Value) -> Decision {
        let params = ConnectParams::parse(params.clone()).unwrap();
        let mut headers = vec![("host", self.host)];
        headers.extend(self.origin.map(|origin| ("origin", origin)));
        let upgrade = UpgradeFacts::from_headers(self.peer.parse().unwrap(), headers);
        let decision = decide(&Attempt {
            upgrade: &upgrade,
            params: &params,
            nonce: NONCE,
            config: &self.config,
            devices: &self.devices,
            limiter: &self.limiter,
            now: self.now,
            fresh: &SystemFresh,
        });
        for effect in decision.effects.clone() {
            match effect {
                Effect::Devices(change) => self.devices.apply(change),
                Effect::AuthFailed(key) => self.limiter.failed(key, &self.config.rate, self.now),
                Effect::AuthSucceeded(key) => self.limiter.succeeded(&key),
                Effect::PairRequested(_) => {}
            }
        }
        decision
    }

    #[track_caller]
    fn accepted(&mut self, params: &Value) -> Accepted {
        match self.knock(params).outcome {
            Outcome::Accept(accepted) => *accepted,
            Outcome::Refuse(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    #[track_caller]
    fn refused(&mut self, params: &Value) -> (Value, Close) {
        match self.knock(params).outcome {
            Outcome::Accept(accepted) => panic!("accepted: {accepted:?}"),
            Outcome::Refuse(refusal) => (serde_json::to_value(refusal.error).unwrap(), refusal.close),
        }
    }
}

fn cli(auth: Value) -> Value {
    json!({
        "minProtocol": 4, "maxProtocol": 4,
        "client": {"id": "cli", "version": "1", "platform": "linux", "mode": "cli"},
        "role": "operator", "scopes": ALL, "auth": auth,
    })
}

fn with(mut params: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    params.pointer_mut(parent).unwrap()[key] = value;
    params
}

/// Adds the proof of the device with this seed.
fn signed(params: Value, seed: u8) -> Value {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let key = pair.public_key().as_ref();
    let device = json!({"id": proof::device_id(key), "publicKey": URL_SAFE_NO_PAD.encode(key),
        "signature": "x", "signedAt": NOW, "nonce": NONCE});
    let params = with(params, "/device", device);
    let parsed = ConnectParams::parse(params.clone()).unwrap();
    let text = Statement::of(&parsed).unwrap().v3();
    with(params, "/device/signature", URL_SAFE_NO_PAD.encode(pair.sign(text.as_bytes())).into())
}

fn token(text: &str) -> Value {
    json!({ "token": text })
}

#[test]
fn a_signed_device_of_this_machine_is_paired_silently_and_comes_back_with_its_token() {
    let mut gate = Gate::new();
    let first = gate.accepted(&signed(cli(token("right")), 1));
    assert_eq!((first.method, first.role), (AuthMethod::Token, Role::Operator));
    assert_eq!(first.scopes, ALL);
    let (device_token, issued) = first.device_token.clone().unwrap();
    assert_eq!((device_token.expose().len(), issued), (43, NOW));

    gate.now += 1_000;
    for auth in [json!({"deviceToken": device_token.expose()}), token(device_token.expose())] {
        let again = gate.accepted(&signed(cli(auth), 1));
        assert_eq!(again.method, AuthMethod::DeviceToken);
        assert_eq!(again.device_token, first.device_token);
    }
    let shared = gate.accepted(&signed(cli(token("right")), 1));
    assert_eq!((shared.method, shared.device_token), (AuthMethod::Token, first.device_token));
    let record = gate.devices.device(first.device_id.as_ref().unwrap()).unwrap();
    assert_eq!(record.last_seen_at_ms, Some(NOW + 1_000));
}

#[test]
fn unknown_scopes_are_echoed_when_the_device_token_covers_them() {
    let mut gate = Gate::new();
    let (device_token, _) = gate.accepted(&signed(cli(token("right")), 1)).device_token.unwrap();
    let auth = json!({"deviceToken": device_token.expose()});
    let asked = with(cli(auth), "/scopes", json!(["operator.admin", "operator.bogus"]));
    assert_eq!(gate.accepted(&signed(asked, 1)).scopes, ["operator.admin", "operator.bogus"]);
}

#[test]
fn credentials_are_refused_in_known_words() {
    let mismatch = "unauthorized: gateway token mismatch (use this gateway's gateway.auth.token or pair the device)";
    let device = "unauthorized: device token mismatch (rotate/reissue device token)";
    let details = |code: &str, reason: &str, retry: bool, step: &str| json!({"code": code, "authReason": reason, "canRetryWithDeviceToken": retry, "recommendedNextStep": step});
    for (params, message, expected) in [
        (
            cli(token("wrong")),
            mismatch,
            details("AUTH_TOKEN_MISMATCH", "token_mismatch", false, "update_auth_credentials"),
        ),
        (
            signed(cli(token("wrong")), 1),
            mismatch,
            details("AUTH_TOKEN_MISMATCH", "token_mismatch", true, "retry_with_device_token"),
        ),
        (
            signed(cli(json!({"deviceToken": "wrong"})), 1),
            device,
            details("AUTH_DEVICE_TOKEN_MISMATCH", "device_token_mismatch", false, "update_auth_credentials"),
        ),
    ] {
        let mut gate = Gate::new();
        let (error, close) = gate.refused(&params);
        assert_eq!(error, json!({"code": "INVALID_REQUEST", "message": message, "details": expected}));
        assert_eq!(close, Close::policy(message));
    }
}

#[test]
fn nothing_at_all_needs_a_device_and_a_device_needs_a_credential() {
    let mut gate = Gate::new();
    let (error, close) = gate.refused(&cli(json!({})));
    let expected = json!({"code": "NOT_PAIRED", "message": "device identity required",
        "details": {"code": "DEVICE_IDENTITY_REQUIRED"}});
    assert_eq!((error, close), (expected.clone(), Close::policy("device identity required")));
    let (error, _) = gate.refused(&signed(cli(json!({})), 1));
    assert_eq!(error["details"]["code"], "AUTH_TOKEN_MISSING");

    let node = with(with(cli(token("right")), "/role", "node".into()), "/scopes", json!([]));
    assert_eq!(gate.refused(&node).0, expected);
    let node = gate.accepted(&signed(node, 2));
    assert_eq!((node.role, node.scopes.len()), (Role::Node, 0));
}

#[test]
fn scopes_of_connections_without_a_device_are_cleared() {
    let mut gate = Gate::new();
    assert_eq!(gate.accepted(&cli(token("right"))).scopes, ALL);
    let mut test = with(cli(token("right")), "/client/id", "test".into());
    test = with(test, "/client/mode", "test".into());
    let accepted = gate.accepted(&test);
    assert!(accepted.scopes.is_empty() && accepted.device_token.is_none());
}

#[test]
fn version_role_and_worker_are_judged_before_anything_else() {
    let mut gate = Gate::new();
    let old = with(with(cli(token("wrong")), "/minProtocol", 3.into()), "/maxProtocol", 3.into());
    let (error, close) = gate.refused(&old);
    assert_eq!(
        error["details"],
        json!({"code": "PROTOCOL_MISMATCH", "clientMinProtocol": 3, "clientMaxProtocol": 3,
            "expectedProtocol": 4, "minimumProbeProtocol": 3})
    );
    assert_eq!(close, Close::new(1002, "protocol mismatch"));
    let probe = with(old, "/client/mode", "probe".into());
    assert_eq!(gate.refused(&probe).0["details"]["code"], "AUTH_TOKEN_MISMATCH");

    let (error, close) = gate.refused(&with(cli(token("right")), "/role", "viewer".into()));
    assert_eq!(error, json!({"code": "INVALID_REQUEST", "message": "invalid role"}));
    assert_eq!(close, Close::policy("invalid role"));
    let (error, close) = gate.refused(&with(cli(token("right")), "/role", "worker".into()));
    assert_eq!((error, close), (Value::Null, Close::policy("invalid-handshake")));
}

#[test]
fn a_bad_proof_hides_whether_the_token_was_right() {
    for auth in [token("right"), token("wrong")] {
        let mut gate = Gate::new();
        let bad = with(signed(cli(auth), 1), "/device/signature", "AAAA".into());
        let decision = gate.knock(&bad);
        assert!(decision.effects.is_empty() && decision.delay.is_zero());
        let Outcome::Refuse(refusal) = decision.outcome else { panic!("a bad signature") };
        assert_eq!(refusal.close, Close::policy("device signature invalid"));
    }
}

#[test]
fn the_control_ui_must_be_a_device_on_one_of_our_pages() {
    let mut gate = Gate::new();
    let page = with(cli(token("right")), "/client/id", CONTROL_UI.into());
    assert_eq!(gate.refused(&page).0["details"]["reason"], "origin missing or invalid");
    gate.origin = Some("http://evil.example");
    assert_eq!(gate.refused(&page).0["details"]["reason"], "origin not allowed");
    gate.origin = Some("http://127.0.0.1:18789");
    assert_eq!(gate.refused(&page).0["details"]["code"], "CONTROL_UI_DEVICE_IDENTITY_REQUIRED");
    assert_eq!(gate.accepted(&signed(page, 1)).scopes, ALL);
}

#[test]
fn a_remote_device_waits_for_approval_and_then_for_its_upgrade() {
    let mut gate = Gate::new();
    gate.peer = "192.168.1.9";
    let read = signed(with(cli(token("right")), "/scopes", json!(["operator.read"])), 1);
    let decision = gate.knock(&read);
    let Some(Effect::PairRequested(request)) = decision.effects.last() else { panic!("operators are told") };
    let (request, id) = (request.clone(), request.request_id.clone());
    assert_eq!(request.remote_ip.as_deref(), Some("192.168.1.9"));
    let Outcome::Refuse(refusal) = decision.outcome else { panic!("not approved yet") };
    let expected = json!({"code": "PAIRING_REQUIRED", "reason": "not-paired", "requestId": id,
        "remediationHint": "Approve this device from the pending pairing requests.",
        "deviceId": request.device_id, "requestedRole": "operator", "requestedScopes": ["operator.read"]});
    let error = refusal.error.unwrap();
    assert_eq!((error.code, error.details.unwrap()), (ErrorCode::NotPaired, expected));
    assert_eq!(refusal.close.reason, format!("pairing required: device is not approved yet (requestId: {id})"));

    // Knocking again neither adds a request nor tells operators again.
    let again = gate.knock(&read);
    assert!(!again.effects.iter().any(|effect| matches!(effect, Effect::PairRequested(_))));

    let (_, changes) = gate.devices.approve(&id, &["operator.admin".into()], NOW, &SystemFresh).unwrap();
    for change in changes {
        gate.devices.apply(change);
    }
    assert_eq!(gate.accepted(&read).scopes, ["operator.read"]);

    let more = signed(with(cli(token("right")), "/scopes", json!(["operator.read", "operator.write"])), 1);
    let (error, _) = gate.refused(&more);
    assert_eq!(error["details"]["reason"], "scope-upgrade");
    assert_eq!(error["details"]["approvedRoles"], json!(["operator"]));
    assert_eq!(error["details"]["approvedScopes"], json!(["operator.read"]));
    assert!(gate.devices.waiting(NOW)[0].is_repair);
}

#[test]
fn a_device_token_covers_neither_more_scopes_nor_another_role() {
    let mut gate = Gate::new();
    let read = with(cli(token("right")), "/scopes", json!(["operator.read"]));
    let (device_token, _) = gate.accepted(&signed(read, 1)).device_token.unwrap();
    let auth = json!({"deviceToken": device_token.expose()});
    let (error, _) = gate.refused(&signed(cli(auth.clone()), 1));
    assert_eq!(error["details"]["authReason"], "scope_mismatch");
    let node = with(with(cli(auth.clone()), "/role", "node".into()), "/scopes", json!([]));
    assert_eq!(gate.refused(&signed(node, 1)).0["details"]["authReason"], "scope_mismatch");
    // Another device cannot use it either.
    let theft = with(cli(auth), "/scopes", json!(["operator.read"]));
    assert_eq!(gate.refused(&signed(theft, 2)).0["details"]["authReason"], "device_token_mismatch");
}

#[test]
fn guessing_from_elsewhere_locks_out_even_the_right_token() {
    let mut gate = Gate::new();
    gate.peer = "192.168.1.9";
    for _ in 0..10 {
        assert_eq!(gate.refused(&cli(token("wrong"))).0["details"]["authReason"], "token_mismatch");
    }
    let (error, close) = gate.refused(&cli(token("right")));
    assert_eq!(error["details"]["code"], "AUTH_RATE_LIMITED");
    assert_eq!((error["retryable"].clone(), error["retryAfterMs"].clone()), (json!(true), json!(300_000)));
    assert_eq!(close.code, close::POLICY);
    gate.now += 300_000;
    gate.accepted(&cli(token("right")));
}

#[test]
fn guessing_on_this_machine_is_slowed_down_until_it_succeeds() {
    let mut gate = Gate::new();
    let wait = |gate: &mut Gate, text: &str| gate.knock(&cli(token(text))).delay.as_millis();
    assert_eq!([wait(&mut gate, "a"), wait(&mut gate, "b"), wait(&mut gate, "c")], [250, 500, 1_000]);
    assert_eq!([wait(&mut gate, "right"), wait(&mut gate, "d")], [0, 250]);
    // Sending nothing is no guess.
    assert_eq!(gate.knock(&cli(json!({}))).delay.as_millis(), 0);
}

#[test]
fn without_authentication_devices_and_helpers_are_let_in() {
    let mut gate = Gate::new();
    gate.config.mode = AuthMode::None;
    assert_eq!(gate.refused(&cli(json!({}))).0["message"], "device identity required");
    let accepted = gate.accepted(&signed(cli(json!({})), 1));
    assert_eq!((accepted.method, accepted.scopes.len()), (AuthMethod::None, 3));
    let mut helper = with(cli(json!({})), "/client/id", "gateway-client".into());
    helper = with(helper, "/client/mode", "backend".into());
    assert_eq!(gate.accepted(&helper).scopes, ALL);
}

#[test]
fn a_revoked_token_is_void_and_the_shared_secret_gets_a_new_one() {
    let mut gate = Gate::new();
    let accepted = gate.accepted(&signed(cli(token("right")), 1));
    let (old, _) = accepted.device_token.unwrap();
    let id = accepted.device_id.unwrap();
    for change in gate.devices.revoke(&id, Role::Operator).unwrap() {
        gate.devices.apply(change);
    }
    let (error, _) = gate.refused(&signed(cli(json!({"deviceToken": old.expose()})), 1));
    assert_eq!(error["details"]["authReason"], "device_token_mismatch");
    let (new, _) = gate.accepted(&signed(cli(token("right")), 1)).device_token.unwrap();
    assert!(new != old);
}

#[test]
fn hello_names_method_role_scopes_and_token() {
    let mut gate = Gate::new();
    let accepted = gate.accepted(&signed(cli(token("right")), 1));
    let hello = serde_json::to_value(accepted.hello()).unwrap();
    let keys: Vec<_> = hello.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["method", "role", "scopes", "deviceToken", "issuedAtMs"]);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// A knock of any kind: where from, who, with what.
    #[derive(Debug, Clone)]
    struct Knock {
        peer: &'static str,
        host: &'static str,
        origin: Option<&'static str>,
        client: (&'static str, &'static str),
        role: &'static str,
        auth: Value,
        is_signed: bool,
        mode: AuthMode,
    }

    fn any_knock() -> impl Strategy<Value = Knock> {
        let place = (
            prop::sample::select(vec!["127.0.0.1", "::1", "192.168.1.9", "8.8.8.8"]),
            prop::sample::select(vec!["localhost:1", "gateway.example", "192.168.1.2:1"]),
            prop::sample::select(vec![None, Some("http://localhost:1"), Some("http://evil.example"), Some("null")]),
        );
        let who = (
            prop::sample::select(vec![
                ("cli", "cli"),
                ("cli", "probe"),
                ("gateway-client", "backend"),
                (CONTROL_UI, "webchat"),
                ("node-host", "node"),
                ("test", "test"),
            ]),
            prop::sample::select(vec!["operator", "node"]),
        );
        let auth = prop::sample::select(vec![
            json!({}),
            token("right"),
            token("wrong"),
            json!({"password": "right"}),
            json!({"deviceToken": "wrong"}),
            json!({"bootstrapToken": "wrong"}),
        ]);
        let mode =
            prop::sample::select(vec![AuthMode::None, AuthMode::Token, AuthMode::Password, AuthMode::TrustedProxy]);
        (place, who, auth, any::<bool>(), mode).prop_map(
            |((peer, host, origin), (client, role), auth, is_signed, mode)| Knock {
                peer,
                host,
                origin,
                client,
                role,
                auth,
                is_signed,
                mode,
            },
        )
    }

    proptest! {
        #[test]
        fn nobody_is_let_in_without_a_reason(knock in any_knock()) {
            let mut gate = Gate::new();
            gate.config.mode = knock.mode;
            gate.config.password = Some(Secret::new("right"));
            (gate.peer, gate.host, gate.origin) = (knock.peer, knock.host, knock.origin);
            let mut params = with(cli(knock.auth.clone()), "/client/id", knock.client.0.into());
            params = with(params, "/client/mode", knock.client.1.into());
            params = with(params, "/role", knock.role.into());
            if knock.is_signed {
                params = signed(params, 7);
            }
            let Outcome::Accept(accepted) = gate.knock(&params).outcome else { return Ok(()) };

            let knows_secret = knock.auth.to_string().contains("right");
            prop_assert!(knows_secret || knock.mode == AuthMode::None);
            prop_assert!(knock.origin != Some("http://evil.example"));
            let is_local = matches!(knock.peer, "127.0.0.1" | "::1");
            // A new device is only taken from this machine.
            prop_assert!(!knock.is_signed || is_local);
            if !knock.is_signed {
                prop_assert!(knock.client.0 != CONTROL_UI && accepted.role == Role::Operator);
                let is_trusted = matches!(knock.client, ("cli", "cli") | ("gateway-client", "backend"))
                    && is_local
                    && knock.origin.is_none();
                prop_assert!(accepted.scopes.is_empty() || is_trusted);
                prop_assert!(accepted.device_token.is_none());
            }
        }
    }
}
