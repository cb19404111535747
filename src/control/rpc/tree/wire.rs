//! Nodes and changes of the tree as they travel.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use supervision::Redaction;
use supervision::tree::{
    Alerts, BusyView, ChildrenSummary, ExitRecord, IntensityView, MailboxLevel, MailboxView, NodeField, NodeMetrics,
    NodeState, NodeView, TreeOp,
};

use crate::protocol::methods::tree as wire;

/// A node.
pub(super) fn node(node: &NodeView) -> wire::NodeView {
    wire::NodeView {
        id: node.id,
        parent: node.parent,
        path: node.path.to_string(),
        name: node.name.to_string(),
        kind: node.kind.to_owned(),
        node_type: if node.is_supervisor { wire::NodeType::Supervisor } else { wire::NodeType::Worker },
        state: state(node.state),
        incarnation: node.incarnation,
        restarts: node.restarts,
        attempt: node.attempt,
        max_attempts: node.max_attempts,
        next_at: next_at(node.state),
        started_at: node.started_at,
        last_exit: node.last_exit.as_deref().map(exit),
        restart: node.restart.map(|restart| restart.as_str().to_owned()),
        strategy: node.strategy.map(|strategy| strategy.as_str().to_owned()),
        intensity: node.intensity.map(intensity),
        label: node.label.as_deref().map(str::to_owned),
        detail: node.detail.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
        busy: node.busy.as_deref().map(busy),
        mailbox: node.mailbox.map(mailbox),
        handled: node.handled,
        failed: node.failed,
        personal: node.redaction == Redaction::Personal,
        alerts: node.alerts.as_deref().map(alerts),
    }
}

/// Crowded children.
pub(super) fn summary(summary: &ChildrenSummary) -> wire::ChildrenSummary {
    wire::ChildrenSummary {
        parent: summary.parent,
        path: summary.path.to_string(),
        children: summary.children,
        states: summary.states.iter().map(|(state, count)| ((*state).to_owned(), *count)).collect(),
        top: summary.top.iter().map(node).collect(),
    }
}

fn alerts(alerts: &Alerts) -> wire::AlertsView {
    let level = (alerts.mailbox != MailboxLevel::Normal).then(|| alerts.mailbox.as_str().to_owned());
    wire::AlertsView { slow_since_ms: alerts.slow_handler, mailbox: level, waits_for: alerts.waits_for.clone() }
}

fn state(state: NodeState) -> wire::NodeState {
    match state {
        NodeState::Starting => wire::NodeState::Starting,
        NodeState::Running => wire::NodeState::Running,
        NodeState::Stopping => wire::NodeState::Stopping,
        NodeState::Restarting => wire::NodeState::Restarting,
        NodeState::BackingOff { .. } => wire::NodeState::BackingOff,
        NodeState::CoolingDown { .. } => wire::NodeState::CoolingDown,
        NodeState::Ignored => wire::NodeState::Ignored,
        NodeState::Exited => wire::NodeState::Exited,
        NodeState::Failed => wire::NodeState::Failed,
        NodeState::Suspended => wire::NodeState::Suspended,
        NodeState::Zombie => wire::NodeState::Zombie,
    }
}

fn next_at(state: NodeState) -> Option<i64> {
    match state {
        NodeState::BackingOff { at, .. } => Some(at),
        NodeState::CoolingDown { until } => Some(until),
        NodeState::Starting
        | NodeState::Running
        | NodeState::Stopping
        | NodeState::Restarting
        | NodeState::Ignored
        | NodeState::Exited
        | NodeState::Failed
        | NodeState::Suspended
        | NodeState::Zombie => None,
    }
}

/// How a node last ended.
fn exit(exit: &ExitRecord) -> wire::ExitView {
    wire::ExitView { incarnation: None, handling: None, ..recorded(exit) }
}

/// How a node once ended, with what was done about it.
pub(super) fn recorded(exit: &ExitRecord) -> wire::ExitView {
    wire::ExitView {
        class: exit.class.as_str().to_owned(),
        text: exit.text.clone(),
        location: exit.location.clone(),
        at: exit.at,
        incarnation: Some(exit.incarnation),
        handling: Some(exit.handling.as_str().to_owned()),
    }
}

fn intensity(view: IntensityView) -> wire::IntensityView {
    wire::IntensityView {
        used: u32::try_from(view.used).unwrap_or(u32::MAX),
        max: view.max,
        period_ms: millis(view.period),
    }
}

fn busy(view: &BusyView) -> wire::BusyView {
    wire::BusyView { what: view.what.clone(), since_ms: view.since }
}

fn mailbox(view: MailboxView) -> wire::MailboxView {
    wire::MailboxView { depth: view.depth, bound: view.bound, oldest_ms: view.oldest.map(millis) }
}

/// Counters of a node.
pub(super) fn metric(metrics: &NodeMetrics) -> wire::TreeMetric {
    wire::TreeMetric {
        id: metrics.id,
        depth: metrics.mailbox.depth,
        bound: metrics.mailbox.bound,
        handled: metrics.handled,
        failed: metrics.failed,
        oldest_ms: metrics.mailbox.oldest.map(millis),
    }
}

/// One step of a change.
pub(super) fn op(op: &TreeOp) -> wire::TreeOp {
    match op {
        TreeOp::Add(added) => wire::TreeOp::Add { node: Box::new(node(&NodeView::from(Arc::clone(added)))) },
        TreeOp::Remove(id) => wire::TreeOp::Remove { id: *id },
        TreeOp::Patch { id, fields } => wire::TreeOp::Patch { id: *id, fields: patch(fields) },
    }
}

/// Fields by name; one that is gone is null.
fn patch(fields: &[NodeField]) -> Map<String, Value> {
    let mut patch = Map::new();
    let mut put = |name: &str, value: Value| drop(patch.insert(name.to_owned(), value));
    for field in fields {
        match field {
            NodeField::State(now) => {
                put("state", json!(state(*now)));
                put("nextAt", json!(next_at(*now)));
            }
            NodeField::Incarnation(incarnation) => put("incarnation", json!(incarnation)),
            NodeField::StartedAt(at) => put("startedAt", json!(at)),
            NodeField::Restarts(restarts) => put("restarts", json!(restarts)),
            NodeField::Attempt(attempt, most) => {
                put("attempt", json!(attempt));
                put("maxAttempts", json!(most));
            }
            NodeField::LastExit(last) => put("lastExit", json!(last.as_deref().map(exit))),
            NodeField::Restart(restart) => put("restart", json!(restart.map(|restart| restart.as_str()))),
            NodeField::Strategy(strategy) => put("strategy", json!(strategy.map(|strategy| strategy.as_str()))),
            NodeField::Intensity(view) => put("intensity", json!(view.map(intensity))),
            NodeField::Label(label) => put("label", json!(label.as_deref())),
            NodeField::Detail(detail) => put("detail", json!(**detail)),
            NodeField::Busy(view) => put("busy", json!(view.as_deref().map(busy))),
            NodeField::Alerts(found) => put("alerts", json!(found.as_deref().map(alerts))),
            // Switches are not shown.
            NodeField::Flags(_) => {}
        }
    }
    patch
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
