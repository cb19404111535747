//! From bytes on disk to a checked snapshot: read, parse, include, substitute, validate, fill in defaults.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::{Data, Files, MAX_DEPTH, Node, parse};
use super::include::Includer;
use super::issue::{ConfigError, ConfigIssue};
use super::schema::Config;
use super::snapshot::{ConfigSnapshot, sha256_hex};
use super::substitute::{EnvVars, substitute};
use super::validate::validate;

/// Largest file that is read (OpenClaw: 2 MB).
pub(super) const MAX_FILE_BYTES: u64 = 2 * 1024 * 1024;

/// Where things lie on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDirs {
    /// `~/.openclaw`, or `OPENCLAW_STATE_DIR`.
    pub state_dir: PathBuf,
    /// `openclaw.json` in it, or `OPENCLAW_CONFIG_PATH`.
    pub config_path: PathBuf,
}

impl StateDirs {
    /// Reads the two variables; a leading `~` is the home directory.
    ///
    /// # Errors
    /// When neither `OPENCLAW_STATE_DIR` nor `HOME` is set.
    pub fn from_env(env: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let set = |name: &str| env.get(name).map(String::as_str).filter(|value| !value.trim().is_empty());
        let home = set("HOME").map(Path::new);
        let state_dir = match set("OPENCLAW_STATE_DIR") {
            Some(dir) => expand_home(dir, home),
            None => home.ok_or(ConfigError::NoStateDir)?.join(".openclaw"),
        };
        let config_path =
            set("OPENCLAW_CONFIG_PATH").map_or_else(|| state_dir.join("openclaw.json"), |path| expand_home(path, home));
        Ok(Self { state_dir, config_path })
    }
}

/// `~` and `~/x` with the home directory filled in.
pub(super) fn expand_home(path: &str, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home.to_path_buf(),
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(&rest[1..]),
        (Some(_) | None, Some(_) | None) => PathBuf::from(path),
    }
}

/// What a load depends on besides the files themselves.
#[derive(Clone)]
pub struct LoadSources {
    /// The configuration file.
    pub config_path: PathBuf,
    /// The state directory; its `.env` is read too.
    pub state_dir: PathBuf,
    /// The process environment.
    pub env: BTreeMap<String, String>,
}

impl std::fmt::Debug for LoadSources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadSources")
            .field("config_path", &self.config_path)
            .field("state_dir", &self.state_dir)
            .finish_non_exhaustive()
    }
}

impl LoadSources {
    /// The places of `dirs` under the environment `env`.
    #[must_use]
    pub fn new(dirs: StateDirs, env: BTreeMap<String, String>) -> Self {
        Self { config_path: dirs.config_path, state_dir: dirs.state_dir, env }
    }
}

/// Why a file could not be read as text.
pub(super) enum ReadError {
    Missing,
    NotAFile { what: &'static str },
    TooLarge { limit: u64 },
    NotUtf8 { text_before: String },
    Io(std::io::Error),
}

/// The text of a file without its byte order mark, at most [`MAX_FILE_BYTES`].
pub(super) fn read_text(path: &Path) -> Result<String, ReadError> {
    let meta = fs::metadata(path).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound { ReadError::Missing } else { ReadError::Io(error) }
    })?;
    if meta.is_dir() {
        return Err(ReadError::NotAFile { what: "a directory" });
    }
    if !meta.is_file() {
        return Err(ReadError::NotAFile { what: "a device or a pipe" });
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(ReadError::Io)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(ReadError::Io)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ReadError::TooLarge { limit: MAX_FILE_BYTES });
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        ReadError::NotUtf8 { text_before: String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned() }
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// Loads the configuration. A missing file means defaults.
///
/// # Errors
/// When the file is there but cannot be read or is refused; the error lists every issue.
pub fn load(sources: &LoadSources) -> Result<ConfigSnapshot, ConfigError> {
    let path = &sources.config_path;
    match read_text(path) {
        Ok(text) => check(sources, text),
        Err(ReadError::Missing) if fs::symlink_metadata(path).is_ok() => {
            Err(ConfigError::NotAFile { path: path.clone(), what: "a symbolic link to nothing" })
        }
        Err(ReadError::Missing) => absent(sources),
        Err(ReadError::NotAFile { what }) => Err(ConfigError::NotAFile { path: path.clone(), what }),
        Err(ReadError::Io(source)) => Err(ConfigError::Unreadable { path: path.clone(), hint: hint(&source), source }),
        Err(ReadError::TooLarge { limit }) => {
            Err(whole_file(path, String::new(), "a larger file", &format!("at most {limit} bytes")))
        }
        Err(ReadError::NotUtf8 { text_before }) => {
            Err(whole_file(path, text_before, "a byte that is no UTF-8", "UTF-8"))
        }
    }
}

