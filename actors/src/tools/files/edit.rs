//! `edit`: replaces places of a file, each named by the text that is there.

use std::io::Read as _;
use std::ops::Range;

use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Map, Value, json};

use super::text::{View, has_crlf, with_ends};
use super::{path_of, text_of, work};
use crate::tools::contract::{Effect, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput};
use crate::tools::workspace::{Opened, Stamp, Workspace};

/// Largest file that is edited.
pub(super) const MAX_BYTES: u64 = 8 << 20;

/// The tool.
#[derive(Debug, Clone, Copy, Default)]
pub struct EditTool;

impl Tool for EditTool {
    fn name(&self) -> &'static str {
        "edit"
    }

    fn description(&self) -> &'static str {
        "Replaces text in a file of the workspace. Each oldText must be in the file exactly once, as it was before any of \
         the edits; places must not overlap."
    }

    fn parameters(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "path": {"type": "string", "minLength": 1, "description": "File, relative to the workspace."},
                "edits": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "properties": {
                            "oldText": {"type": "string", "minLength": 1, "description": "What is there, once."},
                            "newText": {"type": "string", "description": "What is to be there."},
                        },
                        "required": ["oldText", "newText"],
                        "additionalProperties": false,
                    },
                },
            },
            "required": ["path", "edits"],
            "additionalProperties": false,
        })
    }

    fn capabilities(&self) -> ToolCapabilities {
        ToolCapabilities { upgrade: Some(upgrade), ..ToolCapabilities::OWNER }
    }

    fn effect(&self, _arguments: &Value) -> Effect {
        Effect::Once
    }

    fn call(&self, arguments: Value, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        async move {
            let path = path_of(&arguments);
            let edits: Vec<Edit> = arguments["edits"].as_array().into_iter().flatten().map(Edit::of).collect();
            work(&context, move |workspace, _| edit(workspace, &path, &edits)).await
        }
        .boxed()
    }
}

/// `{path, oldText, newText}` and `{path, old_string, new_string}` are one edit in an older spelling.
fn upgrade(arguments: Value) -> Value {
    let Value::Object(mut fields) = arguments else { return arguments };
    if !fields.contains_key("edits") {
        for [old, new] in [["oldText", "newText"], ["old_string", "new_string"]] {
            if let (Some(old), Some(new)) = (fields.get(old).cloned(), fields.get(new).cloned()) {
                fields.insert(String::from("edits"), json!([{"oldText": old, "newText": new}]));
                break;
            }
        }
    }
    let keep = |name: &String| !fields.contains_key("edits") || !OLDER.contains(&name.as_str());
    let kept: Map<String, Value> =
        fields.iter().filter(|(name, _)| keep(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    Value::Object(kept)
}

const OLDER: &[&str] = &["oldText", "newText", "old_string", "new_string"];

struct Edit {
    old: String,
    new: String,
}

impl Edit {
    fn of(value: &Value) -> Self {
        let text = |name| text_of(value, name).unwrap_or_default().replace("\r\n", "\n");
        Self { old: text("oldText"), new: text("newText") }
    }
}

fn edit(workspace: &Workspace, path: &str, edits: &[Edit]) -> Result<ToolOutput, ToolError> {
    let (before, stamp) = whole_text(workspace, path)?;
    let (after, places) = replaced(path, &before, edits)?;
    if after == before {
        return Err(ToolError::Failed(format!("{path}: the new text is what is there; nothing was changed")));
    }
    workspace.replace(path, after.as_bytes(), Some(stamp))?;
    let first = places.iter().map(|range| range.start).min().unwrap_or(0);
    let line = before[..first].matches('\n').count() + 1;
    let count = places.len();
    let text = match count {
        1 => format!("Edited {path}: 1 place, at line {line}."),
        _ => format!("Edited {path}: {count} places, the first at line {line}."),
    };
    Ok(ToolOutput { text, details: Some(json!({"path": path, "edits": count, "firstChangedLine": line})) })
}

/// All of a text file, and its state.
pub(super) fn whole_text(workspace: &Workspace, path: &str) -> Result<(String, Stamp), ToolError> {
    let Opened { mut file, metadata, .. } = workspace.open_file(path)?;
    if metadata.len() > MAX_BYTES {
        return Err(ToolError::Failed(format!(
            "{path} has {} bytes; more than {MAX_BYTES} are not edited",
            metadata.len()
        )));
    }
    let mut bytes = Vec::new();
    file.by_ref()
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| ToolError::Failed(format!("{path}: {error}")))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ToolError::Failed(format!("{path} grows while it is read")));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| ToolError::Failed(format!("{path} is not UTF-8 text; only text is edited")))?;
    Ok((text, Stamp::of(&metadata)))
}

/// The text after all edits, and the places they were made at. All of the places are looked for in the text before.
fn replaced(path: &str, before: &str, edits: &[Edit]) -> Result<(String, Vec<Range<usize>>), ToolError> {
    let exact = View::exact(before);
    let mut loose = None;
    let mut places: Vec<(Range<usize>, &Edit, usize)> = Vec::with_capacity(edits.len());
    for (at, edit) in edits.iter().enumerate() {
        let which = if edits.len() == 1 { String::from("oldText") } else { format!("edits[{at}].oldText") };
        let place = match only(&exact, &edit.old) {
            Count::One(place) => place,
            Count::Many(count) => return Err(not_unique(path, &which, count)),
            Count::None => {
                let view = loose.get_or_insert_with(|| View::loose(before));
                match only(view, &View::loose(&edit.old).text) {
                    Count::One(place) => place,
                    Count::Many(count) => return Err(not_unique(path, &which, count)),
                    Count::None => {
                        let text = format!("{path}: {which} is not in the file; read it and use the text as it stands");
                        return Err(ToolError::Failed(text));
                    }
                }
            }
        };
        places.push((place, edit, at));
    }
    places.sort_by_key(|(place, ..)| place.start);
    if let Some(pair) = places.windows(2).find(|pair| pair[0].0.end > pair[1].0.start) {
        let text = format!("{path}: edits[{}] and edits[{}] overlap; make them one", pair[0].2, pair[1].2);
        return Err(ToolError::Failed(text));
    }
    let crlf = has_crlf(before);
    let (mut after, mut done) = (String::with_capacity(before.len()), 0);
    for (place, edit, _) in &places {
        after.push_str(&before[done..place.start]);
        after.push_str(&with_ends(&edit.new, crlf));
        done = place.end;
    }
    after.push_str(&before[done..]);
    Ok((after, places.into_iter().map(|(place, ..)| place).collect()))
}

enum Count {
    None,
    One(Range<usize>),
    Many(usize),
}

fn only(view: &View, wanted: &str) -> Count {
    if wanted.is_empty() {
        return Count::None;
    }
    let mut found = view.text.match_indices(wanted);
    let Some((first, _)) = found.next() else { return Count::None };
    // Places that overlap count as well: "aa" is in "aaa" twice.
    let again = first + view.text[first..].chars().next().map_or(1, char::len_utf8);
    match view.text[again..].find(wanted) {
        None => Count::One(view.origin(first..first + wanted.len())),
        Some(_) => Count::Many(2 + found.skip(1).count()),
    }
}

fn not_unique(path: &str, which: &str, count: usize) -> ToolError {
    ToolError::Failed(format!("{path}: {which} is in the file {count} times; take in more of what stands around it"))
}
