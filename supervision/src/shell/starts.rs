//! Starting children: each start is a task with a deadline that always reports, exactly once.

use std::sync::{Arc, LazyLock, OnceLock};

use ractor::ActorCell;
use tokio_util::sync::CancellationToken;

use crate::checkpoint::Checkpoint;
use crate::child_spec::{ChildSpec, Restart, StartCtx, StartFn, check_spec};
use crate::exit::ExitReason;
use crate::machine::{Input, Key, Request};
use crate::scope::spawn;
use crate::shell::actor::{Link, Role, Run, Shell};
use crate::shell::messages::{Answering, Completion};
use crate::shell::seat::Seating;
use crate::shell::tree_link::NodeLink;
use crate::telemetry::meter::Meter;
use crate::tree::NewNode;

/// The start of a child that has been started for the last time.
static NEVER_AGAIN: LazyLock<StartFn> = LazyLock::new(|| {
    Arc::new(|_| Box::pin(std::future::ready(Err(ExitReason::shutdown("a temporary child is not started again")))))
});

impl Shell {
    /// Makes room for a child: its place in the machine and its node in the tree.
    pub(crate) fn add(&mut self, spec: ChildSpec) -> Key {
        let key = self.machine.insert(spec.id.clone(), spec.policy());
        let path = self.path.join(&spec.id);
        let meter = Arc::new(Meter::default());
        let (id, soft) = self.shared.tree.insert(NewNode {
            parent: Some(self.node),
            path: &path,
            name: &spec.id,
            spec: Some(&spec),
            meter: Some(Arc::clone(&meter)),
            controller: Some((self.slot.clone(), spec.id.clone(), matches!(self.role, Role::Nursery(_)))),
        });
        let node = NodeLink { tree: self.shared.tree.clone(), id, soft };
        let link = Link { spec, path, node, checkpoint: Checkpoint::default(), meter, run: None };
        self.links.insert(key, link);
        key
    }

    pub(crate) fn add_and_start(&mut self, spec: ChildSpec, reply: Option<Answering<()>>) {
        let id = spec.id.clone();
        let admitted = check_spec(&spec, self.machine.rules.auto_shutdown)
            .map_err(crate::machine::AdminError::from)
            .and_then(|()| self.machine.admits(&id));
        if let Err(error) = admitted {
            if let Role::Nursery(report) = &self.role {
                let reason = ExitReason::error(error.clone()).at_init();
                report(crate::actor::ChildExit { id, incarnation: 0, reason });
            }
            if let Some(reply) = reply {
                drop(reply.send(Err(error)));
            }
            return;
        }
        let key = self.add(spec);
        let ticket = self.ticket(reply);
        self.run(Input::Admin { ticket, request: Request::StartNew(key) });
    }

    pub(crate) fn start(&mut self, key: Key, inc: u64) {
        let Some(child) = self.machine.child(key) else { return };
        let (attempt, last_exit) = (child.attempt, child.last_exit.clone().map(Arc::new));
        let Some(link) = self.links.get_mut(&key) else { return };
        let cancel = CancellationToken::new();
        let abort_start = CancellationToken::new();
        let early_cell = Arc::new(OnceLock::new());
        let ctx = StartCtx {
            path: link.path.clone(),
            incarnation: inc,
            attempt,
            last_exit,
            cancel: cancel.clone(),
            checkpoint: link.checkpoint.clone(),
            seating: Seating {
                supervisor: self.me.clone(),
                shared: Arc::clone(&self.shared),
                node: link.node.clone(),
                meter: Arc::clone(&link.meter),
                mailbox: link.spec.mailbox,
                early_cell: Arc::clone(&early_cell),
            },
        };
        link.run =
            Some(Run { inc, cancel, abort_start: abort_start.clone(), early_cell, cell: None, stop_wanted: false });
        self.starting += 1;
        let start = Arc::clone(&link.spec.start);
        let limit = link.spec.init_timeout;
        let completions = Arc::clone(&self.completions);
        let me = self.me.clone();
        spawn(async move {
            let outcome = tokio::select! {
                biased;
                () = abort_start.cancelled() => Err(ExitReason::shutdown("stopped while starting")),
                outcome = tokio::time::timeout(limit, start(ctx)) => outcome.unwrap_or(Err(ExitReason::InitTimeout)),
            };
            completions.push(&me, Completion::Started { key, inc, outcome });
        });
    }

    /// A temporary child is never started again, so what its start captured need not be kept.
    fn forget_start(&mut self, key: Key) {
        if let Some(link) = self.links.get_mut(&key)
            && link.spec.restart == Restart::Temporary
        {
            link.spec.start = Arc::clone(&NEVER_AGAIN);
        }
    }

    pub(crate) fn started(&mut self, key: Key, inc: u64, outcome: Result<ActorCell, ExitReason>) {
        self.starting = self.starting.saturating_sub(1);
        let current = self.links.get_mut(&key).and_then(|link| link.run.as_mut()).filter(|run| run.inc == inc);
        match (outcome, current) {
            (Ok(cell), Some(run)) => {
                let actor = cell.get_id();
                run.cell = Some(cell);
                let stop_wanted = run.stop_wanted;
                self.forget_start(key);
                self.by_actor.insert(actor, (key, inc));
                let early = self.early_exits.remove(&actor);
                self.run(Input::Started { key, inc, outcome: Ok(()) });
                match early {
                    Some(reason) => {
                        self.by_actor.remove(&actor);
                        self.exited(key, inc, reason);
                    }
                    None if stop_wanted => self.stop_running(key),
                    None => {}
                }
            }
            // Nobody knows this child any more.
            (Ok(cell), None) => cell.kill(),
            (Err(reason), _) => {
                if let Some(link) = self.links.get_mut(&key)
                    && let Some(run) = link.run.take_if(|run| run.inc == inc)
                {
                    run.cancel.cancel();
                    self.shared.tree.clear_children(link.node.id);
                }
                self.run(Input::Started { key, inc, outcome: Err(reason) });
            }
        }
        if self.starting == 0 {
            self.early_exits.clear();
        }
    }
}
