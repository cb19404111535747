//! How large the prompt of the last run was, for the session's row and for `/context`.

use serde::{Deserialize, Serialize};

use super::files::FittedFile;
use super::sections::{SystemPrompt, ToolFact};
use crate::clock::EpochMs;

/// Field of the row that holds it.
pub const FIELD: &str = "systemPromptReport";
/// Characters of a token, for sizes people look at.
const CHARS_PER_TOKEN: usize = 4;
/// Tools that are listed by their size.
const LISTED_TOOLS: usize = 40;

/// Sizes of a prompt. The names are those of OpenClaw's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PromptReport {
    /// `run`: taken from a run.
    pub source: String,
    /// When.
    pub generated_at: EpochMs,
    /// The agent's folder.
    pub workspace_dir: String,
    /// Limit of one file.
    pub bootstrap_max_chars: usize,
    /// Limit of all files.
    pub bootstrap_total_max_chars: usize,
    /// The prompt itself.
    pub system_prompt: PromptSizes,
    /// Its files.
    pub injected_workspace_files: Vec<FileSize>,
    /// The tools.
    pub tools: ToolSizes,
}

/// Sizes of the prompt itself, in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PromptSizes {
    /// All of it.
    pub chars: usize,
    /// Its workspace files.
    pub project_context_chars: usize,
    /// The rest.
    pub non_project_context_chars: usize,
}

/// Size of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FileSize {
    /// Its name.
    pub name: String,
    /// It does not exist.
    pub missing: bool,
    /// Characters on disk.
    pub raw_chars: usize,
    /// Characters in the prompt.
    pub injected_chars: usize,
    /// Something was left out.
    pub truncated: bool,
}

/// Sizes of the tools.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ToolSizes {
    /// Characters of their names and descriptions.
    pub list_chars: usize,
    /// Characters of their schemas.
    pub schema_chars: usize,
    /// Each, by name.
    pub entries: Vec<ToolSize>,
}

/// Size of a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ToolSize {
    /// Its name.
    pub name: String,
    /// Characters of its description.
    pub summary_chars: usize,
    /// Characters of its schema.
    pub schema_chars: usize,
}

/// What a report is made of besides the prompt.
#[derive(Debug, Clone, Copy)]
pub struct ReportFacts<'a> {
    /// The agent's folder.
    pub workspace: &'a str,
    /// Limits of one file and of all.
    pub limits: (usize, usize),
    /// The files.
    pub files: &'a [FittedFile],
    /// The tools.
    pub tools: &'a [ToolFact],
    /// Now.
    pub now: EpochMs,
}

impl PromptReport {
    /// The sizes of `prompt`.
    #[must_use]
    pub fn of(prompt: &SystemPrompt, facts: ReportFacts<'_>) -> Self {
        let chars = prompt.stable.chars().count() + prompt.turn.chars().count();
        let files = facts.files.iter().map(|file| FileSize {
            name: file.name.to_owned(),
            missing: file.is_missing,
            raw_chars: file.raw_chars,
            injected_chars: file.text.chars().count(),
            truncated: file.is_truncated,
        });
        let size = |tool: &ToolFact| ToolSize {
            name: tool.name.clone(),
            summary_chars: tool.description.chars().count(),
            schema_chars: tool.schema_chars,
        };
        let entries: Vec<ToolSize> = facts.tools.iter().map(size).collect();
        Self {
            source: String::from("run"),
            generated_at: facts.now,
            workspace_dir: facts.workspace.to_owned(),
            bootstrap_max_chars: facts.limits.0,
            bootstrap_total_max_chars: facts.limits.1,
            system_prompt: PromptSizes {
                chars,
                project_context_chars: prompt.file_chars,
                non_project_context_chars: chars - prompt.file_chars,
            },
            injected_workspace_files: files.collect(),
            tools: ToolSizes {
                list_chars: entries.iter().map(|tool| tool.name.chars().count() + tool.summary_chars).sum(),
                schema_chars: entries.iter().map(|tool| tool.schema_chars).sum(),
                entries,
            },
        }
    }

    /// True when both say the same, whenever they were made.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Self { generated_at: 0, ..self.clone() } == Self { generated_at: 0, ..other.clone() }
    }
}

/// How much of its window a session uses, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContextUse {
    /// Tokens of the last prompt with its answer.
    pub tokens: Option<u64>,
    /// The model's window.
    pub window: Option<u64>,
    /// How often the history was shortened.
    pub compactions: u64,
}

