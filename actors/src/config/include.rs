//! `$include`: an object replaced by what other files say.
//!
//! One file replaces the object; several are merged in order (objects recursively, arrays joined, scalars: the later
//! wins); keys beside `$include` come last. Included files lie under the configuration's own folder or under one of
//! `OPENCLAW_INCLUDE_ROOTS`, after symbolic links are followed.

use std::path::{Path, PathBuf};

use super::document::{Data, Entry, Files, Node, Origin, child, parse};
use super::issue::ConfigIssue;
use super::load::{ReadError, read_text};

/// How deep includes may nest (OpenClaw: 10).
const MAX_INCLUDE_DEPTH: usize = 10;
/// How many files one configuration may consist of. Bounds what nested includes can multiply to.
const MAX_FILES: usize = 128;
/// Longest path in an `$include`, before and after it is resolved (OpenClaw: 4096).
const MAX_PATH: usize = 4096;

/// Resolves includes of one configuration.
pub(super) struct Includer<'a> {
    files: &'a mut Files,
    issues: &'a mut Vec<ConfigIssue>,
    warnings: &'a mut Vec<String>,
    /// Folders that included files may lie in, canonical.
    roots: Vec<PathBuf>,
    /// Files being included at this point, canonical, outermost first.
    chain: Vec<PathBuf>,
    read: usize,
}

impl<'a> Includer<'a> {
    /// For the configuration `main` (canonical), with further folders from `OPENCLAW_INCLUDE_ROOTS`.
    pub(super) fn new(
        main: &Path,
        extra_roots: &str,
        files: &'a mut Files,
        issues: &'a mut Vec<ConfigIssue>,
        warnings: &'a mut Vec<String>,
    ) -> Self {
        let separators: &[char] = if cfg!(windows) { &[';'] } else { &[':', ';'] };
        let extra = extra_roots.split(separators).filter(|root| !root.is_empty());
        let roots = main
            .parent()
            .map(Path::to_path_buf)
            .into_iter()
            .chain(extra.filter_map(|root| std::fs::canonicalize(root).ok()))
            .collect();
        Self { files, issues, warnings, roots, chain: vec![main.to_path_buf()], read: 0 }
    }

    /// Resolves every include below `node`, in place.
    pub(super) fn resolve(&mut self, node: &mut Node, path: &str) {
        match &mut node.data {
            Data::Array(items) => {
                let path = child(path, "[]");
                for item in items {
                    self.resolve(item, &path);
                }
            }
            Data::Object(entries) => {
                let include = entries.iter().position(|entry| entry.key == "$include").map(|at| entries.remove(at));
                for entry in entries.iter_mut() {
                    let path = child(path, &entry.key);
                    self.resolve(&mut entry.value, &path);
                }
                if let Some(include) = include {
                    let siblings = std::mem::take(entries);
                    let mut merged = self.included(&include, path);
                    if !siblings.is_empty() {
                        let siblings = Node { at: node.at, data: Data::Object(siblings) };
                        merged = Some(merged.map_or_else(|| siblings.clone(), |base| merge(base, siblings.clone())));
                    }
                    if let Some(merged) = merged {
                        *node = merged;
                    }
                }
            }
            Data::Null | Data::Bool(_) | Data::Number(_) | Data::Text(_) | Data::Unresolved(_) => {}
        }
    }

    fn included(&mut self, include: &Entry, path: &str) -> Option<Node> {
        let targets: Vec<&Node> = match &include.value.data {
            Data::Array(items) => items.iter().collect(),
            Data::Text(_) | Data::Null | Data::Bool(_) | Data::Number(_) | Data::Unresolved(_) | Data::Object(_) => {
                vec![&include.value]
            }
        };
        let several = targets.len() > 1;
        let mut merged: Option<Node> = None;
        for target in targets {
            let Data::Text(text) = &target.data else {
                self.refuse(target.at, path, target.kind(), "a path or a list of paths");
                continue;
            };
            let Some(node) = self.file(text, target.at, path) else { continue };
            if several && !matches!(node.data, Data::Object(_)) {
                self.refuse(target.at, path, format!("{} in a file to merge", node.kind()), "an object");
                continue;
            }
            merged = Some(match merged {
                Some(base) => merge(base, node),
                None => node,
            });
        }
        merged
    }

