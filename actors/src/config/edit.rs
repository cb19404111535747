//! Changes the text of a configuration and keeps what a person wrote: comments, order, spelling. Pure.

use jsonc_parser::cst::{CstInputValue, CstObject, CstRootNode};
use serde_json::Value;

use super::document::{MAX_DEPTH, parse_options};

/// Why a text could not be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text is no JSON5.
    #[error("the configuration is not valid JSON5: {0}")]
    Unparsable(String),
    /// Something else stands where an object is needed.
    #[error("{path} is not an object, it cannot be changed here")]
    NotAnObject {
        /// The dotted path.
        path: String,
    },
    /// A value to write nests too deep.
    #[error("the change nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// A provider entry to write: what `occtl models add` asks for.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProviderEntry {
    /// The provider's id.
    pub id: String,
    /// Where it answers.
    pub base_url: Option<String>,
    /// Its key, or a `${VAR}` reference.
    pub api_key: Option<String>,
    /// How it is spoken to.
    pub api: Option<String>,
    /// A model to list, by the provider's id of it.
    pub model: Option<String>,
}

impl std::fmt::Debug for ProviderEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderEntry").field("id", &self.id).field("model", &self.model).finish_non_exhaustive()
    }
}

/// Adds or completes `models.providers.<id>`. What `entry` leaves out stays; a model is added when it is not listed.
/// An empty text is begun anew.
///
/// # Errors
/// When the text is not parsable, or something else stands at that place.
pub fn set_provider(text: &str, entry: &ProviderEntry) -> Result<String, EditError> {
    let root = open(text)?;
    let base = object(&root)?;
    let models = enter(&base, "models", "models")?;
    let providers = enter(&models, "providers", "models.providers")?;
    let place = format!("models.providers.{}", entry.id);
    let provider = enter(&providers, &entry.id, &place)?;
    for (key, value) in [("baseUrl", &entry.base_url), ("apiKey", &entry.api_key), ("api", &entry.api)] {
        if let Some(value) = value {
            put(&provider, key, CstInputValue::String(value.clone()));
        }
    }
    let Some(model) = &entry.model else { return Ok(root.to_string()) };
    let listed = provider
        .array_value_or_create("models")
        .ok_or_else(|| EditError::NotAnObject { path: format!("{place}.models") })?;
    let has = listed.elements().iter().any(|element| {
        let id = element.as_object().and_then(|model| model.get("id")).and_then(|id| id.value());
        id.and_then(|id| id.as_string_lit()).and_then(|id| id.decoded_value().ok()).is_some_and(|id| id == *model)
    });
    if !has {
        let id = CstInputValue::String(model.clone());
        listed.append(CstInputValue::Object(vec![("id".into(), id)]));
    }
    Ok(root.to_string())
}

/// Applies a merge patch (RFC 7386): objects merge, `null` removes, anything else replaces. What the patch does not
/// name keeps its text.
///
/// # Errors
/// When the text is not parsable or no object, or the patch nests too deep.
pub fn merge_patch(text: &str, patch: &Value) -> Result<String, EditError> {
    let root = open(text)?;
    let base = object(&root)?;
    let Value::Object(_) = patch else { return Err(EditError::NotAnObject { path: "the patch".into() }) };
    merge(&base, patch, 0)?;
    Ok(root.to_string())
}

fn merge(target: &CstObject, patch: &Value, depth: usize) -> Result<(), EditError> {
    let Value::Object(entries) = patch else { return Ok(()) };
    if depth > MAX_DEPTH {
        return Err(EditError::TooDeep);
    }
    for (key, value) in entries {
        match value {
            Value::Null => {
                // A key given twice is removed twice.
                while let Some(property) = target.get(key) {
                    property.remove();
                }
            }
            Value::Object(_) => match target.object_value(key) {
                Some(below) => merge(&below, value, depth + 1)?,
                None => put(target, key, input(&without_nulls(value, 0)?, 0)?),
            },
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                put(target, key, input(value, 0)?);
            }
        }
    }
    Ok(())
}

/// A patch that meets nothing to merge with: its nulls remove nothing.
fn without_nulls(value: &Value, depth: usize) -> Result<Value, EditError> {
    if depth > MAX_DEPTH {
        return Err(EditError::TooDeep);
    }
    let Value::Object(entries) = value else { return Ok(value.clone()) };
    let kept = entries.iter().filter(|(_, value)| !value.is_null());
    let kept = kept.map(|(key, value)| Ok((key.clone(), without_nulls(value, depth + 1)?)));
    Ok(Value::Object(kept.collect::<Result<_, EditError>>()?))
}

