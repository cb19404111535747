//! The supervisor's decisions as a pure state machine: inputs in, effects out.
//!
//! It has no clock, no I/O and no randomness of its own. Every input about a child carries the incarnation it speaks
//! of; one about an older incarnation is ignored, so late events and stale timers are harmless by construction.
//! The shell executes the effects and may take as long as it likes: the next step of an ordered operation is only
//! issued when the one before has been reported done.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rand::RngCore;
use tokio::time::Instant;

use crate::backoff::SlidingWindow;
use crate::child_spec::{AutoShutdown, Intensity, Policy, Strategy};
use crate::exit::ExitReason;
use crate::path::ChildId;

mod admin;
mod child;
mod restart;
mod rounds;
mod shutdown;

pub use admin::AdminError;
pub(crate) use admin::{Answer, Request};
pub(crate) use child::{Child, Down, Phase, Then};

/// A child's place in start order; never used twice.
pub(crate) type Key = u64;
/// Names a pending admin request.
pub(crate) type Ticket = u64;
/// Names an armed timer.
pub(crate) type Token = u64;

/// What happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// Start all children of the spec.
    StartAll,
    /// A start has ended.
    Started { key: Key, inc: u64, outcome: Result<Birth, ExitReason> },
    /// A running child ended, by itself or because it was stopped.
    Exited { key: Key, inc: u64, reason: ExitReason },
    /// A timer fired.
    Timer { token: Token },
    /// Somebody asks for something.
    Admin { ticket: Ticket, request: Request },
    /// The supervisor is to stop.
    Shutdown,
}

/// How a start succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Birth {
    /// The child is up.
    Up,
    /// It said that there is nothing to run.
    Ignored,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Start the child, then report `Started`.
    Start { key: Key, inc: u64 },
    /// Stop the child as its spec says, then report `Stopped`.
    Stop { key: Key, inc: u64 },
    /// Report `Timer` at the given time.
    Arm { token: Token, at: Instant },
    /// Forget a timer.
    Disarm { token: Token },
    /// Answer a request.
    Reply { ticket: Ticket, answer: Result<Answer, AdminError> },
    /// What is shown of the child has changed.
    Changed { key: Key },
    /// An incarnation has ended; `handling` says what follows.
    Ended { key: Key, inc: u64, reason: ExitReason, handling: Handling },
    /// The child and its spec are gone.
    Removed { key: Key },
    /// Soft state of the child is to be dropped.
    Forget { key: Key },
    /// All children are up, or the start failed and everything started was stopped again.
    Booted(Result<(), BootError>),
    /// Too many restarts.
    Meltdown { key: Key, restarts: u32 },
    /// All children are down: end with this reason.
    Exit(ExitReason),
}

/// Why a supervisor did not come up.
#[derive(Clone, Debug)]
pub(crate) enum BootError {
    /// A child's start failed.
    Child { id: ChildId, reason: ExitReason },
    /// It was stopped while starting.
    ShutDown,
}

/// What follows an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// It is started again at once.
    Restart,
    /// It is started again after a delay.
    Backoff,
    /// It waits for its retry window or its cooldown.
    CoolDown,
    /// Attempts are used up; it stays down.
    GaveUp,
    /// A restart would not help; it stays down.
    Failed,
    /// Its spec says that this is the end.
    Ended,
    /// It was asked to stop.
    Stopped,
    /// Restarts are suspended by hand.
    Suspended,
    /// The supervisor ends with it.
    Escalated,
}

impl Handling {
    /// The name used in logs and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Backoff => "backoff",
            Self::CoolDown => "cool_down",
            Self::GaveUp => "gave_up",
            Self::Failed => "failed",
            Self::Ended => "ended",
            Self::Stopped => "stopped",
            Self::Suspended => "suspended",
            Self::Escalated => "escalated",
        }
    }
}

/// What the supervisor as a whole is doing.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    /// Starting its children for the first time.
    Booting,
    /// Doing its work.
    Up,
    /// The first start failed; undoing it.
    RollingBack(BootError),
    /// Stopping everything, then ending for the reason.
    Stopping(ExitReason),
    /// Over.
    Done,
}

