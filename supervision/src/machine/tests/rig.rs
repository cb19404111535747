//! A shell of a few lines, so that the machine can be tested by the thousand.

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::*;
use crate::backoff::{BackoffPolicy, Exhausted, Jitter, ResetRule};
use crate::child_spec::Restart;
use crate::exit::BoxError;

/// A machine with a shell that does what it is told, at once unless told otherwise.
pub(super) struct Rig {
    pub(super) machine: Machine,
    pub(super) now: Instant,
    rng: StdRng,
    pub(super) log: Vec<String>,
    pub(super) timers: Vec<(Instant, Token)>,
    /// Children whose starts fail.
    pub(super) failing: Vec<Key>,
    /// Children whose next start fails, once for each time they are named.
    pub(super) fail_once: Vec<Key>,
    /// Children whose starts say that there is nothing to run.
    pub(super) ignoring: Vec<Key>,
    /// Answers given, oldest first.
    pub(super) replies: Vec<(Ticket, Result<Answer, AdminError>)>,
    /// Starts and stops wait to be reported by hand.
    pub(super) manual: bool,
    pub(super) exit: Option<ExitReason>,
    pub(super) up: BTreeMap<Key, u64>,
    pub(super) ever: u64,
}

impl Rig {
    pub(super) fn new(strategy: Strategy, max_restarts: u32, policies: Vec<Policy>) -> Self {
        let rules = Rules {
            strategy,
            intensity: Intensity { max_restarts, period: Duration::from_secs(5) },
            auto_shutdown: AutoShutdown::Never,
            starts_at_once: 1,
            family: Family::Static,
            max_children: None,
        };
        let mut machine = Machine::new(rules);
        for (at, policy) in policies.into_iter().enumerate() {
            machine.insert(ChildId::from(format!("c{at}")), policy);
        }
        Self {
            machine,
            now: Instant::now(),
            rng: StdRng::seed_from_u64(7),
            log: Vec::new(),
            timers: Vec::new(),
            failing: Vec::new(),
            fail_once: Vec::new(),
            ignoring: Vec::new(),
            replies: Vec::new(),
            manual: false,
            exit: None,
            up: BTreeMap::new(),
            ever: 0,
        }
    }

    pub(super) fn booted(strategy: Strategy, max_restarts: u32, policies: Vec<Policy>) -> Self {
        let mut rig = Self::new(strategy, max_restarts, policies);
        rig.feed(Input::StartAll);
        rig.log.clear();
        rig
    }

