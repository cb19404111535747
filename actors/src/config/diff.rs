//! What changed between two configurations, and what it takes to apply it. Pure.

use serde_json::{Map, Value};

use super::document::child;
use super::snapshot::ConfigSnapshot;

/// One changed key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its dotted path, as authored.
    pub path: String,
    /// What it takes.
    pub class: ReloadClass,
}

/// What a change takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReloadClass {
    /// Nothing: nobody holds a copy of it.
    None,
    /// The owner takes it while running.
    Hot,
    /// The process starts anew.
    Restart,
}

/// The class of every key below a prefix; the longest prefix decides, and what no prefix covers needs a restart.
/// `*` stands for any one name.
const RULES: &[(&str, ReloadClass)] = &[
    ("$schema", ReloadClass::None),
    ("meta", ReloadClass::None),
    ("wizard", ReloadClass::None),
    ("gateway.reload", ReloadClass::None),
    ("gateway.remote", ReloadClass::None),
    ("gateway.auth.token", ReloadClass::Hot),
    ("gateway.auth.password", ReloadClass::Hot),
    ("gateway.auth.rateLimit", ReloadClass::Hot),
    ("gateway.auth.identityScopes", ReloadClass::Hot),
    ("gateway.auth.trustedProxy", ReloadClass::Hot),
    ("gateway.trustedProxies", ReloadClass::Hot),
    ("gateway.roles", ReloadClass::Hot),
    ("gateway.http", ReloadClass::Hot),
    ("gateway.tools", ReloadClass::Hot),
    ("gateway.nodes", ReloadClass::Hot),
    ("gateway.publicOrigin", ReloadClass::Hot),
    ("gateway.terminal", ReloadClass::Hot),
    ("gateway.controlUi", ReloadClass::Hot),
    ("gateway.controlUi.basePath", ReloadClass::Restart),
    ("gateway.controlUi.root", ReloadClass::Restart),
    ("secrets", ReloadClass::Hot),
    ("secrets.egressProxy", ReloadClass::Restart),
    ("discovery", ReloadClass::Hot),
    ("discovery.wideArea", ReloadClass::Restart),
    ("accessGroups", ReloadClass::Hot),
    ("acp", ReloadClass::Hot),
    ("agents", ReloadClass::Hot),
    ("approvals", ReloadClass::Hot),
    ("attachments", ReloadClass::Hot),
    ("auth", ReloadClass::Hot),
    ("bindings", ReloadClass::Hot),
    ("broadcast", ReloadClass::Hot),
    ("browser", ReloadClass::Hot),
    ("channels", ReloadClass::Hot),
    ("cloudWorkers", ReloadClass::Hot),
    ("commands", ReloadClass::Hot),
    ("cron", ReloadClass::Hot),
    ("desktop", ReloadClass::Hot),
    ("diagnostics", ReloadClass::Hot),
    ("hooks", ReloadClass::Hot),
    ("logging", ReloadClass::Restart),
    ("mcp", ReloadClass::Hot),
    ("memory", ReloadClass::Hot),
    ("messages", ReloadClass::Hot),
    ("models", ReloadClass::Hot),
    ("nodeHost", ReloadClass::Hot),
    ("plugins", ReloadClass::Hot),
    ("proxy", ReloadClass::Hot),
    ("security", ReloadClass::Hot),
    ("session", ReloadClass::Hot),
    ("skills", ReloadClass::Hot),
    ("surfaces", ReloadClass::Hot),
    ("talk", ReloadClass::Hot),
    ("telemetry", ReloadClass::Hot),
    ("tools", ReloadClass::Hot),
    ("transcripts", ReloadClass::Hot),
    ("tts", ReloadClass::Hot),
    ("ui", ReloadClass::Hot),
    ("update", ReloadClass::Hot),
    ("worktreeAcceleration", ReloadClass::Hot),
    ("worktreeRoot", ReloadClass::Hot),
];

/// The changed keys, in the order of the new file, what was removed last. Lists count as one value.
#[must_use]
pub fn diff(old: &ConfigSnapshot, new: &ConfigSnapshot) -> Vec<Change> {
    diff_values(&old.authored, &new.authored)
}

/// As [`diff`], of the authored values alone.
#[must_use]
pub fn diff_values(old: &Value, new: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    walk(Some(old), Some(new), "", &mut changes);
    changes
}

fn walk(old: Option<&Value>, new: Option<&Value>, path: &str, changes: &mut Vec<Change>) {
    if old == new {
        return;
    }
    let empty = Map::new();
    // An object that came or went changes each key in it.
    let sides = match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => Some((old, new)),
        (Some(Value::Object(old)), None) if !old.is_empty() => Some((old, &empty)),
        (None, Some(Value::Object(new))) if !new.is_empty() => Some((&empty, new)),
        (Some(_) | None, Some(_) | None) => None,
    };
    let Some((old, new)) = sides else {
        changes.push(Change { path: path.to_owned(), class: class_of(path) });
        return;
    };
    for (key, value) in new {
        walk(old.get(key), Some(value), &child(path, key), changes);
    }
    for (key, value) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
        walk(Some(value), None, &child(path, key), changes);
    }
}

/// What a change of `path` takes.
#[must_use]
pub fn class_of(path: &str) -> ReloadClass {
    let segments: Vec<&str> = path.split('.').collect();
    RULES
        .iter()
        .filter(|(prefix, _)| covers(prefix, &segments))
        .max_by_key(|(prefix, _)| prefix.split('.').count())
        .map_or(ReloadClass::Restart, |(_, class)| *class)
}

fn covers(prefix: &str, segments: &[&str]) -> bool {
    let prefix: Vec<&str> = prefix.split('.').collect();
    prefix.len() <= segments.len() && prefix.iter().zip(segments).all(|(rule, name)| *rule == "*" || rule == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn classes_follow_the_longest_prefix() {
        use ReloadClass::{Hot, None, Restart};
        for (path, want) in [
            ("gateway.port", Restart),
            ("gateway.bind", Restart),
            ("gateway.auth.mode", Restart),
            ("gateway.auth.token", Hot),
            ("gateway.controlUi.enabled", Hot),
            ("gateway.controlUi.basePath", Restart),
            ("gateway.reload.mode", None),
            ("meta.lastTouchedVersion", None),
            ("models.providers.x.apiKey", Hot),
            ("channels.telegram.accounts.a.botToken", Hot),
            ("env.vars.X", Restart),
            ("secrets.egressProxy.enabled", Restart),
            ("somethingNew", Restart),
        ] {
            assert_eq!(class_of(path), want, "{path}");
        }
    }

    #[test]
    fn changed_added_and_removed_keys_are_listed() {
        let old = json!({"gateway": {"port": 1, "bind": "lan"}, "logging": {"level": "info"}, "agents": {"list": [1]}});
        let new = json!({"gateway": {"port": 2}, "logging": {"level": "info"}, "agents": {"list": [1, 2]}, "session": {"dmScope": "main"}});
        let paths: Vec<String> = diff_values(&old, &new).into_iter().map(|change| change.path).collect();
        assert_eq!(paths, ["gateway.port", "gateway.bind", "agents.list", "session.dmScope"]);
        assert!(diff_values(&old, &old).is_empty());
    }
}
