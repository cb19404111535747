//! Programs for a supervisor: its rules and first children, then what happens to it.
//!
//! The same program runs on the machine alone, on a real supervisor, and on the naive model both are compared with.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::api::{AutoShutdown, BackoffPolicy, Budget, Exhausted, Jitter, ResetRule, Restart, Strategy as Siblings};

/// How many different children there may be.
pub(crate) const NAMES: usize = 7;
/// The period of every intensity.
pub(crate) const PERIOD: Duration = Duration::from_secs(5);
/// How long anything is given to settle after each step.
pub(crate) const SETTLE: Duration = Duration::from_millis(1);

/// Which sort of supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Fixed,
    Dynamic,
    Template,
}

/// A supervisor and what is done to it.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) sort: Sort,
    pub(crate) strategy: Siblings,
    pub(crate) max_restarts: u32,
    pub(crate) auto_shutdown: AutoShutdown,
    pub(crate) max_children: Option<usize>,
    /// How the next starts of each name go, before anything has started.
    pub(crate) starts: Vec<(usize, Vec<Start>)>,
    /// The first children, `c0` and so on; none unless the supervisor is fixed.
    pub(crate) children: Vec<Plan>,
    pub(crate) steps: Vec<Step>,
}

/// What a child's spec says.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) restart: Restart,
    pub(crate) significant: bool,
    pub(crate) counts: bool,
    pub(crate) backoff: Option<BackoffPolicy>,
    /// It is killed where others are asked to stop.
    #[allow(dead_code, reason = "read where there is somebody to stop: not beside the machine alone")]
    pub(crate) brutal: bool,
}

impl Plan {
    /// The same with significance where it means something.
    pub(crate) fn under(&self, auto_shutdown: AutoShutdown) -> Self {
        let may = self.restart != Restart::Permanent && auto_shutdown != AutoShutdown::Never;
        Self { significant: self.significant && may, ..self.clone() }
    }
}

/// How a start that is to go wrong, or not, goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Up,
    Ignored,
    Fails,
    FailsForGood,
}

/// How a child ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Normal,
    Shutdown,
    Error,
    Panic,
    Fatal,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A child ends by itself, if it is up.
    Ends(usize, End),
    /// How its next starts go.
    Starts(usize, Vec<Start>),
    Add(usize, Plan),
    Terminate(usize),
    /// The same by somebody who sees the tree, and who wants it to stay down.
    Hold(usize),
    /// By its actor, if it is up.
    TerminateActor(usize),
    Restart(usize),
    StartNow(usize),
    Delete(usize),
    Cycle(usize),
    Suspend(usize),
    Resume(usize),
    ResetBackoff(usize),
    /// Other rules, and another spec for one child.
    Reconfigure(Siblings, u32, usize, Plan),
    Advance(Duration),
    Shutdown,
}

/// What a program is to be rich in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Focus {
    /// Everything.
    All,
    /// Children coming, going and being brought back by hand.
    Admin,
    /// Rounds: strategies that take siblings along, starts that fail in the middle.
    Rounds,
    /// Small budgets used up in little time.
    Intensity,
    /// Restart types and kinds of exit.
    Decisions,
    /// Delays, attempts, windows, cooldowns.
    Backoff,
    /// Significant children.
    Auto,
}

fn restart() -> impl Strategy<Value = Restart> {
    prop_oneof![3 => Just(Restart::Permanent), 2 => Just(Restart::Transient), 1 => Just(Restart::Temporary)]
}

fn siblings() -> impl Strategy<Value = Siblings> {
    prop_oneof![Just(Siblings::OneForOne), Just(Siblings::OneForAll), Just(Siblings::RestForOne)]
}

fn millis(tenths: impl Strategy<Value = u64>) -> impl Strategy<Value = Duration> {
    tenths.prop_map(|tenths| Duration::from_millis(tenths * 100))
}

/// A policy whose delays are exact, so that a program has one outcome.
fn policy() -> impl Strategy<Value = BackoffPolicy> {
    let exhausted = prop_oneof![
        Just(Exhausted::Escalate),
        Just(Exhausted::GiveUp),
        (millis(1u64..60), any::<bool>()).prop_map(|(wait, then_reset)| Exhausted::Cooldown { wait, then_reset }),
    ];
    let reset =
        prop_oneof![Just(ResetRule::Never), Just(ResetRule::OnStart), millis(0u64..30).prop_map(ResetRule::Stable),];
    let window = prop_oneof![
        3 => Just(None),
        1 => (1u32..4).prop_map(|max| Some(Budget { max, per: Duration::from_secs(8) })),
    ];
    let attempts = prop_oneof![1 => Just(None), 3 => (0u32..4).prop_map(Some)];
    (millis(0u64..10), millis(0u64..30), 1u8..4, attempts, reset, window, exhausted).prop_map(
        |(initial, more, factor, max_attempts, reset_after, window, on_exhausted)| BackoffPolicy {
            initial,
            max: initial + more,
            factor: f64::from(factor),
            jitter: Jitter::None,
            max_attempts,
            reset_after,
            window,
            on_exhausted,
        },
    )
}

