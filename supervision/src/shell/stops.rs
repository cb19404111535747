//! Stopping children: cancel, ask, wait, kill, wait, give up.
//!
//! A child's own end is what completes its stop; deadlines are timers. Only a supervisor whose loop is over, and that
//! hears of no ends any more, waits for each child in a task.

use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorCell, ActorStatus};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::child_spec::{ChildKind, Shutdown, StopMode};
use crate::exit::ExitReason;
use crate::machine::Key;
use crate::scope::spawn;
use crate::shell::actor::Shell;
use crate::shell::brood::Survivor;
use crate::shell::exits::SHUTDOWN;
use crate::shell::messages::{Completion, StopOutcome, SupMsg};
use crate::shell::tree_link::TreeShared;

/// How long a killed child may take to be gone before it is a zombie.
pub(crate) const KILL_GRACE: Duration = Duration::from_secs(1);
/// The same once the budget of the whole shutdown is spent.
const LATE_GRACE: Duration = Duration::from_millis(100);

/// How often a child being stopped is looked at, in case its end cannot be heard: a link can be cut from the other side.
const LOOK: Duration = Duration::from_secs(1);

/// How far a stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopStage {
    /// It has not begun.
    None,
    /// The child was asked to stop.
    Asked,
    /// The child was killed.
    Killed,
    /// It has ended; children of its own are being cleared away.
    Over,
}

