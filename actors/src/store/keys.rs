//! The key space. Prefixes end in `/`; numbers are big-endian so that scans come in order.

/// `meta/…`: format, epoch, sentinel, projection hashes.
pub const META: &str = "meta/";
/// `accept/<session key>/<seq>`: accepted input that is not in a transcript yet.
pub const ACCEPT: &str = "accept/";
/// `dedupe/<source>/<id>`: what was accepted, to recognise a repeat.
pub const DEDUPE: &str = "dedupe/";
/// `run/<run id>`: journal of a run and, once ended, its answer.
pub const RUN: &str = "run/";
/// `intent/<session key>\0<run id>\0<call>`: a tool call that was about to start and has no result yet.
pub const INTENT: &str = "intent/";
/// `outbox/<channel>/<account>/<seq>`: outgoing deliveries.
pub const OUTBOX: &str = "outbox/";
/// `row/<agent>/<session key>`: session rows.
pub const ROW: &str = "row/";
/// `cursor/<channel>/<account>`: how far a channel has read.
pub const CURSOR: &str = "cursor/";
/// `device/<device id>`: paired devices; `device-pending/<request id>`: requests.
pub const DEVICE: &str = "device/";
/// Requests of devices that wait for approval.
pub const DEVICE_PENDING: &str = "device-pending/";
/// `profile/<agent>/<profile id>`: usage and cooldown of an auth profile.
pub const PROFILE: &str = "profile/";

/// `lines/<transcript>/<seq>`: lines of transcripts whose files are not synced yet.
pub const LINES: &str = "lines/";

/// A key of prefix and name.
#[must_use]
pub fn named(prefix: &str, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(prefix.len() + name.len());
    key.extend_from_slice(prefix.as_bytes());
    key.extend_from_slice(name.as_bytes());
    key
}

/// A key of prefix, name and number.
#[must_use]
pub fn numbered(prefix: &str, name: &str, number: u64) -> Vec<u8> {
    let mut key = folder(prefix, name);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// The common start of all `numbered` keys of one name. Names hold no NUL, so no name is a start of another one.
#[must_use]
pub fn folder(prefix: &str, name: &str) -> Vec<u8> {
    let mut key = named(prefix, name);
    key.push(0);
    key
}

/// A key for a person to read: bytes outside printable ASCII as hex.
#[must_use]
pub fn printable(key: &[u8]) -> String {
    key.iter().fold(String::with_capacity(key.len()), |mut text, &byte| {
        if (0x20..0x7f).contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("\\x{byte:02x}"));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_keys_sort_by_number() {
        assert!(numbered(ACCEPT, "a", 255) < numbered(ACCEPT, "a", 256));
    }

    #[test]
    fn one_name_is_never_the_start_of_another_folder() {
        assert!(!numbered(ACCEPT, "agent:main:main2", 1).starts_with(&folder(ACCEPT, "agent:main:main")));
    }
}
