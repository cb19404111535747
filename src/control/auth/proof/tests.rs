use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::Value;

use super::*;

const NONCE: &str = "11111111-2222-3333-4444-555555555555";
const SIGNED_AT: EpochMs = 1_737_264_000_000;
const V3: &str = "WRnWmo-OuuMrxbpmmevM_BVjyDx2ehO79eYM4jkCkXCVJA17V2Y_fcaOW_F4ZuzEIT_ePrrNoMAuTNb8Sb1GCQ";
const V2: &str = "-Ujjz-6760s3XJmv4LAJxJlSfgEdK665RilhyxzDq-92zwBtrq-P-zEHUe0vakxcxilpKBRU6kuNlYOeAm_LAw";
const KEY: &str = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg";
const ID: &str = "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c";

/// The published vector as a connect; `change` bends it.
fn vector(signature: &str, change: impl FnOnce(&mut Value)) -> ConnectParams {
    let mut params = json!({
        "minProtocol": 4, "maxProtocol": 4,
        "client": {"id": "cli", "version": "1", "platform": "Linux ", "mode": "cli", "deviceFamily": "linux"},
        "scopes": ["operator.read", "operator.write"],
        "auth": {"token": "<TOKEN>", "password": "not signed"},
        "device": {"id": ID, "publicKey": KEY, "signature": signature, "signedAt": SIGNED_AT, "nonce": NONCE},
    });
    change(&mut params);
    ConnectParams::parse(params).unwrap()
}

#[track_caller]
fn refused(params: &ConnectParams, now: EpochMs, expected: ProofFault) {
    assert_eq!(check(params, NONCE, now), Err(expected));
}

#[test]
fn the_published_vector_verifies_in_both_versions() {
    for signature in [V3, V2] {
        let device = check(&vector(signature, |_| {}), NONCE, SIGNED_AT).unwrap().unwrap();
        assert_eq!(device, ProvenDevice { id: ID.into(), public_key: KEY.into() });
    }
}

#[test]
fn the_published_vector_is_what_the_seed_signs() {
    let seed: Vec<u8> = (0..32).collect();
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    assert_eq!(URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()), KEY);
    assert_eq!(device_id(pair.public_key().as_ref()), ID);
    let params = vector(V3, |_| {});
    let statement = Statement::of(&params).unwrap();
    assert_eq!(URL_SAFE_NO_PAD.encode(pair.sign(statement.v3().as_bytes())), V3);
    assert_eq!(URL_SAFE_NO_PAD.encode(pair.sign(statement.v2().as_bytes())), V2);
}

#[test]
fn pem_keys_and_padded_standard_base64_are_read() {
    let raw = URL_SAFE_NO_PAD.decode(KEY).unwrap();
    let der: Vec<u8> = DER_PREFIX.iter().copied().chain(raw).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
    let signature = STANDARD.encode(URL_SAFE_NO_PAD.decode(V3).unwrap());
    let params = vector(&signature, |params| params["device"]["publicKey"] = pem.into());
    assert_eq!(check(&params, NONCE, SIGNED_AT).unwrap().unwrap().public_key, KEY);
}

#[test]
fn checks_fail_in_their_documented_order() {
    let bend = |field: &'static str, value: Value| move |params: &mut Value| params["device"][field] = value;
    refused(&vector(V3, bend("id", "00".into())), 0, ProofFault::IdMismatch);
    refused(&vector(V3, bend("publicKey", "AAAA".into())), 0, ProofFault::IdMismatch);
    refused(&vector(V3, bend("nonce", "stale".into())), SIGNED_AT + 120_001, ProofFault::Expired);
    refused(&vector(V3, |_| {}), SIGNED_AT - 120_001, ProofFault::Expired);
    refused(&vector(V3, bend("nonce", "  ".into())), SIGNED_AT, ProofFault::NonceRequired);
    refused(&vector("AAAA", bend("nonce", "stale".into())), SIGNED_AT, ProofFault::NonceMismatch);
    refused(&vector("AAAA", |_| {}), SIGNED_AT + 120_000, ProofFault::SignatureInvalid);
    refused(&vector("<BAD>", |_| {}), SIGNED_AT, ProofFault::SignatureInvalid);
}

#[test]
fn whatever_is_signed_cannot_be_changed() {
    for change in [
        |params: &mut Value| params["scopes"] = json!(["operator.write", "operator.read"]),
        |params: &mut Value| params["role"] = json!("node"),
        |params: &mut Value| params["auth"]["token"] = json!("other"),
        |params: &mut Value| params["client"]["mode"] = json!("ui"),
        |params: &mut Value| params["client"]["platform"] = json!("windows"),
        |params: &mut Value| params["device"]["signedAt"] = json!(SIGNED_AT + 1),
    ] {
        refused(&vector(V3, change), SIGNED_AT, ProofFault::SignatureInvalid);
    }
    // The second version does not cover the platform.
    assert!(check(&vector(V2, |params| params["client"]["platform"] = json!("windows")), NONCE, SIGNED_AT).is_ok());
}

#[test]
fn no_device_is_no_proof_and_no_fault() {
    let params = vector(V3, |params| {
        params.as_object_mut().unwrap().remove("device");
    });
    assert_eq!(check(&params, NONCE, SIGNED_AT), Ok(None));
}

#[test]
fn faults_carry_code_and_reason() {
    let error = ProofFault::Expired.error();
    assert_eq!(error.message, "device signature expired");
    assert_eq!(
        error.details.unwrap(),
        json!({"code": "DEVICE_AUTH_SIGNATURE_EXPIRED", "reason": "device-signature-stale"})
    );
}