/// A task that ends with whoever holds this.
pub(crate) struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Shell {
    /// Stops the current incarnation, whatever it is doing.
    pub(crate) fn stop(&mut self, key: Key, inc: u64) {
        let run = self.links.get_mut(&key).and_then(|link| link.run.as_mut());
        let Some(run) = run.filter(|run| run.inc == inc) else { return };
        run.stop_wanted = true;
        run.desk.cancel.cancel();
        if run.cell.is_some() || run.desk.early.get().is_some() {
            self.stop_running(key);
        } else if let Some(abort) = &run.abort_start {
            abort.cancel();
        }
    }

    pub(crate) fn stop_running(&mut self, key: Key) {
        if self.deaf {
            self.stop_and_wait(key);
            return;
        }
        self.watch_budget();
        let late = self.shared.hard_deadline_passed();
        let Some(link) = self.links.get_mut(&key) else { return };
        let Some(run) = &mut link.run else { return };
        let Some(cell) = run.cell.as_ref().or_else(|| run.desk.early.get()) else { return };
        if run.stop != StopStage::None {
            return;
        }
        let limit = match link.spec.shutdown {
            Shutdown::Brutal => {
                cell.kill();
                run.stop = StopStage::Killed;
                Some(KILL_GRACE)
            }
            Shutdown::Timeout(limit) => {
                ask(cell, link.spec.child_kind, link.spec.stop_mode);
                run.stop = StopStage::Asked;
                Some(limit)
            }
            Shutdown::Infinity => {
                ask(cell, link.spec.child_kind, link.spec.stop_mode);
                run.stop = StopStage::Asked;
                None
            }
        };
        // A limit beyond the clock's end is none.
        run.stop_by = limit.and_then(|limit| Instant::now().checked_add(limit));
        let worker = link.spec.child_kind == ChildKind::Worker;
        self.look_again(key);
        if late && worker {
            self.kill_overdue(key);
        }
    }

    fn look_again(&mut self, key: Key) {
        let Some(run) = self.links.get(&key).and_then(|link| link.run.as_ref()) else { return };
        let look = Instant::now() + LOOK;
        self.stop_timers.arm(key, run.stop_by.map_or(look, |by| by.min(look)));
    }

    /// A look at a stop under way. When its time is up, first the child is killed, then given up.
    pub(crate) fn look_at_stop(&mut self, key: Key) {
        let Some(run) = self.links.get(&key).and_then(|link| link.run.as_ref()) else { return };
        let (inc, stage, cell) = (run.inc, run.stop, run.cell.clone());
        if cell.as_ref().is_some_and(|cell| cell.get_status() == ActorStatus::Stopped) {
            // Its end is heard before this message is, if it can be heard at all.
            drop(self.me.send_message(SupMsg::Unheard { key, inc }));
            return;
        }
        if run.stop_by.is_none_or(|by| by > Instant::now()) {
            self.look_again(key);
            return;
        }
        match (stage, cell) {
            (StopStage::None | StopStage::Over, _) => {}
            (StopStage::Asked, _) => self.kill_overdue(key),
            (StopStage::Killed, Some(cell)) => {
                if let Some(link) = self.links.get(&key)
                    && link.spec.shutdown == Shutdown::Brutal
                {
                    self.shared.straggler(link.path.clone());
                }
                self.stopped(key, inc, &cell, StopOutcome::Zombie);
            }
            // It does not even come up: its start is given up.
            (StopStage::Killed, None) => {
                if let Some(abort) = &run.abort_start {
                    abort.cancel();
                }
                run.desk.give_up.notify_one();
            }
        }
    }

    /// All that was to be heard of a child that is gone has been heard: whatever is left of its stop ends now.
    pub(crate) fn unheard(&mut self, key: Key, inc: u64) {
        let run = self.links.get(&key).and_then(|link| link.run.as_ref()).filter(|run| run.inc == inc);
        let Some((stage, cell)) = run.and_then(|run| Some((run.stop, run.cell.clone()?))) else { return };
        let outcome = if stage == StopStage::Killed { StopOutcome::Killed } else { StopOutcome::Gone };
        self.stopped(key, inc, &cell, outcome);
    }

    fn kill_overdue(&mut self, key: Key) {
        let grace = if self.shared.hard_deadline_passed() { LATE_GRACE } else { KILL_GRACE };
        let Some(link) = self.links.get_mut(&key) else { return };
        let Some(run) = link.run.as_mut().filter(|run| run.stop == StopStage::Asked) else { return };
        if let Some(cell) = run.cell.as_ref().or_else(|| run.desk.early.get()) {
            cell.kill();
        }
        run.stop = StopStage::Killed;
        run.stop_by = Some(Instant::now() + grace);
        self.shared.straggler(link.path.clone());
        self.look_again(key);
    }

    /// When the budget of a shutdown is spent, workers are killed; their supervisors then end by themselves.
    pub(crate) fn budget_spent(&mut self) {
        let workers = |link: &crate::shell::actor::Link| {
            link.spec.child_kind == ChildKind::Worker
                && link.run.as_ref().is_some_and(|run| run.stop == StopStage::Asked)
        };
        let overdue: Vec<Key> = self.links.iter().filter(|(_, link)| workers(link)).map(|(key, _)| *key).collect();
        for key in overdue {
            self.kill_overdue(key);
        }
    }

    fn watch_budget(&mut self) {
        if self.budget_watch.is_some() {
            return;
        }
        let (shared, completions, me) = (Arc::clone(&self.shared), Arc::clone(&self.completions), self.me.clone());
        self.budget_watch = Some(AbortOnDrop(spawn(async move {
            shared.past_hard_deadline().await;
            completions.push(&me, Completion::BudgetSpent);
        })));
    }

    /// The loop is over: from now on ends are waited for instead of heard, also those already asked for.
    pub(crate) fn listen_no_more(&mut self) {
        self.deaf = true;
        let asked = |link: &crate::shell::actor::Link| link.run.as_ref().is_some_and(|run| run.stop != StopStage::None);
        let pending: Vec<Key> = self.links.iter().filter(|(_, link)| asked(link)).map(|(key, _)| *key).collect();
        for key in pending {
            self.stop_and_wait(key);
        }
    }

    fn stop_and_wait(&mut self, key: Key) {
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
        let Some(link) = self.links.get(&key) else { return };
        let Some(run) = link.run.as_ref().filter(|run| run.inc == inc && run.stop != StopStage::Over) else { return };
        if run.cell.is_none() {
            // It never came up; its start reports, if need be because it is given up now.
            run.desk.give_up.notify_one();
            return;
        }
        let reason = match outcome {
            StopOutcome::Gone => ExitReason::shutdown(SHUTDOWN),
            StopOutcome::Killed | StopOutcome::Zombie => ExitReason::Killed,
        };
        if outcome == StopOutcome::Zombie {
            let (path, node) = (link.path.clone(), link.node.id);
            tracing::error!(target: "supervision", %path, "child does not end, abandoned");
            self.show_zombie(Survivor { cell: cell.clone(), path, node });
        }
        self.brood.remove(cell.get_id().pid());
        self.exited(key, inc, reason);
    }

    /// Lets go of somebody who does not even die, but keeps showing it until it does.
    pub(crate) fn show_zombie(&mut self, survivor: Survivor) {
        let Survivor { cell, path, node } = survivor;
        cell.unlink(self.me.clone());
        let zombie = self.next_zombie;
        self.next_zombie += 1;
        let node = self.shared.tree.insert_zombie(self.node, node, &path, zombie);
        self.zombies.insert(zombie, node);
        let completions = Arc::clone(&self.completions);
        let me = self.me.clone();
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
            ask(&self.cell, self.kind, self.mode);
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

fn ask(cell: &ActorCell, kind: ChildKind, mode: StopMode) {
    match (kind, mode) {
        // A supervisor stops its children while it can still hear them.
        (ChildKind::Supervisor, StopMode::Stop | StopMode::Drain) => {
            if cell.send_message(SupMsg::Shutdown).is_err() {
                cell.stop(Some(SHUTDOWN.to_owned()));
            }
        }
        (ChildKind::Worker, StopMode::Stop) => cell.stop(Some(SHUTDOWN.to_owned())),
        (ChildKind::Worker, StopMode::Drain) => drop(cell.drain()),
    }
}
