//! Carries out effects: starts, stops, timers, answers, what the tree shows and what the log says.

use tokio::time::Instant;

use crate::actor::ChildExit;
use crate::exit::ExitReason;
use crate::machine::{BootError, Child, Down, Effect, Handling, Key, Phase};
use crate::panics::bury;
use crate::shell::actor::{Role, Shell};
use crate::supervisor::StartError;
use crate::telemetry::event;
use crate::tree::{ChildState, ExitRecord, IntensityView, NodeState};

impl Shell {
    pub(crate) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Start { key, inc } => self.start(key, inc),
            Effect::Stop { key, inc } => self.stop(key, inc),
            Effect::Arm { token, at } => self.timers.arm(token, at),
            Effect::Disarm { token } => self.timers.disarm(token),
            Effect::Reply { ticket, answer } => {
                if let Some(reply) = self.replies.remove(&ticket) {
                    // Whoever asked may look at the tree next.
                    self.show_changed();
                    let answer = answer.map(|answer| self.started_as(answer));
                    bury(reply.send(answer));
                }
            }
            Effect::Changed { key } => {
                if self.changed.last() != Some(&key) {
                    self.changed.push(key);
                }
            }
            Effect::Ended { key, inc, reason, handling } => self.ended(key, inc, reason, handling),
            Effect::Removed { key } => self.removed(key),
            Effect::Forget { key } => {
                if let Some(link) = self.links.get(&key) {
                    link.checkpoint.clear();
                }
            }
            Effect::Booted(outcome) => self.report_boot(outcome),
            Effect::Meltdown { key, restarts } => {
                let child = self.links.get(&key).map(|link| link.path.to_string()).unwrap_or_default();
                event::meltdown(&self.shared.tree, self.node, &self.path, &child, restarts);
            }
            Effect::Exit(reason) => self.exit = Some(reason),
        }
    }

    fn removed(&mut self, key: Key) {
        if let Some(link) = self.links.remove(&key) {
            self.forget_before(link.before);
            self.shared.tree.remove(link.node.id);
            bury(link);
        }
    }

    fn report_boot(&mut self, outcome: Result<(), BootError>) {
        let outcome = outcome.map_err(|error| match error {
            BootError::Child { id, reason } => StartError::Child { id, reason },
            BootError::ShutDown => StartError::ShutDown,
        });
        if let Some(booted) = self.booted.take() {
            self.show_changed();
            drop(booted.send(outcome));
        }
    }

    fn ended(&mut self, key: Key, inc: u64, reason: ExitReason, handling: Handling) {
        let Some(link) = self.links.get(&key) else { return };
        let attempt = self.machine.child(key).map_or(0, |child| child.attempt);
        event::ended(&link.path, inc, &reason, handling, attempt);
        if inc > 0 {
            self.shared.tree.record_exit(
                link.node.id,
                ExitRecord {
                    class: reason.class(),
                    text: reason.text(),
                    location: reason.location().map(str::to_owned),
                    at: self.shared.tree.now_ms(),
                    incarnation: inc,
                    handling,
                },
            );
        }
        match &self.role {
            Role::Nursery(report) => report(ChildExit { id: link.spec.id.clone(), incarnation: inc, reason }),
            Role::Supervisor => self.intensity_changed = true,
        }
    }

    /// Shows what has changed since it was last called: once per child, however often it changed.
    pub(crate) fn show_changed(&mut self) {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        for key in changed.drain(..) {
            self.show(key);
        }
        self.changed = changed;
        if std::mem::take(&mut self.intensity_changed) {
            self.show_intensity();
        }
    }

    /// Shows a child as the machine sees it.
    fn show(&mut self, key: Key) {
        let Some(child) = self.machine.child(key) else { return };
        let Some(link) = self.links.get(&key) else { return };
        let backoff = child.policy.backoff.as_deref();
        let state = ChildState {
            state: self.node_state(child, self.machine.round_waits_until()),
            incarnation: child.inc,
            restarts: child.restarts,
            attempt: child.attempt,
            max_attempts: backoff.and_then(|policy| policy.max_attempts),
            suspended: child.suspended,
        };
        self.shared.tree.show(link.node.id, state);
    }

    fn show_intensity(&mut self) {
        if matches!(self.role, Role::Supervisor) {
            let used = self.machine.restarts_in_period(Instant::now());
            let rules = &self.machine.rules;
            self.shared.tree.show_intensity(
                self.node,
                IntensityView { used, max: rules.intensity.max_restarts, period: rules.intensity.period },
            );
        }
    }

    pub(crate) fn show_rules(&mut self) {
        if matches!(self.role, Role::Supervisor) {
            self.shared.tree.show_strategy(self.node, self.machine.rules.strategy);
            self.show_intensity();
        }
    }

    pub(super) fn node_state(&self, child: &Child, round_waits: Option<Instant>) -> NodeState {
        match child.phase {
            Phase::Down(Down::Exited) => NodeState::Exited,
            Phase::Down(Down::Failed) => NodeState::Failed,
            Phase::Down(Down::Suspended) => NodeState::Suspended,
            Phase::Down(Down::Ignored) => NodeState::Ignored,
            Phase::Starting if child.restarts > 0 => NodeState::Restarting,
            Phase::Starting => NodeState::Starting,
            Phase::Running { .. } => NodeState::Running,
            Phase::Stopping { .. } => NodeState::Stopping,
            Phase::Waiting { at, cooling: true, .. } => NodeState::CoolingDown { until: self.shared.tree.epoch_of(at) },
            Phase::Waiting { at, .. } => self.backing_off(child, at),
            Phase::Queued => match round_waits {
                Some(at) => self.backing_off(child, at),
                None if child.inc == 0 => NodeState::Starting,
                None => NodeState::Restarting,
            },
        }
    }

    fn backing_off(&self, child: &Child, at: Instant) -> NodeState {
        let max_attempts = child.policy.backoff.as_deref().and_then(|policy| policy.max_attempts);
        NodeState::BackingOff { at: self.shared.tree.epoch_of(at), attempt: child.attempt, max_attempts }
    }
}
