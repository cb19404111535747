//! What this gateway leaves out of recorded shapes, or adds to them, and why.

use std::fs;

use serde::Deserialize;

use crate::support::fixture;

/// How a place differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Recorded, not here.
    Missing,
    /// Here, never recorded.
    Extra,
    /// Of another type.
    Type,
}

/// A row: places of some answers, events or turns.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Row {
    /// Names; a trailing `*` stands for any rest.
    pub(crate) of: Vec<String>,
    /// Paths, or lines of a turn, that are not here. A leading `**` stands for any number of segments, a trailing one
    /// too. `line #2` is a line of a turn when it comes for the second time.
    pub(crate) missing: Vec<String>,
    /// Paths or lines that are only here.
    pub(crate) extra: Vec<String>,
    /// Paths whose type is another.
    pub(crate) other: Vec<String>,
    /// Why.
    pub(crate) why: String,
}

impl Row {
    pub(crate) fn side(&self, side: Side) -> &[String] {
        match side {
            Side::Missing => &self.missing,
            Side::Extra => &self.extra,
            Side::Type => &self.other,
        }
    }
}

/// All rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct LeftOut(pub(crate) Vec<Row>);

impl LeftOut {
    /// Those of `left_out.json`.
    pub(crate) fn load() -> Self {
        Self(serde_json::from_str(&fs::read_to_string(fixture("shapes/left_out.json")).unwrap()).unwrap())
    }

    /// The first row for a place, by its number.
    pub(crate) fn row(&self, name: &str, side: Side, path: &str) -> Option<usize> {
        self.0.iter().position(|row| {
            row.of.iter().any(|pattern| fits(pattern, name)) && row.side(side).iter().any(|pattern| at(pattern, path))
        })
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

fn at(pattern: &str, path: &str) -> bool {
    match (pattern.strip_prefix("**"), pattern.strip_suffix("**")) {
        (Some(end), _) => path.ends_with(end),
        (None, Some(start)) => path.starts_with(start),
        (None, None) => pattern == path,
    }
}

#[test]
fn places_are_found() {
    for (pattern, path, expected) in [
        ("/a/b", "/a/b", true),
        ("/a/b", "/a/b/c", false),
        ("/a/**", "/a/b/c", true),
        ("**/c", "/a/b/c", true),
        ("**/c", "/a/b/d", false),
    ] {
        assert_eq!(at(pattern, path), expected, "{pattern} {path}");
    }
    assert!(fits("chat.*", "chat.send") && !fits("chat", "chat.send"));
}
