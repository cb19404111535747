//! A small validator over static descriptions of parameters.
//!
//! Descriptions are constants, so a method's file shows its parameters at a glance. What does not fit is told in the
//! words clients of this protocol know: items joined by `; `, each `at <pointer>: <what>`; nothing before a complaint
//! about the root except for unexpected properties. Of several missing (or unexpected) properties of one object the
//! first is named.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// What a value must look like.
#[derive(Debug, Clone, Copy)]
pub enum Schema {
    /// Anything.
    Any,
    /// `null`.
    Null,
    /// True or false.
    Bool,
    /// A number.
    Number,
    /// A whole number in a range.
    Int(i64, i64),
    /// Text with a length in characters.
    Text(usize, usize),
    /// Exactly this text.
    Const(&'static str),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A list: items, fewest, most, and whether items must differ.
    List(&'static Schema, usize, usize, bool),
    /// An object with free keys: values and most keys.
    Map(&'static Schema, usize),
    /// An object with known keys.
    Object(&'static Object),
    /// One of several.
    AnyOf(&'static [Schema]),
}

/// An object with known keys.
#[derive(Debug, Clone, Copy)]
pub struct Object {
    /// Keys that must be there.
    pub required: &'static [&'static str],
    /// Known keys.
    pub properties: &'static [(&'static str, Schema)],
    /// True when unknown keys are refused.
    pub closed: bool,
}

/// No upper bound on a length or count.
pub const NO_LIMIT: usize = usize::MAX;
/// The largest whole number JSON readers agree on.
pub const MAX_SAFE: i64 = 9_007_199_254_740_991;
/// Any text.
pub const TEXT: Schema = Schema::Text(0, NO_LIMIT);
/// Text of at least one character.
pub const NAME: Schema = Schema::Text(1, NO_LIMIT);
/// A whole number, zero or more.
pub const COUNT: Schema = Schema::Int(0, i64::MAX);
/// A whole number, one or more.
pub const POSITIVE: Schema = Schema::Int(1, i64::MAX);
/// A list of any number of items.
#[must_use]
pub const fn list(items: &'static Schema) -> Schema {
    Schema::List(items, 0, NO_LIMIT, false)
}

impl Object {
    /// An object that refuses unknown keys.
    #[must_use]
    pub const fn closed(required: &'static [&'static str], properties: &'static [(&'static str, Schema)]) -> Self {
        Self { required, properties, closed: true }
    }

    /// An object that ignores unknown keys.
    #[must_use]
    pub const fn open(required: &'static [&'static str], properties: &'static [(&'static str, Schema)]) -> Self {
        Self { required, properties, closed: false }
    }

    /// What is wrong with `value`, as one text; `None` when it fits.
    #[must_use]
    pub fn complaint(&self, value: &Value) -> Option<String> {
        let mut items = Items::default();
        object(self, value, "", &mut items);
        items.text()
    }
}

/// Complaints found so far, without repeats.
#[derive(Debug, Default)]
struct Items(Vec<String>);

impl Items {
    fn add(&mut self, at: &str, what: &str) {
        let item = if at.is_empty() { what.to_owned() } else { format!("at {at}: {what}") };
        if !self.0.contains(&item) {
            self.0.push(item);
        }
    }

    fn text(self) -> Option<String> {
        if self.0.is_empty() { None } else { Some(self.0.join("; ")) }
    }
}

fn object(schema: &Object, value: &Value, at: &str, items: &mut Items) {
    let Value::Object(given) = value else {
        items.add(at, "must be object");
        return;
    };
    if let Some(missing) = schema.required.iter().find(|key| !given.contains_key(**key)) {
        items.add(at, &format!("must have required property '{missing}'"));
    }
    if schema.closed
        && let Some(unknown) = given.keys().find(|key| !schema.properties.iter().any(|(known, _)| known == key))
    {
        let place = if at.is_empty() { "root" } else { at };
        items.add(place, &format!("unexpected property '{unknown}'"));
    }
    for (key, inner) in schema.properties {
        if let Some(found) = given.get(*key) {
            check(inner, found, &pointer(at, key), items);
        }
    }
}

