//! Files of the project, or of a made-up one, and what the rules ask of a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::process::Command;

use crate::lexer::{self, Kind, Token};

/// Where `cargo metadata` stands among the files.
pub(crate) const METADATA: &str = "cargo-metadata.json";
/// The same with every dependency and the features each is built with, over all targets and all features of ours.
pub(crate) const RESOLVED: &str = "cargo-resolved.json";

/// One breach of a rule.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// A set of text files by their path from the root, with forward slashes.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) files: BTreeMap<String, File>,
}

/// A path as code names it, the roots `crate`, `self` and `super` resolved within its package.
#[derive(Debug)]
pub(crate) struct PathRef {
    /// True when it starts at the package's own root.
    pub(crate) local: bool,
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

/// One file.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
    /// Tokens outside tests; empty for files that are not Rust.
    pub(crate) code: Vec<Token>,
    /// Lines that belong to a test module inside the file.
    pub(crate) test_lines: BTreeSet<usize>,
    /// Modules it declares for tests only.
    test_modules: Vec<String>,
    /// True for a file that holds nothing but tests, benches or examples.
    pub(crate) is_test: bool,
}

/// Folders that are not read.
const SKIPPED: &[&str] = &[".git", "target", "node_modules", "fixtures", "snapshots"];
/// Endings that are read.
const READ: &[&str] = &["rs", "md", "toml", "js", "css", "html", "json", "sh", "txt"];

/// The machine's own target: its packages are at hand. Features are those of all targets, whichever one is named.
fn host() -> String {
    let output = Command::new(env!("CARGO")).arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

fn metadata(root: &Path, options: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    let output =
        cargo.args(["metadata", "--format-version", "1", "--offline"]).args(options).current_dir(root).output();
    let output = output.unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Tree {
    /// The project this test was built from.
    pub(crate) fn of_project() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut tree = Self::default();
        tree.walk(root, "");
        tree.insert(METADATA, metadata(root, &["--no-deps"]));
        tree.insert(RESOLVED, metadata(root, &["--all-features", "--locked", "--filter-platform", &host()]));
        tree.settle();
        tree
    }

    /// Marks the files of modules that are declared for tests only.
    pub(crate) fn settle(&mut self) {
        let mut folders = Vec::new();
        for file in self.files.values() {
            let stem = file.path.trim_end_matches(".rs");
            let base = stem.strip_suffix("/lib").or_else(|| stem.strip_suffix("/main")).unwrap_or(stem);
            folders.extend(file.test_modules.iter().map(|module| format!("{base}/{module}")));
        }
        for file in self.files.values_mut() {
            let stem = file.path.trim_end_matches(".rs");
            file.is_test |= folders.iter().any(|folder| stem == folder || stem.starts_with(&format!("{folder}/")));
        }
    }

    fn walk(&mut self, folder: &Path, prefix: &str) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if entry.file_type().unwrap().is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    self.walk(&entry.path(), &format!("{path}/"));
                }
            } else if name == "Makefile"
                || name == "Cargo.lock"
                || path == ".ci/run"
                || path.starts_with("scripts/")
                || READ.contains(&extension(&name))
            {
                self.insert(&path, std::fs::read_to_string(entry.path()).unwrap());
            }
        }
    }

    pub(crate) fn insert(&mut self, path: &str, text: String) {
        self.files.insert(path.to_owned(), File::new(path, text));
    }

    /// Rust files that ship: those of a `src` folder that are not test files.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &File> {
        self.rust().filter(|file| !file.is_test)
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.with_extension("rs")
    }

    pub(crate) fn with_extension(&self, wanted: &'static str) -> impl Iterator<Item = &File> {
        self.files.values().filter(move |file| extension(&file.path) == wanted)
    }
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

impl File {
    fn new(path: &str, text: String) -> Self {
        let all = if extension(path) == "rs" { lexer::tokens(&text) } else { Vec::new() };
        let hidden = test_items(&all);
        let mut test_lines = BTreeSet::new();
        for (start, end) in &hidden {
            test_lines.extend(all[*start].line..=all[*end].line);
        }
        let is_hidden = |at: usize| hidden.iter().any(|(start, end)| (*start..=*end).contains(&at));
        let code = all.iter().enumerate().filter(|(at, _)| !is_hidden(*at)).map(|(_, token)| token.clone()).collect();
        let declared = |(start, end): &(usize, usize)| {
            let at = (*start..*end).find(|at| all[*at].is("mod") && all[*end].is(";"))?;
            Some(all[at + 1].text.clone())
        };
        let test_modules = hidden.iter().filter_map(declared).collect();
        let is_test = !(path.starts_with("src/") || path.contains("/src/"))
            || path.contains("/tests/")
            || path.ends_with("/tests.rs")
            || path.ends_with("_tests.rs");
        Self { path: path.to_owned(), text, code, test_lines, test_modules, is_test }
    }