    pub(super) fn feed(&mut self, input: Input) {
        let mut inputs = std::collections::VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            self.machine.step(self.now, &mut self.rng, input, &mut out);
            for effect in out {
                if let Some(next) = self.carry_out(effect) {
                    inputs.push_back(next);
                }
            }
        }
        self.check();
    }

    pub(super) fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Start { key, inc } => {
                self.log.push(format!("start {key}#{inc}"));
                if self.manual {
                    return None;
                }
                let once = self.fail_once.iter().position(|failing| *failing == key);
                let outcome = if self.failing.contains(&key) || once.is_some() {
                    if let Some(at) = once {
                        self.fail_once.remove(at);
                    }
                    Err(ExitReason::error("no"))
                } else if self.ignoring.contains(&key) {
                    Ok(Birth::Ignored)
                } else {
                    assert!(self.up.insert(key, inc).is_none(), "two incarnations of {key}");
                    self.ever += 1;
                    Ok(Birth::Up)
                };
                Some(Input::Started { key, inc, outcome })
            }
            Effect::Stop { key, inc } => {
                self.log.push(format!("stop {key}#{inc}"));
                if self.manual {
                    return None;
                }
                self.up.remove(&key);
                Some(Input::Exited { key, inc, reason: ExitReason::shutdown("shutdown") })
            }
            Effect::Arm { token, at } => {
                self.timers.push((at, token));
                None
            }
            Effect::Disarm { token } => {
                self.timers.retain(|(_, armed)| *armed != token);
                None
            }
            Effect::Meltdown { .. } => {
                self.log.push("meltdown".to_owned());
                None
            }
            Effect::Exit(reason) => {
                self.log.push(format!("exit {}", reason.text()));
                assert!(self.exit.replace(reason).is_none(), "ended twice");
                None
            }
            Effect::Booted(outcome) => {
                self.log.push(format!("booted {}", outcome.is_ok()));
                None
            }
            Effect::Reply { ticket, answer } => {
                self.replies.push((ticket, answer));
                None
            }
            Effect::Changed { .. } | Effect::Ended { .. } | Effect::Removed { .. } | Effect::Forget { .. } => None,
        }
    }

    pub(super) fn check(&self) {
        let alive: Vec<Key> = self.machine.alive.iter().copied().collect();
        if !self.manual {
            assert_eq!(alive, self.up.keys().copied().collect::<Vec<_>>());
        }
        if self.exit.is_some() {
            assert!(self.machine.alive.is_empty() && self.timers.is_empty(), "something outlives the supervisor");
        }
    }

    /// The live incarnation ends by itself.
    pub(super) fn exits(&mut self, key: Key, reason: ExitReason) {
        if let Some(inc) = self.up.remove(&key) {
            self.feed(Input::Exited { key, inc, reason });
        }
    }

    pub(super) fn advance(&mut self, time: Duration) {
        self.now += time;
        while let Some(at) = self.timers.iter().position(|(at, _)| *at <= self.now) {
            let (_, token) = self.timers.remove(at);
            self.feed(Input::Timer { token });
        }
    }

    pub(super) fn admin(&mut self, request: Request) {
        self.feed(Input::Admin { ticket: 1, request });
    }

    pub(super) fn phase(&self, key: Key) -> Option<Phase> {
        self.machine.child(key).map(|child| child.phase)
    }

    /// A supervisor of another family, up and without children.
    pub(super) fn of(family: Family, max_restarts: u32) -> Self {
        let mut rig = Self::new(Strategy::OneForOne, max_restarts, Vec::new());
        rig.machine.rules.family = family;
        rig.feed(Input::StartAll);
        rig.log.clear();
        rig
    }

    /// The answer to a request, if there is one yet.
    pub(super) fn ask(&mut self, request: Request) -> Option<Result<Answer, AdminError>> {
        self.replies.clear();
        self.admin(request);
        self.replies.pop().map(|(_, answer)| answer)
    }

    /// Adds a child and starts it, as the shell does.
    pub(super) fn add(&mut self, id: &str, policy: Policy) -> Option<Result<Answer, AdminError>> {
        let id = ChildId::from(id);
        if let Err(error) = self.machine.admits(&id) {
            return Some(Err(error));
        }
        let key = self.machine.insert(id, policy);
        self.ask(Request::StartNew(key))
    }

    /// Which incarnation of each child is up, in start order.
    pub(super) fn incarnations(&self) -> Vec<(Key, u64)> {
        self.up.iter().map(|(key, inc)| (*key, *inc)).collect()
    }

    /// How many children are known.
    pub(super) fn known(&self) -> usize {
        self.machine.children().count()
    }

    /// Tells the machine of the end of a child, where the rig does nothing by itself.
    pub(super) fn ends(&mut self, key: Key, inc: u64, reason: ExitReason) {
        self.up.remove(&key);
        self.feed(Input::Exited { key, inc, reason });
    }
}

/// An answer in a word.
pub(super) fn word(answer: Option<Result<Answer, AdminError>>) -> &'static str {
    match answer {
        None => "later",
        Some(Ok(Answer::Done)) => "done",
        Some(Ok(Answer::Started { birth: Birth::Up, .. })) => "started",
        Some(Ok(Answer::Started { birth: Birth::Ignored, .. })) => "ignored",
        Some(Err(error)) => match error {
            AdminError::NotFound => "not_found",
            AdminError::Running => "running",
            AdminError::Restarting => "restarting",
            AdminError::AlreadyStarted(_) => "already_started",
            AdminError::AlreadyPresent => "already_present",
            AdminError::MaxChildren => "max_children",
            AdminError::NotSupported => "not_supported",
            AdminError::StartFailed(_) => "start_failed",
            AdminError::Terminated => "terminated",
            AdminError::Spec(_) => "spec",
            AdminError::ShuttingDown => "shutting_down",
            AdminError::NoProc => "noproc",
        },
    }
}

pub(super) fn child(restart: Restart) -> Policy {
    Policy { restart, significant: false, counts: true, supervisor: false, backoff: None }
}

pub(super) fn isolated(policy: BackoffPolicy) -> Policy {
    Policy { counts: false, backoff: Some(Arc::new(policy)), ..child(Restart::Permanent) }
}

pub(super) fn backoff(max_attempts: u32, on_exhausted: Exhausted) -> BackoffPolicy {
    BackoffPolicy {
        initial: Duration::from_secs(5),
        max: Duration::from_secs(300),
        factor: 2.0,
        jitter: Jitter::None,
        max_attempts: Some(max_attempts),
        reset_after: ResetRule::Never,
        window: None,
        on_exhausted,
    }
}

pub(super) fn error() -> ExitReason {
    ExitReason::error("broken")
}

pub(super) fn fatal() -> ExitReason {
    ExitReason::Fatal(BoxError::from("bad token").into())
}
