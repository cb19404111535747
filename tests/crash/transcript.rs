//! Transcripts as the checks see them.

use serde_json::Value;

use crate::record::Talk;

/// A line behind the header.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Line {
    /// A message of a person: the ids of the messages in it.
    User(Vec<String>),
    /// An answer of the model.
    Assistant { text: String, calls: Vec<String>, failed: Option<String> },
    /// What a tool gave.
    Result { call: String, is_error: bool, text: String },
    /// Anything else.
    Note,
}

/// A conversation, or why it can't be read as one.
pub(crate) fn read(talk: &Talk) -> Result<Vec<Line>, String> {
    let fail = |at: usize, why: &str| format!("{}:{}: {why}", talk.name, at + 1);
    if !talk.text.ends_with('\n') {
        return Err(fail(0, "the last line is torn"));
    }
    let mut lines = Vec::new();
    let mut ids: Vec<String> = Vec::new();
    for (at, text) in talk.text.lines().enumerate() {
        let entry: Value = serde_json::from_str(text).map_err(|error| fail(at, &format!("no JSON: {error}")))?;
        if at == 0 {
            if entry["type"] != "session" {
                return Err(fail(at, "no header"));
            }
            continue;
        }
        let id = entry["id"].as_str().ok_or_else(|| fail(at, "no id"))?.to_owned();
        if ids.contains(&id) {
            return Err(fail(at, "an id for the second time"));
        }
        let parent = entry["parentId"].as_str();
        if parent != ids.last().map(String::as_str) {
            return Err(fail(at, "does not follow the line before it"));
        }
        ids.push(id);
        lines.push(line(&entry));
    }
    if lines.is_empty() {
        return Err(fail(0, "holds nothing"));
    }
    Ok(lines)
}

fn line(entry: &Value) -> Line {
    let message = &entry["message"];
    let text = text_of(message);
    match message["role"].as_str() {
        Some("user") => Line::User(markers(&text)),
        Some("assistant") => {
            let parts = message["content"].as_array().into_iter().flatten();
            let calls = parts.filter(|part| part["type"] == "toolCall");
            Line::Assistant {
                calls: calls.map(|call| call["id"].as_str().unwrap_or_default().to_owned()).collect(),
                failed: message["errorMessage"].as_str().map(str::to_owned),
                text,
            }
        }
        Some("toolResult") => Line::Result {
            call: message["toolCallId"].as_str().unwrap_or_default().to_owned(),
            is_error: message["isError"] == true,
            text,
        },
        Some(_) | None => Line::Note,
    }
}

/// The text of a message, in any of the shapes it has in files and requests.
pub(crate) fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

/// What stands between `<<` and `>>`, each time.
pub(crate) fn marks(text: &str) -> impl Iterator<Item = &str> {
    text.split("<<").skip(1).filter_map(|rest| rest.split(">>").next())
}

/// The ids of the messages that a text carries.
pub(crate) fn markers(text: &str) -> Vec<String> {
    marks(text).filter_map(|mark| mark.split(' ').next()).map(str::to_owned).collect()
}