/// An ordered operation on several children. Children from `from` on are stopped in reverse order, then the queued
/// ones are started in order.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) from: Key,
    pub(crate) stage: Stage,
    pub(crate) delay: Option<Instant>,
    /// Children whose starts it has begun and not yet seen the end of.
    pub(crate) current: Vec<Key>,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Stage {
    Stopping,
    Waiting(Token),
    Starting,
}

/// A supervisor's rules.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) strategy: Strategy,
    pub(crate) intensity: Intensity,
    pub(crate) auto_shutdown: AutoShutdown,
    /// How many children of a round are started at once; at least 1.
    pub(crate) starts_at_once: usize,
    pub(crate) family: Family,
    pub(crate) max_children: Option<usize>,
}

/// What sort of children a supervisor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// A fixed list, stopped in reverse order.
    Static,
    /// Independent of each other: stopped all at once, forgotten when there is nothing to run.
    Dynamic,
    /// The same, made from one template and known by their actors alone.
    Template,
}

/// Where effects and randomness come from during one step.
pub(crate) struct Turn<'a> {
    pub(crate) now: Instant,
    pub(crate) rng: &'a mut dyn RngCore,
    pub(crate) out: &'a mut Vec<Effect>,
}

/// The state machine of one supervisor.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) rules: Rules,
    pub(crate) mode: Mode,
    children: BTreeMap<Key, Child>,
    by_id: HashMap<ChildId, Key>,
    /// Children with a process: starting, running or stopping.
    alive: BTreeSet<Key>,
    /// Children a round is to start.
    queued: BTreeSet<Key>,
    round: Option<Round>,
    timers: HashMap<Token, Option<Key>>,
    window: SlidingWindow,
    next_key: Key,
    next_token: Token,
    /// How many stops are under way, bounded when children are stopped together.
    stopping: usize,
    stop_cursor: Option<Key>,
}

