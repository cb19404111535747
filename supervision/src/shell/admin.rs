//! What a supervisor is asked: to list, count, find, stop by actor, and to use other specs.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::time::Instant;

use crate::child_spec::{ChildSpec, SpecView, Strategy, SupervisorSpec, check_spec};
use crate::exit::ExitReason;
use crate::incarnation::{ActorId, Started};
use crate::machine::{AdminError, Answer, Birth, Child, Family, Input, Key, Mode, Phase, Request};
use crate::panics::{bury, catch};
use crate::shell::actor::Shell;
use crate::shell::messages::{Done, Who};
use crate::supervisor::{ChildCount, ChildInfo, ReconfigureOptions, ReconfigureReport};

impl Shell {
    pub(crate) fn which(&self) -> Vec<ChildInfo> {
        let waits = self.machine.round_waits_until();
        self.machine.children().filter_map(|(key, child)| self.describe(key, child, waits)).collect()
    }

    pub(crate) fn find(&self, who: &Who) -> Result<ChildInfo, AdminError> {
        let waits = self.machine.round_waits_until();
        let key = self.key_of(who)?;
        let child = self.machine.child(key).ok_or(AdminError::NotFound)?;
        self.describe(key, child, waits).ok_or(AdminError::NotFound)
    }

    pub(crate) fn spec_of(&self, who: &Who) -> Result<SpecView, AdminError> {
        let key = self.key_of(who)?;
        self.links.get(&key).map(|link| link.spec.view()).ok_or(AdminError::NotFound)
    }

    fn key_of(&self, who: &Who) -> Result<Key, AdminError> {
        let key = match who {
            Who::Id(_) if self.machine.rules.family == Family::Template => return Err(AdminError::NotSupported),
            Who::Id(id) => self.machine.key_of(id),
            Who::Actor(actor) => self.key_of_actor(*actor),
        };
        key.ok_or(AdminError::NotFound)
    }

    /// The child that runs as this incarnation, or ran as it and is about to be started again.
    fn key_of_actor(&self, actor: ActorId) -> Option<Key> {
        if actor.supervisor != self.uid {
            return None;
        }
        let running = self.brood.key_of(actor.pid);
        running.or_else(|| self.between.get(&actor.pid).copied())
    }

    /// The live incarnation of a child.
    pub(crate) fn actor_of(&self, key: Key) -> Option<ActorId> {
        let cell = self.links.get(&key)?.run.as_ref()?.cell.as_ref()?;
        Some(ActorId { pid: cell.get_id().pid(), supervisor: self.uid })
    }

    /// What is told to whoever asked for a start.
    pub(crate) fn started_as(&mut self, answer: Answer) -> Option<Started> {
        match answer {
            Answer::Done => None,
            Answer::Started { birth: Birth::Ignored, .. } => Some(Started { actor: None, info: None }),
            Answer::Started { key, birth: Birth::Up } => {
                let info = self.links.get(&key).and_then(|link| link.run.as_ref()?.desk.take_info());
                Some(Started { actor: self.actor_of(key), info })
            }
        }
    }

    /// Stops the child that runs as this incarnation. One of ours that is over already is as good as stopped.
    pub(crate) fn terminate_actor(&mut self, actor: ActorId, reply: Done) {
        match self.key_of_actor(actor) {
            Some(key) => {
                let ticket = self.ticket(Some(reply));
                self.run(Input::Admin { ticket, request: Request::TerminateKey(key) });
            }
            None if actor.supervisor == self.uid => drop(reply.send(Ok(None))),
            None => drop(reply.send(Err(AdminError::NotFound))),
        }
    }