    /// Reads and resolves one included file.
    fn file(&mut self, text: &str, at: Origin, path: &str) -> Option<Node> {
        let target = match self.locate(text, at) {
            Ok(target) => target,
            Err((found, expected)) => {
                self.refuse(at, path, found, expected);
                return None;
            }
        };
        let content = match read_text(&target) {
            Ok(content) => content,
            Err(error) => {
                let found = match error {
                    ReadError::Missing => format!("{} does not exist", target.display()),
                    ReadError::TooLarge { limit } => format!("{} is larger than {limit} bytes", target.display()),
                    ReadError::NotUtf8 { .. } => format!("{} is not UTF-8", target.display()),
                    ReadError::NotAFile { what } => format!("{} is {what}", target.display()),
                    ReadError::Io(error) => format!("{} cannot be read: {error}", target.display()),
                };
                self.refuse(at, path, found, "a readable file");
                return None;
            }
        };
        self.read += 1;
        let file = self.files.add(target.clone(), content);
        let mut node = parse(self.files, file, self.issues, self.warnings)?;
        self.chain.push(target);
        self.resolve(&mut node, path);
        self.chain.pop();
        Some(node)
    }

    /// The canonical path of an include, or why there is none.
    fn locate(&self, text: &str, at: Origin) -> Result<PathBuf, (String, String)> {
        let short = || ("an unusable path".to_owned(), format!("a path of 1 to {MAX_PATH} bytes without NUL"));
        if text.is_empty() || text.len() >= MAX_PATH || text.contains('\0') {
            return Err(short());
        }
        if self.chain.len() > MAX_INCLUDE_DEPTH {
            return Err(("an include too deep".into(), format!("at most {MAX_INCLUDE_DEPTH} levels of includes")));
        }
        if self.read >= MAX_FILES {
            return Err(("too many includes".into(), format!("at most {MAX_FILES} files")));
        }
        let from = self.files.path(at.file).parent().unwrap_or(Path::new("."));
        let joined = from.join(text);
        let target = std::fs::canonicalize(&joined)
            .map_err(|error| (format!("{} cannot be opened: {error}", joined.display()), "an existing file".into()))?;
        if target.as_os_str().len() >= MAX_PATH {
            return Err(short());
        }
        if !self.roots.iter().any(|root| target.starts_with(root)) {
            let expected = "a file under the configuration's folder or under OPENCLAW_INCLUDE_ROOTS";
            return Err((format!("{} lies outside", target.display()), expected.into()));
        }
        if let Some(start) = self.chain.iter().position(|earlier| *earlier == target) {
            let names: Vec<String> =
                self.chain[start..].iter().chain([&target]).map(|file| file.display().to_string()).collect();
            return Err((format!("a circle: {}", names.join(" → ")), "includes without a circle".into()));
        }
        Ok(target)
    }

    fn refuse(&mut self, at: Origin, path: &str, found: impl Into<String>, expected: impl Into<String>) {
        let issue = self.files.issue(at, child(path, "$include"), found, expected);
        self.issues.push(issue);
    }
}

/// `over` laid on top of `base`.
fn merge(base: Node, over: Node) -> Node {
    match (base.data, over.data) {
        (Data::Object(mut entries), Data::Object(more)) => {
            for entry in more {
                match entries.iter().position(|earlier| earlier.key == entry.key) {
                    Some(at) => {
                        let earlier = entries.remove(at);
                        let value = merge(earlier.value, entry.value);
                        entries.insert(at, Entry { key: entry.key, at: entry.at, value });
                    }
                    None => entries.push(entry),
                }
            }
            Node { at: over.at, data: Data::Object(entries) }
        }
        (Data::Array(mut items), Data::Array(more)) => {
            items.extend(more);
            Node { at: over.at, data: Data::Array(items) }
        }
        (_, data) => Node { at: over.at, data },
    }
}
