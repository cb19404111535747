//! Every key there is, known from the first day, and which of them are used here.
//!
//! The table in `known-keys.tsv` is parsed when the first configuration is checked.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::document::child;
use super::schema;

/// The table itself.
const TABLE: &str = include_str!("known-keys.tsv");

/// Keys that are accepted besides the table: those it leaves out and older spellings that are still read.
const ADDITIONS: &[(&str, &str)] = &[
    ("$schema", "s"),
    ("agents.entries.*.id", "s"),
    ("gateway.reload.mode", "=hybrid|hot|restart|off"),
    ("logging.consoleStyle", "=pretty|json|compact"),
];

/// Sections that are only ever written by tools, or hints for editors: no word about them.
const SILENT: &[&str] = &["$schema", "meta.lastTouchedVersion", "wizard.lastRunAt", "env.vars.*"];

/// Index of a key in the table.
pub(super) type KeyId = usize;

/// One key.
#[derive(Debug, Default)]
pub(super) struct Key {
    children: BTreeMap<&'static str, KeyId>,
    /// Letters as the head of the table explains them.
    letters: &'static str,
    /// Words a string may be; empty together with the letter `s` means any.
    words: Vec<&'static str>,
    /// True when this key or one below it is used here.
    used: bool,
}

/// All keys.
#[derive(Debug)]
pub(super) struct KnownKeys(Vec<Key>);

/// The table with the marks of the schema.
pub(super) static KNOWN: LazyLock<KnownKeys> = LazyLock::new(|| {
    let mut keys = KnownKeys(vec![Key::default()]);
    keys.read_table(TABLE);
    for (path, kind) in ADDITIONS {
        let key = keys.insert(path);
        keys.set_kind(key, kind);
    }
    // `agents.list` is the older spelling of `agents.entries`, with the id inside.
    let agents = keys.insert("agents");
    let entry = keys.insert("agents.entries.*");
    let list = keys.insert("agents.list");
    keys.0[list].children.insert("[]", entry);
    keys.0[agents].children.insert("list", list);
    keys.0[list].used = true;
    for path in SILENT.iter().copied().chain(schema::used_keys()) {
        keys.mark_used(path);
    }
    keys
});

impl KnownKeys {
    /// The key above all.
    pub(super) const ROOT: KeyId = 0;

    fn read_table(&mut self, table: &'static str) {
        let mut parents = vec![Self::ROOT];
        for line in table.lines().filter(|line| !line.starts_with("# ")) {
            let name = line.trim_start_matches(' ');
            let level = line.len() - name.len();
            let (name, kind) = name.split_once('\t').unwrap_or((name, ""));
            parents.truncate(level + 1);
            let parent = parents.last().copied().unwrap_or(Self::ROOT);
            let key = self.child_or_new(parent, name);
            self.set_kind(key, kind);
            parents.push(key);
        }
    }

    fn child_or_new(&mut self, parent: KeyId, name: &'static str) -> KeyId {
        if let Some(key) = self.0[parent].children.get(name) {
            return *key;
        }
        let key = self.0.len();
        self.0.push(Key::default());
        self.0[parent].children.insert(name, key);
        key
    }

    fn insert(&mut self, path: &'static str) -> KeyId {
        segments(path).fold(Self::ROOT, |parent, name| self.child_or_new(parent, name))
    }

    fn set_kind(&mut self, key: KeyId, kind: &'static str) {
        let (letters, words) = kind.split_once('=').unwrap_or((kind, ""));
        self.0[key].letters = letters;
        self.0[key].words = words.split('|').filter(|word| !word.is_empty()).collect();
    }

    fn mark_used(&mut self, path: &'static str) {
        let mut key = Self::ROOT;
        self.0[key].used = true;
        for name in segments(path) {
            let Some(next) = self.0[key].children.get(name).copied() else { return };
            self.0[next].used = true;
            key = next;
        }
    }

    /// The key of a path in the table's spelling (`*`, `[]`).
    #[cfg(test)]
    pub(super) fn find(&self, path: &str) -> Option<KeyId> {
        path.replace("[]", ".[]")
            .split('.')
            .filter(|name| !name.is_empty())
            .try_fold(Self::ROOT, |key, name| self.0[key].children.get(name).copied())
    }

    /// What `name` is below `key`: by its own name, or as any name.
    pub(super) fn below(&self, key: KeyId, name: &str) -> Option<KeyId> {
        let children = &self.0[key].children;
        // `*` and `[]` are notation, not names.
        children.get(name).filter(|_| name != "*" && name != "[]").or_else(|| children.get("*")).copied()
    }

    /// What an element of `key` is.
    pub(super) fn element(&self, key: KeyId) -> Option<KeyId> {
        self.0[key].children.get("[]").copied()
    }

    /// True when `key` or one below it is used here.
    pub(super) fn is_used(&self, key: KeyId) -> bool {
        self.0[key].used
    }