    /// Children made from a template take over what it says now; running ones use it from their next start on.
    pub(crate) fn remake(&mut self) -> Result<(), AdminError> {
        if !matches!(self.machine.mode, Mode::Booting | Mode::Up) {
            return Err(AdminError::ShuttingDown);
        }
        let mut fresh = Vec::new();
        for (key, link) in &self.links {
            let Some(remake) = &link.spec.remake else { continue };
            let made = catch(|| remake()).map_err(|panic| ExitReason::Panic(Arc::new(panic)));
            let mut spec = made.map_err(AdminError::StartFailed)?;
            check_spec(&spec, self.machine.rules.auto_shutdown)?;
            spec.id = link.spec.id.clone();
            fresh.push((*key, spec));
        }
        for (key, spec) in fresh {
            self.adopt(key, spec);
        }
        Ok(())
    }

    /// Uses another spec for a child from its next start or exit on.
    fn adopt(&mut self, key: Key, spec: ChildSpec) {
        let (id, policy) = (spec.id.clone(), spec.policy());
        if let Some(link) = self.links.get_mut(&key) {
            self.shared.tree.show_spec(link.node.id, &spec);
            bury(std::mem::replace(&mut link.spec, spec));
        }
        let request = Request::Operator(Box::new(Request::Adopt(id, policy)));
        self.run(Input::Admin { ticket: 0, request });
    }

    fn describe(&self, key: Key, child: &Child, waits: Option<Instant>) -> Option<ChildInfo> {
        let link = self.links.get(&key)?;
        Some(ChildInfo {
            id: child.id.clone(),
            path: link.path.clone(),
            actor: self.actor_of(key),
            kind: link.spec.kind,
            is_supervisor: child.policy.supervisor,
            restart: child.policy.restart,
            state: self.node_state(child, waits),
            incarnation: child.inc,
            attempt: child.attempt,
            restarts: child.restarts,
            last_exit: child.last_exit.clone(),
        })
    }

    pub(crate) fn count(&self) -> ChildCount {
        let mut count = ChildCount { specs: 0, active: 0, supervisors: 0, workers: 0 };
        for (_, child) in self.machine.children() {
            count.specs += 1;
            if matches!(child.phase, Phase::Running { .. } | Phase::Stopping { .. }) {
                count.active += 1;
            }
            if child.policy.supervisor {
                count.supervisors += 1;
            } else {
                count.workers += 1;
            }
        }
        if self.machine.rules.family == Family::Template {
            count.specs = 1;
        }
        count
    }

    /// Takes over new specs and rules: all of them, or none if one is refused.
    pub(crate) fn reconfigure(
        &mut self,
        spec: SupervisorSpec,
        options: ReconfigureOptions,
    ) -> Result<ReconfigureReport, AdminError> {
        let independent = self.machine.rules.family != Family::Static;
        let templated = self.machine.rules.family == Family::Template;
        if (independent && spec.strategy != Strategy::OneForOne)
            || (templated && (options.stop_removed || !spec.children.is_empty()))
        {
            return Err(AdminError::NotSupported);
        }
        crate::supervisor::check(&spec)?;
        if !matches!(self.machine.mode, Mode::Booting | Mode::Up) {
            return Err(AdminError::ShuttingDown);
        }
        let mut report = ReconfigureReport::default();
        self.machine.rules.strategy = spec.strategy;
        self.machine.rules.intensity = spec.intensity;
        self.machine.rules.auto_shutdown = spec.auto_shutdown;
        self.machine.rules.starts_at_once = spec.starts.at_once();
        self.show_rules();
        let wanted: HashSet<_> = spec.children.iter().map(|child| child.id.clone()).collect();
        let gone: Vec<_> =
            self.machine.children().map(|(_, child)| child.id.clone()).filter(|id| !wanted.contains(id)).collect();
        if options.stop_removed {
            for id in gone {
                let request = Request::Operator(Box::new(Request::Remove(id.clone())));
                self.run(Input::Admin { ticket: 0, request });
                report.removed.push(id);
            }
        }
        for child in spec.children {
            let id = child.id.clone();
            match self.machine.key_of(&id) {
                Some(key) => {
                    self.adopt(key, child);
                    report.kept.push(id);
                }
                None if options.start_new => {
                    self.add_and_start(child, None);
                    report.added.push(id);
                }
                None => {
                    self.add(child);
                }
            }
        }
        Ok(report)
    }
}
