//! The runtime actor of a supervisor.
//!
//! It is busy only for as long as a decision takes. It hears of its children's ends before its messages, boots inside
//! its loop so that it can be asked and stopped while booting, and ends only after its children.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ractor::{ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::actor::ChildExit;
use crate::chaos::{fail_on_purpose, mark_supervisor};
use crate::checkpoint::Checkpoint;
use crate::child_spec::{ChildSpec, SupervisorSpec};
use crate::exit::ExitReason;
use crate::machine::{Effect, Family, Input, Key, Machine, Mode, Rules, Ticket};
use crate::panics::bury;
use crate::path::ActorPath;
use crate::shell::brood::Brood;
use crate::shell::ids::ById;
use crate::shell::messages::{Completion, Completions, Done, SupMsg};
use crate::shell::seat::{Carried, Desk};
use crate::shell::stops::{AbortOnDrop, StopStage};
use crate::shell::timers::Timers;
use crate::shell::tree_link::{NodeLink, TreeShared};
use crate::supervisor::{StartError, SupervisorSlot};
use crate::telemetry::meter::Meter;
use crate::tree::NodeId;

/// The actor; everything it knows is in [`Shell`].
pub(crate) struct ShellActor;

/// Whom a supervisor belongs to.
#[derive(Clone)]
pub(crate) enum Role {
    /// A node of its own in the tree.
    Supervisor,
    /// The hidden supervisor of a worker's children; the worker is told of each end.
    Nursery(Arc<dyn Fn(ChildExit) + Send + Sync>),
}

/// What a supervisor is started with.
pub(crate) struct ShellArgs {
    pub(crate) spec: SupervisorSpec,
    pub(crate) family: Family,
    pub(crate) max_children: Option<usize>,
    pub(crate) path: ActorPath,
    pub(crate) node: NodeId,
    pub(crate) shared: Arc<TreeShared>,
    pub(crate) slot: SupervisorSlot,
    /// Told once all children are up, or why not.
    pub(crate) booted: Option<oneshot::Sender<Result<(), StartError>>>,
    pub(crate) role: Role,
    /// Where its children are listed, shared with whoever has to clear up after it.
    pub(crate) brood: Arc<Brood>,
}

/// A child as the shell sees it.
pub(crate) struct Link {
    pub(crate) spec: ChildSpec,
    pub(crate) path: ActorPath,
    pub(crate) node: NodeLink,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) meter: Arc<Meter>,
    pub(crate) run: Option<Run>,
    /// The incarnation before, while the next one is not up yet.
    pub(crate) before: Option<u64>,
    /// State for the next incarnation.
    pub(crate) carried: Option<Carried>,
}

/// The current incarnation of a child.
pub(crate) struct Run {
    pub(crate) inc: u64,
    /// Ends the start under way, if it is one that takes its time.
    pub(crate) abort_start: Option<CancellationToken>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) cell: Option<ActorCell>,
    pub(crate) stop_wanted: bool,
    /// How far stopping it has come.
    pub(crate) stop: StopStage,
    /// When the current stage of the stop is to be over.
    pub(crate) stop_by: Option<Instant>,
}

impl Run {
    pub(crate) fn new(inc: u64, desk: Arc<Desk>) -> Self {
        Self { inc, abort_start: None, desk, cell: None, stop_wanted: false, stop: StopStage::None, stop_by: None }
    }
}

