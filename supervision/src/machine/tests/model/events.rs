//! The machine when nothing happens at once: starts, stops and exits are reported late, in any order, or twice.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::rig::{backoff, child, isolated};
use super::bench::reason;
use super::shared::program::{End, PERIOD};
use super::shared::seeds::holds;
use super::{
    AdminError, AutoShutdown, BTreeSet, Birth, ChildId, Effect, ExitReason, Family, Input, Instant, Intensity, Key,
    Machine, Mode, Phase, Policy, Request, Rules, Ticket, Token,
};
use crate::backoff::Exhausted;
use crate::child_spec::{Restart, Strategy as Siblings};

/// What a late shell has in hand of one child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InHand {
    inc: u64,
    up: bool,
    stop: bool,
}

/// A machine and everything that has not been reported to it yet.
struct Late {
    machine: Machine,
    now: Instant,
    rng: StdRng,
    in_hand: BTreeMap<Key, InHand>,
    last: BTreeMap<Key, u64>,
    timers: BTreeSet<(Instant, Token)>,
    over: Vec<(Key, u64)>,
    asked: Ticket,
    open: BTreeSet<Ticket>,
    booted: u32,
    exit: Option<ExitReason>,
}

#[derive(Clone, Debug)]
struct Case {
    family: Family,
    strategy: Siblings,
    at_once: usize,
    max_restarts: u32,
    children: Vec<u8>,
    acts: Vec<(u8, u8, u8)>,
}

fn cases() -> impl Strategy<Value = Case> {
    let family = prop_oneof![3 => Just(Family::Static), 1 => Just(Family::Dynamic)];
    let strategy = prop_oneof![Just(Siblings::OneForOne), Just(Siblings::OneForAll), Just(Siblings::RestForOne)];
    let acts = vec((0u8..14, 0u8..8, 0u8..6), 0..80);
    (family, strategy, 1usize..4, 0u32..20, vec(0u8..5, 0..7), acts).prop_map(
        |(family, strategy, at_once, max_restarts, children, acts)| Case {
            family,
            strategy: if family == Family::Static { strategy } else { Siblings::OneForOne },
            at_once,
            max_restarts,
            children,
            acts,
        },
    )
}

fn policy(kind: u8) -> Policy {
    match kind {
        0 => child(Restart::Permanent),
        1 => child(Restart::Transient),
        2 => child(Restart::Temporary),
        3 => isolated(backoff(2, Exhausted::GiveUp)),
        _ => Policy { significant: true, ..child(Restart::Transient) },
    }
}

fn some_reason(kind: u8) -> ExitReason {
    reason([End::Normal, End::Shutdown, End::Error, End::Panic, End::Fatal][usize::from(kind) % 5])
}

impl Late {
    fn new(case: &Case) -> Self {
        let rules = Rules {
            strategy: case.strategy,
            intensity: Intensity { max_restarts: case.max_restarts, period: PERIOD },
            auto_shutdown: AutoShutdown::AllSignificant,
            starts_at_once: case.at_once,
            family: case.family,
            max_children: None,
        };
        let mut machine = Machine::new(rules);
        for (at, kind) in case.children.iter().enumerate() {
            machine.insert(ChildId::from(format!("c{at}")), policy(*kind));
        }
        Self {
            machine,
            now: Instant::now(),
            rng: StdRng::seed_from_u64(3),
            in_hand: BTreeMap::new(),
            last: BTreeMap::new(),
            timers: BTreeSet::new(),
            over: Vec::new(),
            asked: 0,
            open: BTreeSet::new(),
            booted: 0,
            exit: None,
        }
    }

    fn feed(&mut self, input: Input) -> Result<(), TestCaseError> {
        let mut out = Vec::new();
        self.machine.step(self.now, &mut self.rng, input, &mut out);
        out.into_iter().try_for_each(|effect| self.note(effect))
    }

