//! Hides secrets in what is shown, and puts them back into what is written. Pure.
//!
//! A secret shows as [`SENTINEL`]. A text that comes back with the sentinel gets the stored secret of the same path;
//! `${VAR}` references stay visible.

use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ast, parse_to_ast};
use serde_json::Value;

use super::document::{child, parse_options};
use super::substitute::variable;

/// Stands for a secret.
pub const SENTINEL: &str = "__OPENCLAW_REDACTED__";

/// Ends of names whose strings are secrets, in lower case without `_` and `-`.
const SECRET_ENDS: &[&str] = &[
    "token",
    "password",
    "passphrase",
    "secret",
    "apikey",
    "apikeys",
    "credential",
    "credentials",
    "privatekey",
    "encryptkey",
    "signingkey",
    "identitydata",
    "certificatedata",
];
/// Maps whose strings are all secrets.
const SECRET_MAPS: &[&str] = &["headers", "vars", "env", "edgeAuth", "serviceAccount"];

/// True when a string under this name is a secret.
#[must_use]
pub fn is_secret_key(name: &str) -> bool {
    let plain: String = name.chars().filter(|c| *c != '_' && *c != '-').flat_map(char::to_lowercase).collect();
    SECRET_ENDS.iter().any(|end| plain.ends_with(end))
}

/// True when the string `text` at the end of `path` must not be shown.
fn is_secret(path: &[&str], text: &str) -> bool {
    if text.is_empty() || text == SENTINEL {
        return false;
    }
    let name = path.iter().rev().find(|segment| **segment != "[]").copied().unwrap_or("");
    // A reference `{source, provider, id}` names a secret and is none; so are the names of environment sources.
    let in_map = path.len() > 1 && path[..path.len() - 1].iter().any(|segment| SECRET_MAPS.contains(segment));
    let in_auth = path.len() > 1 && path[path.len() - 2] == "auth" && name == "value";
    is_secret_key(name) || in_map || in_auth || text.contains("PRIVATE KEY-----") || has_userinfo(text)
}

/// `scheme://user:password@host`.
fn has_userinfo(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
        authority.rsplit_once('@').is_some_and(|(user, _)| !user.is_empty())
    })
}

/// `value` with its secrets replaced.
#[must_use]
pub fn redact_value(value: &Value) -> Value {
    let mut value = value.clone();
    hide(&mut value, &mut Vec::new());
    value
}

fn hide(value: &mut Value, path: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let segments: Vec<&str> = path.iter().map(String::as_str).collect();
            if is_secret(&segments, text) {
                SENTINEL.clone_into(text);
            }
        }
        Value::Array(items) => {
            path.push("[]".into());
            for item in items {
                hide(item, path);
            }
            path.pop();
        }
        Value::Object(entries) => {
            for (key, value) in entries {
                path.push(key.clone());
                hide(value, path);
                path.pop();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text of a configuration with its secrets replaced; none when it cannot be parsed. Comments that name a secret
/// are replaced as a whole.
#[must_use]
pub fn redact_text(raw: &str) -> Option<String> {
    let collect = CollectOptions { comments: CommentCollectionStrategy::Separate, tokens: false };
    let parsed = parse_to_ast(raw, &collect, &parse_options()).ok()?;
    let mut cuts: Vec<(usize, usize, String)> = Vec::new();
    if let Some(value) = &parsed.value {
        strings(value, "", &mut Vec::new(), &mut |text| {
            let path: Vec<&str> = text.segments.iter().map(String::as_str).collect();
            let whole_reference = variable(text.value).is_some_and(|name| name.len() + 3 == text.value.len());
            if is_secret(&path, text.value) && !whole_reference {
                cuts.push((text.start, text.end, format!("\"{SENTINEL}\"")));
            }
        });
    }
    for comment in parsed.comments.iter().flat_map(|map| map.values()).flat_map(|list| list.iter()) {
        if names_secret(comment.text()) {
            let hidden = match comment {
                ast::Comment::Line(_) => format!("// {SENTINEL}"),
                ast::Comment::Block(_) => format!("/* {SENTINEL} */"),
            };
            cuts.push((comment.start(), comment.end(), hidden));
        }
    }
    replace(raw, cuts)
}

fn names_secret(comment: &str) -> bool {
    let assigned = comment.contains([':', '=']);
    let words = comment.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
    assigned && words.into_iter().any(is_secret_key) || has_userinfo(comment)
}

/// `raw` with each range replaced. Ranges are sorted and made unique first.
fn replace(raw: &str, mut cuts: Vec<(usize, usize, String)>) -> Option<String> {
    cuts.sort();
    cuts.dedup();
    let mut out = String::with_capacity(raw.len());
    let mut done = 0;
    for (start, end, text) in cuts {
        out.push_str(raw.get(done..start)?);
        out.push_str(&text);
        done = end;
    }
    out.push_str(raw.get(done..)?);
    Some(out)
}

/// Why hidden secrets could not be put back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The text is no JSON5; loading it says where.
    #[error("the configuration is not valid JSON5")]
    Unparsable,
    /// The sentinel stands where nothing is stored.
    #[error("{path} holds the placeholder of a hidden secret, but no secret is stored there")]
    Unmatched {
        /// The dotted path.
        path: String,
    },
}

/// `edited` with every sentinel replaced by the string that `stored` has at the same path.
///
/// # Errors
/// When `edited` is not parsable, or a sentinel has no stored counterpart.
pub fn restore_text(edited: &str, stored: &str) -> Result<String, RestoreError> {
    if !edited.contains(SENTINEL) {
        return Ok(edited.to_owned());
    }
    let collect = CollectOptions::default();
    let parsed = parse_to_ast(edited, &collect, &parse_options()).map_err(|_| RestoreError::Unparsable)?;
    let mut known = std::collections::HashMap::new();
    let old = parse_to_ast(stored, &collect, &parse_options()).ok().and_then(|parsed| parsed.value);
    if let Some(value) = &old {
        strings(value, "", &mut Vec::new(), &mut |text| {
            known.insert(text.path.to_owned(), text.value.to_owned());
        });
    }
    let mut cuts = Vec::new();
    let mut unmatched = None;
    if let Some(value) = &parsed.value {
        strings(value, "", &mut Vec::new(), &mut |text| {
            if text.value != SENTINEL {
                return;
            }
            match known.get(text.path) {
                Some(secret) => cuts.push((text.start, text.end, quoted(secret))),
                None => unmatched = Some(text.path.to_owned()),
            }
        });
    }
    match unmatched {
        Some(path) => Err(RestoreError::Unmatched { path }),
        None => replace(edited, cuts).ok_or(RestoreError::Unparsable),
    }
}

/// A JSON string literal.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A string literal with its place.
struct Literal<'a> {
    /// Exact path, elements by number.
    path: &'a str,
    /// The path in the table's spelling.
    segments: &'a [String],
    value: &'a str,
    start: usize,
    end: usize,
}

