//! Notes before a history is shortened: a silent turn on a copy of the conversation, with two tools that can only read and
//! add notes of the day.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use chrono::{Local, TimeZone as _};
use serde_json::{Value, json};

use crate::agents::contract::{RunJob, RunServices};
use crate::agents::model_call::{self, Ask, Called};
use crate::agents::port::TurnPort;
use crate::agents::receive::Shown;
use crate::agents::tally::Tally;
use crate::agents::turn::Turn;
use crate::clock::EpochMs;
use crate::config::CompactionConfig;
use crate::message::{AssistantPart, Message, TextPart};
use crate::providers::ToolSpec;

/// Model calls of one such turn.
const ROUNDS: u32 = 6;
/// Characters that one call may add.
const MAX_NOTE: usize = 16_000;
/// Bytes that one call reads.
const MAX_READ: u64 = 32 * 1024;

/// Lets the agent write down what it wants to keep. Its failure is nobody's.
pub(in crate::agents) async fn take_notes(
    job: &RunJob,
    services: &RunServices,
    port: &TurnPort,
    tally: &mut Tally,
    turn: &Turn,
    config: &CompactionConfig,
) {
    let own = config.flush.model.as_deref().and_then(|name| model_call::only(name, services));
    let mut failover = own.unwrap_or_else(|| turn.failover.clone());
    let notes = Notes { workspace: turn.context.workspace.clone(), today: today(services.clock.now_ms()) };
    let tools = notes.tools();
    let mut talk = job.history.clone();
    talk.push(Message::user(notes.request(), services.clock.now_ms()));
    let quiet = port.quiet();
    for _ in 0..ROUNDS {
        let ask = Ask { tools: &tools, limit: Some(config.timeout), ..turn.context.ask(&talk) };
        let called = model_call::call(job, services, &quiet, ask, &mut Shown::new(false), &mut failover).await;
        let Called::Answered(message) = called else { return };
        tally.add(&message);
        let Message::Assistant { content, .. } = &*message else { return };
        let calls: Vec<(String, String, Value)> = content
            .iter()
            .filter_map(|part| match part {
                AssistantPart::ToolCall { id, name, arguments } => Some((id.clone(), name.clone(), arguments.clone())),
                AssistantPart::Text { .. } | AssistantPart::Thinking { .. } => None,
            })
            .collect();
        if calls.is_empty() {
            return;
        }
        talk.push((*message).clone());
        for (id, name, arguments) in calls {
            let (notes, tool) = (notes.clone(), name.clone());
            let done = port.offload(move || notes.call(&tool, &arguments)).await;
            let (text, is_error) = match done.unwrap_or_else(|| Err(String::from("the tool crashed"))) {
                Ok(text) => (text, false),
                Err(why) => (why, true),
            };
            talk.push(Message::ToolResult {
                tool_call_id: id,
                tool_name: name,
                content: vec![TextPart { text }],
                details: None,
                is_error,
                timestamp: services.clock.now_ms(),
            });
        }
    }
}

/// The day where the gateway runs.
fn today(now: EpochMs) -> String {
    Local.timestamp_millis_opt(now).single().unwrap_or_default().format("%Y-%m-%d").to_string()
}

/// The notes of an agent.
#[derive(Debug, Clone)]
struct Notes {
    workspace: PathBuf,
    today: String,
}

impl Notes {
    /// The file that notes are added to.
    fn file(&self) -> String {
        format!("memory/{}.md", self.today)
    }

    fn request(&self) -> String {
        format!(
            "[gateway note, not from the person] The beginning of this conversation is about to be left out. If it holds \
             something worth keeping (decisions, facts about people, open promises, places of things), add it to {} with \
             `write`; what is there stays. Write only what is not noted yet. Then answer NO_REPLY.",
            self.file()
        )
    }

    fn tools(&self) -> Vec<ToolSpec> {
        let path = |text: &str| json!({"type": "string", "description": text});
        vec![
            ToolSpec {
                name: String::from("read"),
                description: String::from("Reads MEMORY.md or a file of memory/."),
                parameters: json!({
                    "type": "object", "additionalProperties": false, "required": ["path"],
                    "properties": {"path": path("MEMORY.md or memory/<name>.md")},
                }),
            },
            ToolSpec {
                name: String::from("write"),
                description: format!("Adds text to the end of {}.", self.file()),
                parameters: json!({
                    "type": "object", "additionalProperties": false, "required": ["path", "content"],
                    "properties": {"path": path(&self.file()), "content": path("what to add")},
                }),
            },
        ]
    }

