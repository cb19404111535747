//! What a commit consists of.

use std::path::PathBuf;

/// One change of the key space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Sets a key.
    Put {
        /// Its key.
        key: Vec<u8>,
        /// An encoded value, see [`super::value`].
        value: Vec<u8>,
    },
    /// Removes a key; a missing one is fine.
    Delete {
        /// Its key.
        key: Vec<u8>,
    },
}

/// A condition that must hold when the commit is applied, or nothing of it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// The key has no value.
    Absent(Vec<u8>),
    /// The key has this value and no other.
    Equals {
        /// The key.
        key: Vec<u8>,
        /// The encoded value.
        value: Vec<u8>,
    },
}

/// Lines to add to a transcript before the key space changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// The transcript's file.
    pub path: PathBuf,
    /// Whole lines without their newline. The header line is written first when the file is new.
    pub lines: Vec<String>,
    /// The header line for a new file.
    pub header: String,
}

/// Appends first, then all operations together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    /// Conditions.
    pub expects: Vec<Expect>,
    /// Lines for transcripts.
    pub appends: Vec<Append>,
    /// Files that get another name, after the lines were written.
    pub renames: Vec<(PathBuf, PathBuf)>,
    /// Changes of the key space.
    pub ops: Vec<Op>,
    /// Agents whose `sessions.json` no longer shows the rows.
    pub dirty_agents: Vec<String>,
}

impl Commit {
    /// An empty commit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a put.
    #[must_use]
    pub fn put(mut self, key: Vec<u8>, value: Vec<u8>) -> Self {
        self.ops.push(Op::Put { key, value });
        self
    }

    /// Adds a delete.
    #[must_use]
    pub fn delete(mut self, key: Vec<u8>) -> Self {
        self.ops.push(Op::Delete { key });
        self
    }

    /// Adds a condition.
    #[must_use]
    pub fn expect_absent(mut self, key: Vec<u8>) -> Self {
        self.expects.push(Expect::Absent(key));
        self
    }

    /// Adds a condition: what was read is still there.
    #[must_use]
    pub fn expect_equals(mut self, key: Vec<u8>, value: Vec<u8>) -> Self {
        self.expects.push(Expect::Equals { key, value });
        self
    }

    /// True when there is nothing to write: such a commit only waits for those before it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.appends.is_empty() && self.renames.is_empty()
    }

    /// Adds transcript lines.
    #[must_use]
    pub fn append(mut self, append: Append) -> Self {
        self.appends.push(append);
        self
    }

    /// Gives a file another name; a missing file is fine.
    #[must_use]
    pub fn rename(mut self, from: PathBuf, to: PathBuf) -> Self {
        self.renames.push((from, to));
        self
    }

    /// Marks an agent's `sessions.json` as out of date.
    #[must_use]
    pub fn dirty(mut self, agent: &str) -> Self {
        self.dirty_agents.push(agent.to_owned());
        self
    }
}

/// How a commit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Applied and durable.
    Committed,
    /// A condition did not hold; nothing was applied.
    Conflict {
        /// The key of the condition.
        key: Vec<u8>,
        /// What is there, read from its file if it was large; empty when nothing is.
        value: Vec<u8>,
    },
}