/// Checks `raw` as if it stood in the configuration file, includes and all; nothing is written.
///
/// # Errors
/// When it is refused; the error lists every issue.
pub fn check(sources: &LoadSources, raw: String) -> Result<ConfigSnapshot, ConfigError> {
    let mut files = Files::default();
    let (mut issues, mut warnings) = (Vec::new(), Vec::new());
    file_warnings(&sources.config_path, &mut warnings);
    let raw = raw.strip_prefix('\u{feff}').map_or_else(|| raw.clone(), str::to_owned);
    // Includes are confined by the real place of the file. A file that is about to be created has none yet.
    let real = fs::canonicalize(&sources.config_path).unwrap_or_else(|_| sources.config_path.clone());
    let main = files.add(sources.config_path.clone(), raw.clone());
    let Some(mut root) = parse(&files, main, &mut issues, &mut warnings) else {
        return Err(ConfigError::Invalid(issues));
    };
    let roots = sources.env.get("OPENCLAW_INCLUDE_ROOTS").map_or("", String::as_str);
    Includer::new(&real, roots, &mut files, &mut issues, &mut warnings).resolve(&mut root, "");
    if !matches!(root.data, Data::Object(_)) {
        issues.push(files.issue(root.at, "", root.kind(), "an object"));
    }
    if depth(&root) > 2 * MAX_DEPTH {
        issues.push(files.issue(root.at, "", "nesting too deep after includes", "a shallower structure"));
    }
    if !issues.is_empty() {
        return Err(ConfigError::Invalid(issues));
    }
    finish(sources, files, root, raw, true, warnings)
}

/// The defaults, when there is no file.
fn absent(sources: &LoadSources) -> Result<ConfigSnapshot, ConfigError> {
    let mut files = Files::default();
    files.add(sources.config_path.clone(), String::new());
    finish(sources, files, Node::empty(), String::new(), false, Vec::new())
}

fn finish(
    sources: &LoadSources,
    files: Files,
    mut root: Node,
    raw: String,
    exists: bool,
    mut warnings: Vec<String>,
) -> Result<ConfigSnapshot, ConfigError> {
    let env = environment(sources, &root);
    substitute(&mut root, &env, &files, &mut warnings);
    let mut issues = validate(&root, &files, &mut warnings);
    let config = Config::build(&root, &files, &env, sources, &mut issues, &mut warnings);
    if !issues.is_empty() {
        issues.sort_by_key(|issue: &ConfigIssue| (issue.file != sources.config_path, issue.line, issue.column));
        // A value of the wrong type may be out of range too; once is enough.
        issues.dedup_by(|b, a| (&a.file, a.line, a.column, &a.path) == (&b.file, b.line, b.column, &b.path));
        return Err(ConfigError::Invalid(issues));
    }
    let fingerprint = sha256_hex(files.texts().collect::<Vec<_>>().join("\0").as_bytes());
    Ok(ConfigSnapshot {
        revision: 0,
        path: sources.config_path.clone(),
        exists,
        hash: sha256_hex(raw.as_bytes()),
        raw,
        authored: root.to_json(),
        config: Arc::new(config),
        warnings,
        env: Arc::new(env),
        files: files.paths(),
        fingerprint,
    })
}

/// Process environment, then `.env` of the state directory, then `env.vars`.
fn environment(sources: &LoadSources, root: &Node) -> EnvVars {
    let mut env = EnvVars::new(sources.env.clone());
    if let Ok(text) = read_text(&sources.state_dir.join(".env")) {
        env.add_dotenv(&text);
    }
    for entry in root.get("env").and_then(|env| env.get("vars")).map_or(&[][..], Node::entries) {
        if let Data::Text(value) = &entry.value.data {
            env.add_missing(entry.key.clone(), value.clone());
        }
    }
    env
}

fn depth(node: &Node) -> usize {
    match &node.data {
        Data::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Data::Object(entries) => 1 + entries.iter().map(|entry| depth(&entry.value)).max().unwrap_or(0),
        Data::Null | Data::Bool(_) | Data::Number(_) | Data::Text(_) | Data::Unresolved(_) => 0,
    }
}

fn whole_file(path: &Path, text_before: String, found: &str, expected: &str) -> ConfigError {
    let mut files = Files::default();
    let offset = text_before.len();
    let file = files.add(path.to_path_buf(), text_before);
    let at = super::document::Origin { file, offset };
    ConfigError::Invalid(vec![files.issue(at, "", found, expected)])
}

fn hint(error: &std::io::Error) -> String {
    let kind = error.kind();
    let hint = if kind == std::io::ErrorKind::PermissionDenied {
        "no permission; it should belong to the user the gateway runs as"
    } else if kind == std::io::ErrorKind::NotADirectory {
        "a part of its path is a file, not a directory"
    } else {
        "the system refused"
    };
    hint.to_owned()
}

/// What is odd about the file itself but does not stop anything.
fn file_warnings(path: &Path, warnings: &mut Vec<String>) {
    let Ok(link) = fs::symlink_metadata(path) else { return };
    if link.file_type().is_symlink() {
        warnings.push(format!("{} is a symbolic link; writing replaces the file it names", path.display()));
    }
    #[cfg(unix)]
    if let Ok(meta) = fs::metadata(path) {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let path = path.display();
            warnings
                .push(format!("{path} can be read or written by others (mode {mode:o}); `chmod 600` keeps secrets in"));
        }
    }
}
