//! Device tokens: 32 random bytes in base64url, 43 characters.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// A token as it is stored and sent. `Debug` shows nothing of it; compared in constant time.
///
/// It is stored as it is, not as a hash: a known device that comes back with the shared secret gets the same token
/// again, or several programs of one user would log each other out.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenText(String);

impl TokenText {
    /// Wraps a token.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The token itself, for the one answer that carries it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in time that depends on the lengths only.
    #[must_use]
    pub fn matches(&self, candidate: &str) -> bool {
        self.0.as_bytes().ct_eq(candidate.as_bytes()).into()
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(…)")
    }
}

impl PartialEq for TokenText {
    fn eq(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for TokenText {}

/// Where unpredictable things come from.
pub trait Fresh: Send + Sync {
    /// A new device token.
    fn token(&self) -> TokenText;
    /// A new request id.
    fn request_id(&self) -> String;
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemFresh;

impl Fresh for SystemFresh {
    fn token(&self) -> TokenText {
        let bytes: [u8; 32] = rand::random();
        TokenText(URL_SAFE_NO_PAD.encode(bytes))
    }

    fn request_id(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_43_base64url_characters_and_differ() {
        let (one, two) = (SystemFresh.token(), SystemFresh.token());
        assert_eq!(one.expose().len(), 43);
        assert!(one.expose().chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
        assert!(one != two);
        assert!(!format!("{one:?}").contains(one.expose()));
    }
}