    pub(crate) fn violation(&self, line: usize, what: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line, what: what.into() }
    }

    /// The package's source folder (`actors/src`) and the file's module path in it.
    pub(crate) fn module(&self) -> (&str, Vec<&str>) {
        let (package, inside) =
            self.path.split_once("src/").map_or(("", self.path.as_str()), |(package, inside)| (package, inside));
        let mut segments: Vec<&str> = inside.trim_end_matches(".rs").split('/').collect();
        if segments == ["lib"] {
            segments.clear();
        }
        (package.trim_end_matches('/'), segments)
    }

    /// Lines of the file that are not blank rows of an inline test module.
    pub(crate) fn length_without_tests(&self) -> usize {
        self.text.lines().count() - self.test_lines.len()
    }

    /// The `//!` lines it opens with, joined.
    pub(crate) fn header(&self) -> String {
        let lines = self.text.lines().skip_while(|line| line.trim().is_empty() || line.starts_with("#!"));
        lines.take_while(|line| line.starts_with("//!")).map(|line| format!("{}\n", &line[3..])).collect()
    }

    /// Every path of two or more segments, and every `use`, outside tests.
    pub(crate) fn paths(&self) -> Vec<PathRef> {
        let mut found = Vec::new();
        let mut at = 0;
        let mut inline = InlineModules::default();
        while at < self.code.len() {
            inline.observe(&self.code, at);
            let depth = inline.open.len();
            if self.code[at].is("use") {
                let end = (at..self.code.len()).find(|at| self.code[*at].is(";")).unwrap_or(self.code.len());
                for (segments, line) in use_tree(&self.code[at + 1..end]) {
                    found.push(self.resolve(segments, line, depth));
                }
                at = end;
            } else if self.starts_path(at) {
                let (segments, end) = self.path_at(at);
                found.push(self.resolve(segments, self.code[at].line, depth));
                at = end;
            } else {
                at += 1;
            }
        }
        found
    }

    fn starts_path(&self, at: usize) -> bool {
        let follows = |ahead: usize, text: &str| self.code.get(at + ahead).is_some_and(|token| token.is(text));
        let preceded_by_dot = at > 0 && self.code[at - 1].is(".");
        self.code[at].kind == Kind::Ident && follows(1, "::") && !preceded_by_dot
    }

    fn path_at(&self, start: usize) -> (Vec<String>, usize) {
        let mut segments = vec![self.code[start].text.clone()];
        let mut at = start + 1;
        while at + 1 < self.code.len() && self.code[at].is("::") && self.code[at + 1].kind == Kind::Ident {
            segments.push(self.code[at + 1].text.clone());
            at += 2;
        }
        (segments, at)
    }

    fn resolve(&self, segments: Vec<String>, line: usize, inline_depth: usize) -> PathRef {
        let (package, module) = self.module();
        let mut base: Vec<String> = module.iter().map(|segment| (*segment).to_owned()).collect();
        let mut rest = segments.as_slice();
        let mut local = true;
        match rest.first().map(String::as_str) {
            Some("crate") => {
                base.clear();
                rest = &rest[1..];
            }
            Some("openclawd") if package.is_empty() => {
                base.clear();
                rest = &rest[1..];
            }
            Some("self") => rest = &rest[1..],
            Some("super") => {
                let mut inline_left = inline_depth;
                while rest.first().is_some_and(|segment| segment == "super") {
                    if inline_left > 0 {
                        inline_left -= 1;
                    } else {
                        base.pop();
                    }
                    rest = &rest[1..];
                }
            }
            _ => {
                base.clear();
                local = false;
            }
        }
        base.extend(rest.iter().cloned());
        PathRef { local, segments: base, line }
    }

    /// True when the token at `at` stands under an `#[expect(…)]` of `lint`.
    pub(crate) fn is_expected(&self, at: usize, lint: &str) -> bool {
        expectations(&self.code, lint).into_iter().any(|(start, end)| (start..=end).contains(&at))
    }
}

/// Inline modules that enclose the token at hand.
#[derive(Default)]
struct InlineModules {
    braces: usize,
    open: Vec<usize>,
}

