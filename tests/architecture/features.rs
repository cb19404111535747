//! What the actor runtime is built with, and what no build gets unasked.
//!
//! Features are unified over the whole build: one dependency that asks for the runtime's `async-trait` rewrites the trait
//! for everybody, `cluster` takes away the blanket implementation of `Message`, and spans in messages double what an idle
//! mailbox costs. So nobody may ask, not even optionally, not even for tests or another target.

use serde_json::Value;

use crate::tree::{File, METADATA, RESOLVED, Tree, Violation};

const RUNTIME: &str = "ractor";
const VERSION: &str = "0.16.5";
const FEATURES: &[&str] = &["tokio_runtime"];

pub(crate) fn pinned_runtime(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    found.extend(tree.files.get("Cargo.toml").into_iter().flat_map(in_manifest));
    found.extend(tree.files.get("Cargo.lock").into_iter().flat_map(in_lock));
    found.extend(tree.files.get(RESOLVED).into_iter().flat_map(resolved));
    found
}

/// The one place that says which version: exactly this one.
fn in_manifest(root: &File) -> Vec<Violation> {
    let prefix = format!("{RUNTIME} = ");
    let pinned = format!("version = \"={VERSION}\"");
    let mut lines = root.text.lines().enumerate().filter(|(_, line)| line.starts_with(&prefix)).peekable();
    if lines.peek().is_none() {
        return vec![root.violation(0, format!("does not name {RUNTIME}"))];
    }
    lines
        .filter(|(_, line)| !line.contains(&pinned))
        .map(|(at, _)| root.violation(at + 1, format!("does not pin {RUNTIME} to exactly {VERSION}")))
        .collect()
}

fn in_lock(lock: &File) -> Vec<Violation> {
    let name = format!("name = \"{RUNTIME}\"");
    let version = format!("version = \"{VERSION}\"");
    let lines: Vec<&str> = lock.text.lines().collect();
    let locked: Vec<usize> = (0..lines.len()).filter(|at| lines[*at] == name).collect();
    let mut found: Vec<Violation> = locked
        .iter()
        .filter(|at| lines.get(*at + 1) != Some(&version.as_str()))
        .map(|at| lock.violation(at + 2, format!("locks another {RUNTIME} than {VERSION}")))
        .collect();
    if locked.len() != 1 {
        found.push(lock.violation(0, format!("locks {} versions of {RUNTIME}", locked.len())));
    }
    found
}

/// What all packages together turn on, and which package asks for it.
fn resolved(file: &File) -> Vec<Violation> {
    let parsed: Value = serde_json::from_str(&file.text).unwrap();
    let packages = parsed["packages"].as_array().unwrap();
    let is_runtime = |id: &Value| packages.iter().any(|package| package["id"] == *id && package["name"] == RUNTIME);
    let nodes = parsed["resolve"]["nodes"].as_array().unwrap();
    let mut found = Vec::new();
    for node in nodes.iter().filter(|node| is_runtime(&node["id"])) {
        let on: Vec<&str> = strings(&node["features"]).collect();
        if on != FEATURES {
            found.push(file.violation(0, format!("{RUNTIME} is built with {on:?} instead of {FEATURES:?}")));
        }
    }
    for package in packages.iter().filter(|package| package["name"] != RUNTIME) {
        let asks = package["dependencies"].as_array().unwrap().iter().filter(|on| on["name"] == RUNTIME);
        for dependency in asks {
            let more: Vec<&str> = strings(&dependency["features"]).filter(|name| !FEATURES.contains(name)).collect();
            if !more.is_empty() || dependency["uses_default_features"] != false {
                let who = package["name"].as_str().unwrap();
                found.push(file.violation(0, format!("{who} asks for {RUNTIME} with {more:?} or its defaults")));
            }
        }
        for (feature, turned_on) in package["features"].as_object().into_iter().flatten() {
            let mut names = strings(turned_on).filter_map(|it| it.split_once('/'));
            if names.any(|(on, name)| on.trim_end_matches('?') == RUNTIME && !FEATURES.contains(&name)) {
                let who = package["name"].as_str().unwrap();
                found.push(file.violation(0, format!("feature {feature} of {who} turns on more of {RUNTIME}")));
            }
        }
    }
    found
}

/// The feature with which a test lets the daemon die.
const DEADLY: &str = "failpoints";