/// The answer to `/context list`, or, `in_detail`, to `/context detail`.
#[must_use]
pub fn render(report: &PromptReport, used: ContextUse, in_detail: bool) -> String {
    let mut text = String::new();
    let mut line = |entry: String| {
        text.push_str(&entry);
        text.push('\n');
    };
    line(format!("Workspace: {}", report.workspace_dir));
    line(format!(
        "Limits: {} characters a file, {} together",
        report.bootstrap_max_chars, report.bootstrap_total_max_chars
    ));
    line(format!(
        "System prompt: {} (workspace files {})",
        size(report.system_prompt.chars),
        size(report.system_prompt.project_context_chars)
    ));
    for file in &report.injected_workspace_files {
        line(format!("- {}", file_line(file)));
    }
    line(format!(
        "Tools: {} ({} in the list, schemas {})",
        report.tools.entries.len(),
        size(report.tools.list_chars),
        size(report.tools.schema_chars)
    ));
    if in_detail {
        let mut tools: Vec<&ToolSize> = report.tools.entries.iter().collect();
        tools.sort_by(|a, b| b.schema_chars.cmp(&a.schema_chars).then_with(|| a.name.cmp(&b.name)));
        for tool in tools.into_iter().take(LISTED_TOOLS) {
            line(format!("- {}: schema {}, text {}", tool.name, size(tool.schema_chars), size(tool.summary_chars)));
        }
    }
    line(session_line(used));
    text.trim_end().to_owned()
}

fn file_line(file: &FileSize) -> String {
    if file.missing {
        return format!("{}: MISSING", file.name);
    }
    let state = if file.truncated { "TRUNCATED" } else { "OK" };
    format!("{}: {state}, {} on disk, {} shown", file.name, size(file.raw_chars), size(file.injected_chars))
}

fn session_line(used: ContextUse) -> String {
    let mut text = String::from("Session: ");
    match used.tokens {
        Some(tokens) => text += &format!("{tokens} tokens"),
        None => text.push_str("tokens not known yet"),
    }
    if let Some(window) = used.window.filter(|window| *window > 0) {
        text += &format!(" of {window}");
        if let Some(tokens) = used.tokens {
            text += &format!(" ({} %)", tokens.saturating_mul(100) / window);
        }
    }
    text += &format!(", shortened {} times", used.compactions);
    text
}

fn size(chars: usize) -> String {
    format!("{chars} characters (~{} tokens)", chars.div_ceil(CHARS_PER_TOKEN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> PromptReport {
        let prompt = SystemPrompt { stable: "s".repeat(90), turn: "t".repeat(10), file_chars: 40 };
        let file = |name, text: &str, raw_chars, is_truncated, is_missing| FittedFile {
            name,
            text: text.into(),
            raw_chars,
            is_truncated,
            is_missing,
        };
        let files = [
            file("AGENTS.md", "", 0, false, true),
            file("SOUL.md", "abcd", 4, false, false),
            file("USER.md", "ab", 9000, true, false),
        ];
        let tool = |name: &str, schema_chars| ToolFact { name: name.into(), description: "d".into(), schema_chars };
        let tools = [tool("ls", 10), tool("read", 50)];
        let facts = ReportFacts { workspace: "/ws", limits: (20_000, 60_000), files: &files, tools: &tools, now: 7 };
        PromptReport::of(&prompt, facts)
    }

    #[test]
    fn sizes_are_told_in_the_words_of_the_row() {
        let value = serde_json::to_value(report()).unwrap();
        assert_eq!(value["systemPrompt"]["chars"], 100);
        assert_eq!(value["systemPrompt"]["nonProjectContextChars"], 60);
        assert_eq!(value["injectedWorkspaceFiles"][2]["rawChars"], 9000);
        assert_eq!(value["tools"]["entries"][1]["name"], "read");
        assert_eq!(serde_json::from_value::<PromptReport>(value).unwrap(), report());
    }

    #[test]
    fn reports_that_differ_in_their_time_alone_are_the_same() {
        assert!(report().is_same(&PromptReport { generated_at: 9, ..report() }));
        assert!(!report().is_same(&PromptReport { workspace_dir: "/other".into(), ..report() }));
    }

    #[test]
    fn a_person_sees_files_tools_and_the_window() {
        let used = ContextUse { tokens: Some(50_000), window: Some(200_000), compactions: 2 };
        let text = render(&report(), used, true);
        for part in
            ["AGENTS.md: MISSING", "SOUL.md: OK", "USER.md: TRUNCATED", "Tools: 2", "(25 %)", "shortened 2 times"]
        {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(text.find("- read:") < text.find("- ls:"), "the largest schema first");
        assert!(!render(&report(), used, false).contains("- read:"));
        assert!(render(&PromptReport::default(), ContextUse::default(), false).contains("not known yet"));
    }
}