fn open(text: &str) -> Result<CstRootNode, EditError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = if text.trim().is_empty() { "{\n}\n" } else { text };
    CstRootNode::parse(text, &parse_options()).map_err(|error| EditError::Unparsable(error.to_string()))
}

fn object(root: &CstRootNode) -> Result<CstObject, EditError> {
    root.object_value_or_create().ok_or_else(|| EditError::NotAnObject { path: "the file".into() })
}

fn enter(object: &CstObject, key: &str, path: &str) -> Result<CstObject, EditError> {
    object.object_value_or_create(key).ok_or_else(|| EditError::NotAnObject { path: path.to_owned() })
}

/// Sets the last property called `key`: that one counts when a key is given twice.
fn put(object: &CstObject, key: &str, value: CstInputValue) {
    let last = object.properties().into_iter().rev().find(|property| property.decoded_name().as_deref() == Some(key));
    match last {
        Some(property) => property.set_value(value),
        None => {
            object.append(key, value);
        }
    }
}

fn input(value: &Value, depth: usize) -> Result<CstInputValue, EditError> {
    if depth > MAX_DEPTH {
        return Err(EditError::TooDeep);
    }
    Ok(match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(value) => CstInputValue::Bool(*value),
        Value::Number(value) => CstInputValue::Number(value.to_string()),
        Value::String(value) => CstInputValue::String(value.clone()),
        Value::Array(items) => {
            CstInputValue::Array(items.iter().map(|item| input(item, depth + 1)).collect::<Result<_, _>>()?)
        }
        Value::Object(entries) => CstInputValue::Object(
            entries
                .iter()
                .map(|(key, value)| Ok((key.clone(), input(value, depth + 1)?)))
                .collect::<Result<_, EditError>>()?,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry() -> ProviderEntry {
        ProviderEntry {
            id: "open-router".into(),
            base_url: Some("https://h/v1".into()),
            api_key: Some("${KEY}".into()),
            api: Some("openai-completions".into()),
            model: Some("m/1".into()),
        }
    }

    fn value(text: &str) -> Value {
        jsonc_parser::parse_to_serde_value(text, &parse_options()).unwrap()
    }

    #[test]
    fn a_provider_is_added_to_nothing() {
        for text in ["", "  \n", "{}", "\u{feff}{ }", "// only a comment\n"] {
            let edited = set_provider(text, &entry()).unwrap();
            let want = json!({"models": {"providers": {"open-router": {"baseUrl": "https://h/v1", "apiKey": "${KEY}",
                "api": "openai-completions", "models": [{"id": "m/1"}]}}}});
            assert_eq!(value(&edited), want, "{edited}");
        }
    }

    #[test]
    fn comments_and_other_settings_stay() {
        let text = "{\n  // mine\n  gateway: { port: 1 }, // here\n  models: { providers: {\n    'open-router': { apiKey: 'old', models: [{ id: 'm/1' }] }, // keep\n  } },\n}\n";
        let edited = set_provider(text, &entry()).unwrap();
        for kept in ["// mine", "// here", "// keep", "port: 1"] {
            assert!(edited.contains(kept), "{edited}");
        }
        let provider = &value(&edited)["models"]["providers"]["open-router"];
        assert_eq!(provider["apiKey"], "${KEY}");
        assert_eq!(provider["models"].as_array().unwrap().len(), 1);
        assert_eq!(set_provider(&edited, &entry()).unwrap(), edited);
    }

    #[test]
    fn what_is_no_object_is_left_alone() {
        for text in ["[]", "{ models: 1 }", "{ models: { providers: [] } }", "{ a: "] {
            assert!(set_provider(text, &entry()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_patch_merges_removes_and_replaces() {
        let text = "{ a: { b: 1, /* c */ c: 2 }, d: [1], e: 'x' }";
        let patch = json!({"a": {"b": null, "n": {"x": 1, "y": null}}, "d": [2, {"z": null}], "e": {"f": true}});
        let edited = merge_patch(text, &patch).unwrap();
        let want = json!({"a": {"c": 2, "n": {"x": 1}}, "d": [2, {"z": null}], "e": {"f": true}});
        assert_eq!(value(&edited), want);
        assert!(edited.contains("/* c */"));
    }
}
