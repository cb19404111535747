//! Made-up trees with marked offences.
//!
//! A fixture file starts with `rule: NAME`, may name offences that can carry no mark with `at: PATH:LINE`, and then holds
//! files, each opened by `=== PATH`. A line with `~!` in it is expected to be reported; `{repeat N TEXT}` stands for
//! `TEXT` on N lines, `{slash}` and `{hash}` for the characters that would make the fixture itself offend.

use std::path::Path;

use crate::tree::Tree;

#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) rule: String,
    pub(crate) tree: Tree,
    pub(crate) expected: Vec<(String, usize)>,
}

pub(crate) fn all() -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/architecture/fixtures");
    let mut found: Vec<Fixture> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| parse(&path.file_stem().unwrap().to_string_lossy(), &std::fs::read_to_string(&path).unwrap()))
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn parse(name: &str, text: &str) -> Fixture {
    let mut fixture =
        Fixture { name: name.to_owned(), rule: String::new(), tree: Tree::default(), expected: Vec::new() };
    let mut parts = text.split("=== ");
    for line in parts.next().unwrap_or_default().lines() {
        if let Some(rule) = line.strip_prefix("rule: ") {
            fixture.rule = rule.to_owned();
        } else if let Some((path, line)) = line.strip_prefix("at: ").and_then(|at| at.rsplit_once(':')) {
            fixture.expected.push((path.to_owned(), line.parse().unwrap()));
        }
    }
    for part in parts {
        let (path, body) = part.split_once('\n').unwrap();
        let body = expand(body);
        let marked = body.lines().enumerate().filter(|(_, line)| line.contains("~!")).map(|(at, _)| at + 1);
        fixture.expected.extend(marked.map(|line| (path.to_owned(), line)));
        fixture.tree.insert(path, body);
    }
    fixture.tree.settle();
    fixture.expected.sort();
    fixture
}

fn expand(body: &str) -> String {
    let mut out = String::new();
    for line in body.lines() {
        let repeat = line.strip_prefix("{repeat ").and_then(|rest| rest.strip_suffix('}')?.split_once(' '));
        match repeat {
            Some((count, text)) => out.push_str(&format!("{text}\n").repeat(count.parse().unwrap())),
            None => out.push_str(&format!("{line}\n")),
        }
    }
    out.replace("{slash}", "/").replace("{hash}", "#")
}