fn check(schema: &Schema, value: &Value, at: &str, items: &mut Items) {
    match schema {
        Schema::Any => {}
        Schema::Null if value.is_null() => {}
        Schema::Null => items.add(at, "must be null"),
        Schema::Bool if value.is_boolean() => {}
        Schema::Bool => items.add(at, "must be boolean"),
        Schema::Number if value.is_number() => {}
        Schema::Number => items.add(at, "must be number"),
        Schema::Int(min, max) => int(*min, *max, value, at, items),
        Schema::Text(min, max) => text(*min, *max, value, at, items),
        Schema::Const(wanted) if value.as_str() == Some(wanted) => {}
        Schema::Const(_) => items.add(at, "must be equal to constant"),
        Schema::OneOf(allowed) if value.as_str().is_some_and(|given| allowed.contains(&given)) => {}
        Schema::OneOf(_) => items.add(at, "must be equal to one of the allowed values"),
        Schema::List(inner, min, max, unique) => {
            let Value::Array(given) = value else {
                items.add(at, "must be array");
                return;
            };
            length(given.len(), *min, *max, "items", at, items);
            if *unique && given.iter().enumerate().any(|(i, one)| given[..i].contains(one)) {
                items.add(at, "must not have duplicate items");
            }
            for (index, one) in given.iter().enumerate() {
                check(inner, one, &pointer(at, &index.to_string()), items);
            }
        }
        Schema::Map(inner, max) => map(inner, *max, value, at, items),
        Schema::Object(inner) => object(inner, value, at, items),
        Schema::AnyOf(choices) => any_of(choices, value, at, items),
    }
}

fn int(min: i64, max: i64, value: &Value, at: &str, items: &mut Items) {
    let whole = value.as_i64().or_else(|| whole_float(value)).or_else(|| value.as_u64().map(|_| i64::MAX));
    match whole {
        None => items.add(at, "must be integer"),
        Some(given) if given < min => items.add(at, &format!("must be >= {min}")),
        Some(given) if given > max => items.add(at, &format!("must be <= {max}")),
        Some(_) => {}
    }
}

fn text(min: usize, max: usize, value: &Value, at: &str, items: &mut Items) {
    match value.as_str() {
        None => items.add(at, "must be string"),
        Some(given) => {
            // Counting stops early for the common case of no upper bound.
            let count = if max == NO_LIMIT { given.chars().take(min).count() } else { given.chars().count() };
            length(count, min, max, "characters", at, items);
        }
    }
}

fn map(inner: &Schema, max: usize, value: &Value, at: &str, items: &mut Items) {
    let Value::Object(given) = value else {
        items.add(at, "must be object");
        return;
    };
    length(given.len(), 0, max, "properties", at, items);
    for (key, one) in given {
        check(inner, one, &pointer(at, key), items);
    }
}

fn any_of(choices: &[Schema], value: &Value, at: &str, items: &mut Items) {
    let mut found = Items::default();
    for choice in choices {
        let mut own = Items::default();
        check(choice, value, at, &mut own);
        if own.0.is_empty() {
            return;
        }
        for item in own.0 {
            if !found.0.contains(&item) {
                found.0.push(item);
            }
        }
    }
    found.add(at, "must match a schema in anyOf");
    items.0.extend(found.0);
}

fn length(count: usize, min: usize, max: usize, unit: &str, at: &str, items: &mut Items) {
    if count < min {
        items.add(at, &format!("must not have fewer than {min} {unit}"));
    } else if count > max {
        items.add(at, &format!("must not have more than {max} {unit}"));
    }
}

/// JSON pointer of `key` under `at`.
fn pointer(at: &str, key: &str) -> String {
    let mut out = String::with_capacity(at.len() + key.len() + 1);
    out.push_str(at);
    // Writing to a String cannot fail.
    let _ignored = write!(out, "/{}", key.replace('~', "~0").replace('/', "~1"));
    out
}

