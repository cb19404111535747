//! A supervisor as one would write it who never heard of concurrency: one procedure that does everything at once and
//! keeps everything for ever. What it does is what a real one is compared with.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::api::{AutoShutdown, Exhausted, ResetRule, Restart, Strategy};
use super::program::{End, PERIOD, Plan, Program, SETTLE, Sort, Start, Step};

mod admin;

/// What a child is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Up { since: u64 },
    Waiting { at: u64, serial: u64, cooling: bool, reset: bool },
    Queued,
    Exited,
    Failed,
    Suspended,
    Ignored,
}

#[derive(Clone, Debug)]
struct Kid {
    name: usize,
    plan: Plan,
    is: Is,
    inc: u64,
    attempt: u32,
    restarts: u64,
    /// When each of its retries was decided on.
    retries: Vec<u64>,
    suspended: bool,
    held: bool,
    fresh: bool,
    asked: Vec<usize>,
}

/// Siblings to be brought back: those from `from` on, at `at` or as soon as possible.
#[derive(Clone, Copy, Debug)]
struct Round {
    from: u64,
    at: Option<(u64, u64)>,
}

/// The naive supervisor. Times are milliseconds.
pub(crate) struct Naive {
    sort: Sort,
    strategy: Strategy,
    max_restarts: u32,
    auto_shutdown: AutoShutdown,
    max_children: Option<usize>,
    now: u64,
    kids: BTreeMap<u64, Kid>,
    next_key: u64,
    serial: u64,
    starts: HashMap<usize, VecDeque<Start>>,
    ticks: Vec<u64>,
    round: Option<Round>,
    booting: bool,
    /// Why it ended.
    pub(crate) over: Option<&'static str>,
    /// It ended before all its children were up.
    pub(crate) never_up: bool,
    /// What children did, in order.
    pub(crate) log: Vec<String>,
    /// Answers to requests, by number.
    pub(crate) answers: BTreeMap<usize, &'static str>,
}

impl Naive {
    pub(crate) fn start(program: &Program) -> Self {
        let mut naive = Self {
            sort: program.sort,
            strategy: program.strategy,
            max_restarts: program.max_restarts,
            auto_shutdown: program.auto_shutdown,
            max_children: program.max_children,
            now: 0,
            kids: BTreeMap::new(),
            next_key: 0,
            serial: 0,
            starts: HashMap::new(),
            ticks: Vec::new(),
            round: Some(Round { from: 0, at: None }),
            booting: true,
            over: None,
            never_up: false,
            log: Vec::new(),
            answers: BTreeMap::new(),
        };
        for (name, starts) in &program.starts {
            naive.starts.insert(*name, starts.iter().copied().collect());
        }
        for (name, plan) in program.children.iter().enumerate() {
            let key = naive.insert(name, plan);
            naive.set(key, Is::Queued);
        }
        naive.work();
        naive.advance(u64::try_from(SETTLE.as_millis()).unwrap());
        naive
    }

    /// What is to be seen of its children: name, state, incarnation, attempts, restarts.
    pub(crate) fn children(&self) -> Vec<(usize, &'static str, u64, u32, u64)> {
        let state = |kid: &Kid| match kid.is {
            Is::Up { .. } => "running",
            Is::Waiting { cooling: true, .. } => "cooling_down",
            Is::Waiting { .. } | Is::Queued => "backing_off",
            Is::Exited => "exited",
            Is::Failed => "failed",
            Is::Suspended => "suspended",
            Is::Ignored => "ignored",
        };
        self.kids.values().map(|kid| (kid.name, state(kid), kid.inc, kid.attempt, kid.restarts)).collect()
    }

    /// Restarts within the period, counted afresh.
    pub(crate) fn restarts_in_period(&self) -> usize {
        let period = u64::try_from(PERIOD.as_millis()).unwrap();
        self.ticks.iter().filter(|at| self.now - **at < period).count()
    }

    /// True if the child is up.
    pub(crate) fn is_up(&self, name: usize) -> bool {
        self.key(name).is_some_and(|key| matches!(self.kids[&key].is, Is::Up { .. }))
    }

