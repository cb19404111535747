//! Adding a model to the configuration file.
//!
//! The text is edited, not rewritten: comments, order and spelling stay. The new file takes the old one's place in one
//! step, readable by its owner only, and only if nobody changed the old one meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jsonc_parser::cst::{CstArray, CstInputValue, CstObject, CstRootNode};

use super::failure::Failure;
use super::locate::parse_options;

/// A model to be added, and the provider that serves it.
#[derive(Clone)]
pub(crate) struct NewModel {
    pub(crate) provider: String,
    pub(crate) base_url: String,
    pub(crate) api: String,
    pub(crate) model: String,
    /// The key itself, or `${VAR}`.
    pub(crate) api_key: Option<String>,
    pub(crate) context_window: Option<u64>,
    pub(crate) max_tokens: Option<u64>,
    /// Make it the default even if there is one.
    pub(crate) force_default: bool,
}

/// What an edit came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    /// The new text.
    pub(crate) text: String,
    /// True when the model is now the default one.
    pub(crate) is_default: bool,
}

/// `text` with the model in it.
pub(crate) fn add_model(text: &str, new: &NewModel) -> Result<Edit, Failure> {
    let text = text.trim_start_matches('\u{feff}');
    let text = if text.trim().is_empty() { "{}\n" } else { text };
    let root = CstRootNode::parse(text, &parse_options()).map_err(|error| Failure::Config(error.to_string()))?;
    let top = root.object_value().ok_or_else(|| Failure::Config("the file does not hold an object".into()))?;
    let provider = object(&object(&object(&top, "models")?, "providers")?, &new.provider)?;
    set(&provider, "baseUrl", new.base_url.as_str().into());
    set(&provider, "api", new.api.as_str().into());
    if let Some(key) = &new.api_key {
        set(&provider, "apiKey", key.as_str().into());
    }
    put_model(&array(&provider, "models")?, new);
    let is_default = put_default(&top, new)?;
    Ok(Edit { text: root.to_string(), is_default })
}

fn put_model(models: &CstArray, new: &NewModel) {
    let numbers = [("contextWindow", new.context_window), ("maxTokens", new.max_tokens)];
    let numbers: Vec<(&str, u64)> = numbers.into_iter().filter_map(|(key, number)| Some((key, number?))).collect();
    let known = models.elements().into_iter().filter_map(|element| element.as_object()).find(|model| {
        let id = model.get("id").and_then(|id| id.value()).and_then(|id| id.as_string_lit());
        id.and_then(|id| id.decoded_value().ok()).as_deref() == Some(new.model.as_str())
    });
    if let Some(model) = known {
        for (key, number) in numbers {
            set(&model, key, CstInputValue::Number(number.to_string()));
        }
        return;
    }
    let mut fields: Vec<(String, CstInputValue)> =
        vec![("id".into(), new.model.as_str().into()), ("name".into(), new.model.as_str().into())];
    fields.extend(numbers.into_iter().map(|(key, number)| (key.into(), CstInputValue::Number(number.to_string()))));
    models.append(CstInputValue::Object(fields));
}

/// The first model becomes the default one by itself.
fn put_default(top: &CstObject, new: &NewModel) -> Result<bool, Failure> {
    let defaults = object(&object(top, "agents")?, "defaults")?;
    let reference = format!("{}/{}", new.provider, new.model);
    let Some(property) = defaults.get("model") else {
        defaults.append("model", CstInputValue::Object(vec![("primary".into(), reference.into())]));
        return Ok(true);
    };
    match property.object_value() {
        Some(model) if new.force_default || model.get("primary").is_none() => {
            set(&model, "primary", reference.into());
            Ok(true)
        }
        None if new.force_default => {
            property.set_value(reference.into());
            Ok(true)
        }
        Some(_) | None => Ok(false),
    }
}

fn set(object: &CstObject, key: &str, value: CstInputValue) {
    match object.get(key) {
        Some(property) => property.set_value(value),
        None => {
            object.append(key, value);
        }
    }
}

fn object(parent: &CstObject, key: &str) -> Result<CstObject, Failure> {
    parent.object_value_or_create(key).ok_or_else(|| Failure::Config(format!("`{key}` is not an object")))
}

fn array(parent: &CstObject, key: &str) -> Result<CstArray, Failure> {
    parent.array_value_or_create(key).ok_or_else(|| Failure::Config(format!("`{key}` is not a list")))
}

/// The file's text; a missing file is empty.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(told(path, &error)),
    }
}