/// Visits every string value below `value`. The parser bounds the depth.
fn strings(value: &ast::Value<'_>, path: &str, segments: &mut Vec<String>, visit: &mut impl FnMut(Literal<'_>)) {
    match value {
        ast::Value::StringLit(text) => {
            let range = text.range();
            visit(Literal { path, segments, value: &text.value, start: range.start, end: range.end });
        }
        ast::Value::Array(array) => {
            segments.push("[]".into());
            for (index, element) in array.elements.iter().enumerate() {
                strings(element, &child(path, &format!("[{index}]")), segments, visit);
            }
            segments.pop();
        }
        ast::Value::Object(object) => {
            for property in &object.properties {
                let name = property.name.as_str();
                segments.push(name.to_owned());
                strings(&property.value, &child(path, name), segments, visit);
                segments.pop();
            }
        }
        ast::Value::NumberLit(_) | ast::Value::BooleanLit(_) | ast::Value::NullKeyword(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_of_secrets_are_told_from_their_neighbours() {
        for name in ["token", "botToken", "apiKey", "OPENAI_API_KEY", "GATEWAY_TOKEN", "clientSecret", "password"] {
            assert!(is_secret_key(name), "{name}");
        }
        for name in ["maxTokens", "tokenFile", "tokenMode", "key", "keepRecentTokens", "authHeader", "id"] {
            assert!(!is_secret_key(name), "{name}");
        }
    }

    #[test]
    fn values_are_hidden_and_the_rest_stays() {
        let value = json!({
            "gateway": {"auth": {"token": "t0p", "mode": "token"}},
            "models": {"providers": {"x": {"apiKey": "k", "headers": {"X-A": "h"}, "baseUrl": "https://u:p@h/v1",
                "models": [{"id": "m", "maxTokens": 5}]}}},
            "env": {"vars": {"A": "b"}}, "empty": {"token": ""},
        });
        let shown = redact_value(&value);
        assert_eq!(shown["gateway"]["auth"], json!({"token": SENTINEL, "mode": "token"}));
        assert_eq!(shown["models"]["providers"]["x"]["apiKey"], SENTINEL);
        assert_eq!(shown["models"]["providers"]["x"]["headers"]["X-A"], SENTINEL);
        assert_eq!(shown["models"]["providers"]["x"]["baseUrl"], SENTINEL);
        assert_eq!(shown["models"]["providers"]["x"]["models"], json!([{"id": "m", "maxTokens": 5}]));
        assert_eq!(shown["env"]["vars"]["A"], SENTINEL);
        assert_eq!(shown["empty"]["token"], "");
    }

    const RAW: &str = "{\n  // old botToken: '1:x'\n  // harmless\n  gateway: { auth: { token: 'ge\"heim' } }, // end\n  models: { providers: { x: { apiKey: '${KEY}' } } },\n}\n";

    #[test]
    fn text_keeps_its_shape_and_loses_its_secrets() {
        let shown = redact_text(RAW).unwrap();
        assert!(!shown.contains("heim") && !shown.contains("1:x"), "{shown}");
        assert!(shown.contains("// harmless") && shown.contains("// end") && shown.contains("${KEY}"), "{shown}");
    }

    #[test]
    fn a_text_that_went_out_hidden_comes_back_whole() {
        let edited = redact_text(RAW).unwrap().replace("// harmless", "logging: { level: 'debug' },");
        let back = restore_text(&edited, RAW).unwrap();
        assert!(back.contains(r#"token: "ge\"heim""#), "{back}");
        assert!(back.contains("level: 'debug'"));
    }

    #[test]
    fn a_sentinel_without_counterpart_is_refused() {
        let edited = format!("{{ a: {{ token: '{SENTINEL}' }} }}");
        assert_eq!(restore_text(&edited, RAW), Err(RestoreError::Unmatched { path: "a.token".into() }));
        assert_eq!(restore_text(&format!("{{ '{SENTINEL}'"), RAW), Err(RestoreError::Unparsable));
    }
}