/// `4.0` is a whole number in JSON, though serde reads it as a float.
fn whole_float(value: &Value) -> Option<i64> {
    let given = value.as_f64()?;
    #[expect(clippy::cast_precision_loss, reason = "the bound is exactly representable")]
    let bound = MAX_SAFE as f64;
    if given.fract() != 0.0 || given.abs() > bound {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and within the safe range")]
    let whole = given as i64;
    Some(whole)
}

/// `value` with whole floats written as integers, so that serde takes what the schema took.
#[must_use]
pub fn normalised(value: Value) -> Value {
    match value {
        Value::Number(ref number) if number.is_f64() => whole_float(&value).map_or_else(|| value.clone(), Value::from),
        Value::Array(list) => Value::Array(list.into_iter().map(normalised).collect()),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(key, one)| (key, normalised(one))).collect::<Map<_, _>>())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const INNER: Object = Object::closed(&["id"], &[("id", Schema::OneOf(&["a", "b"])), ("n", POSITIVE)]);
    const OUTER: Object = Object::closed(
        &["type", "id", "inner"],
        &[
            ("type", Schema::Const("req")),
            ("id", NAME),
            ("inner", Schema::Object(&INNER)),
            ("tags", Schema::List(&NAME, 0, 2, true)),
            ("fast", Schema::AnyOf(&[Schema::Bool, Schema::Const("auto")])),
            ("flags", Schema::Map(&Schema::Bool, 2)),
        ],
    );

    #[test]
    fn complaints_read_as_clients_know_them() {
        let good = json!({"type": "req", "id": "1", "inner": {"id": "a"}});
        for (change, expected) in [
            (json!({}), None),
            (json!({"type": "nope"}), Some("at /type: must be equal to constant")),
            (json!({"id": 5}), Some("at /id: must be string")),
            (json!({"id": ""}), Some("at /id: must not have fewer than 1 characters")),
            (json!({"bogus": 1}), Some("at root: unexpected property 'bogus'")),
            (json!({"inner": {}}), Some("at /inner: must have required property 'id'")),
            (json!({"inner": {"id": "c"}}), Some("at /inner/id: must be equal to one of the allowed values")),
            (json!({"inner": {"id": "a", "x": 1}}), Some("at /inner: unexpected property 'x'")),
            (json!({"inner": {"id": "a", "n": 0}}), Some("at /inner/n: must be >= 1")),
            (json!({"inner": {"id": "a", "n": 1.5}}), Some("at /inner/n: must be integer")),
            (json!({"inner": {"id": "a", "n": 2.0}}), None),
            (json!({"tags": ["a", "a"]}), Some("at /tags: must not have duplicate items")),
            (json!({"tags": ["a", ""]}), Some("at /tags/1: must not have fewer than 1 characters")),
            (json!({"tags": ["a", "b", "c"]}), Some("at /tags: must not have more than 2 items")),
            (json!({"fast": "auto"}), None),
            (
                json!({"fast": 1}),
                Some(
                    "at /fast: must be boolean; at /fast: must be equal to constant; at /fast: must match a schema in anyOf",
                ),
            ),
            (json!({"flags": {"a/b": 1}}), Some("at /flags/a~1b: must be boolean")),
        ] {
            let mut value = good.clone();
            for (key, one) in change.as_object().unwrap() {
                value[key] = one.clone();
            }
            assert_eq!(OUTER.complaint(&value).as_deref(), expected, "{change}");
        }
    }

    #[test]
    fn the_first_missing_property_is_named_before_wrong_ones() {
        let text = OUTER.complaint(&json!({"type": "nope"})).unwrap();
        assert_eq!(text, "must have required property 'id'; at /type: must be equal to constant");
        assert_eq!(OUTER.complaint(&json!([])).as_deref(), Some("must be object"));
    }

    #[test]
    fn whole_floats_become_integers() {
        assert_eq!(normalised(json!({"a": [4.0, 1.5, 1e300]})), json!({"a": [4, 1.5, 1e300]}));
    }
}