    fn call(&self, tool: &str, arguments: &Value) -> Result<String, String> {
        let text = |name: &str| {
            arguments.get(name).and_then(Value::as_str).ok_or_else(|| format!("`{name}` is missing or no string"))
        };
        match tool {
            "read" => self.read(text("path")?),
            "write" => self.add(text("path")?, text("content")?),
            _ => Err(format!("there is no tool named {tool} now; there are read and write")),
        }
    }

    fn read(&self, path: &str) -> Result<String, String> {
        let is_note = path
            .strip_prefix("memory/")
            .is_some_and(|name| name.ends_with(".md") && !name.starts_with('.') && !name.contains(['/', '\\', '\0']));
        if path != "MEMORY.md" && !is_note {
            return Err(String::from("only MEMORY.md and memory/<name>.md can be read now"));
        }
        let place = self.place(path).map_err(|error| format!("{path}: {error}"))?;
        let mut bytes = Vec::new();
        let read = fs::File::open(place).and_then(|file| file.take(MAX_READ).read_to_end(&mut bytes));
        read.map_err(|error| format!("{path}: {error}"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn add(&self, path: &str, content: &str) -> Result<String, String> {
        if path != self.file() {
            return Err(format!("notes can only be added to {}", self.file()));
        }
        if content.trim().is_empty() || content.chars().count() > MAX_NOTE {
            return Err(format!("`content` must have 1 to {MAX_NOTE} characters"));
        }
        let append = || -> io::Result<()> {
            fs::create_dir_all(self.workspace.join("memory"))?;
            let place = self.place(path)?;
            let begun = fs::metadata(&place).is_ok_and(|found| found.len() > 0);
            let mut file = fs::File::options().append(true).create(true).open(place)?;
            let gap = if begun { "\n" } else { "" };
            file.write_all(format!("{gap}{}\n", content.trim_end()).as_bytes())?;
            file.sync_all()
        };
        append().map_err(|error| format!("{path}: {error}"))?;
        Ok(format!("added to {path}"))
    }

    /// Where `path` lies. Neither the folder nor the file may be a link, so that nothing outside is reached.
    fn place(&self, path: &str) -> io::Result<PathBuf> {
        let place = self.workspace.join(path);
        let folder = place.parent().unwrap_or(Path::new("."));
        for part in [folder, &place] {
            if fs::symlink_metadata(part).is_ok_and(|found| found.file_type().is_symlink()) && part != self.workspace {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "is a link"));
            }
        }
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes() -> (tempfile::TempDir, Notes) {
        let folder = tempfile::tempdir().unwrap();
        let notes = Notes { workspace: folder.path().into(), today: "2026-11-21".into() };
        (folder, notes)
    }

    fn write(notes: &Notes, path: &str, content: &str) -> Result<String, String> {
        notes.call("write", &json!({"path": path, "content": content}))
    }

    #[test]
    fn notes_are_only_ever_added() {
        let (folder, notes) = notes();
        write(&notes, "memory/2026-11-21.md", "- one").unwrap();
        write(&notes, "memory/2026-11-21.md", "- two\n").unwrap();
        let text = fs::read_to_string(folder.path().join("memory/2026-11-21.md")).unwrap();
        assert_eq!(text, "- one\n\n- two\n");
        assert_eq!(notes.call("read", &json!({"path": "memory/2026-11-21.md"})), Ok(text));
    }

    #[test]
    fn nothing_else_is_written_or_read() {
        let (folder, notes) = notes();
        fs::write(folder.path().join("AGENTS.md"), "manual").unwrap();
        for path in ["AGENTS.md", "memory/2026-11-20.md", "../x.md", "/tmp/x.md", "memory/../AGENTS.md", ""] {
            assert!(write(&notes, path, "x").is_err(), "{path}");
        }
        for path in ["AGENTS.md", "memory/../AGENTS.md", "memory/.hidden.md", "../x.md", "/etc/passwd", "memory/a/b.md"]
        {
            assert!(notes.call("read", &json!({ "path": path })).is_err(), "{path}");
        }
        assert_eq!(fs::read_to_string(folder.path().join("AGENTS.md")).unwrap(), "manual");
        assert!(notes.call("exec", &json!({})).is_err());
        assert!(write(&notes, "memory/2026-11-21.md", &"x".repeat(MAX_NOTE + 1)).is_err());
        assert!(notes.call("write", &json!({"path": 5})).unwrap_err().contains("`path`"));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let (folder, notes) = notes();
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("memory")).unwrap();
        assert!(write(&notes, "memory/2026-11-21.md", "x").is_err());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        let secret = outside.path().join("secret.md");
        fs::write(&secret, "s").unwrap();
        std::os::unix::fs::symlink(&secret, folder.path().join("MEMORY.md")).unwrap();
        assert!(notes.call("read", &json!({"path": "MEMORY.md"})).is_err());
    }
}
