//! Takes out of a text what looks like a credential: another session's transcript may hold some.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What stands in place of a credential.
const HIDDEN: &str = "[redacted]";

/// Shapes of credentials. A group named `keep` stays.
const SHAPES: &[&str] = &[
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
    r"\b(?:sk|rk|pk)-[A-Za-z0-9_-]{16,}",
    r"\b(?:ghp|gho|ghu|ghs|ghr|github_pat|glpat|xox[abeoprs])[_-][A-Za-z0-9_-]{16,}",
    r"\bAKIA[0-9A-Z]{16}\b",
    r"\bAIza[A-Za-z0-9_-]{30,}",
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    r"\b[0-9]{8,10}:[A-Za-z0-9_-]{35}\b",
    r"(?i)(?P<keep>\bbearer\s+)[A-Za-z0-9._~+/=-]{16,}",
    r#"(?i)(?P<keep>\b(?:api[_-]?key|access[_-]?key|secret|password|passwd|auth[_-]?token|access[_-]?token|token)["']?\s*[:=]\s*["']?)[^\s"',;]{8,}"#,
];

static CREDENTIALS: LazyLock<Vec<Regex>> =
    LazyLock::new(|| SHAPES.iter().filter_map(|shape| Regex::new(shape).ok()).collect());

/// `text` without credentials.
pub(super) fn redact(text: &str) -> String {
    CREDENTIALS.iter().fold(text.to_owned(), |text, shape| {
        let hide = |found: &Captures<'_>| {
            let keep = found.name("keep").map_or("", |keep| keep.as_str());
            format!("{keep}{HIDDEN}")
        };
        match shape.replace_all(&text, hide) {
            std::borrow::Cow::Borrowed(_) => text,
            std::borrow::Cow::Owned(changed) => changed,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_a_pattern() {
        assert_eq!(CREDENTIALS.len(), SHAPES.len());
    }

    #[test]
    fn credentials_go_and_words_stay() {
        for (text, expected) in [
            ("key sk-abcdefghijklmnop1234 end", "key [redacted] end"),
            ("Authorization: Bearer abcdefghijklmnop.qrst", "Authorization: Bearer [redacted]"),
            ("password = \"hunter2hunter2\"", "password = \"[redacted]\""),
            ("apiKey: 'abcdefgh12345678'", "apiKey: '[redacted]'"),
            ("123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0", "[redacted]"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nafter", "[redacted]\nafter"),
            ("the token is short and the secret of success", "the token is short and the secret of success"),
        ] {
            assert_eq!(redact(text), expected, "{text}");
        }
    }
}
