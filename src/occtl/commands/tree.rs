//! `occtl tree`: the supervision tree, once or live, and what can be done to its nodes.

use std::time::Duration;

use serde_json::{Value, json};

use super::Context;
use crate::occtl::args::{Tree, TreeCommand};
use crate::occtl::failure::Failure;
use crate::occtl::gateway::Gateway;
use crate::occtl::output::{Screen, Tone};
use crate::occtl::tree_view::{Applied, Part, TreeView, log_line, span};

/// The screen is redrawn at most this often.
const FRAME: Duration = Duration::from_millis(250);
/// Ages on the screen are brought up to date this often, in frames.
const FRAMES_PER_SECOND: u32 = 4;

pub(super) async fn run(context: &Context, args: Tree) -> Result<(), Failure> {
    let part = Part { path: args.path, depth: args.depth };
    match args.command {
        Some(TreeCommand::Act { path, action }) => act(context, &path, action.wire()).await,
        Some(TreeCommand::Get { path }) => get(context, &path).await,
        Some(TreeCommand::History { path }) => history(context, &path).await,
        None if args.watch => watch(context, &part).await,
        None => show(context, &part).await,
    }
}

async fn show(context: &Context, part: &Part) -> Result<(), Failure> {
    let output = context.output;
    let snapshot = context.gateway().await?.call("tree.snapshot", json!({})).await?;
    let tree = TreeView::from_snapshot(&snapshot);
    let lines = tree.lines(part, snapshot["ts"].as_i64().unwrap_or(0), output);
    if let (Some(path), true) = (&part.path, lines.is_empty()) {
        return Err(Failure::Failed(format!("no node at {path}")));
    }
    if output.is_json() {
        return output.document(&tree.to_json(part));
    }
    lines.iter().try_for_each(|line| output.line(line))
}

async fn act(context: &Context, path: &str, action: &str) -> Result<(), Failure> {
    let answer = context.gateway().await?.call("tree.act", json!({ "path": path, "action": action })).await?;
    if context.output.is_json() {
        context.output.document(&answer)
    } else {
        context.output.line(&format!("{action} {path}: done"))
    }
}

async fn get(context: &Context, path: &str) -> Result<(), Failure> {
    let answer = context.gateway().await?.call("tree.get", json!({ "path": path })).await?;
    context.output.document(&answer)
}

async fn history(context: &Context, path: &str) -> Result<(), Failure> {
    let output = context.output;
    let answer = context.gateway().await?.call("tree.history", json!({ "path": path })).await?;
    if output.is_json() {
        return output.document(&answer);
    }
    let now = chrono::Utc::now().timestamp_millis();
    let word = |exit: &Value, key: &str| exit[key].as_str().unwrap_or_default().to_owned();
    let exits = answer["exits"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<Vec<String>> = exits
        .iter()
        .map(|exit| {
            let ago = exit["at"].as_i64().map(|at| span(now - at)).unwrap_or_default();
            let incarnation = exit["incarnation"].to_string();
            vec![
                ago,
                incarnation,
                word(exit, "class"),
                word(exit, "handling"),
                word(exit, "text"),
                word(exit, "location"),
            ]
        })
        .collect();
    if rows.is_empty() {
        return output.line("it never ended");
    }
    output.table(&["ago", "incarnation", "class", "then", "reason", "where"], &rows)
}

/// Follows the tree until Ctrl-C, over lost connections too.
async fn watch(context: &Context, part: &Part) -> Result<(), Failure> {
    let mut view = Watch { context, part, screen: None, tree: TreeView::default(), dirty: true };
    let mut gateway = context.gateway().await?;
    if context.output.is_interactive() {
        view.screen = Some(context.output.screen()?);
    }
    loop {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
            lost = view.follow(&mut gateway) => lost?,
        }
        view.tell("connection lost, looking for the gateway again …")?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
            reopened = gateway.reopen(Duration::MAX) => reopened?,
        }
    }
}

struct Watch<'a> {
    context: &'a Context,
    part: &'a Part,
    screen: Option<Screen>,
    tree: TreeView,
    dirty: bool,
}

impl Watch<'_> {
    /// Returns when the connection is lost.
    async fn follow(&mut self, gateway: &mut Gateway) -> Result<(), Failure> {
        gateway.call("tree.subscribe", json!({})).await?;
        self.take_snapshot(gateway).await?;
        let mut frames = tokio::time::interval(FRAME);
        frames.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut frame = 0_u32;
        loop {
            tokio::select! {
                event = gateway.next_event() => {
                    let Some(event) = event else { return Ok(()) };
                    if event.event == "tree.delta" {
                        self.on_delta(gateway, &event.payload.unwrap_or_default()).await?;
                    }
                }
                _ = frames.tick() => {
                    frame = frame.wrapping_add(1);
                    if self.dirty || frame.is_multiple_of(FRAMES_PER_SECOND) {
                        self.draw()?;
                    }
                }
            }
        }
    }

    async fn take_snapshot(&mut self, gateway: &Gateway) -> Result<(), Failure> {
        let snapshot = gateway.call("tree.snapshot", json!({})).await?;
        self.tree = TreeView::from_snapshot(&snapshot);
        self.dirty = true;
        let output = self.context.output;
        if output.is_json() {
            output.record(&json!({ "event": "tree.snapshot", "payload": self.tree.to_json(self.part) }))?;
        } else if self.screen.is_none() {
            let lines = self.tree.lines(self.part, now_ms(), output);
            lines.iter().try_for_each(|line| output.line(line))?;
        }
        Ok(())
    }

    async fn on_delta(&mut self, gateway: &Gateway, delta: &Value) -> Result<(), Failure> {
        let output = self.context.output;
        let changed = match self.tree.apply(delta) {
            Applied::Changed(changed) => changed,
            Applied::Old => return Ok(()),
            Applied::Gap => return self.take_snapshot(gateway).await,
        };
        self.dirty = true;
        if output.is_json() {
            return output.record(&json!({ "event": "tree.delta", "payload": delta }));
        }
        if self.screen.is_some() || delta["ops"].as_array().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        for node in changed.into_iter().filter_map(|id| self.tree.node(id)) {
            output.line(&log_line(node, now_ms(), output))?;
        }
        Ok(())
    }

    fn draw(&mut self) -> Result<(), Failure> {
        self.dirty = false;
        let Some(screen) = &self.screen else { return Ok(()) };
        let output = self.context.output;
        let troubled = self.tree.troubled().count();
        let trouble = if troubled == 0 { output.paint(Tone::Good, "all well") } else { format!("{troubled} not well") };
        let mut lines = vec![format!("{} nodes, {trouble}; Ctrl-C ends", self.tree.len()), String::new()];
        lines.extend(self.tree.lines(self.part, now_ms(), output));
        screen.draw(&lines)
    }

    fn tell(&self, text: &str) -> Result<(), Failure> {
        match &self.screen {
            Some(screen) => screen.draw(&[text.to_owned()]),
            None => {
                self.context.output.note(text);
                Ok(())
            }
        }
    }
}

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