    /// True if the child can be started again: what started a temporary one is not kept.
    pub(crate) fn can_cycle(&self, name: usize) -> bool {
        self.key(name).is_none_or(|key| self.kids[&key].plan.restart != Restart::Temporary)
    }

    /// One step of a program; `ticket` is the number of a request. Afterwards it has had time to settle.
    pub(crate) fn step(&mut self, step: &Step, ticket: usize) {
        self.log.clear();
        match step {
            Step::Ends(name, end) => self.ends(*name, *end),
            Step::Starts(name, starts) => drop(self.starts.insert(*name, starts.iter().copied().collect())),
            Step::Advance(time) => self.advance(u64::try_from(time.as_millis()).unwrap()),
            Step::Shutdown => self.shut_down("shutdown"),
            Step::Reconfigure(strategy, max, name, plan) => self.reconfigure(*strategy, *max, *name, plan),
            Step::Add(name, plan) => self.add(*name, plan, ticket),
            Step::TerminateActor(name) => {
                if let Some(key) = self.key(*name).filter(|_| self.is_up(*name)) {
                    self.terminate(key, ticket);
                }
            }
            Step::Hold(name) => self.hold(*name, ticket),
            Step::Terminate(name)
            | Step::Restart(name)
            | Step::StartNow(name)
            | Step::Delete(name)
            | Step::Cycle(name)
            | Step::Suspend(name)
            | Step::Resume(name)
            | Step::ResetBackoff(name) => self.by_hand(step, *name, ticket),
        }
        self.work();
        self.advance(u64::try_from(SETTLE.as_millis()).unwrap());
    }

    fn key(&self, name: usize) -> Option<u64> {
        self.kids.iter().find(|(_, kid)| kid.name == name).map(|(key, _)| *key)
    }

    fn kid(&mut self, key: u64) -> &mut Kid {
        self.kids.get_mut(&key).unwrap()
    }

    fn set(&mut self, key: u64, is: Is) {
        self.kid(key).is = is;
    }