/// Neither the default features nor a dependency of any kind turn failpoints on: a person who builds the daemon must not
/// get them by accident.
pub(crate) fn failpoints_off(tree: &Tree) -> Vec<Violation> {
    let Some(metadata) = tree.files.get(METADATA) else { return Vec::new() };
    let parsed: Value = serde_json::from_str(&metadata.text).unwrap();
    let is_deadly = |name: &str| name.rsplit(['/', ':']).next() == Some(DEADLY);
    let mut found = Vec::new();
    for package in parsed["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let (mut open, mut seen) = (vec!["default"], Vec::new());
        while let Some(feature) = open.pop() {
            if is_deadly(feature) {
                found.push(metadata.violation(0, format!("the default features of {name} turn on {DEADLY}")));
            }
            if !seen.contains(&feature) {
                seen.push(feature);
                open.extend(strings(&package["features"][feature]));
            }
        }
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            if strings(&dependency["features"]).any(is_deadly) {
                let on = dependency["name"].as_str().unwrap_or_default();
                found.push(metadata.violation(0, format!("{name} depends on {on} with {DEADLY}")));
            }
        }
    }
    found
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cargo metadata` of a package `asker` that depends on the runtime, cut down to what is read.
    fn graph(turned_on: &str, asked: &str, defaults: bool, own: &str) -> Vec<String> {
        let text = format!(
            r#"{{"packages": [
                {{"id": "r#1", "name": "ractor", "dependencies": [], "features": {{"cluster": []}}}},
                {{"id": "a#1", "name": "asker", "features": {own}, "dependencies": [
                    {{"name": "ractor", "features": {asked}, "uses_default_features": {defaults}}}]}}],
              "resolve": {{"nodes": [{{"id": "r#1", "features": {turned_on}}}, {{"id": "a#1", "features": []}}]}}}}"#
        );
        let mut tree = Tree::default();
        tree.insert(RESOLVED, text);
        pinned_runtime(&tree).into_iter().map(|violation| violation.what).collect()
    }

    fn deadly(features: &str, dependency: &str) -> usize {
        let text = format!(
            r#"{{"packages": [{{"name": "it", "features": {features}, "dependencies": [
                {{"name": "actors", "features": {dependency}}}]}}]}}"#
        );
        let mut tree = Tree::default();
        tree.insert(METADATA, text);
        failpoints_off(&tree).len()
    }

    #[test]
    fn failpoints_by_default_by_detour_or_by_dependency_are_named() {
        assert_eq!(deadly(r#"{"default": ["fast"], "fast": [], "failpoints": ["actors/failpoints"]}"#, "[]"), 0);
        assert_eq!(deadly(r#"{"default": ["fast"], "fast": ["actors?/failpoints"]}"#, "[]"), 1);
        assert_eq!(deadly(r#"{"default": ["failpoints"], "failpoints": []}"#, "[]"), 1);
        assert_eq!(deadly("{}", r#"["failpoints"]"#), 1);
    }

    const ONE: &str = r#"["tokio_runtime"]"#;

    #[test]
    fn a_graph_with_the_one_feature_passes() {
        assert!(graph(ONE, ONE, false, r#"{"x": ["ractor/tokio_runtime"]}"#).is_empty());
    }

    #[test]
    fn a_dependency_that_asks_for_more_is_named() {
        for feature in ["async-trait", "cluster", "message_span_propogation", "monitors", "output-port-v2"] {
            let both = format!(r#"["{feature}", "tokio_runtime"]"#);
            let found = graph(&both, &both, false, "{}");
            assert_eq!(found.len(), 2, "{found:?}");
            assert!(found[0].contains(feature), "{found:?}");
            assert!(found[1].starts_with("asker asks"), "{found:?}");
        }
    }

    #[test]
    fn default_features_and_features_that_turn_more_on_are_named() {
        assert_eq!(graph(ONE, "[]", true, "{}").len(), 1);
        assert_eq!(graph(ONE, ONE, false, r#"{"fast": ["ractor?/async-trait"]}"#).len(), 1);
    }

    #[test]
    fn another_version_in_the_manifest_or_the_lock_is_named() {
        let found = |path: &str, text: &str| {
            let mut tree = Tree::default();
            tree.insert(path, text.to_owned());
            pinned_runtime(&tree).len()
        };
        assert_eq!(found("Cargo.toml", "ractor = { version = \"=0.16.5\", default-features = false }\n"), 0);
        assert_eq!(found("Cargo.toml", "ractor = { version = \"0.16.5\", default-features = false }\n"), 1);
        assert_eq!(found("Cargo.toml", "ractor = \"=0.16.6\"\n"), 1);
        let locked = |version: &str| format!("[[package]]\nname = \"ractor\"\nversion = \"{version}\"\n");
        assert_eq!(found("Cargo.lock", &locked("0.16.5")), 0);
        assert_eq!(found("Cargo.lock", &locked("0.16.6")), 1);
        assert_eq!(found("Cargo.lock", &(locked("0.16.5") + &locked("0.15.1"))), 2);
        assert_eq!(found("Cargo.lock", "[[package]]\nname = \"other\"\nversion = \"0.16.5\"\n"), 1);
    }
}
