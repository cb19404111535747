//! What supervisors write into the tree, and what observers are told of it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::child_spec::{ChildSpec, Redaction, Strategy};
use crate::exit::ExitClass;
use crate::machine::Handling;
use crate::path::{ActorPath, ChildId};
use crate::telemetry::event::{Ending, TelemetryEvent, Whom};
use crate::tree::node::{ChildState, NewNode, Node, NodeId};
use crate::tree::soft::Soft;
use crate::tree::store::{History, Inner, TreeStore};
use crate::tree::{ExitRecord, IntensityView, NodeFacts, NodeState};

/// Exits kept of each path.
const HISTORY: usize = 20;
/// Paths whose exits are kept.
const HISTORY_PATHS: usize = 8192;
/// Life-cycle changes within this time of the last batch share the next one.
pub(super) const LIFECYCLE_TICK: Duration = Duration::from_millis(20);
/// The same for what actors show of themselves.
const SOFT_TICK: Duration = Duration::from_millis(250);

impl TreeStore {
    /// Tells `observer` of everything that happens from now on, at once and in whatever thread it happens, so it must
    /// not block. One that panics is logged and told of the next event all the same.
    pub fn observe(&self, observer: impl Fn(&TelemetryEvent) + Send + Sync + 'static) {
        self.0.observers.add(Arc::new(observer));
    }

    pub(crate) fn tell(&self, event: TelemetryEvent) {
        self.0.observers.tell(|| event);
    }

    pub(crate) fn tell_of(&self, id: NodeId, event: impl FnOnce(Whom) -> TelemetryEvent) {
        if self.0.observers.is_empty() {
            return;
        }
        let whom = self.lock().nodes.get(&id).map(|node| Whom::of(&node.view));
        if let Some(whom) = whom {
            self.0.observers.tell(|| event(whom));
        }
    }

    pub(crate) fn insert(&self, new: NewNode<'_>) -> (NodeId, Arc<Soft>) {
        let class = new.spec.map_or(Redaction::Public, |spec| spec.redaction);
        let (is_child, added) = (new.spec.is_some(), self.insert_as(new, class, |_| {}));
        if is_child {
            self.tell_of(added.0, TelemetryEvent::SpecAdded);
        }
        added
    }

    fn insert_as(
        &self,
        new: NewNode<'_>,
        class: Redaction,
        adjust: impl FnOnce(&mut NodeFacts),
    ) -> (NodeId, Arc<Soft>) {
        let mut inner = self.lock();
        let id = inner.next_id;
        inner.next_id += 1;
        let above = new.parent.and_then(|parent| inner.nodes.get(&parent)).map(|parent| Arc::clone(&parent.view));
        let above = above.as_deref();
        let class = if above.is_some_and(|above| above.veil.is_some()) { Redaction::Personal } else { class };
        let veil = self.0.veiler.veil(class, above, new.path, new.kind());
        let mut facts = new.facts(id, class, veil);
        adjust(&mut facts);
        if let Some(veil) = &facts.veil {
            inner.by_veil.insert(veil.path.clone(), id);
        }
        let wait_id = new.spec.and_then(|spec| spec.slot.as_ref()?.wait_id());
        if let Some(wait_id) = wait_id {
            inner.by_wait_id.insert(wait_id, id);
        }
        inner.kinds.entry(facts.kind).or_default().nodes += 1;
        let soft = Arc::new(Soft::default());
        if let Some(meter) = &new.meter {
            meter.set_kind(self.0.latency.of(facts.kind));
        }
        let node = Node {
            view: Arc::new(facts),
            published: None,
            children: BTreeSet::new(),
            soft: Arc::clone(&soft),
            meter: new.meter,
            controller: new.controller,
            wait_id,
        };
        match new.parent {
            Some(parent) => {
                if let Some(parent) = inner.nodes.get_mut(&parent) {
                    parent.children.insert(id);
                }
            }
            None => drop(inner.roots.insert(id)),
        }
        inner.by_path.insert(new.path.clone(), id);
        inner.nodes.insert(id, node);
        self.touch(&mut inner, id, LIFECYCLE_TICK);
        (id, soft)
    }

