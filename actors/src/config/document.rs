//! A parsed configuration file: values that remember where they were written.
//!
//! The parser accepts JSON5 as OpenClaw does (comments, trailing commas, bare keys, single quotes, hexadecimal, `+1`,
//! `.5`), but no missing commas. Depth is bounded, so that no text can exhaust the stack.

use std::path::{Path, PathBuf};

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::issue::ConfigIssue;

/// Deepest nesting accepted. The parser itself stops at 512 levels; no known key lies deeper than 14.
pub(super) const MAX_DEPTH: usize = 64;

/// Where a value was written: a file of [`Files`] and a byte offset in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) file: usize,
    pub(super) offset: usize,
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Origin,
    pub(super) data: Data,
}

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    /// A string naming an environment variable that is not set. Counts as absent.
    Unresolved(String),
    Array(Vec<Node>),
    Object(Vec<Entry>),
}

/// One property of an object.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Origin,
    pub(super) value: Node,
}

impl Node {
    /// An empty object at the start of the first file.
    pub(super) fn empty() -> Self {
        Self { at: Origin { file: 0, offset: 0 }, data: Data::Object(Vec::new()) }
    }

    /// The property `key`, when this is an object that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The properties; none when this is no object.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.data {
            Data::Object(entries) => entries,
            Data::Null | Data::Bool(_) | Data::Number(_) | Data::Text(_) | Data::Unresolved(_) | Data::Array(_) => &[],
        }
    }

    /// What kind of value this is, in words for an issue.
    pub(super) fn kind(&self) -> &'static str {
        match &self.data {
            Data::Null => "null",
            Data::Bool(_) => "a boolean",
            Data::Number(_) => "a number",
            Data::Text(_) | Data::Unresolved(_) => "a string",
            Data::Array(_) => "an array",
            Data::Object(_) => "an object",
        }
    }

    /// The value as JSON. Unresolved strings keep their text.
    pub(super) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Number(value) => Value::Number(value.clone()),
            Data::Text(text) | Data::Unresolved(text) => Value::String(text.clone()),
            Data::Array(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Data::Object(entries) => {
                Value::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect())
            }
        }
    }
}

/// The files that were read, for issues and for the watcher.
#[derive(Debug, Default)]
pub(super) struct Files(Vec<SourceFile>);

#[derive(Debug)]
struct SourceFile {
    path: PathBuf,
    text: String,
}

impl Files {
    /// Adds a file; its text has no byte order mark.
    pub(super) fn add(&mut self, path: PathBuf, text: String) -> usize {
        self.0.push(SourceFile { path, text });
        self.0.len() - 1
    }

    /// The paths, the main file first.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.0.iter().map(|file| file.path.clone()).collect()
    }

    /// All text, for a fingerprint.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|file| file.text.as_str())
    }

    /// The path of one file.
    pub(super) fn path(&self, file: usize) -> &Path {
        self.0.get(file).map_or(Path::new(""), |file| &file.path)
    }

    /// Line and column of `at`, both from 1; columns count characters.
    pub(super) fn position(&self, at: Origin) -> (usize, usize) {
        self.0.get(at.file).map_or((1, 1), |file| position(&file.text, at.offset))
    }

    /// An issue at `at`.
    pub(super) fn issue(
        &self,
        at: Origin,
        path: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> ConfigIssue {
        let (line, column) = self.position(at);
        ConfigIssue {
            file: self.path(at.file).to_path_buf(),
            line,
            column,
            path: path.into(),
            found: found.into(),
            expected: expected.into(),
            suggestion: None,
        }
    }
}

/// Line and column of a byte offset, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// How files are parsed, here and by the editor.
pub(super) fn parse_options() -> ParseOptions {
    ParseOptions { allow_missing_commas: false, ..ParseOptions::default() }
}

