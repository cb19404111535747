//! The supervision tree as the client holds it, and as lines.
//!
//! A snapshot and the deltas after it; a delta that does not follow means the picture is old and a new snapshot is due.
//! Nodes stay the gateway's JSON, so that a field this client does not know is still shown by `--json`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::output::{Output, Tone, one_line, shorten};

/// Longest last column.
const NOTE_WIDTH: usize = 100;
/// Longest first column that the others wait for; a longer name pushes its own line only.
const NAME_WIDTH: usize = 44;

/// One node, as the gateway sends it.
type Node = Map<String, Value>;

/// The tree at one moment.
#[derive(Debug, Default)]
pub(crate) struct TreeView {
    epoch: Value,
    seq: u64,
    nodes: BTreeMap<u64, Node>,
}

/// What a delta did to the picture.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// These nodes changed.
    Changed(Vec<u64>),
    /// Already in the picture.
    Old,
    /// Something is missing: take a snapshot.
    Gap,
}

/// Which part of the tree to show.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    pub(crate) path: Option<String>,
    pub(crate) depth: Option<usize>,
}

impl TreeView {
    /// Reads the answer of `tree.snapshot`.
    pub(crate) fn from_snapshot(snapshot: &Value) -> Self {
        let nodes = snapshot["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let nodes = nodes.iter().filter_map(Value::as_object).filter_map(|node| Some((id_of(node)?, node.clone())));
        Self { epoch: snapshot["epoch"].clone(), seq: snapshot["seq"].as_u64().unwrap_or(0), nodes: nodes.collect() }
    }

    /// Brings a `tree.delta` into the picture.
    pub(crate) fn apply(&mut self, delta: &Value) -> Applied {
        let seq = delta["seq"].as_u64().unwrap_or(0);
        if delta["epoch"] != self.epoch || delta["reset"] == true {
            return Applied::Gap;
        }
        // Counters take no number of their own: they come under the last one, without ops.
        let counters_only = seq == self.seq && delta["ops"].as_array().is_none_or(Vec::is_empty);
        if seq <= self.seq && !counters_only {
            return Applied::Old;
        }
        if seq > self.seq + 1 {
            return Applied::Gap;
        }
        self.seq = seq;
        let ops = delta["ops"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut changed: Vec<u64> = ops.iter().filter_map(|op| self.apply_op(op)).collect();
        for metrics in delta["metrics"].as_array().map(Vec::as_slice).unwrap_or_default() {
            changed.extend(self.apply_metrics(metrics));
        }
        changed.sort_unstable();
        changed.dedup();
        Applied::Changed(changed)
    }

    fn apply_op(&mut self, op: &Value) -> Option<u64> {
        match op["op"].as_str()? {
            "add" => {
                let node = op["node"].as_object()?;
                let id = id_of(node)?;
                self.nodes.insert(id, node.clone());
                Some(id)
            }
            "remove" => {
                self.nodes.remove(&op["id"].as_u64()?);
                None
            }
            "patch" => {
                let id = op["id"].as_u64()?;
                let node = self.nodes.get_mut(&id)?;
                for (key, value) in op["fields"].as_object()? {
                    if value.is_null() && key != "parent" {
                        node.remove(key);
                    } else {
                        node.insert(key.clone(), value.clone());
                    }
                }
                Some(id)
            }
            _ => None,
        }
    }

    fn apply_metrics(&mut self, metrics: &Value) -> Option<u64> {
        let id = metrics["id"].as_u64()?;
        let node = self.nodes.get_mut(&id)?;
        for key in ["handled", "failed"] {
            if let Some(value) = metrics.get(key) {
                node.insert(key.into(), value.clone());
            }
        }
        let mailbox = node.entry("mailbox").or_insert_with(|| json!({}));
        for key in ["depth", "oldestMs"] {
            mailbox[key] = metrics.get(key).cloned().unwrap_or_default();
        }
        Some(id)
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node with this id.
    pub(crate) fn node(&self, id: u64) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// Nodes that are not as they should be.
    pub(crate) fn troubled(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().filter(|node| tone_of(state_of(node)) != Tone::Plain)
    }

    /// The nodes of a part, parents first, each with its depth and whether it is the last of its siblings, for each level.
    fn walk(&self, part: &Part) -> Vec<(Vec<bool>, &Node)> {
        let mut children: BTreeMap<Option<u64>, Vec<&Node>> = BTreeMap::new();
        for node in self.nodes.values() {
            children.entry(node.get("parent").and_then(Value::as_u64)).or_default().push(node);
        }
        let roots: Vec<&Node> = match &part.path {
            Some(path) => self.nodes.values().filter(|node| text(node, "path") == path).collect(),
            None => children.get(&None).cloned().unwrap_or_default(),
        };
        let mut found = Vec::new();
        let mut waiting: Vec<(Vec<bool>, &Node)> = roots.into_iter().rev().map(|node| (Vec::new(), node)).collect();
        while let Some((lasts, node)) = waiting.pop() {
            if part.depth.is_none_or(|depth| lasts.len() < depth) {
                let below = children.get(&id_of(node)).map(Vec::as_slice).unwrap_or_default();
                for (at, child) in below.iter().enumerate().rev() {
                    let mut lasts = lasts.clone();
                    lasts.push(at + 1 == below.len());
                    waiting.push((lasts, child));
                }
            }
            found.push((lasts, node));
        }
        found
    }

    /// The part as JSON: what `tree.snapshot` answers, with the nodes of the part only.
    pub(crate) fn to_json(&self, part: &Part) -> Value {
        let nodes: Vec<Value> = self.walk(part).into_iter().map(|(_, node)| Value::Object(node.clone())).collect();
        json!({ "epoch": self.epoch, "seq": self.seq, "nodes": nodes })
    }

    /// The part as lines, ages counted at `now_ms`.
    pub(crate) fn lines(&self, part: &Part, now_ms: i64, output: Output) -> Vec<String> {
        let rows: Vec<(String, &Node)> = self
            .walk(part)
            .into_iter()
            .map(|(lasts, node)| (branch(&lasts) + &one_line(text(node, "name")), node))
            .collect();
        let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(NAME_WIDTH);
        let line = |(name, node): &(String, &Node)| {
            let state = state_of(node);
            let note = shorten(&note_of(node, now_ms), NOTE_WIDTH);
            let line = format!("{name:width$}  {}  {note}", output.paint(tone_of(state), &format!("{state:<12}")));
            line.trim_end().to_owned()
        };
        rows.iter().map(line).collect()
    }
}

/// One node as a line of a log.
pub(crate) fn log_line(node: &Node, now_ms: i64, output: Output) -> String {
    let state = state_of(node);
    let note = shorten(&note_of(node, now_ms), NOTE_WIDTH);
    format!("{}  {}  {note}", one_line(text(node, "path")), output.paint(tone_of(state), state)).trim_end().to_owned()
}

fn branch(lasts: &[bool]) -> String {
    let mut drawn = String::new();
    for (at, last) in lasts.iter().enumerate() {
        drawn.push_str(match (at + 1 == lasts.len(), last) {
            (true, true) => "└ ",
            (true, false) => "├ ",
            (false, true) => "  ",
            (false, false) => "│ ",
        });
    }
    drawn
}

/// What is worth saying about a node beyond its state.
fn note_of(node: &Node, now_ms: i64) -> String {
    let number = |key: &str| node.get(key).and_then(Value::as_u64).unwrap_or(0);
    let mut notes = Vec::new();
    if let Some(at) = node.get("nextAt").and_then(Value::as_i64) {
        let of = node.get("maxAttempts").and_then(Value::as_u64).map(|max| format!(" of {max}")).unwrap_or_default();
        notes.push(format!("attempt {}{of} in {}", number("attempt"), span(at - now_ms)));
    }
    match number("restarts") {
        0 => {}
        1 => notes.push("1 restart".into()),
        restarts => notes.push(format!("{restarts} restarts")),
    }
    if let Some(busy) = node.get("busy").filter(|busy| busy.is_object()) {
        let since = busy["sinceMs"].as_i64().map(|since| format!(" for {}", span(now_ms - since))).unwrap_or_default();
        notes.push(format!("{}{since}", busy["what"].as_str().unwrap_or("busy")));
    }
    if let Some(mailbox) =
        node.get("mailbox").filter(|mailbox| mailbox["depth"].as_u64().is_some_and(|depth| depth > 0))
    {
        let bound = mailbox["bound"].as_u64().map(|bound| format!("/{bound}")).unwrap_or_default();
        notes.push(format!("{}{bound} waiting", mailbox["depth"]));
    }
    if let Some(detail) = node.get("detail").and_then(Value::as_object) {
        notes.extend(detail.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())));
    }
    if let Some(exit) = node.get("lastExit").filter(|exit| exit.is_object()) {
        let ago = exit["at"].as_i64().map(|at| format!(" {} ago", span(now_ms - at))).unwrap_or_default();
        notes.push(format!(
            "ended{ago}: {} {}",
            exit["class"].as_str().unwrap_or("?"),
            exit["text"].as_str().unwrap_or("")
        ));
    }
    notes.join(" · ")
}

fn tone_of(state: &str) -> Tone {
    match state {
        "running" | "ignored" | "exited" => Tone::Plain,
        "failed" | "zombie" => Tone::Bad,
        _ => Tone::Warning,
    }
}

/// A field that is text.
pub(crate) fn text<'a>(node: &'a Node, key: &str) -> &'a str {
    node.get(key).and_then(Value::as_str).unwrap_or("")
}

fn state_of(node: &Node) -> &str {
    node.get("state").and_then(Value::as_str).unwrap_or("?")
}

fn id_of(node: &Node) -> Option<u64> {
    node.get("id").and_then(Value::as_u64)
}

/// Milliseconds in the words of a person: `3 s`, `5 min`, `2 h`, `4 d`.
pub(crate) fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
