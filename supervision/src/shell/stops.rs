//! Stopping children: cancel, ask, wait, kill, wait, give up. Each stop is a task with its own deadline.

use std::sync::Arc;
use std::time::Duration;

use ractor::ActorCell;

use crate::child_spec::{ChildKind, Shutdown, StopMode};
use crate::exit::ExitReason;
use crate::machine::{Input, Key};
use crate::scope::spawn;
use crate::shell::actor::Shell;
use crate::shell::exits::SHUTDOWN;
use crate::shell::messages::{Completion, StopOutcome, SupMsg};
use crate::shell::tree_link::TreeShared;

/// How long a killed child may take to be gone before it is a zombie.
const KILL_GRACE: Duration = Duration::from_secs(1);
/// The same once the budget of the whole shutdown is spent.
const LATE_GRACE: Duration = Duration::from_millis(100);

impl Shell {
    /// Stops the current incarnation, whatever it is doing.
    pub(crate) fn stop(&mut self, key: Key, inc: u64) {
        let run = self.links.get_mut(&key).and_then(|link| link.run.as_mut());
        let Some(run) = run.filter(|run| run.inc == inc) else { return };
        run.stop_wanted = true;
        run.cancel.cancel();
        if run.cell.is_some() || run.desk.early.get().is_some() {
            self.stop_running(key);
        } else {
            run.abort_start.cancel();
        }
    }

    pub(crate) fn stop_running(&mut self, key: Key) {
        let Some(link) = self.links.get(&key) else { return };
        let Some(run) = &link.run else { return };
        let Some(cell) = run.cell.clone().or_else(|| run.desk.early.get().cloned()) else { return };
        let stop = StopTask {
            cell: cell.clone(),
            shutdown: link.spec.shutdown,
            mode: link.spec.stop_mode,
            kind: link.spec.child_kind,
            shared: Arc::clone(&self.shared),
        };
        let (inc, path) = (run.inc, link.path.clone());
        let completions = Arc::clone(&self.completions);
        let (me, shared) = (self.me.clone(), Arc::clone(&self.shared));
        spawn(async move {
            let outcome = stop.carry_out().await;
            if outcome != StopOutcome::Gone {
                shared.straggler(path);
            }
            completions.push(&me, Completion::Stopped { key, inc, cell, outcome });
        });
    }

    /// A stop has ended. Usually the child's own exit was heard first and this says nothing new.
    pub(crate) fn stopped(&mut self, key: Key, inc: u64, cell: &ActorCell, outcome: StopOutcome) {
        let reason = match outcome {
            StopOutcome::Gone => ExitReason::shutdown(SHUTDOWN),
            StopOutcome::Killed => ExitReason::Killed,
            StopOutcome::Zombie => {
                self.abandon(key, cell);
                ExitReason::Killed
            }
        };
        let current =
            self.links.get_mut(&key).and_then(|link| link.run.take_if(|run| run.inc == inc && run.cell.is_some()));
        if let Some(run) = current {
            run.cancel.cancel();
            let left = run.desk.take_left().filter(|_| reason.is_clean());
            self.by_actor.remove(&cell.get_id());
            if let Some(link) = self.links.get_mut(&key) {
                link.carried = left;
                if let Some(slot) = &link.spec.slot {
                    slot.unpublish(cell.get_id(), &reason);
                }
                self.shared.tree.clear_children(link.node.id);
            }
            self.run(Input::Stopped { key, inc, reason });
        }
    }

    /// Lets go of a child that does not even die, but keeps showing it until it does.
    fn abandon(&mut self, key: Key, cell: &ActorCell) {
        cell.unlink(self.me.clone());
        let Some(link) = self.links.get(&key) else { return };
        tracing::error!(target: "supervision", path = %link.path, "child does not end, abandoned");
        let zombie = self.next_zombie;
        self.next_zombie += 1;
        let node = self.shared.tree.insert_zombie(self.node, &link.path, link.spec.kind, zombie);
        self.zombies.insert(zombie, node);
        let completions = Arc::clone(&self.completions);
        let (me, cell) = (self.me.clone(), cell.clone());
        let tree = self.shared.tree.clone();
        spawn(async move {
            drop(cell.wait(None).await);
            tree.remove(node);
            completions.push(&me, Completion::Buried { zombie });
        });
    }
}

struct StopTask {
    cell: ActorCell,
    shutdown: Shutdown,
    mode: StopMode,
    kind: ChildKind,
    shared: Arc<TreeShared>,
}

impl StopTask {
    async fn carry_out(&self) -> StopOutcome {
        if self.shutdown != Shutdown::Brutal {
            self.ask();
            if self.ends_in_time().await {
                return StopOutcome::Gone;
            }
        }
        self.cell.kill();
        let grace = if self.shared.hard_deadline_passed() { LATE_GRACE } else { KILL_GRACE };
        match self.cell.wait(Some(grace)).await {
            Ok(()) if self.shutdown == Shutdown::Brutal => StopOutcome::Gone,
            Ok(()) => StopOutcome::Killed,
            Err(_) => StopOutcome::Zombie,
        }
    }

    fn ask(&self) {
        match (self.kind, self.mode) {
            // A supervisor stops its children while it can still hear them.
            (ChildKind::Supervisor, StopMode::Stop | StopMode::Drain) => {
                if self.cell.send_message(SupMsg::Shutdown).is_err() {
                    self.cell.stop(Some(SHUTDOWN.to_owned()));
                }
            }
            (ChildKind::Worker, StopMode::Stop) => self.cell.stop(Some(SHUTDOWN.to_owned())),
            (ChildKind::Worker, StopMode::Drain) => drop(self.cell.drain()),
        }
    }

    async fn ends_in_time(&self) -> bool {
        let limit = async {
            match self.shutdown {
                Shutdown::Brutal => {}
                Shutdown::Timeout(limit) => tokio::time::sleep(limit).await,
                Shutdown::Infinity => std::future::pending().await,
            }
        };
        // When a shutdown's budget is spent, workers are killed; their supervisors then end by themselves.
        let budget = async {
            match self.kind {
                ChildKind::Worker => self.shared.past_hard_deadline().await,
                ChildKind::Supervisor => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.cell.wait(None) => true,
            () = limit => false,
            () = budget => false,
        }
    }
}
