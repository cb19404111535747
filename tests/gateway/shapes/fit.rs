//! Whether a value has a recorded shape: all its keys, and their JSON types.
//!
//! A shape is written as JSON: `"text"`, `"number"`, `"boolean"`, `"null"`, `"=exactly this"` or several with `|` between;
//! a JSON boolean for just that one; `"any"`;
//! `"object"` for one whose keys are free; an object of shapes, where a key that ends in `?` may be missing; `[shape]`
//! for a list, `[]` for one nothing is known of; `["by role", {..}]` for a list of objects told apart by that key.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::left_out::{LeftOut, Side};

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Fit {
    /// Places that fit.
    pub(crate) fitting: usize,
    /// Places that do not.
    pub(crate) faults: Vec<String>,
    /// Numbers of the rows of the list that were needed.
    pub(crate) used: BTreeSet<usize>,
}

impl Fit {
    /// Holds `live` against the shape of `name`.
    pub(crate) fn of(name: &str, shape: &Value, live: &Value, left_out: &LeftOut) -> Self {
        let mut fitting = Fitting { fit: Self::default(), name, left_out };
        fitting.value(shape, live, "");
        fitting.fit
    }
}

struct Fitting<'a> {
    fit: Fit,
    name: &'a str,
    left_out: &'a LeftOut,
}

impl Fitting<'_> {
    fn value(&mut self, shape: &Value, live: &Value, path: &str) {
        match shape {
            Value::String(types) => self.leaf(types, live, path),
            Value::Object(shape) => match live.as_object() {
                Some(live) => self.object(shape, live, path),
                None => self.fault(path, &format!("is {} instead of an object", type_of(live))),
            },
            Value::Array(shape) => match live.as_array() {
                Some(live) => self.list(shape, live, path),
                None => self.fault(path, &format!("is {} instead of a list", type_of(live))),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) if shape == live => self.fit.fitting += 1,
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                self.fault(path, &format!("is {live} instead of {shape}"))
            }
        }
    }

    fn leaf(&mut self, types: &str, live: &Value, path: &str) {
        let fits = types == "any" || types.split('|').any(|wanted| is_one(wanted, live));
        if fits {
            self.fit.fitting += 1;
        } else if !self.is_excused(Side::Type, path) {
            let found = if types.contains('=') { live.to_string() } else { type_of(live).to_owned() };
            self.fault(path, &format!("is {found} instead of {types}"));
        }
    }

    fn object(&mut self, shape: &Map<String, Value>, live: &Map<String, Value>, path: &str) {
        let mut known = BTreeSet::new();
        for (key, shape) in shape {
            let name = key.strip_suffix('?').unwrap_or(key);
            known.insert(name);
            let path = format!("{path}/{name}");
            match live.get(name) {
                Some(live) => self.value(shape, live, &path),
                None if name != key || self.is_excused(Side::Missing, &path) => {}
                None => self.fault(&path, "is missing"),
            }
        }
        for key in live.keys().filter(|key| !known.contains(key.as_str())) {
            let path = format!("{path}/{key}");
            if !self.is_excused(Side::Extra, &path) {
                self.fault(&path, "was never recorded");
            }
        }
    }

    fn list(&mut self, shape: &[Value], live: &[Value], path: &str) {
        self.fit.fitting += 1;
        match shape {
            [] => {}
            [Value::String(by), Value::Object(kinds)] => {
                let tag = by.trim_start_matches("by ");
                for item in live {
                    let kind = item[tag].as_str().unwrap_or("?");
                    match kinds.get(kind) {
                        Some(shape) => self.value(shape, item, &format!("{path}/{kind}")),
                        None => self.fault(&format!("{path}/{kind}"), "was never recorded"),
                    }
                }
            }
            [shape, ..] => {
                for item in live {
                    self.value(shape, item, &format!("{path}/*"));
                }
            }
        }
    }

    fn is_excused(&mut self, side: Side, path: &str) -> bool {
        let row = self.left_out.row(self.name, side, path);
        self.fit.used.extend(row);
        row.is_some()
    }

    fn fault(&mut self, path: &str, what: &str) {
        let fault = format!("{}: {path} {what}", self.name);
        if !self.fit.faults.contains(&fault) {
            self.fit.faults.push(fault);
        }
    }
}

fn is_one(wanted: &str, live: &Value) -> bool {
    match wanted.strip_prefix('=') {
        Some(text) => live == text,
        None => wanted == type_of(live),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

#[test]
fn shapes_tell_what_does_not_fit() {
    use serde_json::json;
    let shape = json!({
        "a": "text", "g": "=x|=y", "b?": "number|null", "c": ["boolean"], "d": [],
        "e": ["by role", {"user": {"role": "text", "n": "number"}}],
    });
    let good = json!({"a": "x", "g": "y", "b": null, "c": [true], "d": [1], "e": [{"role": "user", "n": 1}]});
    let faults = |change: fn(&mut Value)| {
        let mut live = good.clone();
        change(&mut live);
        Fit::of("x", &shape, &live, &LeftOut::default()).faults.len()
    };
    assert_eq!(faults(|_| {}), 0);
    let changes: [fn(&mut Value); 8] = [
        |live| live["a"] = 1.into(),
        |live| live["g"] = "z".into(),
        |live| live["b"] = "1".into(),
        |live| live["c"][0] = 1.into(),
        |live| live["d"] = json!({}),
        |live| live["e"][0]["n"] = "1".into(),
        |live| live["e"][0]["role"] = "other".into(),
        |live| live["f"] = 1.into(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert_eq!(faults(change), 1, "change {number}");
    }
    let without = json!({"c": [], "d": [], "e": [], "g": "x"});
    assert_eq!(Fit::of("x", &shape, &without, &LeftOut::default()).faults, ["x: /a is missing"]);
}