    /// True when `key` takes a value of the kind `letter`.
    pub(super) fn takes(&self, key: KeyId, letter: char) -> bool {
        self.0[key].letters.contains(letter)
    }

    /// True when `key` takes named properties.
    pub(super) fn takes_object(&self, key: KeyId) -> bool {
        let key = &self.0[key];
        key.letters.contains('o') || key.children.keys().any(|name| *name != "[]")
    }

    /// The words `key` may be; empty means that words are not what limits it.
    pub(super) fn words(&self, key: KeyId) -> &[&'static str] {
        &self.0[key].words
    }

    /// What `key` may be, in words.
    pub(super) fn expected(&self, key: KeyId) -> String {
        let mut kinds: Vec<String> = Vec::new();
        for (letter, name) in [
            ('s', "a string"),
            ('b', "true or false"),
            ('i', "an integer"),
            ('n', "a number"),
            ('0', "null"),
            ('f', "false"),
            ('t', "true"),
            ('A', "an array"),
            ('a', "any value"),
        ] {
            if self.takes(key, letter) {
                kinds.push(name.into());
            }
        }
        let words = self.words(key);
        if !words.is_empty() {
            kinds.push(words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "));
        }
        if self.element(key).is_some() {
            kinds.push("an array".into());
        }
        if self.takes_object(key) {
            kinds.push("an object".into());
        }
        kinds.join(" or ")
    }

    /// The known key that `name` below `key` was probably meant to be, as a path below `parent`.
    pub(super) fn nearest(&self, key: KeyId, name: &str, parent: &str) -> Option<String> {
        let siblings = self.0[key].children.keys().copied().filter(|sibling| *sibling != "*" && *sibling != "[]");
        if let Some(near) = closest(name, siblings) {
            return Some(child(parent, near));
        }
        if let Some((_, now)) = MOVED.iter().find(|(old, _)| *old == child(parent, name)) {
            return Some((*now).to_owned());
        }
        self.elsewhere(name)
    }

    /// The shortest path at which `name` is known, when it is used here.
    fn elsewhere(&self, name: &str) -> Option<String> {
        let mut level: Vec<(KeyId, String)> = vec![(Self::ROOT, String::new())];
        for _ in 0..4 {
            let mut next = Vec::new();
            for (key, path) in level {
                for (child_name, id) in &self.0[key].children {
                    let path = child(&path, child_name);
                    if *child_name == name && self.is_used(*id) {
                        return Some(path);
                    }
                    next.push((*id, path));
                }
            }
            level = next;
        }
        None
    }
}

/// Keys of earlier versions and where their meaning went.
const MOVED: &[(&str, &str)] = &[
    ("agent", "agents.defaults"),
    ("identity", "agents.entries.*.identity"),
    ("routing", "bindings"),
    ("telegram", "channels.telegram"),
    ("discord", "channels.discord"),
    ("slack", "channels.slack"),
    ("whatsapp", "channels.whatsapp"),
    ("signal", "channels.signal"),
    ("imessage", "channels.imessage"),
    ("audit", "logging.audit"),
    ("providers", "models.providers"),
    ("gateway.token", "gateway.auth.token"),
    ("gateway.password", "gateway.auth.password"),
    ("session.idleMinutes", "session.reset.idleMinutes"),
];

/// `a.b[].c` as `a`, `b`, `[]`, `c`.
fn segments(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('.').flat_map(|part| {
        let name = part.trim_end_matches("[]");
        let elements = (part.len() - name.len()) / 2;
        (!name.is_empty()).then_some(name).into_iter().chain(std::iter::repeat_n("[]", elements))
    })
}

/// The candidate nearest to `name`, if it is near enough to be a slip of the hand.
pub(super) fn closest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).clamp(1, 4);
    candidates
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(d, _)| *d <= limit)
        .min()
        .map(|(_, c)| c)
}

/// Edit distance without regard to case; two swapped neighbours count as one edit.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().take(64).flat_map(char::to_lowercase).collect();
    let width = b.len() + 1;
    let mut rows: Vec<Vec<usize>> = vec![(0..width).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i; width];
        for j in 1..width {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(rows[i - 2][j - 2] + 1);
            }
        }
        rows.push(row);
    }
    rows[a.len()][width - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        let lines = TABLE.lines().filter(|line| !line.starts_with("# ")).count();
        assert!(lines > 5000, "{lines}");
        for path in
            ["gateway.auth.token", "models.providers.*.models[].cost.input", "channels.telegram.accounts.*.botToken"]
        {
            assert!(KNOWN.find(path).is_some(), "{path}");
        }
    }

    #[test]
    fn every_key_the_schema_uses_is_in_the_table() {
        for path in schema::used_keys().chain(SILENT.iter().copied()) {
            assert!(KNOWN.find(path).is_some(), "{path}");
        }
    }

    #[test]
    fn distances_count_slips() {
        for (a, b, want) in
            [("port", "port", 0), ("prot", "port", 1), ("Bind", "bind", 0), ("", "abc", 3), ("tokn", "token", 1)]
        {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }
}
