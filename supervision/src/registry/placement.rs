//! Where a key's actor runs.

use std::fmt;
use std::sync::Arc;

/// Names a node. There is but one today, and nothing here reaches another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// A name.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this process.
    Local,
    /// On that node; a directory refuses such a key and says where it belongs.
    Elsewhere(NodeName),
}

/// Says where a key's actor runs. It must give the same answer for as long as the actor lives: two answers are two
/// actors.
pub trait Placement<K>: Send + Sync {
    /// The place of `key`.
    fn place(&self, key: &K) -> Place;
}

/// Everything runs here.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalOnly;

impl<K> Placement<K> for LocalOnly {
    fn place(&self, _: &K) -> Place {
        Place::Local
    }
}