impl Machine {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            mode: Mode::Booting,
            children: BTreeMap::new(),
            by_id: HashMap::new(),
            alive: BTreeSet::new(),
            queued: BTreeSet::new(),
            round: None,
            timers: HashMap::new(),
            window: SlidingWindow::default(),
            next_key: 0,
            next_token: 0,
            stopping: 0,
            stop_cursor: None,
        }
    }

    /// Takes one input and appends what is to be done.
    pub(crate) fn step(&mut self, now: Instant, rng: &mut dyn RngCore, input: Input, out: &mut Vec<Effect>) {
        let mut turn = Turn { now, rng, out };
        match input {
            Input::StartAll => self.start_all(&mut turn),
            Input::Started { key, inc, outcome } => self.on_started(&mut turn, key, inc, outcome),
            Input::Exited { key, inc, reason } => self.on_exited(&mut turn, key, inc, reason),
            Input::Timer { token } => self.on_timer(&mut turn, token),
            Input::Admin { ticket, request } => self.on_admin(&mut turn, ticket, request),
            Input::Shutdown => self.shut_down(&mut turn, ExitReason::shutdown("shutdown")),
        }
        self.advance(&mut turn);
    }

    pub(crate) fn child(&self, key: Key) -> Option<&Child> {
        self.children.get(&key)
    }

    pub(crate) fn key_of(&self, id: &ChildId) -> Option<Key> {
        self.by_id.get(id).copied()
    }

    /// Children in start order.
    pub(crate) fn children(&self) -> impl Iterator<Item = (Key, &Child)> {
        self.children.iter().map(|(key, child)| (*key, child))
    }

    /// Restarts counted within the current period.
    pub(crate) fn restarts_in_period(&mut self, now: Instant) -> usize {
        self.window.count(now, self.rules.intensity.period)
    }

    pub(crate) fn insert(&mut self, id: ChildId, policy: Policy) -> Key {
        let key = self.next_key;
        self.next_key += 1;
        self.by_id.insert(id.clone(), key);
        self.children.insert(key, Child::new(id, policy));
        key
    }

    fn remove(&mut self, turn: &mut Turn<'_>, key: Key) {
        self.alive.remove(&key);
        self.queued.remove(&key);
        self.disarm(turn, key);
        if let Some(child) = self.children.remove(&key) {
            self.by_id.remove(&child.id);
            for ticket in child.start_waiters {
                turn.reply(ticket, Err(AdminError::ShuttingDown));
            }
            for ticket in child.stop_waiters {
                turn.reply(ticket, Ok(Answer::Done));
            }
            turn.out.push(Effect::Removed { key });
        }
    }

    fn set_phase(&mut self, turn: &mut Turn<'_>, key: Key, phase: Phase) {
        let Some(child) = self.children.get_mut(&key) else { return };
        let was_stopping = matches!(child.phase, Phase::Stopping { .. });
        match phase {
            Phase::Starting | Phase::Running { .. } | Phase::Stopping { .. } => self.alive.insert(key),
            Phase::Down(_) | Phase::Waiting { .. } | Phase::Queued => self.alive.remove(&key),
        };
        match phase {
            Phase::Queued => self.queued.insert(key),
            Phase::Starting
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Down(_)
            | Phase::Waiting { .. } => self.queued.remove(&key),
        };
        match (was_stopping, matches!(phase, Phase::Stopping { .. })) {
            (false, true) => self.stopping += 1,
            (true, false) => self.stopping = self.stopping.saturating_sub(1),
            (true, true) | (false, false) => {}
        }
        child.phase = phase;
        turn.out.push(Effect::Changed { key });
    }

    fn begin_start(&mut self, turn: &mut Turn<'_>, key: Key) {
        self.disarm(turn, key);
        let Some(child) = self.children.get_mut(&key) else { return };
        child.inc += 1;
        child.held = false;
        let inc = child.inc;
        self.set_phase(turn, key, Phase::Starting);
        turn.out.push(Effect::Start { key, inc });
    }

    fn begin_stop(&mut self, turn: &mut Turn<'_>, key: Key, then: Then) {
        let Some(child) = self.children.get_mut(&key) else { return };
        let inc = child.inc;
        match child.phase {
            Phase::Starting | Phase::Running { .. } => {
                self.set_phase(turn, key, Phase::Stopping { then });
                turn.out.push(Effect::Stop { key, inc });
            }
            Phase::Stopping { .. } => child.phase = Phase::Stopping { then },
            Phase::Down(_) | Phase::Waiting { .. } | Phase::Queued => {}
        }
    }

    fn arm(&mut self, turn: &mut Turn<'_>, key: Option<Key>, at: Instant) -> Token {
        let token = self.next_token;
        self.next_token += 1;
        self.timers.insert(token, key);
        turn.out.push(Effect::Arm { token, at });
        token
    }

    fn disarm(&mut self, turn: &mut Turn<'_>, key: Key) {
        let Some(child) = self.children.get(&key) else { return };
        if let Phase::Waiting { token, .. } = child.phase {
            self.disarm_token(turn, token);
        }
    }

    fn disarm_token(&mut self, turn: &mut Turn<'_>, token: Token) {
        if self.timers.remove(&token).is_some() {
            turn.out.push(Effect::Disarm { token });
        }
    }

    fn on_timer(&mut self, turn: &mut Turn<'_>, token: Token) {
        let Some(owner) = self.timers.remove(&token) else { return };
        let Some(key) = owner else {
            if let Some(round) = &mut self.round
                && round.stage == Stage::Waiting(token)
            {
                round.delay = None;
                round.stage = Stage::Starting;
            }
            self.show_queued(turn);
            return;
        };
        let Some(child) = self.children.get_mut(&key) else { return };
        let Phase::Waiting { token: current, reset, .. } = child.phase else { return };
        if current == token {
            if reset {
                child.attempt = 0;
            }
            self.start_or_queue(turn, key);
        }
    }
}

impl Turn<'_> {
    fn reply(&mut self, ticket: Ticket, answer: Result<Answer, AdminError>) {
        self.out.push(Effect::Reply { ticket, answer });
    }
}

#[cfg(test)]
mod tests;
