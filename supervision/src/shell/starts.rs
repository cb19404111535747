//! Starting children: each start has a deadline and reports exactly once.

use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::BoxFuture;
use ractor::ActorCell;
use tokio_util::sync::CancellationToken;

use crate::checkpoint::Checkpoint;
use crate::child_spec::{ChildSpec, Restart, Shutdown, StartCtx, StartFn, check_spec};
use crate::exit::ExitReason;
use crate::incarnation::NotUp;
use crate::machine::{AdminError, Birth, Input, Key, Request};
use crate::panics::{bury, catch, guard};
use crate::path::ChildId;
use crate::scope::spawn;
use crate::shell::actor::{Link, Role, Run, Shell};
use crate::shell::brood::Member;
use crate::shell::messages::{Completion, Done, SupMsg};
use crate::shell::seat::{Desk, Seating};
use crate::shell::stops::KILL_GRACE;
use crate::shell::tree_link::NodeLink;
use crate::telemetry::meter::Meter;
use crate::tree::NewNode;

/// How many starts one turn of a supervisor looks at itself.
const STARTS_PER_TURN: u32 = 64;

/// The start of a child that has been started for the last time.
static NEVER_AGAIN: LazyLock<StartFn> = LazyLock::new(|| {
    Arc::new(|_| {
        Box::pin(std::future::ready(Err(ExitReason::shutdown("a temporary child is not started again").into())))
    })
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
        let link =
            Link { spec, path, node, checkpoint: Checkpoint::default(), meter, run: None, before: None, carried: None };
        self.links.insert(key, link);
        key
    }

    pub(crate) fn add_and_start(&mut self, spec: ChildSpec, reply: Option<Done>) {
        let id = spec.id.clone();
        let admitted = check_spec(&spec, self.machine.rules.auto_shutdown)
            .map_err(AdminError::from)
            .and_then(|()| self.machine.admits(&id).map_err(|error| self.with_actor(error, &id)));
        if let Err(error) = admitted {
            if let Role::Nursery(report) = &self.role {
                let reason = ExitReason::error(error.clone()).at_init();
                report(crate::actor::ChildExit { id, incarnation: 0, reason });
            }
            if let Some(reply) = reply {
                drop(reply.send(Err(error)));
            }
            bury(spec);
            return;
        }
        let key = self.add(spec);
        let ticket = self.ticket(reply);
        self.run(Input::Admin { ticket, request: Request::StartNew(key) });
    }

    /// Says which incarnation it is that has started already.
    fn with_actor(&self, error: AdminError, id: &ChildId) -> AdminError {
        if matches!(error, AdminError::AlreadyStarted(_)) {
            AdminError::AlreadyStarted(self.machine.key_of(id).and_then(|key| self.actor_of(key)))
        } else {
            error
        }
    }

    pub(crate) fn start(&mut self, key: Key, inc: u64) {
        let Some(child) = self.machine.child(key) else { return };
        let (attempt, last_exit) = (child.attempt, child.last_exit.clone().map(Arc::new));
        let Some(link) = self.links.get_mut(&key) else { return };
        let desk = Desk::new(link.spec.carry_state, link.carried.take());
        let run = Run::new(inc, Arc::clone(&desk));
        let ctx = StartCtx {
            path: link.path.clone(),
            incarnation: inc,
            attempt,
            last_exit,
            checkpoint: link.checkpoint.clone(),
            seating: Seating {
                supervisor: self.me.clone(),
                shared: Arc::clone(&self.shared),
                node: link.node.clone(),
                meter: Arc::clone(&link.meter),
                mailbox: link.spec.mailbox,
                handler_limit: link.spec.handler_limit,
                desk,
            },
        };
        let (start, limit) = (Arc::clone(&link.spec.start), link.spec.init_timeout);
        link.run = Some(run);
        self.starting += 1;
        self.begin(key, inc, start, ctx, limit);
    }

    /// Most starts are done as soon as they are looked at, and a task for each would cost a storm of restarts a good
    /// part of its time. So a start is looked at once here; what is not done then goes on as a task. The number per
    /// turn is bounded, so that a large boot does not keep the supervisor from answering.
    fn begin(&mut self, key: Key, inc: u64, start: StartFn, ctx: StartCtx, limit: Duration) {
        let desk = Arc::clone(&ctx.seating.desk);
        let mut starting = match catch(move || met_by_faults(ctx, start)) {
            Ok(starting) => starting,
            Err(panic) => {
                let outcome = Err(ExitReason::Panic(Arc::new(panic)).into());
                self.completions.push_own(Completion::Started { key, inc, outcome });
                return;
            }
        };
        if self.starts_this_turn < STARTS_PER_TURN {
            self.starts_this_turn += 1;
            let mut unwoken = Context::from_waker(Waker::noop());
            // If it is not ready, the task below looks at it at once and leaves its own waker.
            let looked = catch(|| starting.as_mut().poll(&mut unwoken));
            let outcome = match looked {
                Ok(Poll::Pending) => None,
                Ok(Poll::Ready(outcome)) => Some(outcome),
                Err(panic) => Some(Err(ExitReason::Panic(Arc::new(panic)).into())),
            };
            if let Some(outcome) = outcome {
                let outcome = undone_if_failed(&desk, outcome);
                self.completions.push_own(Completion::Started { key, inc, outcome });
                return;
            }
        }
        let abort = CancellationToken::new();
        if let Some(run) = self.links.get_mut(&key).and_then(|link| link.run.as_mut()) {
            run.abort_start = Some(abort.clone());
        }
        let shutdown = self.links.get(&key).map_or(Shutdown::Brutal, |link| link.spec.shutdown);
        let completions = Arc::clone(&self.completions);
        let (me, brood) = (self.me.clone(), Arc::clone(&self.brood));
        let start = async move {
            let outcome = take_time(starting, limit, shutdown, abort, &desk).await;
            let outcome = undone_if_failed(&desk, outcome);
            let up = outcome.as_ref().ok().cloned();
            completions.push(&me, Completion::Started { key, inc, outcome });
            // Too late for a supervisor that is over.
            if let Some(cell) = up.filter(|_| brood.is_closed()) {
                cell.kill();
                drop(cell.wait(Some(KILL_GRACE)).await);
            }
        };
        spawn(self.brood.starts.track_future(start));
    }

    /// Lists the current incarnation of a child among those who run.
    fn enlist(&self, key: Key, inc: u64) {
        let Some(link) = self.links.get(&key) else { return };
        let Some((cell, desk)) = link.run.as_ref().and_then(|run| Some((run.cell.clone()?, Arc::clone(&run.desk))))
        else {
            return;
        };
        self.brood.insert(Member { key, inc, cell, path: link.path.clone(), node: link.node.id, desk });
    }

    /// A temporary child is never started again, so what its start captured need not be kept.
    fn forget_start(&mut self, key: Key) {
        if let Some(link) = self.links.get_mut(&key)
            && link.spec.restart == Restart::Temporary
        {
            bury((std::mem::replace(&mut link.spec.start, Arc::clone(&NEVER_AGAIN)), link.spec.remake.take()));
        }
    }

    pub(crate) fn started(&mut self, key: Key, inc: u64, outcome: Result<ActorCell, NotUp>) {
        self.starting = self.starting.saturating_sub(1);
        let current = self.links.get_mut(&key).and_then(|link| link.run.as_mut()).filter(|run| run.inc == inc);
        match (outcome, current) {
            (Ok(cell), Some(run)) => {
                let actor = cell.get_id().pid();
                run.cell = Some(cell);
                let stop_wanted = run.stop_wanted;
                let before = self.links.get_mut(&key).and_then(|link| link.before.take());
                self.forget_before(before);
                self.forget_start(key);
                self.enlist(key, inc);
                let early = self.early_exits.remove(&actor);
                self.run(Input::Started { key, inc, outcome: Ok(Birth::Up) });
                match early {
                    Some(reason) => {
                        self.brood.remove(actor);
                        self.exited(key, inc, reason);
                    }
                    None if stop_wanted => self.stop_running(key),
                    None => {}
                }
            }
            // Nobody knows this child any more.
            (Ok(cell), None) => cell.kill(),
            (Err(not_up), _) => {
                if let Some(link) = self.links.get_mut(&key)
                    && let Some(run) = link.run.take_if(|run| run.inc == inc)
                {
                    run.desk.cancel.cancel();
                    self.stop_timers.disarm(key);
                    self.shared.tree.clear_children(link.node.id);
                }
                let outcome = match not_up {
                    NotUp::Ignored => Ok(Birth::Ignored),
                    NotUp::Failed(reason) => Err(reason),
                };
                self.run(Input::Started { key, inc, outcome });
            }
        }
        if self.starting == 0 {
            self.early_exits.clear();
        }
    }
}

