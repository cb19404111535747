//! Names of children and their paths in the tree.

use std::fmt;
use std::sync::Arc;

/// Identifies a child within its supervisor.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChildId(Arc<str>);

impl ChildId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Arc<str>>> From<T> for ChildId {
    fn from(value: T) -> Self {
        Self(value.into())
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Where an actor stands: the ids from the root down, joined by `/`. A `/` inside an id is written `%2F`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActorPath(Arc<str>);

impl ActorPath {
    /// The path of a tree's root.
    #[must_use]
    pub fn root(id: &ChildId) -> Self {
        Self(escape(id.as_str()).into())
    }

    /// Reads a path written by `Display`. Not checked: an unknown path is simply not found.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(text.into())
    }

    /// The path of a child of this one.
    #[must_use]
    pub fn join(&self, id: &ChildId) -> Self {
        Self(format!("{}/{}", self.0, escape(id.as_str())).into())
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ActorPath {
    fn from(text: &str) -> Self {
        Self::parse(text)
    }
}

impl fmt::Display for ActorPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ActorPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

fn escape(id: &str) -> String {
    if id.contains('/') || id.contains("%2") { id.replace("%2", "%252").replace('/', "%2F") } else { id.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_inside_an_id_does_not_make_a_level() {
        let root = ActorPath::root(&"root".into());
        assert_eq!(root.join(&"a/b".into()).as_str(), "root/a%2Fb");
        assert_ne!(root.join(&"a/b".into()), root.join(&"a%2Fb".into()));
        assert_ne!(root.join(&"a%2Fb".into()), root.join(&"a%252Fb".into()));
    }
}
