//! Runs a program on a machine whose every effect is carried out at once, and compares each step with the naive
//! supervisor.

use std::collections::{HashMap, VecDeque};

use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::shared::naive::Naive;
use super::shared::program::{End, PERIOD, Plan, Program, SETTLE, Sort, Start, Step};
use super::*;
use crate::exit::BoxError;

pub(super) struct Bench {
    pub(super) machine: Machine,
    pub(super) now: Instant,
    rng: StdRng,
    names: HashMap<Key, usize>,
    starts: HashMap<usize, VecDeque<Start>>,
    up: BTreeMap<Key, u64>,
    timers: BTreeSet<(Instant, Token)>,
    log: Vec<String>,
    answers: BTreeMap<usize, &'static str>,
    exit: Option<String>,
    /// Ends told of in this step.
    ended: usize,
    booted: Vec<bool>,
    /// Every incarnation and timer that is over.
    stale: Vec<(Key, u64)>,
    fired: Vec<Token>,
}

fn policy(plan: &Plan, auto: AutoShutdown) -> Policy {
    let plan = plan.under(auto);
    Policy {
        restart: plan.restart,
        significant: plan.significant,
        counts: plan.counts,
        supervisor: false,
        backoff: plan.backoff.map(std::sync::Arc::new),
    }
}

pub(super) fn reason(end: End) -> ExitReason {
    match end {
        End::Normal => ExitReason::Normal,
        End::Shutdown => ExitReason::shutdown("done"),
        End::Error => ExitReason::error("broken"),
        End::Panic => ExitReason::Killed,
        End::Fatal => ExitReason::Fatal(BoxError::from("bad token").into()),
    }
}

fn word(answer: Result<Answer, AdminError>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(AdminError::NotFound) => "not_found",
        Err(AdminError::AlreadyStarted(_)) => "already_started",
        Err(AdminError::AlreadyPresent) => "already_present",
        Err(AdminError::Running) => "running",
        Err(AdminError::Restarting) => "restarting",
        Err(AdminError::MaxChildren) => "max_children",
        Err(AdminError::NotSupported) => "not_supported",
        Err(AdminError::StartFailed(_)) => "start_failed",
        Err(AdminError::Terminated) => "terminated",
        Err(AdminError::Spec(_)) => "spec",
        Err(AdminError::ShuttingDown) => "shutting_down",
        Err(AdminError::NoProc) => "no_proc",
    }
}

fn id(name: usize) -> ChildId {
    ChildId::from(format!("c{name}"))
}

impl Bench {
    pub(super) fn new(program: &Program) -> Self {
        let family = match program.sort {
            Sort::Fixed => Family::Static,
            Sort::Dynamic => Family::Dynamic,
            Sort::Template => Family::Template,
        };
        let rules = Rules {
            strategy: program.strategy,
            intensity: Intensity { max_restarts: program.max_restarts, period: PERIOD },
            auto_shutdown: program.auto_shutdown,
            starts_at_once: 1,
            family,
            max_children: program.max_children,
        };
        let mut bench = Self {
            machine: Machine::new(rules),
            now: Instant::now(),
            rng: StdRng::seed_from_u64(7),
            names: HashMap::new(),
            starts: program.starts.iter().map(|(name, starts)| (*name, starts.iter().copied().collect())).collect(),
            up: BTreeMap::new(),
            timers: BTreeSet::new(),
            log: Vec::new(),
            answers: BTreeMap::new(),
            exit: None,
            ended: 0,
            booted: Vec::new(),
            stale: Vec::new(),
            fired: Vec::new(),
        };
        for (name, plan) in program.children.iter().enumerate() {
            bench.insert(name, plan);
        }
        bench.feed(Input::StartAll);
        bench.advance(SETTLE);
        bench
    }

    fn insert(&mut self, name: usize, plan: &Plan) -> Key {
        let policy = policy(plan, self.machine.rules.auto_shutdown);
        let key = self.machine.insert(id(name), policy);
        self.names.insert(key, name);
        key
    }

