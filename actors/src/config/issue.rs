//! What is wrong with a configuration, in a form a person can act on.

use std::fmt;
use std::path::PathBuf;

/// One thing wrong, with its place.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ConfigIssue {
    /// The file it is written in.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Dotted path of the key; empty for the file as a whole.
    pub path: String,
    /// What is there. Never the value of a secret.
    pub found: String,
    /// What may be there.
    pub expected: String,
    /// What to write instead, when one guess is good.
    pub suggestion: Option<String>,
}

impl fmt::Display for ConfigIssue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file.display(), self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}, expected {}", self.found, self.expected)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, " ({suggestion})"),
            None => Ok(()),
        }
    }
}

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read: {hint}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What to do about it.
        hint: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// There is something at that path, but no regular file.
    #[error("{} is {what}, expected a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// Neither a home directory nor an explicit state directory is known.
    #[error("no state directory: set HOME or OPENCLAW_STATE_DIR")]
    NoStateDir,
    /// The content is refused. All issues, in the order of the text.
    #[error("{}", list(.0))]
    Invalid(Vec<ConfigIssue>),
}

impl ConfigError {
    /// The issues; none when the file could not be read at all.
    #[must_use]
    pub fn issues(&self) -> &[ConfigIssue] {
        match self {
            Self::Invalid(issues) => issues,
            Self::Unreadable { .. } | Self::NotAFile { .. } | Self::NoStateDir => &[],
        }
    }

    /// The first issue on one line, and how many more there are.
    #[must_use]
    pub fn brief(&self) -> String {
        match self.issues() {
            [] => self.to_string(),
            [only] => only.to_string(),
            [first, rest @ ..] => format!("{first}; and {} more", rest.len()),
        }
    }
}

fn list(issues: &[ConfigIssue]) -> String {
    let lines: Vec<String> = issues.iter().map(|issue| format!("\n  {issue}")).collect();
    let noun = if issues.len() == 1 { "issue" } else { "issues" };
    format!("the configuration has {} {noun}:{}", issues.len(), lines.concat())
}
