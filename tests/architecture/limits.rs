//! Sizes, and things that are not used at all or in one place only.

use std::collections::BTreeSet;

use crate::lexer::Kind;
use crate::tree::{File, METADATA, RESOLVED, Tree, Violation, closing};

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 100;

/// Where `expect` and friends are spelt in lints.
const SPAWN_LINT: &str = "disallowed_methods";
const EXPECT_LINT: &str = "expect_used";

pub(crate) fn file_length(tree: &Tree) -> Vec<Violation> {
    let too_long = |file: &&File| file.length_without_tests() > FILE_LINES;
    let report = |file: &File| file.violation(0, format!("{} lines without tests", file.length_without_tests()));
    tree.sources().filter(too_long).map(report).collect()
}

pub(crate) fn function_length(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.sources() {
        for at in 0..file.code.len().saturating_sub(1) {
            if !(file.code[at].is("fn") && file.code[at + 1].kind == Kind::Ident) {
                continue;
            }
            let Some(open) = body_of(file, at) else { continue };
            let end = closing(&file.code, open);
            let lines: BTreeSet<usize> = file.code[open + 1..end].iter().map(|token| token.line).collect();
            if lines.len() > FUNCTION_LINES {
                let name = &file.code[at + 1].text;
                found.push(file.violation(file.code[at].line, format!("fn {name} has {} lines", lines.len())));
            }
        }
    }
    found
}

/// The brace that opens the body of the function declared at `at`.
fn body_of(file: &File, at: usize) -> Option<usize> {
    let mut at = at + 2;
    while at < file.code.len() {
        let token = &file.code[at];
        if token.is("{") {
            return Some(at);
        }
        if token.is(";") {
            return None;
        }
        at = if token.is("(") || token.is("[") { closing(&file.code, at) + 1 } else { at + 1 };
    }
    None
}

pub(crate) fn no_mod_rs(tree: &Tree) -> Vec<Violation> {
    let wrong = |file: &&File| file.path.ends_with("/mod.rs") && file.path != "tests/support/mod.rs";
    tree.rust().filter(wrong).map(|file| file.violation(0, "is a mod.rs")).collect()
}

pub(crate) fn bounded_channels(tree: &Tree) -> Vec<Violation> {
    let names = ["unbounded_channel", "UnboundedSender", "UnboundedReceiver", "unbounded"];
    let unbounded = |file: &File, at: usize| {
        let token = &file.code[at];
        token.kind == Kind::Ident && names.contains(&token.text.as_str())
            || call(file, at, &["mpsc", "::", "channel", "("]) && file.text.contains("std::sync::mpsc")
    };
    offences(tree, unbounded, SPAWN_LINT, "a queue without a bound")
}

pub(crate) fn owned_tasks(tree: &Tree) -> Vec<Violation> {
    let bare = |file: &File, at: usize| {
        let outside = !file.path.starts_with("supervision/src/");
        outside
            && (call(file, at, &["tokio", "::", "spawn"])
                || call(file, at, &["task", "::", "spawn"])
                || call(file, at, &["thread", "::", "spawn"])
                || file.code[at].is("spawn_blocking")
                || file.code[at].is("spawn_local"))
    };
    offences(tree, bare, SPAWN_LINT, "starts a task that no actor owns")
}

pub(crate) fn output_in_one_place(tree: &Tree) -> Vec<Violation> {
    let prints = |file: &File, at: usize| {
        let place = file.path == "src/occtl/output.rs";
        !place && ["print", "println", "dbg"].iter().any(|name| call(file, at, &[name, "!"]))
    };
    offences(tree, prints, "print_stdout", "prints to stdout")
}

pub(crate) fn anyhow_at_the_rim(tree: &Tree) -> Vec<Violation> {
    let rim = ["src/main.rs", "src/bin/", "src/occtl.rs", "src/occtl/"];
    let uses = |file: &File, at: usize| {
        !rim.iter().any(|place| file.path.starts_with(place))
            && (call(file, at, &["anyhow", "::"]) || call(file, at, &["anyhow", "!"]))
    };
    offences(tree, uses, "nothing", "uses anyhow in a library")
}

pub(crate) fn no_unwrap(tree: &Tree) -> Vec<Violation> {
    let unwraps = |file: &File, at: usize| call(file, at, &[".", "unwrap", "(", ")"]);
    let expects = |file: &File, at: usize| call(file, at, &[".", "expect", "("]);
    let mut found = offences(tree, unwraps, "unwrap_used", "unwraps");
    found.extend(offences(tree, expects, EXPECT_LINT, "expects without a reasoned #[expect]"));
    found
}

pub(crate) fn no_placeholders(tree: &Tree) -> Vec<Violation> {
    let left = |file: &File, at: usize| ["todo", "unimplemented"].iter().any(|name| call(file, at, &[name, "!"]));
    let mut found = offences(tree, left, "nothing", "is not written yet");
    let marks = [concat!("FIX", "ME"), concat!("TO", "DO"), concat!("XX", "X:")];
    for file in tree.rust() {
        for (at, line) in file.text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                found.push(file.violation(at + 1, "a mark of unfinished work"));
            }
        }
    }
    found
}

pub(crate) fn unwinding(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for manifest in tree.with_extension("toml") {
        for (at, line) in manifest.text.lines().enumerate() {
            if line.replace([' ', '"', '\''], "").contains("panic=abort") {
                found.push(manifest.violation(at + 1, "aborts on panic"));
            }
        }
    }
    if let Some(root) = tree.files.get("Cargo.toml") {
        for profile in ["dev", "release"] {
            let section = root.text.split(&format!("[profile.{profile}]\n")).nth(1).unwrap_or_default();
            let section = section.split("\n[").next().unwrap_or_default();
            if !section.contains("panic = \"unwind\"") {
                found.push(root.violation(0, format!("profile {profile} does not say panic = \"unwind\"")));
            }
        }
    }
    found
}

pub(crate) fn foreign_words(tree: &Tree) -> Vec<Violation> {
    let words = [concat!("shared/", "reference"), concat!("developer", " session")];
    let folders = [concat!("/", "work/"), concat!("/", "root/")];
    let mut found = Vec::new();
    for file in tree.files.values().filter(|file| ![METADATA, RESOLVED].contains(&file.path.as_str())) {
        for (at, line) in file.text.lines().enumerate() {
            let lower = line.to_lowercase();
            let rooted = folders.iter().any(|folder| {
                lower.match_indices(folder).any(|(at, _)| {
                    let before = lower[..at].chars().next_back();
                    before.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '~')))
                })
            });
            let numbered =
                lower.split("issue #").nth(1).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            if rooted || numbered || words.iter().any(|word| lower.contains(word)) {
                found.push(file.violation(at + 1, "speaks of something outside the project"));
            }
        }
    }
    found
}

/// True when the tokens from `at` on spell `pattern`.
fn call(file: &File, at: usize, pattern: &[&str]) -> bool {
    pattern.iter().enumerate().all(|(ahead, text)| file.code.get(at + ahead).is_some_and(|token| token.is(text)))
}

/// Places in shipped code that match and are not excused by an `#[expect]` of `lint`.
fn offences(tree: &Tree, matches: impl Fn(&File, usize) -> bool, lint: &str, what: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.sources() {
        for at in 0..file.code.len() {
            if matches(file, at) && !file.is_expected(at, lint) {
                found.push(file.violation(file.code[at].line, what));
            }
        }
    }
    found
}