    /// Holds each effect to what may be asked of a shell at this moment.
    fn note(&mut self, effect: Effect) -> Result<(), TestCaseError> {
        prop_assert!(self.exit.is_none() || matches!(effect, Effect::Reply { .. }), "{:?} after the end", effect);
        match effect {
            Effect::Start { key, inc } => {
                prop_assert_eq!(inc, self.last.insert(key, inc).unwrap_or(0) + 1);
                let before = self.in_hand.insert(key, InHand { inc, up: false, stop: false });
                prop_assert_eq!(before, None, "two incarnations");
                let under_way = self.in_hand.values().filter(|child| !child.up && !child.stop).count();
                // What is started by hand does not wait for what starts in order.
                if matches!(self.machine.mode, Mode::Booting) && self.asked == 0 {
                    prop_assert!(under_way <= self.machine.rules.starts_at_once, "too many starts at once");
                }
            }
            Effect::Stop { key, inc } => {
                if matches!(self.machine.mode, Mode::Stopping(_) | Mode::RollingBack(_))
                    && self.machine.rules.family == Family::Static
                {
                    prop_assert_eq!(self.in_hand.keys().next_back(), Some(&key), "not the newest");
                }
                let child = self.in_hand.get_mut(&key).filter(|child| child.inc == inc && !child.stop);
                prop_assert!(child.is_some(), "stops what is not there");
                child.unwrap().stop = true;
            }
            Effect::Arm { token, at } => prop_assert!(at >= self.now && self.timers.insert((at, token))),
            Effect::Disarm { token } => self.timers.retain(|(_, armed)| *armed != token),
            Effect::Reply { ticket, .. } => prop_assert!(ticket == 0 || self.open.remove(&ticket), "answered twice"),
            Effect::Booted(_) => self.booted += 1,
            Effect::Exit(reason) => {
                prop_assert!(self.in_hand.is_empty(), "outlives the supervisor: {:?}", self.in_hand);
                prop_assert!(self.timers.is_empty(), "outlives the supervisor: {:?}", self.timers);
                self.exit = Some(reason);
            }
            Effect::Changed { .. }
            | Effect::Ended { .. }
            | Effect::Removed { .. }
            | Effect::Forget { .. }
            | Effect::Meltdown { .. } => {}
        }
        Ok(())
    }

    fn pick(&self, nth: u8, which: impl Fn(&InHand) -> bool) -> Option<(Key, u64)> {
        let some: Vec<_> = self.in_hand.iter().filter(|(_, child)| which(child)).collect();
        let (key, child) = some.get(usize::from(nth) % some.len().max(1))?;
        Some((**key, child.inc))
    }

    fn take(&mut self, key: Key, inc: u64) {
        self.in_hand.remove(&key);
        self.over.push((key, inc));
    }

    fn started(&mut self, nth: u8, outcome: Result<Birth, ExitReason>) -> Result<(), TestCaseError> {
        let Some((key, inc)) = self.pick(nth, |child| !child.up) else { return Ok(()) };
        if matches!(outcome, Ok(Birth::Up)) {
            self.in_hand.get_mut(&key).unwrap().up = true;
        } else {
            self.take(key, inc);
        }
        self.feed(Input::Started { key, inc, outcome })
    }

    fn ask(&mut self, request: Request) -> Result<(), TestCaseError> {
        self.asked += 1;
        self.open.insert(self.asked);
        self.feed(Input::Admin { ticket: self.asked, request })
    }