    fn insert(&mut self, name: usize, plan: &Plan) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        let plan = plan.under(self.auto_shutdown);
        let kid = Kid {
            name,
            plan,
            is: Is::Exited,
            inc: 0,
            attempt: 0,
            restarts: 0,
            retries: Vec::new(),
            suspended: false,
            held: false,
            fresh: true,
            asked: Vec::new(),
        };
        self.kids.insert(key, kid);
        key
    }

    fn answer(&mut self, ticket: usize, answer: &'static str) {
        assert!(self.answers.insert(ticket, answer).is_none(), "answered twice");
    }

    fn answer_all(&mut self, key: u64, answer: &'static str) -> bool {
        let asked = std::mem::take(&mut self.kid(key).asked);
        let any = !asked.is_empty();
        for ticket in asked {
            self.answer(ticket, answer);
        }
        any
    }

    fn note(&mut self, what: &str, key: u64) {
        let line = format!("{what} c{}#{}", self.kids[&key].name, self.kids[&key].inc);
        self.log.push(line);
    }

    fn advance(&mut self, by: u64) {
        let until = self.now + by;
        loop {
            let kids = self.kids.iter().filter_map(|(key, kid)| match kid.is {
                Is::Waiting { at, serial, .. } => Some((at, serial, Some(*key))),
                Is::Up { .. } | Is::Queued | Is::Exited | Is::Failed | Is::Suspended | Is::Ignored => None,
            });
            let round = self.round.and_then(|round| round.at).map(|(at, serial)| (at, serial, None));
            let Some((at, _, who)) = kids.chain(round).min().filter(|(at, _, _)| *at <= until) else { break };
            self.now = at;
            match who {
                None => self.round.as_mut().unwrap().at = None,
                Some(key) => {
                    if matches!(self.kids[&key].is, Is::Waiting { reset: true, .. }) {
                        self.kid(key).attempt = 0;
                    }
                    self.start_or_queue(key);
                }
            }
            self.work();
        }
        self.now = until;
    }

    /// Starts what a round that does not wait has queued.
    fn work(&mut self) {
        while self.round.is_some_and(|round| round.at.is_none()) {
            match self.kids.iter().find(|(_, kid)| kid.is == Is::Queued).map(|(key, _)| *key) {
                Some(key) => self.start_one(key),
                None => {
                    self.round = None;
                    self.booting = false;
                }
            }
        }
    }

    fn start_or_queue(&mut self, key: u64) {
        if self.round.is_some_and(|round| key >= round.from) {
            self.set(key, Is::Queued);
        } else {
            self.start_one(key);
        }
    }

    fn start_one(&mut self, key: u64) {
        self.kid(key).inc += 1;
        self.set(key, Is::Exited);
        let name = self.kids[&key].name;
        let outcome = self.starts.get_mut(&name).and_then(VecDeque::pop_front).unwrap_or(Start::Up);
        let up = match outcome {
            Start::Fails | Start::FailsForGood => {
                self.note("fail", key);
                return self.start_failed(key, outcome == Start::FailsForGood);
            }
            Start::Up => true,
            Start::Ignored => false,
        };
        self.note(if up { "start" } else { "ignore" }, key);
        let kid = self.kid(key);
        kid.fresh = false;
        if kid.plan.backoff.as_ref().is_some_and(|policy| policy.reset_after == ResetRule::OnStart) {
            kid.attempt = 0;
        }
        self.answer_all(key, "ok");
        if up {
            let since = self.now;
            self.set(key, Is::Up { since });
        } else if self.sort != Sort::Fixed || self.kids[&key].plan.restart == Restart::Temporary {
            self.kids.remove(&key);
        } else {
            self.set(key, Is::Ignored);
        }
    }

    fn start_failed(&mut self, key: u64, for_good: bool) {
        let by_hand = self.answer_all(key, "start_failed");
        let Kid { plan, fresh, .. } = self.kids[&key].clone();
        if !plan.counts && plan.backoff.is_some() && plan.restart != Restart::Temporary {
            self.kid(key).fresh = false;
            self.decide(key, false, for_good, None);
        } else if fresh && self.booting && !by_hand {
            self.end("start failed");
        } else if fresh || (by_hand && plan.restart == Restart::Temporary) {
            self.kids.remove(&key);
        } else if by_hand {
            self.set(key, if for_good { Is::Failed } else { Is::Exited });
        } else {
            self.decide(key, false, for_good, None);
        }
    }

    fn ends(&mut self, name: usize, end: End) {
        let Some(key) = self.key(name) else { return };
        let Is::Up { since } = self.kids[&key].is else { return };
        self.note("end", key);
        let clean = matches!(end, End::Normal | End::Shutdown);
        let plan = self.kids[&key].plan.clone();
        let for_good = match plan.restart {
            Restart::Permanent => false,
            Restart::Transient => clean,
            Restart::Temporary => true,
        };
        let others = self.kids.iter().any(|(other, kid)| {
            let alive = matches!(kid.is, Is::Up { .. } | Is::Waiting { .. } | Is::Queued);
            *other != key && kid.plan.significant && alive
        });
        let auto = match self.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => plan.significant && for_good,
            AutoShutdown::AllSignificant => plan.significant && for_good && !others,
        };
        self.decide(key, clean, end == End::Fatal, Some(self.now - since));
        if auto {
            self.shut_down("auto");
        }
    }

    /// What follows an exit.
    fn decide(&mut self, key: u64, clean: bool, fatal: bool, ran: Option<u64>) {
        let Kid { plan, suspended, .. } = self.kids[&key].clone();
        self.set(key, Is::Exited);
        if plan.restart == Restart::Temporary || (plan.restart == Restart::Transient && clean) {
            self.forget_or_keep(key);
            return;
        }
        if fatal {
            return self.set(key, Is::Failed);
        }
        if suspended {
            return self.set(key, Is::Suspended);
        }
        if plan.counts {
            self.ticks.push(self.now);
            if self.restarts_in_period() > self.max_restarts as usize {
                return self.shut_down("intensity");
            }
        }
        let Some(policy) = plan.backoff else {
            self.kid(key).restarts += 1;
            return self.bring_back(key, None, false, false);
        };
        let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap();
        let now = self.now;
        let kid = self.kids.get_mut(&key).unwrap();
        if let (ResetRule::Stable(stable), Some(ran)) = (policy.reset_after, ran)
            && ran >= ms(stable)
        {
            kid.attempt = 0;
        }
        if policy.max_attempts.is_some_and(|max| kid.attempt >= max) {
            return match policy.on_exhausted {
                Exhausted::Escalate => self.shut_down("intensity"),
                Exhausted::GiveUp => self.set(key, Is::Failed),
                Exhausted::Cooldown { wait, then_reset } => {
                    kid.restarts += 1;
                    self.bring_back(key, Some(now + ms(wait)), true, then_reset);
                }
            };
        }
        kid.attempt += 1;
        kid.restarts += 1;
        if let Some(budget) = policy.window {
            let per = ms(budget.per);
            let recent: Vec<u64> = kid.retries.iter().copied().filter(|at| now < at + per).collect();
            if recent.len() >= budget.max as usize {
                let until = recent[0] + per;
                if recent.len() == budget.max as usize {
                    kid.retries.push(until);
                }
                return self.bring_back(key, Some(until), true, false);
            }
            kid.retries.push(now);
        }
        let mut delay = ms(policy.initial);
        for _ in 1..kid.attempt {
            delay = ms(policy.max).min(delay * policy.factor as u64);
        }
        self.bring_back(key, (delay > 0).then_some(now + delay), false, false);
    }

    /// A child that ended for good is forgotten if it is temporary or could not be named any more.
    fn forget_or_keep(&mut self, key: u64) {
        if self.kids[&key].plan.restart == Restart::Temporary || self.sort == Sort::Template {
            self.kids.remove(&key);
        } else {
            self.set(key, Is::Exited);
        }
    }

    fn bring_back(&mut self, key: u64, at: Option<u64>, cooling: bool, reset: bool) {
        let from = match (self.strategy, at) {
            (Strategy::OneForOne, None) => return self.start_or_queue(key),
            (Strategy::OneForOne, Some(at)) => {
                let serial = self.next_serial();
                return self.set(key, Is::Waiting { at, serial, cooling, reset });
            }
            (Strategy::OneForAll, _) => *self.kids.keys().next().unwrap(),
            (Strategy::RestForOne, _) => key,
        };
        let (from, at) = match self.round {
            Some(Round { from: old, at: Some((until, _)) }) => (from.min(old), at.max(Some(until))),
            Some(Round { at: None, .. }) | None => (from, at),
        };
        self.set(key, Is::Queued);
        let siblings: Vec<u64> = self.kids.range(from..).map(|(key, _)| *key).rev().collect();
        for sibling in siblings {
            match self.kids[&sibling].is {
                Is::Waiting { .. } => self.set(sibling, Is::Queued),
                Is::Up { .. } => {
                    self.note("end", sibling);
                    if self.kids[&sibling].plan.restart == Restart::Temporary {
                        self.kids.remove(&sibling);
                    } else {
                        self.set(sibling, Is::Queued);
                    }
                }
                // Everybody who has not failed is started again, but whom somebody holds down.
                Is::Exited | Is::Ignored => {
                    let kid = self.kid(sibling);
                    if !kid.held && kid.plan.restart != Restart::Temporary {
                        kid.is = Is::Queued;
                    }
                }
                Is::Queued | Is::Failed | Is::Suspended => {}
            }
        }
        let at = at.filter(|at| *at > self.now).map(|at| (at, self.next_serial()));
        self.round = Some(Round { from, at });
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn shut_down(&mut self, why: &'static str) {
        if self.over.is_none() {
            self.end(why);
        }
    }

    fn end(&mut self, why: &'static str) {
        self.over = Some(why);
        self.never_up = self.booting;
        self.round = None;
        let keys: Vec<u64> = self.kids.keys().copied().rev().collect();
        for key in keys {
            self.answer_all(key, "shutting_down");
            if matches!(self.kids[&key].is, Is::Up { .. }) {
                self.note("end", key);
            }
            self.set(key, Is::Exited);
        }
    }
}