type Starting = BoxFuture<'static, Result<ActorCell, NotUp>>;

/// The rest of a start that was not done at once, with its deadline and its end by hand. A supervisor that is half up
/// by then goes down in order first.
async fn take_time(
    starting: Starting,
    limit: Duration,
    shutdown: Shutdown,
    abort: CancellationToken,
    desk: &Desk,
) -> Result<ActorCell, NotUp> {
    let mut starting = pin!(guard(move || starting));
    let cut = tokio::select! {
        biased;
        () = abort.cancelled() => ExitReason::shutdown("stopped while starting"),
        outcome = &mut starting => return match outcome {
            Ok(outcome) => outcome,
            Err(panic) => Err(ExitReason::Panic(Arc::new(panic)).into()),
        },
        () = tokio::time::sleep(limit) => ExitReason::InitTimeout,
    };
    if let Some(cell) = desk.early.get() {
        drop(cell.send_message(SupMsg::Shutdown));
        let patience = async {
            match shutdown {
                Shutdown::Brutal => {}
                Shutdown::Timeout(limit) => tokio::time::sleep(limit).await,
                Shutdown::Infinity => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = cell.wait(None) => {}
            () = patience => {}
            () = desk.give_up.notified() => {}
        }
        cell.kill();
        drop(cell.wait(Some(KILL_GRACE)).await);
    }
    Err(cut.into())
}

/// Nothing of a failed start stays.
fn undone_if_failed(desk: &Desk, outcome: Result<ActorCell, NotUp>) -> Result<ActorCell, NotUp> {
    if outcome.is_err()
        && let Some(cell) = desk.spawned.get()
    {
        cell.kill();
    }
    outcome
}

/// A start, after whatever fault on purpose waits for it.
fn met_by_faults(ctx: StartCtx, start: StartFn) -> Starting {
    match ctx.seating.shared.tree.chaos_table() {
        None => start(ctx),
        Some(table) => Box::pin(async move {
            table.strike_start(&ctx.path).await?;
            start(ctx).await
        }),
    }
}
