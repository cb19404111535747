//! `${VAR}` in string values, and the environment it is read from.
//!
//! A variable that is missing or empty leaves its string as written; the value then counts as absent and one warning
//! says so. `$${VAR}` is a literal `${VAR}`. Keys are never substituted.

use std::collections::BTreeMap;
use std::fmt;

use super::document::{Data, Files, Node, child};

/// Variables by name: the process environment first, then `.env` of the state directory, then `env.vars` of the
/// configuration. `Debug` shows how many, never their values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EnvVars(BTreeMap<String, String>);

impl EnvVars {
    /// Wraps the process environment.
    #[must_use]
    pub fn new(process: BTreeMap<String, String>) -> Self {
        Self(process)
    }

    /// The value of `name`, unless it is missing or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Names that start with `prefix`, in order.
    pub fn names_with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.keys().map(String::as_str).filter(move |name| name.starts_with(prefix))
    }

    /// Adds what is not there yet (or empty).
    pub(super) fn add_missing(&mut self, name: String, value: String) {
        if self.get(&name).is_none() {
            self.0.insert(name, value);
        }
    }

    /// Adds the `NAME=value` lines of a `.env` file that are not set yet. Lines that are none are passed over.
    pub(super) fn add_dotenv(&mut self, text: &str) {
        for line in text.lines() {
            let line = line.trim();
            let line = line.strip_prefix("export ").unwrap_or(line);
            let Some((name, value)) = line.split_once('=') else { continue };
            let (name, value) = (name.trim(), value.trim());
            if is_name(name) {
                self.add_missing(name.to_owned(), unquote(value));
            }
        }
    }
}

impl fmt::Debug for EnvVars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnvVars({} variables)", self.0.len())
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A value without its quotes; an unquoted one ends before ` #`.
fn unquote(value: &str) -> String {
    if let Some(inner) = value.strip_prefix('\'').and_then(|rest| rest.split('\'').next()) {
        return inner.to_owned();
    }
    if let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.split('"').next()) {
        return inner.replace("\\n", "\n");
    }
    value.split(" #").next().unwrap_or("").trim_end().to_owned()
}

/// Replaces variables in all strings below `node`, in place.
pub(super) fn substitute(node: &mut Node, env: &EnvVars, files: &Files, warnings: &mut Vec<String>) {
    walk(node, "", env, files, warnings);
}

fn walk(node: &mut Node, path: &str, env: &EnvVars, files: &Files, warnings: &mut Vec<String>) {
    let at = node.at;
    match &mut node.data {
        Data::Text(text) if text.contains("${") => match expand(text, env) {
            Ok(value) => *text = value,
            Err(missing) => {
                let (line, column) = files.position(at);
                let file = files.path(at.file).display();
                let names = missing.join(", ");
                warnings.push(format!("{file}:{line}:{column} {path}: {names} not set, the value counts as absent"));
                node.data = Data::Unresolved(std::mem::take(text));
            }
        },
        Data::Array(items) => {
            let path = child(path, "[]");
            for item in items {
                walk(item, &path, env, files, warnings);
            }
        }
        Data::Object(entries) => {
            for entry in entries {
                let path = child(path, &entry.key);
                walk(&mut entry.value, &path, env, files, warnings);
            }
        }
        Data::Null | Data::Bool(_) | Data::Number(_) | Data::Text(_) | Data::Unresolved(_) => {}
    }
}

/// The text with its variables filled in, or the names that are missing.
fn expand(text: &str, env: &EnvVars) -> Result<String, Vec<String>> {
    let mut out = String::with_capacity(text.len());
    let mut missing = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        let Some(name) = variable(from) else {
            out.push_str(before);
            out.push_str("${");
            rest = &from[2..];
            continue;
        };
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str(&from[..name.len() + 3]);
        } else {
            out.push_str(before);
            match env.get(name) {
                Some(value) => out.push_str(value),
                None => missing.push(name.to_owned()),
            }
        }
        rest = &from[name.len() + 3..];
    }
    out.push_str(rest);
    if missing.is_empty() { Ok(out) } else { Err(missing) }
}

/// `NAME` when `text` starts with `${NAME}`: upper case letters, digits and underscores, no digit first.
pub(super) fn variable(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("${")?;
    let name = &inner[..inner.find('}')?];
    let first = name.chars().next()?;
    let shape = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    (!first.is_ascii_digit() && name.chars().all(shape)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> EnvVars {
        let mut env = EnvVars::default();
        env.add_dotenv("# note\nexport A=one\nB = \"two # kept\"\nC='three'\nEMPTY=\nD=four # cut\nnot a line\n1X=no");
        env
    }

    #[test]
    fn dotenv_lines_are_read() {
        let env = env();
        let got: Vec<_> = ["A", "B", "C", "D", "EMPTY", "1X"].into_iter().map(|name| env.get(name)).collect();
        assert_eq!(got, [Some("one"), Some("two # kept"), Some("three"), Some("four"), None, None]);
    }

    #[test]
    fn variables_are_replaced() {
        for (text, want) in [
            ("${A}", "one"),
            ("x${A}-${C}y", "xone-threey"),
            ("$${A}", "${A}"),
            ("$$${A}", "$${A}"),
            ("${a} ${A b} ${ ${A}", "${a} ${A b} ${ one"),
            ("${", "${"),
            ("${}", "${}"),
            ("ä${A}ö", "äoneö"),
        ] {
            assert_eq!(expand(text, &env()).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn a_missing_or_empty_variable_is_named() {
        assert_eq!(expand("${NO}${EMPTY}${A}", &env()), Err(vec!["NO".to_owned(), "EMPTY".to_owned()]));
    }

    #[test]
    fn the_first_source_wins_and_debug_shows_no_value() {
        let mut env = env();
        env.add_missing("A".into(), "other".into());
        assert_eq!(env.get("A"), Some("one"));
        assert!(!format!("{env:?}").contains("one"));
    }
}