fn plan(focus: Focus) -> impl Strategy<Value = Plan> {
    let (backing, own) = match focus {
        Focus::Backoff => (9, 5),
        Focus::Intensity | Focus::Decisions | Focus::Admin => (1, 1),
        Focus::All | Focus::Rounds | Focus::Auto => (3, 3),
    };
    let backoff = prop_oneof![10 - backing => Just(None), backing => policy().prop_map(Some)];
    let significant = proptest::bool::weighted(if focus == Focus::Auto { 0.7 } else { 0.3 });
    let counts = prop_oneof![10 - own => Just(true), own => Just(false)];
    (restart(), significant, counts, backoff, proptest::bool::weighted(0.2)).prop_map(
        |(restart, significant, counts, backoff, brutal)| Plan { restart, significant, counts, backoff, brutal },
    )
}

fn start() -> impl Strategy<Value = Start> {
    prop_oneof![1 => Just(Start::Up), 1 => Just(Start::Ignored), 5 => Just(Start::Fails), 1 => Just(Start::FailsForGood)]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        2 => Just(End::Normal),
        2 => Just(End::Shutdown),
        4 => Just(End::Error),
        2 => Just(End::Panic),
        1 => Just(End::Fatal),
    ]
}

fn step(focus: Focus) -> impl Strategy<Value = Step> {
    let name = 0..NAMES;
    let (ends, admin, time) = match focus {
        Focus::All => (6, 2, 3),
        Focus::Admin => (4, 5, 2),
        Focus::Rounds => (8, 1, 3),
        Focus::Intensity => (12, 1, 3),
        Focus::Decisions => (12, 2, 1),
        Focus::Backoff => (8, 1, 8),
        Focus::Auto => (10, 1, 1),
    };
    let by_hand = prop_oneof![
        2 => name.clone().prop_map(Step::Terminate),
        1 => name.clone().prop_map(Step::TerminateActor),
        1 => name.clone().prop_map(Step::Hold),
        2 => name.clone().prop_map(Step::Restart),
        1 => name.clone().prop_map(Step::StartNow),
        1 => name.clone().prop_map(Step::Delete),
        2 => name.clone().prop_map(Step::Cycle),
        1 => name.clone().prop_map(Step::Suspend),
        1 => name.clone().prop_map(Step::Resume),
        1 => name.clone().prop_map(Step::ResetBackoff),
    ];
    prop_oneof![
        ends * 2 => (name.clone(), end()).prop_map(|(name, end)| Step::Ends(name, end)),
        4 => (name.clone(), vec(start(), 1..4)).prop_map(|(name, starts)| Step::Starts(name, starts)),
        admin * 2 => by_hand,
        admin + 1 => (name.clone(), plan(focus)).prop_map(|(name, plan)| Step::Add(name, plan)),
        1 => (siblings(), 0u32..6, name, plan(focus))
            .prop_map(|(rules, max, name, plan)| Step::Reconfigure(rules, max, name, plan)),
        time => millis(1u64..40).prop_map(Step::Advance),
    ]
}

/// Programs rich in what `focus` says.
pub(crate) fn programs(focus: Focus, sorts: &'static [Sort]) -> impl Strategy<Value = Program> {
    let auto = match focus {
        Focus::Auto => vec![AutoShutdown::AnySignificant, AutoShutdown::AllSignificant],
        Focus::All => vec![AutoShutdown::Never, AutoShutdown::AnySignificant, AutoShutdown::AllSignificant],
        Focus::Admin | Focus::Rounds | Focus::Intensity | Focus::Decisions | Focus::Backoff => {
            vec![AutoShutdown::Never]
        }
    };
    let strategies = match focus {
        Focus::Rounds => vec![Siblings::OneForAll, Siblings::RestForOne],
        Focus::All | Focus::Admin | Focus::Intensity | Focus::Decisions | Focus::Backoff | Focus::Auto => {
            vec![Siblings::OneForOne, Siblings::OneForAll, Siblings::RestForOne]
        }
    };
    let restarts = if focus == Focus::Intensity { 0u32..5 } else { 0u32..30 };
    let rules = (
        proptest::sample::select(sorts),
        proptest::sample::select(strategies),
        restarts,
        proptest::sample::select(auto),
        prop_oneof![2 => Just(None), 1 => (1usize..5).prop_map(Some)],
    );
    let starts = vec((0..NAMES, vec(start(), 1..3)), 0..3);
    (rules, starts, vec(plan(focus), 0..6), vec(step(focus), 1..40)).prop_map(|(rules, starts, children, steps)| {
        let (sort, strategy, max_restarts, auto_shutdown, max_children) = rules;
        let fixed = sort == Sort::Fixed;
        Program {
            sort,
            strategy: if fixed { strategy } else { Siblings::OneForOne },
            max_restarts,
            auto_shutdown,
            max_children: if fixed { None } else { max_children },
            starts,
            children: if fixed { children } else { Vec::new() },
            steps,
        }
    })
}