    fn feed(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            self.machine.step(self.now, &mut self.rng, input, &mut out);
            inputs.extend(out.into_iter().filter_map(|effect| self.carry_out(effect)));
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Start { key, inc } => {
                let name = self.names[&key];
                let outcome = self.starts.get_mut(&name).and_then(VecDeque::pop_front).unwrap_or(Start::Up);
                let (what, outcome) = match outcome {
                    Start::Up => ("start", Ok(Birth::Up)),
                    Start::Ignored => ("ignore", Ok(Birth::Ignored)),
                    Start::Fails => ("fail", Err(reason(End::Error))),
                    Start::FailsForGood => ("fail", Err(reason(End::Fatal))),
                };
                self.log.push(format!("{what} c{name}#{inc}"));
                if matches!(outcome, Ok(Birth::Up)) {
                    assert!(self.up.insert(key, inc).is_none(), "two incarnations of c{name}");
                } else {
                    self.stale.push((key, inc));
                }
                Some(Input::Started { key, inc, outcome })
            }
            Effect::Stop { key, inc } => {
                assert_eq!(self.up.remove(&key), Some(inc), "stops what is not up");
                self.stale.push((key, inc));
                self.log.push(format!("end c{}#{inc}", self.names[&key]));
                Some(Input::Exited { key, inc, reason: ExitReason::shutdown("shutdown") })
            }
            Effect::Arm { token, at } => {
                assert!(self.timers.insert((at, token)));
                None
            }
            Effect::Disarm { token } => {
                self.timers.retain(|(_, armed)| *armed != token);
                self.fired.push(token);
                None
            }
            Effect::Reply { ticket, answer } => {
                let ticket = usize::try_from(ticket).unwrap();
                if ticket > 0 {
                    assert!(self.answers.insert(ticket, word(answer)).is_none(), "answered twice");
                }
                None
            }
            Effect::Booted(outcome) => {
                self.booted.push(outcome.is_ok());
                None
            }
            Effect::Exit(reason) => {
                assert!(self.exit.replace(reason.text()).is_none(), "ended twice");
                None
            }
            Effect::Ended { .. } => {
                self.ended += 1;
                None
            }
            Effect::Changed { .. } | Effect::Removed { .. } | Effect::Forget { .. } | Effect::Meltdown { .. } => None,
        }
    }

    fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some((at, token)) = self.timers.first().copied().filter(|(at, _)| *at <= until) {
            self.timers.remove(&(at, token));
            self.fired.push(token);
            self.now = at;
            self.feed(Input::Timer { token });
        }
        self.now = until;
    }

    fn ask(&mut self, ticket: usize, request: Request) {
        self.feed(Input::Admin { ticket: ticket as Ticket, request });
    }

    pub(super) fn step(&mut self, step: &Step, ticket: usize) {
        self.log.clear();
        self.ended = 0;
        match step {
            Step::Ends(name, end) => {
                let up = self.machine.key_of(&id(*name)).and_then(|key| Some((key, self.up.remove(&key)?)));
                if let Some((key, inc)) = up {
                    self.log.push(format!("end c{name}#{inc}"));
                    self.stale.push((key, inc));
                    self.feed(Input::Exited { key, inc, reason: reason(*end) });
                }
            }
            Step::Starts(name, starts) => drop(self.starts.insert(*name, starts.iter().copied().collect())),
            Step::Add(name, plan) => match self.machine.admits(&id(*name)) {
                Ok(()) => {
                    let key = self.insert(*name, plan);
                    self.ask(ticket, Request::StartNew(key));
                }
                Err(error) => drop(self.answers.insert(ticket, word(Err(error)))),
            },
            Step::TerminateActor(name) => {
                if let Some(key) = self.machine.key_of(&id(*name)).filter(|key| self.up.contains_key(key)) {
                    self.ask(ticket, Request::TerminateKey(key));
                }
            }
            Step::Terminate(name) => self.ask(ticket, Request::Terminate(id(*name))),
            Step::Hold(name) => self.ask(ticket, Request::Operator(Box::new(Request::Terminate(id(*name))))),
            Step::Restart(name) => self.ask(ticket, Request::Restart(id(*name))),
            Step::StartNow(name) => self.ask(ticket, Request::StartNow(id(*name))),
            Step::Delete(name) => self.ask(ticket, Request::Delete(id(*name))),
            Step::Cycle(name) => self.ask(ticket, Request::Cycle(id(*name))),
            Step::Suspend(name) => self.ask(ticket, Request::Suspend(id(*name))),
            Step::Resume(name) => self.ask(ticket, Request::Resume(id(*name))),
            Step::ResetBackoff(name) => self.ask(ticket, Request::ResetBackoff(id(*name))),
            Step::Reconfigure(strategy, max, name, plan) => self.reconfigure(*strategy, *max, *name, plan),
            Step::Advance(time) => self.advance(*time),
            Step::Shutdown => self.feed(Input::Shutdown),
        }
        self.advance(SETTLE);
    }

    fn reconfigure(&mut self, strategy: Strategy, max: u32, name: usize, plan: &Plan) {
        if self.machine.rules.family != Family::Static {
            return;
        }
        self.machine.rules.strategy = strategy;
        self.machine.rules.intensity.max_restarts = max;
        if self.machine.key_of(&id(name)).is_some() {
            let policy = policy(plan, self.machine.rules.auto_shutdown);
            self.ask(0, Request::Operator(Box::new(Request::Adopt(id(name), policy))));
        } else {
            self.insert(name, plan);
        }
    }

    fn children(&self) -> Vec<(usize, &'static str, u64, u32, u64)> {
        let state = |child: &Child| match child.phase {
            Phase::Down(Down::Exited) => "exited",
            Phase::Down(Down::Failed) => "failed",
            Phase::Down(Down::Suspended) => "suspended",
            Phase::Down(Down::Ignored) => "ignored",
            Phase::Running { .. } => "running",
            Phase::Waiting { cooling: true, .. } => "cooling_down",
            Phase::Waiting { .. } => "backing_off",
            Phase::Queued if self.machine.round_waits_until().is_some_and(|at| at > self.now) => "backing_off",
            Phase::Queued => "queued",
            Phase::Starting => "starting",
            Phase::Stopping { .. } => "stopping",
        };
        let see =
            |(key, child): (Key, &Child)| (self.names[&key], state(child), child.inc, child.attempt, child.restarts);
        self.machine.children().map(see).collect()
    }

    /// Anything said of an incarnation or a timer that is over changes nothing.
    fn shrugs_off_the_past(&mut self) -> Result<(), TestCaseError> {
        let before = format!("{:?}", self.machine);
        let mut out = Vec::new();
        let mut late: Vec<Input> = self.fired.iter().map(|token| Input::Timer { token: *token }).collect();
        for (key, inc) in self.stale.iter().copied() {
            late.push(Input::Started { key, inc, outcome: Ok(Birth::Up) });
            late.push(Input::Started { key, inc, outcome: Err(reason(End::Error)) });
            late.push(Input::Exited { key, inc, reason: reason(End::Error) });
        }
        for input in late {
            let said = format!("{input:?}");
            self.machine.step(self.now, &mut self.rng, input, &mut out);
            prop_assert!(out.is_empty(), "{said} has effects: {out:?}");
        }
        prop_assert_eq!(before, format!("{:?}", self.machine));
        Ok(())
    }
}

