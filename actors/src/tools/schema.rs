//! Checks the arguments of a call against the schema of its tool, before anything runs.
//!
//! Knows what the schemas of this gateway use: `type`, `properties`, `required`, `additionalProperties: false`, `items`,
//! `enum`, `minimum`, `maximum`, `minItems`, `maxItems`, `minLength`. The first thing that does not fit is told, by name
//! and with what to write instead.

use serde_json::{Map, Value};

/// Checks `arguments`, which should be an object.
///
/// # Errors
/// What does not fit, in words for the model.
pub fn check(schema: &Value, arguments: &Value) -> Result<(), String> {
    value(schema, arguments, "")
}

fn value(schema: &Value, given: &Value, at: &str) -> Result<(), String> {
    if let Some(kinds) = kinds(schema)
        && !kinds.iter().any(|kind| is_kind(kind, given))
    {
        return Err(format!("{} must be {}, not {}", place(at), kinds.join(" or "), kind_of(given)));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(given)
    {
        let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
        return Err(format!("{} must be one of {}", place(at), allowed.join(", ")));
    }
    match given {
        Value::Object(fields) => object(schema, fields, at),
        Value::Array(items) => array(schema, items, at),
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            within(schema, number, ["minimum", "maximum"], "", at)
        }
        Value::String(text) => {
            within(schema, text.chars().count() as f64, ["minLength", "maxLength"], " characters", at)
        }
        Value::Null | Value::Bool(_) => Ok(()),
    }
}

fn object(schema: &Value, fields: &Map<String, Value>, at: &str) -> Result<(), String> {
    let known = schema["properties"].as_object();
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            return Err(format!("{} is missing", below(at, name)));
        }
    }
    for (name, given) in fields {
        match known.and_then(|known| known.get(name)) {
            Some(schema) => value(schema, given, &below(at, name))?,
            None if schema["additionalProperties"] == Value::Bool(false) => {
                let names: Vec<&str> = known.into_iter().flat_map(Map::keys).map(String::as_str).collect();
                let names = if names.is_empty() { String::from("none") } else { names.join(", ") };
                return Err(format!("{} is not known; known are: {names}", below(at, name)));
            }
            None if schema["additionalProperties"].is_object() => {
                value(&schema["additionalProperties"], given, &below(at, name))?;
            }
            None => {}
        }
    }
    Ok(())
}

fn array(schema: &Value, items: &[Value], at: &str) -> Result<(), String> {
    within(schema, items.len() as f64, ["minItems", "maxItems"], " items", at)?;
    for (index, item) in items.iter().enumerate() {
        if schema["items"].is_object() {
            value(&schema["items"], item, &format!("{at}[{index}]"))?;
        }
    }
    Ok(())
}

fn within(schema: &Value, size: f64, bounds: [&str; 2], unit: &str, at: &str) -> Result<(), String> {
    let [least, most] = bounds.map(|bound| schema[bound].as_f64());
    if let Some(least) = least.filter(|least| size < *least) {
        return Err(format!("{} must be at least {least}{unit}", place(at)));
    }
    match most.filter(|most| size > *most) {
        Some(most) => Err(format!("{} must be at most {most}{unit}", place(at))),
        None => Ok(()),
    }
}

/// The kinds a value may be; none when the schema does not say.
fn kinds(schema: &Value) -> Option<Vec<&str>> {
    match &schema["type"] {
        Value::String(kind) => Some(vec![kind]),
        Value::Array(kinds) => Some(kinds.iter().filter_map(Value::as_str).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn is_kind(kind: &str, given: &Value) -> bool {
    match given {
        Value::Null => kind == "null",
        Value::Bool(_) => kind == "boolean",
        Value::Number(number) => kind == "number" || kind == "integer" && (number.is_i64() || number.is_u64()),
        Value::String(_) => kind == "string",
        Value::Array(_) => kind == "array",
        Value::Object(_) => kind == "object",
    }
}

fn kind_of(given: &Value) -> &'static str {
    match given {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn place(at: &str) -> &str {
    if at.is_empty() { "the arguments" } else { at }
}

fn below(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "path": {"type": "string", "minLength": 1},
                "limit": {"type": "integer", "minimum": 1, "maximum": 100},
                "edits": {
                    "type": "array", "minItems": 1,
                    "items": {
                        "type": "object",
                        "properties": {"old": {"type": "string"}},
                        "required": ["old"], "additionalProperties": false,
                    },
                },
                "mode": {"type": "string", "enum": ["notify", "steer"]},
                "deep": {"type": "boolean"},
                "env": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "required": ["path"], "additionalProperties": false,
        })
    }

    #[test]
    fn what_fits_passes() {
        for given in [
            json!({"path": "a"}),
            json!({"path": "a", "limit": 1, "edits": [{"old": ""}], "mode": "steer", "deep": true, "env": {"A": "b"}}),
        ] {
            assert_eq!(check(&schema(), &given), Ok(()), "{given}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (given, words) in [
            (json!([]), "the arguments must be object, not array"),
            (json!({}), "path is missing"),
            (json!({"path": 5}), "path must be string, not number"),
            (json!({"path": ""}), "path must be at least 1 characters"),
            (json!({"path": "a", "pth": "b"}), "pth is not known; known are: path, limit"),
            (json!({"path": "a", "limit": 0}), "limit must be at least 1"),
            (json!({"path": "a", "limit": 101}), "limit must be at most 100"),
            (json!({"path": "a", "limit": 1.5}), "limit must be integer, not a number with a fraction"),
            (json!({"path": "a", "edits": []}), "edits must be at least 1 items"),
            (json!({"path": "a", "edits": [{}]}), "edits[0].old is missing"),
            (json!({"path": "a", "edits": [{"old": "", "x": 1}]}), "edits[0].x is not known"),
            (json!({"path": "a", "mode": "shout"}), "mode must be one of \"notify\", \"steer\""),
            (json!({"path": "a", "env": {"A": 1}}), "env.A must be string"),
        ] {
            let error = check(&schema(), &given).unwrap_err();
            assert!(error.starts_with(words), "{given}: {error}");
        }
    }
}