/// A supervisor's state.
pub(crate) struct Shell {
    /// Tells this incarnation of the supervisor from all others.
    pub(crate) uid: u64,
    pub(crate) starts_this_turn: u32,
    pub(crate) me: ActorCell,
    pub(crate) machine: Machine,
    pub(crate) links: ById<Link>,
    /// Who runs, by the number of its actor.
    pub(crate) brood: Arc<Brood>,
    /// Who is between two incarnations, by the number of the one that is over.
    pub(crate) between: ById<Key>,
    /// Ends of actors whose start has not been reported yet.
    pub(crate) early_exits: ById<ExitReason>,
    pub(crate) starting: usize,
    pub(crate) completions: Arc<Completions>,
    pub(crate) timers: Timers,
    /// Deadlines of stops under way, by child.
    pub(crate) stop_timers: Timers,
    /// Tells when the budget of the whole shutdown is spent; made with the first stop.
    pub(crate) budget_watch: Option<AbortOnDrop>,
    /// The loop is over: ends of children are not heard any more and have to be waited for.
    pub(crate) deaf: bool,
    effects: Vec<Effect>,
    /// Children that have changed in this turn.
    pub(crate) changed: Vec<Key>,
    pub(crate) intensity_changed: bool,
    pub(crate) rng: StdRng,
    pub(crate) replies: HashMap<Ticket, Done>,
    pub(crate) next_ticket: Ticket,
    pub(crate) booted: Option<oneshot::Sender<Result<(), StartError>>>,
    pub(crate) path: ActorPath,
    pub(crate) node: NodeId,
    pub(crate) shared: Arc<TreeShared>,
    pub(crate) slot: SupervisorSlot,
    pub(crate) role: Role,
    pub(crate) exit: Option<ExitReason>,
    pub(crate) zombies: HashMap<u64, NodeId>,
    pub(crate) next_zombie: u64,
    /// In a tree that is armed for faults on purpose.
    pub(crate) chaos: Option<crate::chaos::Marked>,
}

impl ractor::Actor for ShellActor {
    type Msg = SupMsg;
    type State = Shell;
    type Arguments = ShellArgs;

    async fn pre_start(&self, me: ActorRef<SupMsg>, args: ShellArgs) -> Result<Shell, ActorProcessingErr> {
        let cell = me.get_cell();
        let mut shell = Shell::new(cell.clone(), args);
        shell.slot.publish(cell.clone());
        if matches!(shell.role, Role::Supervisor) {
            shell.chaos = mark_supervisor(&shell.shared.tree, &shell.path, &cell);
        }
        drop(cell.send_message(SupMsg::Boot));
        Ok(shell)
    }

    async fn handle(&self, me: ActorRef<SupMsg>, message: SupMsg, shell: &mut Shell) -> Result<(), ActorProcessingErr> {
        if let SupMsg::Fault(fault) = message {
            return fail_on_purpose(fault).await;
        }
        shell.receive(message);
        shell.catch_up();
        shell.settle(&me);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<SupMsg>,
        event: SupervisionEvent,
        shell: &mut Shell,
    ) -> Result<(), ActorProcessingErr> {
        shell.child_event(event);
        shell.settle(&me);
        Ok(())
    }

    /// Reached with children only if somebody stopped this actor behind the supervisor's back.
    async fn post_stop(&self, me: ActorRef<SupMsg>, shell: &mut Shell) -> Result<(), ActorProcessingErr> {
        shell.listen_no_more();
        if !matches!(shell.machine.mode, Mode::Done) {
            shell.run(Input::Shutdown);
        }
        while !matches!(shell.machine.mode, Mode::Done) {
            let completions = Arc::clone(&shell.completions);
            let filled = completions.filled.notified();
            shell.catch_up();
            if matches!(shell.machine.mode, Mode::Done) {
                break;
            }
            filled.await;
        }
        shell.settle(&me);
        Ok(())
    }
}

impl Shell {
    fn new(me: ActorCell, args: ShellArgs) -> Self {
        let rules = Rules {
            strategy: args.spec.strategy,
            intensity: args.spec.intensity,
            auto_shutdown: args.spec.auto_shutdown,
            starts_at_once: args.spec.starts.at_once(),
            family: args.family,
            max_children: args.max_children,
        };
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut shell = Self {
            uid: NEXT.fetch_add(1, Ordering::Relaxed),
            starts_this_turn: 0,
            me,
            machine: Machine::new(rules),
            links: ById::default(),
            brood: args.brood,
            between: ById::default(),
            early_exits: ById::default(),
            starting: 0,
            completions: Completions::new(),
            timers: Timers::default(),
            stop_timers: Timers::default(),
            budget_watch: None,
            deaf: false,
            effects: Vec::new(),
            changed: Vec::new(),
            intensity_changed: false,
            rng: StdRng::from_os_rng(),
            replies: HashMap::new(),
            next_ticket: 1,
            booted: args.booted,
            path: args.path,
            node: args.node,
            shared: args.shared,
            slot: args.slot,
            role: args.role,
            exit: None,
            zombies: HashMap::new(),
            next_zombie: 0,
            chaos: None,
        };
        shell.show_rules();
        for spec in args.spec.children {
            shell.add(spec);
        }
        shell
    }