/// Runs a program on both and compares them after each step.
pub(super) fn agrees(program: &Program, with_the_past: bool) -> Result<(), TestCaseError> {
    let mut bench = Bench::new(program);
    let mut naive = Naive::start(program);
    let shutdown = [Step::Shutdown];
    prop_assert_eq!(&bench.log, &naive.log);
    for (number, step) in program.steps.iter().chain(&shutdown).enumerate() {
        if naive.over.is_some() {
            break;
        }
        if matches!(step, Step::Cycle(name) if !naive.can_cycle(*name)) {
            continue;
        }
        prop_assert_eq!(bench.children(), naive.children(), "before step {}", number);
        if with_the_past {
            bench.shrugs_off_the_past()?;
        }
        bench.step(step, number + 1);
        naive.step(step, number + 1);
        if naive.over.is_none() {
            prop_assert_eq!(bench.machine.restarts_in_period(bench.now), naive.restarts_in_period());
        }
        let over = |line: &&String| line.starts_with("end") || line.starts_with("fail");
        prop_assert_eq!(bench.ended, bench.log.iter().filter(over).count(), "each end is told once: {:?}", bench.log);
        prop_assert_eq!(&bench.log, &naive.log, "step {}: {:?}", number, step);
        prop_assert_eq!(&bench.answers, &naive.answers, "step {}: {:?}", number, step);
        prop_assert_eq!(bench.exit.as_deref(), naive.over, "step {}: {:?}", number, step);
    }
    prop_assert_eq!(bench.exit.as_deref(), naive.over);
    prop_assert_eq!(&bench.answers, &naive.answers);
    prop_assert_eq!(&bench.booted, &[!naive.never_up], "the end of the boot is reported once");
    prop_assert!(bench.up.is_empty() && bench.timers.is_empty(), "something outlives the supervisor");
    prop_assert!(bench.machine.alive.is_empty() && bench.machine.timers.is_empty());
    if with_the_past {
        bench.shrugs_off_the_past()?;
    }
    Ok(())
}