/// Parses the text of `files[file]`. Issues (a syntax error ends the parse) and warnings (a key given twice) are added.
/// Nothing comes back when the text is no value at all.
pub(super) fn parse(
    files: &Files,
    file: usize,
    issues: &mut Vec<ConfigIssue>,
    warnings: &mut Vec<String>,
) -> Option<Node> {
    let text = files.0.get(file).map_or("", |source| source.text.as_str());
    let start = Origin { file, offset: 0 };
    match parse_to_ast(text, &CollectOptions::default(), &parse_options()) {
        Ok(result) => match result.value {
            Some(value) => Converter { files, file, issues, warnings }.convert(value, &mut Vec::new()),
            None => {
                let mut issue = files.issue(start, "", "no value in the file", "an object");
                issue.suggestion = Some("`{}` is the smallest configuration; removing the file means defaults".into());
                issues.push(issue);
                None
            }
        },
        Err(error) => {
            let at = Origin { file, offset: error.range().start };
            let kind = lower_first(&error.kind().to_string());
            issues.push(match kind.strip_prefix("expected ") {
                Some(expected) => files.issue(at, "", "syntax error", expected),
                None => files.issue(at, "", format!("syntax error, {kind}"), "JSON5"),
            });
            None
        }
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

struct Converter<'a> {
    files: &'a Files,
    file: usize,
    issues: &'a mut Vec<ConfigIssue>,
    warnings: &'a mut Vec<String>,
}

impl Converter<'_> {
    fn convert(&mut self, value: ast::Value<'_>, path: &mut Vec<String>) -> Option<Node> {
        let at = Origin { file: self.file, offset: value.range().start };
        if path.len() > MAX_DEPTH {
            let found = format!("nesting deeper than {MAX_DEPTH} levels");
            self.issues.push(self.files.issue(at, "", found, "a shallower structure"));
            return None;
        }
        let data = match value {
            ast::Value::NullKeyword(_) => Data::Null,
            ast::Value::BooleanLit(literal) => Data::Bool(literal.value),
            ast::Value::StringLit(literal) => Data::Text(literal.value.into_owned()),
            ast::Value::NumberLit(literal) => match number(literal.value) {
                Some(number) => Data::Number(number),
                None => {
                    self.issues.push(self.files.issue(at, join(path), "not a finite number", "a finite number"));
                    return None;
                }
            },
            ast::Value::Array(array) => {
                let mut items = Vec::with_capacity(array.elements.len());
                for element in array.elements {
                    path.push("[]".into());
                    items.extend(self.convert(element, path));
                    path.pop();
                }
                Data::Array(items)
            }
            ast::Value::Object(object) => Data::Object(self.entries(object, path)),
        };
        Some(Node { at, data })
    }

    fn entries(&mut self, object: ast::Object<'_>, path: &mut Vec<String>) -> Vec<Entry> {
        let mut index = std::collections::HashMap::new();
        let mut entries: Vec<Entry> = Vec::with_capacity(object.properties.len());
        for property in object.properties {
            let at = Origin { file: self.file, offset: property.name.range().start };
            let key = property.name.into_string();
            path.push(key.clone());
            if let Some(value) = self.convert(property.value, path) {
                if let Some(earlier) = index.get(&key).copied() {
                    let (line, column) = self.files.position(at);
                    let file = self.files.path(self.file).display();
                    self.warnings
                        .push(format!("{file}:{line}:{column} {}: given twice, the last one counts", join(path)));
                    entries[earlier] = Entry { key, at, value };
                } else {
                    index.insert(key.clone(), entries.len());
                    entries.push(Entry { key, at, value });
                }
            }
            path.pop();
        }
        entries
    }
}

/// Segments as a dotted path: `models.providers.x.models[].id`.
fn join(segments: &[String]) -> String {
    segments.iter().fold(String::new(), |path, segment| child(&path, segment))
}

/// `path` one level deeper.
pub(super) fn child(path: &str, segment: &str) -> String {
    if path.is_empty() || segment.starts_with('[') { format!("{path}{segment}") } else { format!("{path}.{segment}") }
}

/// A JSON5 number; none when it is not finite.
fn number(literal: &str) -> Option<serde_json::Number> {
    let (negative, digits) = match literal.as_bytes().first() {
        Some(b'-') => (true, &literal[1..]),
        Some(b'+') => (false, &literal[1..]),
        Some(_) | None => (false, literal),
    };
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        let value = u64::from_str_radix(hex, 16).ok()?;
        return if negative { i64::try_from(value).ok().map(|value| (-value).into()) } else { Some(value.into()) };
    }
    let signed = if negative { format!("-{digits}") } else { digits.to_owned() };
    if let Ok(value) = signed.parse::<i64>() {
        return Some(value.into());
    }
    if let Ok(value) = signed.parse::<u64>() {
        return Some(value.into());
    }
    serde_json::Number::from_f64(signed.parse::<f64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<serde_json::Value, Box<ConfigIssue>> {
        let mut files = Files::default();
        files.add("c.json".into(), text.into());
        let (mut issues, mut warnings) = (Vec::new(), Vec::new());
        let node = parse(&files, 0, &mut issues, &mut warnings);
        match issues.into_iter().next() {
            Some(issue) => Err(Box::new(issue)),
            None => Ok(node.unwrap().to_json()),
        }
    }

    #[test]
    fn json5_is_read() {
        let value = parsed("// c\n{a: 'x', \"b\": [0x1F, +2, .5, 5., -1e3,], c: null, /* d */ d: true,}").unwrap();
        assert_eq!(value, serde_json::json!({"a": "x", "b": [31, 2, 0.5, 5.0, -1000.0], "c": null, "d": true}));
    }

    #[test]
    fn syntax_errors_carry_line_and_column() {
        for (text, line, column) in [
            ("{\n  a: 1\n  b: 2\n}", 2, 7),
            ("{\n  a: ,\n}", 2, 6),
            ("{ \"ä\": tru }", 1, 8),
            ("{", 1, 1),
            ("{ a: NaN }", 1, 6),
        ] {
            let issue = parsed(text).unwrap_err();
            assert_eq!((issue.line, issue.column), (line, column), "{text:?}: {issue}");
        }
    }

    #[test]
    fn nothing_but_comments_is_refused() {
        assert!(parsed("// only this").unwrap_err().found.contains("no value"));
        assert!(parsed("").is_err());
    }

    #[test]
    fn depth_is_bounded() {
        for open in ["[", "{a:"] {
            assert!(parsed(&open.repeat(100_000)).is_err());
        }
        let levels = 200;
        let text = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parsed(&text).unwrap_err().found.contains("nesting"));
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        assert_eq!(parsed("{a: 1, a: 2}").unwrap(), serde_json::json!({"a": 2}));
    }
}
