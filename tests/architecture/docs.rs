//! Documentation that must be there.

use std::collections::BTreeSet;

use crate::tree::{File, METADATA, Tree, Violation};

/// What the header of an actor file says, in its words.
const HEADER: &[&str] = &["Parent:", "Restart:", "Mailbox:", "Survives a restart:", "Fails when:"];

const ADR_LINES: usize = 60;
const ADR_FOLDER: &str = "docs/adr/";
const ADR_INDEX: &str = "docs/adr/README.md";

pub(crate) fn actor_headers(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.sources().filter(|file| !file.path.starts_with("supervision/") && implements_actor(file)) {
        let header = file.header();
        for part in HEADER.iter().filter(|part| !header.contains(**part)) {
            found.push(file.violation(1, format!("an actor file whose header lacks `{part}`")));
        }
    }
    found
}

/// `impl Actor for`, `impl supervision::Actor for`, `impl<T> Actor for`.
fn implements_actor(file: &File) -> bool {
    let code = &file.code;
    (1..code.len().saturating_sub(1)).any(|at| {
        let named = code[at].is("Actor") && code[at + 1].is("for");
        named && (code[at - 1].is("impl") || code[at - 1].is(">") || code[at - 1].is("::"))
    })
}

pub(crate) fn module_docs(tree: &Tree) -> Vec<Violation> {
    tree.sources()
        .filter(|file| file.header().trim().is_empty())
        .map(|file| file.violation(1, "a module without its `//!` doc"))
        .collect()
}

pub(crate) fn adr_index(tree: &Tree) -> Vec<Violation> {
    let records: Vec<&File> =
        tree.files.values().filter(|file| file.path.starts_with(ADR_FOLDER) && file.path != ADR_INDEX).collect();
    let index = tree.files.get(ADR_INDEX).map_or("", |file| file.text.as_str());
    let mut numbers = BTreeSet::new();
    let mut found = Vec::new();
    for record in records {
        let name = record.path.trim_start_matches(ADR_FOLDER);
        if !index.contains(&format!("({name})")) {
            found.push(record.violation(0, "is not in the index"));
        }
        if record.text.lines().count() > ADR_LINES {
            found.push(record.violation(0, format!("is longer than {ADR_LINES} lines")));
        }
        if !numbers.insert(name.split('-').next().unwrap_or_default().to_owned()) {
            found.push(record.violation(0, "repeats a number"));
        }
        for section in ["## Context", "## Decision", "## Price"] {
            if !record.text.contains(section) {
                found.push(record.violation(0, format!("has no `{section}`")));
            }
        }
    }
    found
}

pub(crate) fn dependency_rows(tree: &Tree) -> Vec<Violation> {
    let Some(metadata) = tree.files.get(METADATA) else { return Vec::new() };
    let rows = tree.files.get("docs/dependencies.md").map_or("", |file| file.text.as_str());
    let parsed: serde_json::Value = serde_json::from_str(&metadata.text).unwrap();
    let packages = parsed["packages"].as_array().unwrap();
    let ours: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    let direct: BTreeSet<&str> = packages
        .iter()
        .flat_map(|package| package["dependencies"].as_array().unwrap())
        .filter_map(|dependency| dependency["name"].as_str())
        .filter(|name| !ours.contains(name))
        .collect();
    let missing = direct.into_iter().filter(|name| !rows.contains(&format!("| {name} |")));
    missing.map(|name| metadata.violation(0, format!("{name} has no row in docs/dependencies.md"))).collect()
}

/// Where guarantees and facts stand, each in a row of a table that names what holds it.
const PROMISES: &[&str] = &["supervision/GUARANTEES.md", "docs/supervision.md"];

pub(crate) fn guaranteed_tests(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in PROMISES.iter().filter_map(|path| tree.files.get(*path)) {
        let mut last = 0;
        for (at, line) in file.text.lines().enumerate().filter(|(_, line)| line.starts_with('|')) {
            let named: Vec<&str> = line.split('`').skip(1).step_by(2).filter(|name| names_a_test(name)).collect();
            for name in named.iter().filter(|name| !is_a_test(tree, name)) {
                found.push(file.violation(at + 1, format!("names {name}, which is no test of supervision")));
            }
            let Some(number) = guarantee_number(line) else { continue };
            if named.is_empty() {
                found.push(file.violation(at + 1, format!("G{number} names no test")));
            }
            if number != last + 1 {
                found.push(file.violation(at + 1, format!("G{number} follows G{last}")));
            }
            last = number;
        }
    }
    found
}

/// The number of a row that opens with `| G12 |`.
fn guarantee_number(row: &str) -> Option<usize> {
    row.split('|').nth(1)?.trim().strip_prefix('G')?.parse().ok()
}

fn names_a_test(name: &str) -> bool {
    name.contains("::") && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | ':'))
}

/// `faults::name`, `runtime_facts::events::name` or `machine::name`: a test of that name in that file or below it.
fn is_a_test(tree: &Tree, name: &str) -> bool {
    let Some((place, function)) = name.rsplit_once("::") else { return false };
    let place = place.replace("::", "/");
    let declared = format!("fn {function}(");
    ["supervision/tests/", "supervision/src/"].iter().any(|root| {
        let (own, below) = (format!("{root}{place}.rs"), format!("{root}{place}/"));
        let files = tree.rust().filter(|file| file.path == own || file.path.starts_with(&below));
        files.into_iter().any(|file| declares_test(&file.text, &declared))
    })
}

/// True when `declared` stands under an attribute that makes it a test.
fn declares_test(text: &str, declared: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut places = (0..lines.len()).filter(|at| lines[*at].contains(declared));
    places.any(|at| {
        let above = lines[..at].iter().rev().take_while(|line| line.starts_with('#') || line.starts_with("///"));
        above.into_iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

pub(crate) fn live_links(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.with_extension("md") {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (at, line) in file.text.lines().enumerate() {
            for target in link_targets(line) {
                if !exists(tree, &join(folder, target)) {
                    found.push(file.violation(at + 1, format!("links to {target}, which is not there")));
                }
            }
        }
    }
    found
}

/// Targets of the inline links of a line that lead to files, without their fragment.
fn link_targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(|target| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
}

fn join(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

fn exists(tree: &Tree, path: &str) -> bool {
    let folder = format!("{path}/");
    tree.files.keys().any(|known| known == path || known.starts_with(&folder))
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists()
}
