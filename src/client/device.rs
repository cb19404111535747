//! A device: a key that signs what a client asks for.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::protocol::ConnectParams;
use crate::protocol::connect::DeviceProof;
use crate::protocol::device::Statement;

/// The seed is not one of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the device key is not valid")]
pub struct IdentityError;

/// Which text is signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProofVersion {
    /// Without platform and device family.
    V2,
    /// With them.
    #[default]
    V3,
}

/// A device's key. `Debug` shows its id only.
pub struct DeviceIdentity {
    seed: [u8; 32],
    pair: Ed25519KeyPair,
    id: String,
    public_key: String,
}

impl DeviceIdentity {
    /// A new device.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn generate() -> Result<Self, IdentityError> {
        Self::from_seed(rand::random())
    }

    /// The device of this seed.
    ///
    /// # Errors
    /// When it makes no key.
    pub fn from_seed(seed: [u8; 32]) -> Result<Self, IdentityError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_rejected| IdentityError)?;
        let key = pair.public_key().as_ref();
        let id = digest(&SHA256, key).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let public_key = URL_SAFE_NO_PAD.encode(key);
        Ok(Self { seed, pair, id, public_key })
    }

    /// Its seed, to be kept in a file that only its user can read.
    #[must_use]
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// Its id: lower-case hex SHA-256 of its public key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its public key in base64url.
    #[must_use]
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// Signs a text; base64url.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.pair.sign(text.as_bytes()))
    }

    /// Puts this device's proof into `params`, over everything else in them.
    pub fn prove(&self, params: &mut ConnectParams, nonce: &str, signed_at: i64, version: ProofVersion) {
        params.device = Some(DeviceProof {
            id: self.id.clone(),
            public_key: self.public_key.clone(),
            signature: String::new(),
            signed_at,
            nonce: nonce.to_owned(),
        });
        let text = Statement::of(params).map(|statement| match version {
            ProofVersion::V2 => statement.v2(),
            ProofVersion::V3 => statement.v3(),
        });
        if let (Some(device), Some(text)) = (&mut params.device, text) {
            device.signature = self.sign(&text);
        }
    }
}

impl fmt::Debug for DeviceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceIdentity").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector() -> (DeviceIdentity, ConnectParams) {
        let mut seed = [0; 32];
        for (at, byte) in (0..).zip(seed.iter_mut()) {
            *byte = at;
        }
        let params = serde_json::json!({
            "minProtocol": 4, "maxProtocol": 4,
            "client": {"id": "cli", "version": "1", "platform": "linux", "deviceFamily": "linux", "mode": "cli"},
            "scopes": ["operator.read", "operator.write"], "auth": {"token": "<TOKEN>"},
        });
        (DeviceIdentity::from_seed(seed).unwrap(), ConnectParams::parse(params).unwrap())
    }

    #[test]
    fn proofs_are_those_of_the_published_vector() {
        for (version, signature) in [
            (
                ProofVersion::V3,
                "WRnWmo-OuuMrxbpmmevM_BVjyDx2ehO79eYM4jkCkXCVJA17V2Y_fcaOW_F4ZuzEIT_ePrrNoMAuTNb8Sb1GCQ",
            ),
            (
                ProofVersion::V2,
                "-Ujjz-6760s3XJmv4LAJxJlSfgEdK665RilhyxzDq-92zwBtrq-P-zEHUe0vakxcxilpKBRU6kuNlYOeAm_LAw",
            ),
        ] {
            let (identity, mut params) = vector();
            identity.prove(&mut params, "11111111-2222-3333-4444-555555555555", 1_737_264_000_000, version);
            let device = params.device.unwrap();
            assert_eq!(device.signature, signature);
            assert_eq!(device.public_key, "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg");
            assert_eq!(device.id, "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c");
        }
    }

    #[test]
    fn a_seed_gives_the_same_device_and_debug_shows_no_key() {
        let one = DeviceIdentity::generate().unwrap();
        let two = DeviceIdentity::from_seed(*one.seed()).unwrap();
        assert_eq!(one.id(), two.id());
        assert!(!format!("{one:?}").contains(one.public_key()));
    }
}
