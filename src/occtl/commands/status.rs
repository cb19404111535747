//! `occtl status`: the gateway on one screen.

use serde_json::{Value, json};

use super::{Context, health};
use crate::occtl::failure::Failure;
use crate::occtl::output::{Tone, one_line, shorten};
use crate::occtl::tree_view::{TreeView, log_line, span, text};

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let output = context.output;
    let gateway = context.gateway().await?;
    let health = gateway.call("health", json!({})).await?;
    // A gateway of another make has no tree; the rest is still worth showing.
    let tree = gateway.call("tree.snapshot", json!({})).await.ok();
    let hello = gateway.hello();
    if output.is_json() {
        let config = tree.as_ref().map(config_detail);
        let summary = tree.as_ref().map(TreeView::from_snapshot).map(|tree| summary(&tree));
        return output.document(&json!({
            "url": gateway.url(), "server": hello.server, "uptimeMs": hello.snapshot.uptime_ms, "health": health,
            "config": config, "tree": summary,
        }));
    }
    let well = health["ok"].as_bool().unwrap_or(false);
    let up = span(i64::try_from(hello.snapshot.uptime_ms).unwrap_or(i64::MAX));
    output.line(&format!("gateway   {}  {}  up {up}", hello.server.version, gateway.url()))?;
    let word = if well { output.paint(Tone::Good, "ok") } else { output.paint(Tone::Bad, "not well") };
    output.line(&format!("health    {word}"))?;
    for complaint in health::complaints(&health) {
        output.line(&format!("          {complaint}"))?;
    }
    if let Some(note) = health::chaos_note(&health) {
        output.line(&format!("          {note}"))?;
    }
    for line in tree.as_ref().map(|tree| config_lines(config_detail(tree))).unwrap_or_default() {
        output.line(&line)?;
    }
    output.line(&format!("agents    {}", agents(&health)))?;
    output.line(&format!("channels  {}", channels(&health)))?;
    output.line(&format!("sessions  {}", health["sessions"]["count"].as_u64().unwrap_or(0)))?;
    let Some(snapshot) = tree else { return Ok(()) };
    let now = snapshot["ts"].as_i64().unwrap_or(0);
    let tree = TreeView::from_snapshot(&snapshot);
    let troubled: Vec<_> = tree.troubled().collect();
    let trouble = if troubled.is_empty() { "all well".into() } else { format!("{} not well", troubled.len()) };
    output.line(&format!("tree      {} nodes, {trouble}", tree.len()))?;
    troubled.into_iter().try_for_each(|node| output.line(&format!("          {}", log_line(node, now, output))))
}

/// What the configuration's owner shows of itself.
fn config_detail(snapshot: &Value) -> &Value {
    let nodes = snapshot["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    nodes.iter().find(|node| node["kind"] == "config").map_or(&Value::Null, |node| &node["detail"])
}

fn config_lines(detail: &Value) -> Vec<String> {
    let word = |key: &str| detail[key].as_str().map(one_line);
    let Some(path) = word("path") else { return Vec::new() };
    let revision = word("revision").map(|revision| format!(", revision {revision}")).unwrap_or_default();
    let mut lines = vec![format!("config    {path}{revision}")];
    let more = [
        ("not taken, the last good one stays: ", "refused"),
        ("", "pending"),
        ("waits for a restart: ", "needs_restart"),
    ];
    lines.extend(more.iter().filter_map(|(what, key)| Some(format!("          {what}{}", word(key)?))));
    lines
}

fn summary(tree: &TreeView) -> Value {
    let troubled: Vec<Value> =
        tree.troubled().map(|node| json!({ "path": text(node, "path"), "state": text(node, "state") })).collect();
    json!({ "nodes": tree.len(), "troubled": troubled })
}

fn agents(health: &Value) -> String {
    let agents = health["agents"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |agent: &Value| {
        let id = agent["agentId"].as_str().unwrap_or("?");
        if agent["isDefault"] == true { format!("{id} (default)") } else { id.to_owned() }
    };
    listed(agents.iter().map(name))
}

fn channels(health: &Value) -> String {
    listed(health["channels"].as_object().into_iter().flatten().map(|(channel, state)| {
        match state["running"].as_bool().or(state["connected"].as_bool()) {
            Some(true) => format!("{channel} running"),
            Some(false) => format!("{channel} stopped"),
            None => channel.clone(),
        }
    }))
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() { "none".into() } else { shorten(&names.join(", "), 200) }
}
