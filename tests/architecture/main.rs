//! The rules of the code base that a machine can hold.
//!
//! Each rule is a function from a [`tree::Tree`] of files to its violations. `the_project_keeps_every_rule` runs all of
//! them on the project; `every_rule_can_fail` runs each on small made-up trees in `fixtures/` whose offending lines are
//! marked, so that a rule which stopped looking is noticed.

#[cfg(test)]
mod docs;
#[cfg(test)]
mod features;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod lexer;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod tree;

use tree::{Tree, Violation};

/// A rule: its name, what it demands in a sentence, and its check.
struct Rule {
    name: &'static str,
    demand: &'static str,
    check: fn(&Tree) -> Vec<Violation>,
}

const fn rule(name: &'static str, demand: &'static str, check: fn(&Tree) -> Vec<Violation>) -> Rule {
    Rule { name, demand, check }
}

/// Every rule there is.
const RULES: &[Rule] = &[
    rule("crate_edges", "packages depend on each other and on outside crates as the table says", layers::crate_edges),
    rule("actors_layers", "a module of `actors` uses lower layers only", layers::actors_layers),
    rule("source_edges", "a module of the root package uses only what its row names", layers::source_edges),
    rule("siblings", "no channel and no provider imports another one", layers::siblings),
    rule("vendor_names", "vendors are named in their own folder, in config and in the tables", layers::vendor_names),
    rule("confined_crates", "sled stays in the store, ractor in supervision", layers::confined_crates),
    rule("pinned_runtime", "the actor runtime has one version and one feature", features::pinned_runtime),
    rule("failpoints_off", "no build has failpoints unless it asks for them", features::failpoints_off),
    rule("file_length", "a file has at most 400 lines without its tests", limits::file_length),
    rule("function_length", "a function has at most 100 lines", limits::function_length),
    rule("no_mod_rs", "modules are `name.rs` beside `name/`", limits::no_mod_rs),
    rule("bounded_channels", "every queue has a bound", limits::bounded_channels),
    rule("owned_tasks", "tasks and threads are started by supervision", limits::owned_tasks),
    rule("output_in_one_place", "only occtl's output module prints to stdout", limits::output_in_one_place),
    rule("anyhow_at_the_rim", "libraries return typed errors", limits::anyhow_at_the_rim),
    rule("no_unwrap", "no unwrap, and expect only with a reason at the spot", limits::no_unwrap),
    rule("no_placeholders", "nothing is left to be written", limits::no_placeholders),
    rule("unwinding", "panics unwind, in every profile", limits::unwinding),
    rule("foreign_words", "the project speaks of itself only", limits::foreign_words),
    rule("actor_headers", "an actor file opens with its contract", docs::actor_headers),
    rule("module_docs", "every module opens with its doc", docs::module_docs),
    rule("adr_index", "every decision record is indexed and short", docs::adr_index),
    rule("dependency_rows", "every direct dependency has its row of reasons", docs::dependency_rows),
    rule("guaranteed_tests", "every test a guarantee or a fact names is there", docs::guaranteed_tests),
    rule("live_links", "links between documents lead somewhere", docs::live_links),
];

#[test]
fn the_project_keeps_every_rule() {
    let tree = Tree::of_project();
    let mut report = String::new();
    for rule in RULES {
        let mut violations = (rule.check)(&tree);
        violations.dedup_by(|a, b| (&a.path, a.line, &a.what) == (&b.path, b.line, &b.what));
        for violation in violations {
            report.push_str(&format!("\n{violation}\n    rule {}: {}", rule.name, rule.demand));
        }
    }
    assert!(report.is_empty(), "{report}\n");
}

#[test]
fn every_rule_can_fail() {
    let fixtures = fixtures::all();
    for rule in RULES {
        let mut own = fixtures.iter().filter(|fixture| fixture.rule == rule.name).peekable();
        assert!(own.peek().is_some(), "rule {} has no fixture", rule.name);
        for fixture in own {
            let mut found: Vec<_> = (rule.check)(&fixture.tree).into_iter().map(|v| (v.path, v.line)).collect();
            found.sort();
            found.dedup();
            assert_eq!(found, fixture.expected, "rule {} on fixture {}", rule.name, fixture.name);
            assert!(!fixture.expected.is_empty(), "fixture {} expects nothing", fixture.name);
        }
    }
}

#[test]
fn every_fixture_belongs_to_a_rule() {
    for fixture in fixtures::all() {
        assert!(RULES.iter().any(|rule| rule.name == fixture.rule), "{} names no rule", fixture.name);
    }
}

#[test]
fn this_build_unwinds() {
    const { assert!(cfg!(panic = "unwind"), "a panic must reach its supervisor") }
}