impl InlineModules {
    fn observe(&mut self, code: &[Token], at: usize) {
        if code[at].is("{") {
            self.braces += 1;
            if at >= 2 && code[at - 2].is("mod") {
                self.open.push(self.braces);
            }
        } else if code[at].is("}") {
            if self.open.last() == Some(&self.braces) {
                self.open.pop();
            }
            self.braces = self.braces.saturating_sub(1);
        }
    }
}

/// The paths of a `use` item, groups taken apart, renames left out.
fn use_tree(tokens: &[Token]) -> Vec<(Vec<String>, usize)> {
    let mut found = Vec::new();
    let mut prefixes: Vec<Vec<String>> = vec![Vec::new()];
    let mut current: Vec<String> = Vec::new();
    let mut line = tokens.first().map_or(0, |token| token.line);
    let mut renaming = false;
    for token in tokens {
        match token.text.as_str() {
            "{" => prefixes.push(std::mem::take(&mut current)),
            "," | "}" => {
                let whole: Vec<String> = prefixes.iter().flatten().chain(&current).cloned().collect();
                if !current.is_empty() {
                    found.push((whole, line));
                }
                current.clear();
                renaming = false;
                if token.text == "}" {
                    prefixes.pop();
                }
            }
            "::" => {}
            "as" => renaming = true,
            _ if renaming => {}
            "self" if prefixes.len() > 1 && current.is_empty() => {
                found.push((prefixes.iter().flatten().cloned().collect(), token.line));
            }
            text => {
                line = token.line;
                current.push(text.to_owned());
            }
        }
    }
    if !current.is_empty() {
        found.push((prefixes.iter().flatten().chain(&current).cloned().collect(), line));
    }
    found
}

/// Index of the token that closes the bracket opened at `open`.
pub(crate) fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if token.is("{") || token.is("(") || token.is("[") {
            depth += 1;
        } else if token.is("}") || token.is(")") || token.is("]") {
            depth -= 1;
            if depth == 0 {
                return at;
            }
        }
    }
    tokens.len() - 1
}

/// Where the item or statement that begins at `start` ends.
fn item_end(tokens: &[Token], start: usize) -> usize {
    let mut at = start;
    while at < tokens.len() {
        let token = &tokens[at];
        if token.is(";") || token.is("}") {
            return at;
        }
        if token.is("{") {
            return closing(tokens, at);
        }
        if token.is("(") || token.is("[") {
            at = closing(tokens, at);
        }
        at += 1;
    }
    tokens.len() - 1
}

/// Outer attributes: first and last token of each, and the index after it.
fn attributes(tokens: &[Token]) -> impl Iterator<Item = (usize, usize)> + '_ {
    (0..tokens.len().saturating_sub(1))
        .filter(|at| tokens[*at].is("#") && tokens[*at + 1].is("["))
        .map(|at| (at, closing(tokens, at + 1)))
}

/// Items under a `cfg` of tests or of the feature `testing`.
fn test_items(tokens: &[Token]) -> Vec<(usize, usize)> {
    let of_tests = |(start, end): &(usize, usize)| {
        let inside = &tokens[*start..*end];
        let names = |name: &str| inside.iter().any(|token| token.is(name));
        let testing = names("test") || inside.iter().any(|token| token.kind == Kind::Text && token.text == "testing");
        names("cfg") && testing && !names("not")
    };
    attributes(tokens).filter(of_tests).map(|(start, end)| (start, item_end(tokens, end + 1))).collect()
}

/// Items and statements under an `expect` of `lint`; the whole file for an inner one.
fn expectations(tokens: &[Token], lint: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if !token.is(lint) {
            continue;
        }
        let Some(start) = (0..at).rev().find(|at| tokens[*at].is("#")) else { continue };
        let Some(expect) = (start..at).find(|at| tokens[*at].is("expect")) else { continue };
        let inner = tokens[start + 1].is("!");
        let end = closing(tokens, expect - 1);
        let last = if inner { tokens.len() } else { statement_end(tokens, end + 1) };
        found.push((if inner { 0 } else { start }, last));
    }
    found
}

/// Like [`item_end`], but a statement goes on after a closing brace until its semicolon.
fn statement_end(tokens: &[Token], start: usize) -> usize {
    let end = item_end(tokens, start);
    let goes_on =
        tokens.get(end + 1).is_some_and(|token| token.is(")") || token.is(".") || token.is("?") || token.is(";"));
    if tokens[end].is("}") && end > start && goes_on { item_end(tokens, end + 1) } else { end }
}
