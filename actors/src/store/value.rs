//! Values: one version byte, then MessagePack with named fields, so that fields can be added later.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;

/// Version of the encoding, first byte of each value.
const VERSION: u8 = 1;

/// Encodes a record.
///
/// # Errors
/// When the record can't be expressed in MessagePack.
pub fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, StoreError> {
    let mut out = vec![VERSION];
    let mut serializer = rmp_serde::Serializer::new(&mut out).with_struct_map();
    record
        .serialize(&mut serializer)
        .map_err(|error| StoreError::Record { key: String::from("(new)"), why: error.to_string() })?;
    Ok(out)
}

/// Decodes a record.
///
/// # Errors
/// When the version is unknown or the bytes are no such record.
pub fn decode<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((&VERSION, body)) => rmp_serde::from_slice(body)
            .map_err(|error| StoreError::Record { key: super::keys::printable(key), why: error.to_string() }),
        Some((&version, _)) => Err(StoreError::Newer { found: u32::from(version), known: u32::from(VERSION) }),
        None => Err(StoreError::Record { key: super::keys::printable(key), why: String::from("it is empty") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives_the_round_trip_with_its_version() {
        let bytes = encode(&("a", 7_u64)).unwrap();
        assert_eq!(bytes[0], VERSION);
        assert_eq!(decode::<(String, u64)>(b"k", &bytes).unwrap(), (String::from("a"), 7));
    }

    #[test]
    fn a_newer_value_is_refused_by_name() {
        let error = decode::<String>(b"k", &[9, 1]).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 9, .. }));
    }
}