    /// Shows a killed child that does not die, beside its successor.
    pub(crate) fn insert_zombie(&self, parent: NodeId, child: NodeId, of: &ActorPath, number: u64) -> NodeId {
        let name = ChildId::from(format!("{}~zombie{number}", of.as_str().rsplit('/').next().unwrap_or_default()));
        let path = ActorPath::parse(&format!("{of}~zombie{number}"));
        let (kind, class) = {
            let inner = self.lock();
            inner
                .nodes
                .get(&child)
                .map_or(("zombie", Redaction::Personal), |node| (node.view.kind, node.view.redaction))
        };
        let new = NewNode { parent: Some(parent), path: &path, name: &name, spec: None, meter: None, controller: None };
        let (id, _) = self.insert_as(new, class, |facts| {
            facts.kind = kind;
            facts.is_supervisor = false;
            facts.state = NodeState::Zombie;
        });
        self.tell_of(id, TelemetryEvent::Zombie);
        id
    }

    pub(crate) fn show(&self, id: NodeId, child: ChildState) {
        let now = self.now_ms();
        let mut events = Vec::new();
        let mut inner = self.lock();
        let Some(node) = inner.nodes.get_mut(&id) else { return };
        let (was, before, restarts) = (node.view.state, node.view.incarnation, node.view.restarts);
        let comes_up = child.state == NodeState::Running && (was != NodeState::Running || before != child.incarnation);
        let facts = NodeFacts::edit(&mut node.view);
        if comes_up {
            facts.started_at = Some(now);
        }
        facts.state = child.state;
        facts.incarnation = child.incarnation;
        facts.restarts = child.restarts;
        facts.attempt = child.attempt;
        facts.max_attempts = child.max_attempts;
        facts.flags.suspended = child.suspended;
        let begun = child.incarnation > before;
        changed(facts, was, begun, comes_up, now, &mut events);
        let kind = facts.kind;
        let kind = inner.kinds.entry(kind).or_default();
        kind.spawned += child.incarnation.saturating_sub(before);
        kind.restarts += child.restarts.saturating_sub(restarts);
        self.touch(&mut inner, id, LIFECYCLE_TICK);
        drop(inner);
        for event in events {
            self.tell(event);
        }
    }

    /// The root is up.
    pub(crate) fn show_running(&self, id: NodeId) {
        self.show(
            id,
            ChildState {
                state: NodeState::Running,
                incarnation: 1,
                restarts: 0,
                attempt: 0,
                max_attempts: None,
                suspended: false,
            },
        );
    }

    pub(crate) fn show_strategy(&self, id: NodeId, strategy: Strategy) {
        self.change(id, |view| view.strategy = Some(strategy));
    }

    pub(crate) fn show_intensity(&self, id: NodeId, intensity: IntensityView) {
        self.change(id, |view| view.intensity = Some(intensity));
    }

    pub(crate) fn show_spec(&self, id: NodeId, spec: &ChildSpec) {
        self.change(id, |view| {
            view.restart = Some(spec.restart);
            view.label = spec.label.clone();
            view.flags.significant = spec.significant;
            view.flags.isolated = spec.policy().isolated();
        });
    }

    pub(crate) fn record_exit(&self, id: NodeId, exit: ExitRecord) {
        let exit = Arc::new(exit);
        let mut inner = self.lock();
        let Some(node) = inner.nodes.get_mut(&id) else { return };
        NodeFacts::edit(&mut node.view).last_exit = Some(Arc::clone(&exit));
        let facts = Arc::clone(&node.view);
        inner.kinds.entry(facts.kind).or_default().ended(exit.class);
        inner.remember(&facts, &exit);
        self.touch(&mut inner, id, LIFECYCLE_TICK);
        drop(inner);
        self.0.observers.tell(|| {
            let whom = Whom { incarnation: exit.incarnation, ..Whom::of(&facts) };
            match exit.class {
                ExitClass::Normal | ExitClass::Shutdown => TelemetryEvent::ExitClean(whom, Ending::of(&exit)),
                ExitClass::InitFailed | ExitClass::InitTimeout => TelemetryEvent::InitFailed(whom, Ending::of(&exit)),
                ExitClass::Error | ExitClass::Fatal | ExitClass::Panic | ExitClass::Killed | ExitClass::Cancelled => {
                    TelemetryEvent::ExitAbnormal(whom, Ending::of(&exit))
                }
            }
        });
        if exit.handling == Handling::GaveUp {
            self.0.observers.tell(|| TelemetryEvent::GaveUp(Whom::of(&facts)));
        }
    }

    /// Removes a node and all below it.
    pub(crate) fn remove(&self, id: NodeId) {
        self.remove_all(&[id]);
    }

    /// Removes all below a node, except zombies: their supervisor's end does not end them.
    pub(crate) fn clear_children(&self, id: NodeId) {
        let inner = self.lock();
        let lives = |child: &&NodeId| inner.nodes.get(*child).is_some_and(|node| node.view.state != NodeState::Zombie);
        let Some(node) = inner.nodes.get(&id) else { return };
        let children: Vec<NodeId> = node.children.iter().filter(lives).copied().collect();
        drop(inner);
        self.remove_all(&children);
    }