/// Puts `new` in the place of `old`, which must still be there. The old text is kept beside it as `.bak`.
pub(crate) fn replace(path: &Path, old: &str, new: &str) -> Result<(), Failure> {
    // A link is followed, or the rename would replace the link.
    let path = fs::canonicalize(path).unwrap_or_else(|_missing| path.to_owned());
    let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| told(&folder, &error))?;
    if read_text(&path)? != old {
        return Err(Failure::Failed(format!("{} changed meanwhile; try again", path.display())));
    }
    if !old.is_empty() {
        write_beside(&path, ".bak", old)?;
    }
    write_beside(&path, "", new)?;
    File::open(&folder).and_then(|folder| folder.sync_all()).map_err(|error| told(&folder, &error))
}

/// Takes an edit back: `old` stands in the place of `new` again, which must still be there.
pub(crate) fn undo(path: &Path, old: &str, new: &str) -> Result<(), Failure> {
    if !old.is_empty() {
        return replace(path, new, old);
    }
    if read_text(path)? != new {
        return Err(Failure::Failed(format!("{} changed meanwhile; it is left as it is", path.display())));
    }
    fs::remove_file(path).map_err(|error| told(path, &error))
}

/// Writes a whole file under `path` plus `suffix`: new, synced, renamed.
fn write_beside(path: &Path, suffix: &str, text: &str) -> Result<(), Failure> {
    let with = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let (target, draft) = (with(suffix), with(&format!("{suffix}.{}.tmp", std::process::id())));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &target)
    };
    write().map_err(|error| {
        fs::remove_file(&draft).unwrap_or_default();
        told(&target, &error)
    })
}

fn told(path: &Path, error: &io::Error) -> Failure {
    Failure::Config(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn new() -> NewModel {
        NewModel {
            provider: "local".into(),
            base_url: "http://127.0.0.1:8080/v1".into(),
            api: "openai-completions".into(),
            model: "tiny".into(),
            api_key: Some("${KEY}".into()),
            context_window: Some(4096),
            max_tokens: None,
            force_default: false,
        }
    }

    fn value(text: &str) -> serde_json::Value {
        jsonc_parser::parse_to_serde_value(text, &parse_options()).unwrap()
    }

    #[test]
    fn an_empty_file_gets_the_model_as_its_default() {
        let edit = add_model("", &new()).unwrap();
        assert!(edit.is_default);
        assert_eq!(
            value(&edit.text),
            serde_json::json!({
                "models": {"providers": {"local": {
                    "baseUrl": "http://127.0.0.1:8080/v1", "api": "openai-completions", "apiKey": "${KEY}",
                    "models": [{"id": "tiny", "name": "tiny", "contextWindow": 4096}]}}},
                "agents": {"defaults": {"model": {"primary": "local/tiny"}}}
            })
        );
    }

    #[test]
    fn comments_and_other_keys_stay() {
        let text =
            "{\n  // the gateway\n  gateway: { port: 1 }, // one\n  agents: { defaults: { model: 'other/one' } },\n}\n";
        let edit = add_model(text, &new()).unwrap();
        assert!(edit.text.contains("// the gateway") && edit.text.contains("gateway: { port: 1 }, // one"));
        assert!(!edit.is_default && value(&edit.text)["agents"]["defaults"]["model"] == "other/one");
        let forced = add_model(text, &NewModel { force_default: true, ..new() }).unwrap();
        assert_eq!(value(&forced.text)["agents"]["defaults"]["model"], "local/tiny");
    }

    #[test]
    fn adding_twice_changes_the_one_entry() {
        let once = add_model("", &new()).unwrap().text;
        let twice = add_model(&once, &NewModel { max_tokens: Some(9), api_key: None, ..new() }).unwrap().text;
        let provider = &value(&twice)["models"]["providers"]["local"];
        assert_eq!(provider["models"].as_array().unwrap().len(), 1);
        assert_eq!((&provider["models"][0]["maxTokens"], &provider["apiKey"]), (&9.into(), &"${KEY}".into()));
    }

    #[test]
    fn a_shape_that_is_not_the_configuration_is_refused() {
        for text in ["[]", "{models: 1}", "{models: {providers: {local: {models: {}}}}}", "{"] {
            assert_eq!(add_model(text, &new()).unwrap_err().exit_code(), 78, "{text}");
        }
    }

    #[test]
    fn the_file_is_private_and_the_old_text_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/openclaw.json");
        replace(&path, "", "{}").unwrap();
        replace(&path, "{}", "{a: 1}").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&path).unwrap(), "{a: 1}");
        assert_eq!(fs::read_to_string(folder.path().join("state/openclaw.json.bak")).unwrap(), "{}");
        assert_eq!(fs::read_dir(folder.path().join("state")).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("openclaw.json");
        fs::write(&path, "{theirs: 1}").unwrap();
        assert!(replace(&path, "{}", "{mine: 1}").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "{theirs: 1}");
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.json"), folder.path().join("openclaw.json"));
        fs::write(&real, "{}").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        replace(&link, "{}", "{a: 1}").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "{a: 1}");
    }
}
