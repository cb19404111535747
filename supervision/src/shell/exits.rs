//! Reads the runtime's end-of-actor events, and clears up after whoever ended.

use std::sync::Arc;

use ractor::SupervisionEvent;

use crate::exit::{BoxError, ExitReason};
use crate::machine::{Family, Input, Key, Phase};
use crate::panics::bury;
use crate::scope::spawn;
use crate::shell::actor::Shell;
use crate::shell::messages::Completion;
use crate::shell::stops::{KILL_GRACE, StopStage};
use crate::shell::supervised::TIDY;

/// The runtime's own words; a stop asked for in these words would look like something else.
const KILLED: &str = "killed";
const ABORTED: &str = "actor_task_cancelled";
const DRAINED: &str = "Drained";

/// What the supervisor says when it stops a child.
pub(crate) const SHUTDOWN: &str = "shutdown";

/// A stop reason that cannot be mistaken for the runtime's own.
pub(crate) fn stop_reason(reason: &str) -> String {
    if matches!(reason, KILLED | ABORTED | DRAINED) { format!("stop: {reason}") } else { reason.to_owned() }
}

/// Why an actor ended that gave `reason` while its supervisor was `stopping` it or not.
pub(crate) fn terminated(reason: Option<String>, stopping: bool) -> ExitReason {
    match reason.as_deref() {
        Some(KILLED) => ExitReason::Killed,
        Some(ABORTED) => ExitReason::Cancelled,
        None | Some(DRAINED) if stopping => ExitReason::shutdown(SHUTDOWN),
        None | Some(DRAINED) => ExitReason::Normal,
        Some(text) => ExitReason::shutdown(text),
    }
}

/// Why an actor ended that failed with `error`.
pub(crate) fn failed(error: BoxError) -> ExitReason {
    ExitReason::from_box(error)
}

impl Shell {
    /// Hears of an end, and uses the turn for whatever else there is to do.
    pub(crate) fn child_event(&mut self, event: SupervisionEvent) {
        let (cell, reason) = match event {
            SupervisionEvent::ActorTerminated(cell, state, reason) => {
                let stopping = self.is_stopping(cell.get_id().pid());
                let reason = terminated(reason, stopping);
                bury(SupervisionEvent::ActorTerminated(cell.clone(), state, None));
                (cell, reason)
            }
            SupervisionEvent::ActorFailed(cell, error) => (cell, failed(error)),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => return,
        };
        match self.brood.remove(cell.get_id().pid()) {
            Some((key, inc)) => self.exited(key, inc, reason),
            None if self.starting > 0 => {
                self.early_exits.insert(cell.get_id().pid(), reason);
            }
            None => tracing::debug!(target: "supervision", path = %self.path, "foreign child ended"),
        }
        // A storm of exits must not keep starts and timers waiting: they share this turn.
        self.catch_up();
    }

    fn is_stopping(&self, actor: u64) -> bool {
        let Some(key) = self.brood.key_of(actor) else { return false };
        self.links.get(&key).and_then(|link| link.run.as_ref()).is_some_and(|run| run.stop_wanted)
    }

    pub(crate) fn exited(&mut self, key: Key, inc: u64, reason: ExitReason) {
        if !self.is_outlived(key, inc, &reason) {
            self.over(key, inc, reason);
        }
    }

    /// If something of a child has outlived it, that is ended and waited for first: children of its own, and tasks of
    /// one that was killed, which end at their next await point.
    pub(crate) fn is_outlived(&mut self, key: Key, inc: u64, reason: &ExitReason) -> bool {
        let run = self.links.get_mut(&key).and_then(|link| link.run.as_mut()).filter(|run| run.inc == inc);
        let Some(run) = run else { return false };
        let brood = run.desk.brood().filter(|brood| !brood.is_empty());
        let busy = run.desk.unfinished();
        if brood.is_none() && busy.is_none() {
            return false;
        }
        run.stop = StopStage::Over;
        self.stop_timers.disarm(key);
        let (completions, me, reason) = (Arc::clone(&self.completions), self.me.clone(), reason.clone());
        spawn(async move {
            if let Some(core) = busy {
                core.scope.ended_within(TIDY).await;
            }
            let left = match brood {
                Some(brood) => brood.clear(KILL_GRACE).await,
                None => Vec::new(),
            };
            completions.push(&me, Completion::Survived { key, inc, reason, left });
        });
        true
    }

    pub(crate) fn over(&mut self, key: Key, inc: u64, reason: ExitReason) {
        let mut actor = None;
        if let Some(link) = self.links.get_mut(&key)
            && let Some(run) = link.run.take_if(|run| run.inc == inc)
        {
            actor = run.cell.as_ref().map(|cell| cell.get_id().pid());
            run.desk.cancel.cancel();
            self.stop_timers.disarm(key);
            link.carry(run.desk.take_left(), &reason);
            if let (Some(cell), Some(slot)) = (&run.cell, &link.spec.slot) {
                slot.unpublish(cell.get_id(), &reason);
            }
            self.shared.tree.clear_children(link.node.id);
        }
        self.run(Input::Exited { key, inc, reason });
        if let Some(actor) = actor {
            self.note_between(key, actor);
        }
    }

    /// A child that is to come back can be named by its last actor until then.
    fn note_between(&mut self, key: Key, actor: u64) {
        if self.machine.rules.family != Family::Template {
            return;
        }
        let coming = self.machine.child(key).is_some_and(|child| match child.phase {
            Phase::Starting | Phase::Waiting { .. } | Phase::Queued => true,
            Phase::Running { .. } | Phase::Stopping { .. } | Phase::Down(_) => false,
        });
        if coming && let Some(link) = self.links.get_mut(&key) {
            link.before = Some(actor);
            self.between.insert(actor, key);
        }
    }

    pub(crate) fn forget_before(&mut self, before: Option<u64>) {
        if let Some(actor) = before {
            self.between.remove(&actor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::ExitClass;

    #[test]
    fn the_runtimes_words_are_told_from_an_actors_own() {
        let class = |reason: Option<&str>, stopping| terminated(reason.map(str::to_owned), stopping).class();
        assert_eq!(class(None, false), ExitClass::Normal);
        assert_eq!(class(Some(DRAINED), false), ExitClass::Normal);
        assert_eq!(class(None, true), ExitClass::Shutdown);
        assert_eq!(class(Some("idle"), false), ExitClass::Shutdown);
        assert_eq!(class(Some(KILLED), true), ExitClass::Killed);
        assert_eq!(class(Some(ABORTED), false), ExitClass::Cancelled);
        for word in [KILLED, ABORTED, DRAINED] {
            assert_eq!(class(Some(&stop_reason(word)), false), ExitClass::Shutdown);
        }
    }
}
