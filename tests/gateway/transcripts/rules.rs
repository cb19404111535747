//! Where a live gateway differs from the recordings, and why.

use std::fs;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::support::fixture;

/// How a place differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// There, with the same JSON type; anything inside.
    Type,
    /// There with the same JSON type, or not there, on either side.
    Optional,
    /// Not there.
    Absent,
    /// There, though the recording does not have it.
    Extra,
    /// A list of which each item looks like one of the recorded items (same JSON type); any number of them.
    Items,
    /// Exactly `value` instead.
    Value,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// Transcripts it is for; a trailing `*` stands for any rest.
    pub(crate) files: Vec<String>,
    /// Where: `res:<id>/…`, `event:<name>/…` or `close/…`; `*` is one segment, a trailing `**` any number.
    pub(crate) paths: Vec<String>,
    pub(crate) kind: Kind,
    /// May be `null`.
    #[serde(default, deserialize_with = "said")]
    pub(crate) value: Option<Value>,
    /// Why it must differ.
    pub(crate) why: String,
}

/// All differences.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rules {
    pub(crate) differences: Vec<Rule>,
}

impl Rules {
    /// Those of `differences.json`.
    pub(crate) fn load() -> Self {
        let text = fs::read_to_string(fixture("transcripts/differences.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The first rule for a place, with its number.
    pub(crate) fn at(&self, file: &str, path: &str) -> Option<(usize, &Rule)> {
        self.differences.iter().enumerate().find(|(_, rule)| {
            rule.files.iter().any(|pattern| file_matches(pattern, file))
                && rule.paths.iter().any(|pattern| path_matches(pattern, path))
        })
    }
}

/// A value that is there, also when it is `null`.
fn said<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(value).map(Some)
}

fn file_matches(pattern: &str, file: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => file.starts_with(start),
        None => file == pattern,
    }
}

pub(crate) fn path_matches(pattern: &str, path: &str) -> bool {
    let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
    loop {
        match (pattern.next(), path.next()) {
            (Some("**"), Some(_)) | (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == "*" || wanted == found => {}
            _ => return false,
        }
    }
}

#[test]
fn patterns_match_segments() {
    for (pattern, path, expected) in [
        ("res:c1/payload/**", "res:c1/payload/a/b", true),
        ("res:c1/payload/**", "res:c1/payload", false),
        ("res:*/a", "res:c1/a", false),
        ("*/a", "res:c1/a", true),
        ("*/a", "res:c1/a/b", false),
    ] {
        assert_eq!(path_matches(pattern, path), expected, "{pattern} {path}");
    }
    assert!(file_matches("a*", "a5-x") && !file_matches("a", "a5-x"));
}
