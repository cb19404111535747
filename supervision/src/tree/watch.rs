//! Looking over all nodes for what is slow, full or waits too long. What is idle costs one look at a counter.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::telemetry::event::{TelemetryEvent, Whom, found};
use crate::telemetry::watchdog::WatchdogOptions;
use crate::tree::node::{Node, NodeId};
use crate::tree::snapshot::CHUNK;
use crate::tree::write::LIFECYCLE_TICK;
use crate::tree::{Alerts, MailboxLevel, NodeFacts, TreeStore};

/// What was found so far.
pub(crate) struct Watch {
    tree: TreeStore,
    options: WatchdogOptions,
    /// Nodes with alerts; the message they are slow with, by how many were handled before it.
    watched: HashMap<NodeId, Option<u64>>,
}

impl Watch {
    pub(crate) fn new(tree: TreeStore, options: WatchdogOptions) -> Self {
        // What was refused before is old news.
        drop(tree.new_cycles());
        Self { tree, options, watched: HashMap::new() }
    }

    /// One look at everything, in chunks; ends early once `stop` says so.
    pub(crate) fn look(&mut self, stop: impl Fn() -> bool) {
        let now = self.tree.now_ms();
        let slow_after = i64::try_from(self.options.slow_after.as_millis()).unwrap_or(i64::MAX);
        let waits = self.tree.long_waits(now.saturating_sub(slow_after));
        let mut gone: HashSet<NodeId> = self.watched.keys().copied().collect();
        let mut from = Some(0);
        while let Some(start) = from.filter(|_| !stop()) {
            let mut events = Vec::new();
            from = self.look_at_some(start, now, &waits, &mut gone, &mut events);
            events.into_iter().for_each(|event| found(&self.tree, event));
            self.tree.let_others_in();
        }
        if from.is_none() {
            self.watched.retain(|id, _| !gone.contains(id));
        }
        for paths in self.tree.new_cycles() {
            found(&self.tree, TelemetryEvent::WaitCycle { paths });
        }
    }

    fn look_at_some(
        &mut self,
        from: NodeId,
        now: i64,
        waits: &BTreeMap<u64, Vec<u64>>,
        gone: &mut HashSet<NodeId>,
        events: &mut Vec<TelemetryEvent>,
    ) -> Option<NodeId> {
        let tree = self.tree.clone();
        let mut inner = tree.lock();
        let mut last = None;
        let mut changed = Vec::new();
        for (id, node) in inner.nodes.range_mut(from..).take(CHUNK) {
            last = Some(*id);
            gone.remove(id);
            let idle = node.meter.as_ref().is_none_or(|meter| meter.depth() == 0);
            if idle && !self.watched.contains_key(id) && !waits.contains_key(id) {
                continue;
            }
            if self.judge(node, now, waits.get(id), events) {
                changed.push(*id);
            }
        }
        for id in changed {
            tree.touch(&mut inner, id, LIFECYCLE_TICK);
        }
        last.map(|last| last + 1)
    }

    /// True if its alerts have changed.
    fn judge(&mut self, node: &mut Node, now: i64, waits: Option<&Vec<u64>>, events: &mut Vec<TelemetryEvent>) -> bool {
        let before = node.view.alerts.clone().unwrap_or_default();
        let mut alerts = Alerts { waits_for: waits.cloned().unwrap_or_default(), ..Alerts::default() };
        let mut slow_with = None;
        if let Some(metrics) = node.metrics() {
            let known = self.watched.get(&node.view.id).copied().flatten();
            if let Some(elapsed) = metrics.in_hand.filter(|elapsed| *elapsed >= self.options.slow_after) {
                slow_with = Some(metrics.handled);
                alerts.slow_handler = match before.slow_handler {
                    Some(since) if known == slow_with => Some(since),
                    Some(_) | None => Some(now.saturating_sub(millis(elapsed))),
                };
                if known != slow_with {
                    events.push(TelemetryEvent::SlowHandler { whom: Whom::of(&node.view), elapsed });
                }
            }
            let (depth, bound) = (metrics.mailbox.depth, metrics.mailbox.bound);
            alerts.mailbox = self.options.level(depth, bound);
            let whom = || Whom::of(&node.view);
            if alerts.mailbox > before.mailbox {
                events.push(TelemetryEvent::MailboxHigh { whom: whom(), level: alerts.mailbox, depth, bound });
            } else if alerts.mailbox == MailboxLevel::Normal && before.mailbox != MailboxLevel::Normal {
                events.push(TelemetryEvent::MailboxNormal { whom: whom(), depth });
            }
        }
        if alerts.is_quiet() {
            self.watched.remove(&node.view.id);
        } else {
            self.watched.insert(node.view.id, slow_with);
        }
        if alerts == *before {
            return false;
        }
        NodeFacts::edit(&mut node.view).alerts = (!alerts.is_quiet()).then(|| Arc::new(alerts));
        true
    }
}

impl Drop for Watch {
    /// Alerts nobody keeps up to date any more are taken back.
    fn drop(&mut self) {
        let tree = self.tree.clone();
        let mut inner = tree.lock();
        for id in self.watched.keys() {
            let Some(node) = inner.nodes.get_mut(id) else { continue };
            NodeFacts::edit(&mut node.view).alerts = None;
            tree.touch(&mut inner, *id, LIFECYCLE_TICK);
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