    fn act(&mut self, (what, nth, kind): (u8, u8, u8)) -> Result<(), TestCaseError> {
        let id = ChildId::from(format!("c{nth}"));
        match what {
            0..=2 => self.started(nth, Ok(Birth::Up)),
            3 if kind == 0 => self.started(nth, Ok(Birth::Ignored)),
            3 => self.started(nth, Err(some_reason(kind))),
            4 | 5 => match self.pick(nth, |child| child.up) {
                Some((key, inc)) => {
                    self.take(key, inc);
                    self.feed(Input::Exited { key, inc, reason: some_reason(kind) })
                }
                None => Ok(()),
            },
            6 | 7 => match self.pick(nth, |child| child.up && child.stop) {
                Some((key, inc)) => {
                    self.take(key, inc);
                    self.feed(Input::Exited { key, inc, reason: ExitReason::Killed })
                }
                None => Ok(()),
            },
            8 => self.pass(Duration::from_secs(u64::from(kind))),
            9 => match self.over.get(usize::from(nth) % self.over.len().max(1)).copied() {
                Some((key, inc)) => self.feed(Input::Exited { key, inc, reason: ExitReason::shutdown("late") }),
                None => Ok(()),
            },
            10 if self.machine.admits(&id).is_ok() => {
                let key = self.machine.insert(id, policy(kind % 5));
                self.ask(Request::StartNew(key))
            }
            10 => self.ask(Request::Terminate(id)),
            11 => self.ask(match kind {
                0 => Request::Terminate(id),
                1 => Request::Restart(id),
                2 => Request::StartNow(id),
                3 => Request::Delete(id),
                4 => Request::Remove(id),
                _ => Request::ResetBackoff(id),
            }),
            12 => self.ask(Request::Cycle(id)),
            _ if nth == 0 && kind == 0 => self.feed(Input::Shutdown),
            _ if kind % 2 == 0 => self.ask(Request::Suspend(id)),
            _ => self.ask(Request::Resume(id)),
        }
    }

    fn pass(&mut self, time: Duration) -> Result<(), TestCaseError> {
        self.now += time;
        while let Some((at, token)) = self.timers.first().copied().filter(|(at, _)| *at <= self.now) {
            self.timers.remove(&(at, token));
            self.feed(Input::Timer { token })?;
        }
        Ok(())
    }

    /// Reports everything in hand, all well, until nothing moves.
    fn come_to_rest(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..2000 {
            if let Some((key, inc)) = self.pick(0, |child| child.up && child.stop) {
                self.take(key, inc);
                self.feed(Input::Exited { key, inc, reason: ExitReason::shutdown("shutdown") })?;
            } else if self.pick(0, |child| !child.up).is_some() {
                self.started(0, Ok(Birth::Up))?;
            } else if let Some((at, _)) = self.timers.first().copied() {
                self.pass(at.saturating_duration_since(self.now))?;
            } else {
                return Ok(());
            }
        }
        Err(TestCaseError::fail("does not come to rest"))
    }
}

fn keeps_its_books(case: &Case) -> Result<(), TestCaseError> {
    let mut late = Late::new(case);
    late.feed(Input::StartAll)?;
    for act in &case.acts {
        late.act(*act)?;
    }
    late.come_to_rest()?;
    if late.exit.is_none() {
        prop_assert!(matches!(late.machine.mode, Mode::Up));
        for (key, child) in late.machine.children() {
            let settled = matches!(child.phase, Phase::Down(_) | Phase::Running { .. });
            prop_assert!(settled, "{} hangs in {:?}", key, child.phase);
            prop_assert_eq!(matches!(child.phase, Phase::Running { .. }), late.in_hand.contains_key(&key));
        }
        prop_assert!(late.open.is_empty(), "requests without an answer: {:?}", late.open);
    }
    late.feed(Input::Shutdown)?;
    late.come_to_rest()?;
    prop_assert!(late.exit.is_some(), "does not end");
    prop_assert_eq!(late.booted, 1);
    prop_assert!(late.open.is_empty(), "requests without an answer: {:?}", late.open);
    let mut out = Vec::new();
    let request = Request::Restart("c0".into());
    late.machine.step(late.now, &mut late.rng, Input::Admin { ticket: 1, request }, &mut out);
    let refused = matches!(out[..], [Effect::Reply { ticket: 1, answer: Err(AdminError::ShuttingDown) }]);
    prop_assert!(refused, "{:?}", out);
    Ok(())
}

#[test]
fn p1_p2_p3_reports_in_any_order_leave_one_incarnation_in_order_and_nothing_behind() {
    holds(400, cases(), |case| keeps_its_books(&case));
}
