//! Reads values of a section; what is out of range becomes an issue with its place.
//!
//! A value of the wrong type reads as absent: the check before has already reported it.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::config::document::{Data, Files, Node, Origin, child};
use crate::config::issue::ConfigIssue;
use crate::config::load::{LoadSources, expand_home};
use crate::config::substitute::EnvVars;
use crate::secret::Secret;

/// Largest secret file that is read.
const MAX_SECRET_FILE: u64 = 64 * 1024;

/// What all sections read from and report to.
pub(super) struct Context<'a> {
    root: &'a Node,
    files: &'a Files,
    pub(super) env: &'a EnvVars,
    sources: &'a LoadSources,
    issues: RefCell<Vec<ConfigIssue>>,
    warnings: RefCell<Vec<String>>,
}

impl<'a> Context<'a> {
    pub(super) fn new(root: &'a Node, files: &'a Files, env: &'a EnvVars, sources: &'a LoadSources) -> Self {
        Self { root, files, env, sources, issues: RefCell::default(), warnings: RefCell::default() }
    }

    pub(super) fn finish(self, issues: &mut Vec<ConfigIssue>, warnings: &mut Vec<String>) {
        issues.extend(self.issues.into_inner());
        warnings.extend(self.warnings.into_inner());
    }

    fn home(&self) -> Option<&Path> {
        self.env.get("HOME").map(Path::new)
    }
}

/// A section, an entry of a map, or nothing (everything in it is then absent).
#[derive(Clone)]
pub(super) struct Section<'a> {
    node: Option<&'a Node>,
    /// Where it is written; the nearest thing around it when it is absent.
    at: Origin,
    /// Dotted path.
    pub(super) path: String,
    pub(super) cx: &'a Context<'a>,
}

impl<'a> Section<'a> {
    pub(super) fn root(cx: &'a Context<'a>) -> Self {
        Self { node: Some(cx.root), at: cx.root.at, path: String::new(), cx }
    }