    /// Feeds the machine and carries out what it says.
    pub(crate) fn run(&mut self, input: Input) {
        let mut effects = std::mem::take(&mut self.effects);
        self.machine.step(Instant::now(), &mut self.rng, input, &mut effects);
        // Answers go last: whoever asked finds everything else done.
        for effect in effects.extract_if(.., |effect| !matches!(effect, Effect::Reply { .. })) {
            self.carry_out(effect);
        }
        for effect in effects.drain(..) {
            self.carry_out(effect);
        }
        self.effects = effects;
    }

    /// Everything that tasks and timers have to say.
    pub(crate) fn catch_up(&mut self) {
        loop {
            while let Some(completion) = self.completions.pop() {
                match completion {
                    Completion::Started { key, inc, outcome } => self.started(key, inc, outcome),
                    Completion::Stopped { key, inc, cell, outcome } => self.stopped(key, inc, &cell, outcome),
                    Completion::BudgetSpent => self.budget_spent(),
                    Completion::Survived { key, inc, reason, left } => {
                        for survivor in left {
                            self.show_zombie(survivor);
                        }
                        self.over(key, inc, reason);
                    }
                    Completion::Buried { zombie } => {
                        if let Some(node) = self.zombies.remove(&zombie) {
                            self.shared.tree.remove(node);
                        }
                    }
                }
            }
            // What a timer sets off may be done at once.
            let now = Instant::now();
            if let Some(token) = self.timers.pop_due(now) {
                self.run(Input::Timer { token });
            } else if let Some(key) = self.stop_timers.pop_due(now) {
                self.look_at_stop(key);
            } else {
                return;
            }
        }
    }

    /// Ends the turn: arms the next timer, or ends the supervisor.
    fn settle(&mut self, me: &ActorRef<SupMsg>) {
        self.starts_this_turn = 0;
        self.show_changed();
        for timers in [&mut self.timers, &mut self.stop_timers] {
            let waker = me.clone();
            timers.settle(move || drop(waker.send_message(SupMsg::Poke)));
        }
        if let Some(reason) = self.exit.take() {
            self.slot.finish(&reason);
            me.stop(Some(reason.text()));
        }
    }

    fn receive(&mut self, message: SupMsg) {
        match message {
            SupMsg::Boot => self.run(Input::StartAll),
            SupMsg::Poke => {}
            SupMsg::Add(spec, reply) => self.add_and_start(*spec, reply),
            SupMsg::Admin(request, reply) => {
                let ticket = self.ticket(reply);
                self.run(Input::Admin { ticket, request });
            }
            SupMsg::TerminateActor(actor, reply) => self.terminate_actor(actor, reply),
            SupMsg::Which(reply) => drop(reply.send(Ok(self.which()))),
            SupMsg::Find(who, reply) => drop(reply.send(self.find(&who))),
            SupMsg::Spec(who, reply) => drop(reply.send(self.spec_of(&who))),
            SupMsg::Count(reply) => drop(reply.send(Ok(self.count()))),
            SupMsg::Reconfigure(spec, options, reply) => drop(reply.send(self.reconfigure(*spec, options))),
            SupMsg::Remake(reply) => drop(reply.send(self.remake())),
            SupMsg::Unheard { key, inc } => self.unheard(key, inc),
            SupMsg::Shutdown => self.run(Input::Shutdown),
            // Carried out before it gets here: it may panic, or fail.
            SupMsg::Fault(_) => {}
        }
    }

    pub(crate) fn ticket(&mut self, reply: Option<Done>) -> Ticket {
        let Some(reply) = reply else { return 0 };
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.replies.insert(ticket, reply);
        ticket
    }
}

impl Drop for Shell {
    /// However the supervisor ends, nobody is left believing in its children, and none of them lives on unseen.
    fn drop(&mut self) {
        self.brood.close();
        self.completions.close();
        for link in self.links.values() {
            if let Some(run) = &link.run {
                run.desk.cancel.cancel();
                if let Some(abort) = &run.abort_start {
                    abort.cancel();
                }
                if let (Some(cell), Some(slot)) = (&run.cell, &link.spec.slot) {
                    slot.unpublish(cell.get_id(), &ExitReason::Killed);
                }
            }
        }
        bury(std::mem::take(&mut self.links));
        self.slot.lost(self.me.get_id());
    }
}
