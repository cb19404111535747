//! Checks a document against the known keys.
//!
//! A section that is implemented is strict: unknown keys and wrong types are refused (ranges and meaning are checked
//! where the section is read, in `schema`). Elsewhere only the names are checked; such keys are kept as they are and
//! named in one warning. A key nobody knows is always refused, with the nearest one that is known.

use super::document::{Data, Files, Node, child};
use super::issue::ConfigIssue;
use super::known::{KNOWN, KeyId, KnownKeys, closest};
use super::redact::is_secret_key;

/// Sections whose values are checked.
const STRICT: &[&str] = &["gateway", "agents", "models", "session", "logging", "channels.telegram"];
/// How many unimplemented keys the warning names.
const NAMED: usize = 40;

/// All issues of `root`; the one warning about keys that are not implemented is added to `warnings`.
pub(super) fn validate(root: &Node, files: &Files, warnings: &mut Vec<String>) -> Vec<ConfigIssue> {
    let mut validator = Validator { keys: &KNOWN, files, issues: Vec::new(), idle: Vec::new() };
    validator.walk(root, KnownKeys::ROOT, &Place { path: "", strict: false, idle: false });
    if !validator.idle.is_empty() {
        let rest = validator.idle.len().saturating_sub(NAMED);
        validator.idle.truncate(NAMED);
        let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        let names = validator.idle.join(", ");
        warnings.push(format!("known but not implemented here, kept and without effect: {names}{more}"));
    }
    validator.issues
}

struct Validator<'a> {
    keys: &'a KnownKeys,
    files: &'a Files,
    issues: Vec<ConfigIssue>,
    /// Keys that have no effect here.
    idle: Vec<String>,
}

struct Place<'a> {
    path: &'a str,
    strict: bool,
    /// True below a key that is already named as without effect.
    idle: bool,
}

impl Validator<'_> {
    fn walk(&mut self, node: &Node, key: KeyId, place: &Place<'_>) {
        if self.keys.takes(key, 'a') {
            return;
        }
        match &node.data {
            Data::Object(_) if self.keys.takes_object(key) => self.properties(node, key, place),
            Data::Object(_) => self.maybe_reference(node, key, place),
            Data::Array(items) => match self.keys.element(key) {
                Some(element) => {
                    let path = child(place.path, "[]");
                    for item in items {
                        self.walk(item, element, &Place { path: &path, ..*place });
                    }
                }
                None if self.keys.takes(key, 'A') => {}
                None => self.wrong_kind(node, key, place.path),
            },
            Data::Unresolved(_) => {}
            Data::Text(text) if place.strict => self.text(text, node, key, place.path),
            Data::Number(number) if place.strict => {
                let integral = number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|n| n.fract() == 0.0);
                if !(self.keys.takes(key, 'n') || integral && self.keys.takes(key, 'i')) {
                    self.wrong_kind(node, key, place.path);
                }
            }
            Data::Bool(value) if place.strict => {
                let word = if *value { 't' } else { 'f' };
                if !(self.keys.takes(key, 'b') || self.keys.takes(key, word)) {
                    self.wrong_kind(node, key, place.path);
                }
            }
            Data::Null if place.strict && !self.keys.takes(key, '0') => self.wrong_kind(node, key, place.path),
            Data::Text(_) | Data::Number(_) | Data::Bool(_) | Data::Null => {}
        }
    }

    fn properties(&mut self, node: &Node, key: KeyId, place: &Place<'_>) {
        for entry in node.entries() {
            let path = child(place.path, &entry.key);
            let Some(below) = self.keys.below(key, &entry.key) else {
                let mut issue = self.files.issue(entry.at, path, "unknown key", "a known key");
                let nearest = self.keys.nearest(key, &entry.key, place.path);
                issue.suggestion = nearest.map(|near| format!("did you mean `{near}`?"));
                self.issues.push(issue);
                continue;
            };
            let idle = place.idle || !self.keys.is_used(below);
            if idle && !place.idle {
                self.idle.push(path.clone());
            }
            let strict = place.strict || STRICT.contains(&path.as_str());
            self.walk(&entry.value, below, &Place { path: &path, strict, idle });
        }
    }

    /// An object where a string is due: a reference to a secret, or wrong.
    fn maybe_reference(&mut self, node: &Node, key: KeyId, place: &Place<'_>) {
        let name = place.path.rsplit('.').next().unwrap_or("");
        let secret = is_secret_key(name) || place.path.contains(".headers.");
        let shaped = node.get("source").is_some() && node.get("id").is_some();
        if !shaped || (place.strict && !secret) || !self.keys.takes(key, 's') {
            self.wrong_kind(node, key, place.path);
            return;
        }
        for entry in node.entries() {
            let path = child(place.path, &entry.key);
            if !["source", "provider", "id"].contains(&entry.key.as_str()) {
                self.issues.push(self.files.issue(entry.at, path, "unknown key", "source, provider or id"));
            } else if !matches!(entry.value.data, Data::Text(_) | Data::Unresolved(_)) {
                self.issues.push(self.files.issue(entry.value.at, path, entry.value.kind(), "a string"));
            }
        }
        if let Some(Data::Text(source)) = node.get("source").map(|source| &source.data)
            && !["env", "file", "exec", "store"].contains(&source.as_str())
        {
            let path = child(place.path, "source");
            self.issues.push(self.files.issue(
                node.at,
                path,
                "another source",
                "\"env\", \"file\", \"exec\" or \"store\"",
            ));
        }
    }

    fn text(&mut self, text: &str, node: &Node, key: KeyId, path: &str) {
        let words = self.keys.words(key);
        if self.keys.takes(key, 's') || words.contains(&text) {
            return;
        }
        if words.is_empty() {
            self.wrong_kind(node, key, path);
            return;
        }
        let shown: String = text.chars().take(40).collect();
        let mut issue = self.files.issue(node.at, path, format!("{shown:?}"), self.keys.expected(key));
        issue.suggestion = closest(text, words.iter().copied()).map(|near| format!("did you mean \"{near}\"?"));
        self.issues.push(issue);
    }

    fn wrong_kind(&mut self, node: &Node, key: KeyId, path: &str) {
        self.issues.push(self.files.issue(node.at, path, node.kind(), self.keys.expected(key)));
    }
}