    /// The section `key` below this one.
    pub(super) fn section(&self, key: &str) -> Section<'a> {
        let node = self.node.and_then(|node| node.get(key));
        Section { node, at: node.map_or(self.at, |node| node.at), path: child(&self.path, key), cx: self.cx }
    }

    /// True when something is written here.
    pub(super) fn exists(&self) -> bool {
        self.node.is_some_and(|node| !matches!(node.data, Data::Unresolved(_)))
    }

    /// Entries of a map, as authored.
    pub(super) fn map(&self, key: &str) -> Vec<(String, Section<'a>)> {
        let section = self.section(key);
        let entries = section.node.map_or(&[][..], Node::entries);
        entries.iter().map(|entry| (entry.key.clone(), section.section(&entry.key))).collect()
    }

    /// Elements of a list.
    pub(super) fn list(&self, key: &str) -> Vec<Section<'a>> {
        let path = child(&child(&self.path, key), "[]");
        match self.node.and_then(|node| node.get(key)).map(|node| &node.data) {
            Some(Data::Array(items)) => {
                let section =
                    |item: &'a Node| Section { node: Some(item), at: item.at, path: path.clone(), cx: self.cx };
                items.iter().map(section).collect()
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// Reports what is wrong here.
    pub(super) fn refuse(&self, found: impl Into<String>, expected: impl Into<String>) {
        self.refuse_with(found, expected, None);
    }

    /// Reports what is wrong here and what to write instead.
    pub(super) fn refuse_with(&self, found: impl Into<String>, expected: impl Into<String>, suggestion: Option<&str>) {
        let mut issue = self.cx.files.issue(self.at, self.path.clone(), found, expected);
        issue.suggestion = suggestion.map(str::to_owned);
        self.cx.issues.borrow_mut().push(issue);
    }

    /// Adds a warning about this key.
    pub(super) fn warn(&self, text: impl std::fmt::Display) {
        self.cx.warnings.borrow_mut().push(format!("{}: {text}", self.path));
    }

    /// This value itself as text.
    pub(super) fn own_text(&self) -> Option<&'a str> {
        match self.node.map(|node| &node.data) {
            Some(Data::Text(text)) => Some(text),
            Some(_) | None => None,
        }
    }

    /// This value itself as text, numbers written out.
    pub(super) fn own_text_or_number(&self) -> Option<String> {
        match self.node.map(|node| &node.data) {
            Some(Data::Text(text)) => Some(text.clone()),
            Some(Data::Number(number)) => Some(number.to_string()),
            Some(_) | None => None,
        }
    }

    /// A string; the empty one counts as absent.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.section(key).own_text().filter(|text| !text.trim().is_empty()).map(str::to_owned)
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        match self.section(key).node.map(|node| &node.data) {
            Some(Data::Bool(value)) => Some(*value),
            Some(_) | None => None,
        }
    }

    /// An integer in `range`.
    pub(super) fn integer(&self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let section = self.section(key);
        let Some(Data::Number(number)) = section.node.map(|node| &node.data) else { return None };
        let value = whole(number);
        if value.is_none_or(|value| !range.contains(&value)) {
            section.refuse(number.to_string(), format!("an integer from {} to {}", range.start(), range.end()));
            return None;
        }
        value
    }

    /// A number that is not negative.
    pub(super) fn amount(&self, key: &str) -> Option<f64> {
        let section = self.section(key);
        let Some(Data::Number(number)) = section.node.map(|node| &node.data) else { return None };
        let value = number.as_f64().filter(|value| *value >= 0.0);
        if value.is_none() {
            section.refuse(number.to_string(), "a number from 0");
        }
        value
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let section = self.section(key);
        let text = section.own_text()?;
        choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
    }

    /// A path: `~` is the home directory, relative ones start at the configuration's folder.
    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        let path = expand_home(&self.text(key)?, self.cx.home());
        let folder = self.cx.sources.config_path.parent().unwrap_or(Path::new("."));
        Some(folder.join(path))
    }

    /// An `http` or `https` address without a trailing slash.
    pub(super) fn address(&self, key: &str) -> Option<String> {
        let text = self.text(key)?;
        let valid = reqwest::Url::parse(&text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty())
        });
        if !valid {
            self.section(key).refuse("no address", "an address starting with http:// or https://");
            return None;
        }
        Some(text.trim_end_matches('/').to_owned())
    }

    /// Strings of a list; numbers are written out.
    pub(super) fn texts(&self, key: &str) -> Option<Vec<String>> {
        if !matches!(self.section(key).node.map(|node| &node.data), Some(Data::Array(_))) {
            return None;
        }
        Some(self.list(key).iter().filter_map(Section::own_text_or_number).collect())
    }

    /// A secret: a string, or a reference `{source, provider, id}`.
    pub(super) fn secret(&self, key: &str) -> Option<Secret> {
        self.section(key).own_secret()
    }

    /// This value itself as a secret.
    pub(super) fn own_secret(&self) -> Option<Secret> {
        let node = self.node?;
        match &node.data {
            Data::Text(text) if !text.is_empty() => {
                if text == crate::config::redact::SENTINEL {
                    self.refuse("the placeholder of a hidden secret", "the secret itself");
                    return None;
                }
                Some(Secret::new(text.as_str()))
            }
            Data::Object(_) => self.referenced_secret(),
            Data::Text(_) | Data::Null | Data::Bool(_) | Data::Number(_) | Data::Unresolved(_) | Data::Array(_) => None,
        }
    }

    fn referenced_secret(&self) -> Option<Secret> {
        let source = self.text("source")?;
        let id = self.text("id")?;
        if source != "env" {
            self.warn(format_args!("secrets of source \"{source}\" are not implemented, the value counts as absent"));
            return None;
        }
        let provider = self.text("provider").unwrap_or_else(|| "default".into());
        let provider = Section::root(self.cx).section("secrets").section("providers").section(&provider);
        if provider.texts("allowlist").is_some_and(|allowed| !allowed.contains(&id)) {
            self.warn(format_args!("{id} is not in the allowlist of {}, the value counts as absent", provider.path));
            return None;
        }
        let value = self.cx.env.get(&id).map(Secret::new);
        if value.is_none() {
            self.warn(format_args!("{id} not set, the value counts as absent"));
        }
        value
    }

    /// The content of the file named by `key`, trimmed. It must be a regular file, not a link. What is wrong with it
    /// is a warning: only the owner of the secret goes without.
    pub(super) fn secret_file(&self, key: &str) -> Option<Secret> {
        let path = self.path(key)?;
        let section = self.section(key);
        let problem = match std::fs::symlink_metadata(&path) {
            Ok(meta) if !meta.is_file() => "not a regular file".to_owned(),
            Ok(meta) if meta.len() > MAX_SECRET_FILE => "too large".to_owned(),
            Ok(_) => match std::fs::read_to_string(&path) {
                Ok(text) if !text.trim().is_empty() => return Some(Secret::new(text.trim())),
                Ok(_) => "empty".to_owned(),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        section.warn(format_args!("{}: {problem}, the secret counts as absent", path.display()));
        None
    }
}

/// The number as an unsigned integer, also when it is written as `1e3` or `5.`.
fn whole(number: &serde_json::Number) -> Option<u64> {
    number.as_u64().or_else(|| {
        let value = number.as_f64().filter(|n| n.fract() == 0.0 && (0.0..9.007_199_254_740_992e15).contains(n))?;
        format!("{value:.0}").parse().ok()
    })
}