    fn remove_all(&self, ids: &[NodeId]) {
        let mut gone = Vec::new();
        let mut inner = self.lock();
        for id in ids {
            inner.remove(*id, &mut gone);
        }
        if gone.is_empty() {
            return;
        }
        self.schedule(&mut inner, LIFECYCLE_TICK);
        drop(inner);
        for facts in gone.iter().filter(|facts| facts.state != NodeState::Zombie && facts.parent.is_some()) {
            self.0.observers.tell(|| TelemetryEvent::SpecRemoved(Whom::of(facts)));
        }
    }

    /// Something an actor shows of itself has changed.
    pub(crate) fn soft_changed(&self, id: NodeId) {
        let mut inner = self.lock();
        self.touch(&mut inner, id, SOFT_TICK);
    }

    fn change(&self, id: NodeId, change: impl FnOnce(&mut NodeFacts)) {
        let mut inner = self.lock();
        if let Some(node) = inner.nodes.get_mut(&id) {
            change(NodeFacts::edit(&mut node.view));
            self.touch(&mut inner, id, LIFECYCLE_TICK);
        }
    }
}

/// What a change of a node's state means to observers.
fn changed(facts: &NodeFacts, was: NodeState, begun: bool, comes_up: bool, now: i64, events: &mut Vec<TelemetryEvent>) {
    let whom = || Whom::of(facts);
    if begun {
        events.push(TelemetryEvent::Spawned(whom()));
    }
    if comes_up {
        events.push(TelemetryEvent::Running(whom()));
        if let Some(exit) = &facts.last_exit {
            let took = u64::try_from(now.saturating_sub(exit.at)).unwrap_or(0);
            events.push(TelemetryEvent::Restarted { whom: whom(), took: Duration::from_millis(took) });
        }
    }
    if facts.state == was {
        return;
    }
    match facts.state {
        NodeState::BackingOff { at, attempt, .. } => {
            events.push(TelemetryEvent::RestartScheduled { whom: whom(), at, attempt });
        }
        NodeState::CoolingDown { until } => events.push(TelemetryEvent::CoolingDown { whom: whom(), until }),
        NodeState::Stopping => events.push(TelemetryEvent::Stopping(whom())),
        NodeState::Starting
        | NodeState::Running
        | NodeState::Restarting
        | NodeState::Ignored
        | NodeState::Exited
        | NodeState::Failed
        | NodeState::Suspended
        | NodeState::Zombie => {}
    }
}

impl Inner {
    /// Takes a node out, after all below it.
    fn remove(&mut self, id: NodeId, gone: &mut Vec<Arc<NodeFacts>>) {
        let Some(node) = self.nodes.remove(&id) else { return };
        for child in &node.children {
            self.remove(*child, gone);
        }
        if self.by_path.get(&node.view.path) == Some(&id) {
            self.by_path.remove(&node.view.path);
        }
        if let Some(veil) = &node.view.veil
            && self.by_veil.get(&veil.path) == Some(&id)
        {
            self.by_veil.remove(&veil.path);
        }
        if let Some(wait_id) = node.wait_id
            && self.by_wait_id.get(&wait_id) == Some(&id)
        {
            self.by_wait_id.remove(&wait_id);
        }
        self.roots.remove(&id);
        if let Some(parent) = node.view.parent.and_then(|parent| self.nodes.get_mut(&parent)) {
            parent.children.remove(&id);
        }
        if let Some(kind) = self.kinds.get_mut(node.view.kind) {
            kind.nodes = kind.nodes.saturating_sub(1);
        }
        self.dirty.remove(&id);
        if let Some(published) = node.published {
            self.removed.push_back(published);
        }
        gone.push(node.view);
    }

    fn remember(&mut self, facts: &NodeFacts, exit: &Arc<ExitRecord>) {
        let path = &facts.path;
        if !self.history.contains_key(path) {
            self.history_order.push_back(path.clone());
            if self.history_order.len() > HISTORY_PATHS
                && let Some(oldest) = self.history_order.pop_front()
            {
                self.history.remove(&oldest);
            }
        }
        let history = self.history.entry(path.clone()).or_insert_with(|| History {
            exits: VecDeque::new(),
            veil: facts.veil.clone(),
            is_supervisor: facts.is_supervisor,
        });
        if history.exits.len() >= HISTORY {
            history.exits.pop_front();
        }
        history.exits.push_back(Arc::clone(exit));
    }
}
