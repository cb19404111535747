//! Device proofs: is this connection really the device it names?

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::json;

use actors::clock::EpochMs;

use crate::protocol::device::{MAX_SKEW_MS, Statement};
use crate::protocol::{ConnectParams, DetailCode, ErrorShape};

/// Why a proof is refused; in the order of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofFault {
    /// The id is not the hash of the key.
    IdMismatch,
    /// Signed too long ago, or in the future.
    Expired,
    /// No nonce.
    NonceRequired,
    /// Another nonce than the challenge's.
    NonceMismatch,
    /// Neither version of the text fits the signature.
    SignatureInvalid,
    /// The key is not a key of 32 bytes.
    PublicKeyInvalid,
}

impl ProofFault {
    /// The error a client gets.
    #[must_use]
    pub fn error(self) -> ErrorShape {
        let (message, code, reason) = match self {
            Self::IdMismatch => {
                ("device identity mismatch", DetailCode::DeviceAuthDeviceIdMismatch, "device-id-mismatch")
            }
            Self::Expired => {
                ("device signature expired", DetailCode::DeviceAuthSignatureExpired, "device-signature-stale")
            }
            Self::NonceRequired => {
                ("device nonce required", DetailCode::DeviceAuthNonceRequired, "device-nonce-missing")
            }
            Self::NonceMismatch => {
                ("device nonce mismatch", DetailCode::DeviceAuthNonceMismatch, "device-nonce-mismatch")
            }
            Self::SignatureInvalid => {
                ("device signature invalid", DetailCode::DeviceAuthSignatureInvalid, "device-signature")
            }
            Self::PublicKeyInvalid => {
                ("device public key invalid", DetailCode::DeviceAuthPublicKeyInvalid, "device-public-key")
            }
        };
        ErrorShape::invalid_request(message).with_details(json!({ "code": code.as_str(), "reason": reason }))
    }
}

/// A device whose proof holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenDevice {
    /// Its id.
    pub id: String,
    /// Its key, canonical: 32 raw bytes in base64url without padding.
    pub public_key: String,
}

/// Checks the proof of `params`, if it has one.
///
/// # Errors
/// The first check that fails.
pub fn check(params: &ConnectParams, nonce: &str, now: EpochMs) -> Result<Option<ProvenDevice>, ProofFault> {
    let (Some(device), Some(statement)) = (&params.device, Statement::of(params)) else { return Ok(None) };
    let key = decode_key(&device.public_key);
    if key.as_deref().map(device_id).as_deref() != Some(device.id.as_str()) {
        return Err(ProofFault::IdMismatch);
    }
    if now.abs_diff(device.signed_at) > MAX_SKEW_MS.unsigned_abs() {
        return Err(ProofFault::Expired);
    }
    if device.nonce.trim().is_empty() {
        return Err(ProofFault::NonceRequired);
    }
    if device.nonce != nonce {
        return Err(ProofFault::NonceMismatch);
    }
    let key = key.ok_or(ProofFault::PublicKeyInvalid)?;
    let signature = decode(&device.signature).ok_or(ProofFault::SignatureInvalid)?;
    let verifier = UnparsedPublicKey::new(&ED25519, &key);
    let fits = |text: String| verifier.verify(text.as_bytes(), &signature).is_ok();
    if !fits(statement.v3()) && !fits(statement.v2()) {
        return Err(ProofFault::SignatureInvalid);
    }
    Ok(Some(ProvenDevice { id: device.id.clone(), public_key: URL_SAFE_NO_PAD.encode(&key) }))
}

/// The id of a device: lower-case hex SHA-256 of its raw key.
#[must_use]
pub fn device_id(raw_key: &[u8]) -> String {
    digest(&SHA256, raw_key).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What precedes the raw key in a DER-encoded Ed25519 public key.
const DER_PREFIX: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The 32 raw bytes of a key in base64url or PEM.
fn decode_key(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let bytes = match text.strip_prefix("-----BEGIN PUBLIC KEY-----") {
        Some(rest) => {
            let body: String = rest.split("-----END").next()?.split_whitespace().collect();
            decode(&body)?.strip_prefix(DER_PREFIX)?.to_vec()
        }
        None => decode(text)?,
    };
    (bytes.len() == 32).then_some(bytes)
}

/// Base64url or standard base64, padded or not.
fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    [&URL_SAFE_NO_PAD, &URL_SAFE, &STANDARD_NO_PAD, &STANDARD].iter().find_map(|engine| engine.decode(text).ok())
}

#[cfg(test)]
mod tests;
