//! Children that hang while starting or stopping: nobody waits for them longer than their deadlines say.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use supervision::prelude::{ChildId, DynamicOptions, Restart, Shutdown};
use supervision::{AutoShutdown, ChildSpec, Strategy as Siblings};
use tokio::time::Instant;

use crate::shared::program::{End, NAMES, Plan, Program, Sort};
use crate::shared::seeds::holds;
use crate::stage::{Answers, BUDGET, Stage, on_stage, settle};

/// OTP's deadline of a worker, which the toys have.
const DEADLINE: Duration = Duration::from_secs(5);

fn plain() -> Plan {
    Plan { restart: Restart::Permanent, significant: false, counts: true, backoff: None, brutal: false }
}

fn program(sort: Sort, strategy: Siblings, children: usize) -> Program {
    Program {
        sort,
        strategy,
        max_restarts: 1000,
        auto_shutdown: AutoShutdown::Never,
        max_children: None,
        starts: Vec::new(),
        children: vec![plain(); children],
        steps: Vec::new(),
    }
}

fn id(name: usize) -> ChildId {
    ChildId::from(format!("c{name}"))
}

/// How a member of a case stops: whether it hangs, its deadline in tenths of a second, whether it is killed at once.
type Member = (bool, u64, bool);

async fn stops_in_time(members: Vec<Member>, fixed: bool) -> Result<(), TestCaseError> {
    let stage = Stage::new().await;
    let spec = |name: usize, (_, tenths, brutal): Member| {
        let spec = stage.book.spec(name, &plain());
        let limit = Shutdown::Timeout(Duration::from_millis(tenths * 100));
        spec.shutdown(if brutal { Shutdown::Brutal } else { limit })
    };
    let specs: Vec<ChildSpec> = members.iter().enumerate().map(|(name, member)| spec(name, *member)).collect();
    if fixed {
        let rules = supervision::SupervisorSpec { children: specs, ..Default::default() };
        let sup = ChildSpec::supervisor("sup", "sup", &stage.slot, move || rules.clone());
        stage.root.start_child(sup).await.unwrap();
    } else {
        let sup = ChildSpec::dynamic("sup", "sup", &stage.slot, DynamicOptions::default());
        stage.root.start_child(sup).await.unwrap();
        for spec in specs {
            stage.handle().start_child(spec).await.unwrap();
        }
    }
    let waits = members.iter().enumerate().map(|(name, (hang, tenths, brutal))| {
        stage.book.hang_stop(name, *hang);
        Duration::from_millis(if *hang && !brutal { tenths * 100 } else { 0 })
    });
    let expected: Duration = if fixed { waits.sum() } else { waits.max().unwrap_or_default() };
    let begin = Instant::now();
    let report = stage.root.shutdown(BUDGET).await;
    let took = begin.elapsed();
    prop_assert!(took >= expected && took <= expected + Duration::from_millis(10), "{:?}, not {:?}", took, expected);
    let hanging = members.iter().filter(|(hang, _, brutal)| *hang && !brutal).count();
    prop_assert_eq!(report.stragglers.len(), hanging, "who had to be killed");
    stage.leaves_nothing().await
}

#[test]
fn p10_fixed_children_stop_within_the_sum_of_their_deadlines_independent_ones_within_the_longest() {
    let members = vec((any::<bool>(), 1u64..100, proptest::bool::weighted(0.2)), 0..=NAMES);
    holds(60, (members, any::<bool>()), |(members, fixed)| {
        on_stage(|| async move { stops_in_time(members, fixed).await })
    });
}

async fn answers_at_once(hangs: Vec<bool>) -> Result<(), TestCaseError> {
    let stage = Stage::new().await;
    stage.root.start_child(stage.supervisor(&program(Sort::Dynamic, Siblings::OneForOne, 0))).await.unwrap();
    let answers: Answers = Arc::default();
    for (name, in_start) in hangs.iter().enumerate() {
        let spec = stage.book.spec(name, &plain()).shutdown(Shutdown::Infinity).init_timeout(Duration::MAX);
        let handle = stage.handle();
        stage.book.hang_start(name, *in_start);
        stage.book.hang_stop(name, !in_start);
        if *in_start {
            Stage::ask(&answers, name, async move { handle.start_child(spec).await });
        } else {
            handle.start_child(spec).await.unwrap();
            Stage::ask(&answers, name, async move { handle.terminate_child(&id(name)).await });
        }
    }
    settle().await;
    let begin = Instant::now();
    let infos = stage.handle().which_children().await.unwrap();
    let count = stage.handle().count_children().await.unwrap();
    prop_assert_eq!(begin.elapsed(), Duration::ZERO, "it waited");
    let mut states: Vec<_> = infos.iter().map(|info| (info.id.clone(), info.state.as_str())).collect();
    states.sort();
    let state = |in_start: &bool| if *in_start { "starting" } else { "stopping" };
    let expected: Vec<_> = hangs.iter().enumerate().map(|(name, start)| (id(name), state(start))).collect();
    prop_assert_eq!(states, expected);
    prop_assert_eq!(count.specs, hangs.len());
    prop_assert!(answers.lock().unwrap().is_empty());
    // What hangs in its start is given up at once; what hangs in its stop has all the time it was promised.
    for (name, in_start) in hangs.iter().enumerate() {
        if *in_start {
            let begin = Instant::now();
            prop_assert!(stage.handle().terminate_child(&id(name)).await.is_ok());
            prop_assert_eq!(begin.elapsed(), Duration::ZERO);
        }
    }
    let budget = Duration::from_secs(7);
    let begin = Instant::now();
    stage.root.shutdown(budget).await;
    prop_assert!(begin.elapsed() <= budget + Duration::from_secs(1));
    settle().await;
    prop_assert_eq!(answers.lock().unwrap().len(), hangs.len(), "everybody was answered");
    stage.leaves_nothing().await
}

#[test]
fn p16_a_supervisor_answers_while_any_number_of_children_hang() {
    holds(40, vec(any::<bool>(), 0..=NAMES), |hangs| on_stage(|| async move { answers_at_once(hangs).await }));
}

async fn survives(sort: Sort, strategy: Siblings, acts: Vec<(u8, usize)>) -> Result<(), TestCaseError> {
    let stage = Stage::new().await;
    let program = program(sort, strategy, if sort == Sort::Fixed { 4 } else { 0 });
    let (root, spec) = (stage.root.clone(), stage.supervisor(&program));
    drop(tokio::spawn(async move { root.start_child(spec).await }));
    settle().await;
    let answers: Answers = Arc::default();
    let mut asked = 0;
    for (ticket, (what, name)) in acts.into_iter().enumerate() {
        let (handle, id) = (stage.handle(), id(name));
        asked += usize::from(matches!(what, 4..=9));
        match what {
            0 => stage.book.hang_start(name, true),
            1 => stage.book.hang_stop(name, true),
            2 => stage.book.hang_start(name, false),
            3 => stage.book.hang_stop(name, false),
            4 => Stage::ask(&answers, ticket, async move { handle.terminate_child(&id).await }),
            5 => Stage::ask(&answers, ticket, async move { handle.restart_child(&id).await }),
            6 => Stage::ask(&answers, ticket, async move { handle.cycle_child(&id).await }),
            7 => Stage::ask(&answers, ticket, async move { handle.delete_child(&id).await }),
            8 | 9 => {
                let spec = stage.book.spec(name, &plain());
                Stage::ask(&answers, ticket, async move { handle.start_child(spec).await });
            }
            10 => tokio::time::sleep(Duration::from_secs(7)).await,
            11 => tokio::time::sleep(Duration::from_secs(31)).await,
            12 => stage.book.try_tell(name, End::Shutdown),
            13 => stage.book.try_tell(name, End::Panic),
            _ => stage.book.try_tell(name, End::Error),
        }
        // Some of it at the same moment as what comes next.
        if name % 3 > 0 {
            settle().await;
        }
        let begin = Instant::now();
        drop(stage.handle().which_children().await);
        prop_assert_eq!(begin.elapsed(), Duration::ZERO, "it waited");
    }
    let begin = Instant::now();
    stage.root.shutdown(BUDGET).await;
    let most = DEADLINE * u32::try_from(NAMES).unwrap() + Duration::from_secs(1);
    prop_assert!(begin.elapsed() <= most, "{:?}", begin.elapsed());
    settle().await;
    prop_assert_eq!(answers.lock().unwrap().len(), asked, "everybody was answered");
    stage.leaves_nothing().await
}

#[test]
fn p1_p3_p10_p15_p16_hangs_at_any_time_hold_up_nobody_and_leave_nothing() {
    let sort = prop_oneof![2 => Just(Sort::Fixed), 1 => Just(Sort::Dynamic)];
    let strategy = prop_oneof![Just(Siblings::OneForOne), Just(Siblings::OneForAll), Just(Siblings::RestForOne)];
    holds(60, (sort, strategy, vec((0u8..16, 0..NAMES), 0..40)), |(sort, strategy, acts)| {
        on_stage(|| async move { survives(sort, strategy, acts).await })
    });
}

async fn leaves_no_task(brutal: bool, hang: bool, by_hand: u8) -> Result<(), TestCaseError> {
    let stage = Stage::new().await;
    let program = program(Sort::Fixed, Siblings::OneForOne, 0);
    stage.root.start_child(stage.supervisor(&program)).await.unwrap();
    let spec = stage.book.spec(0, &Plan { brutal, ..plain() });
    stage.handle().start_child(spec).await.unwrap();
    stage.book.hang_stop(0, hang);
    prop_assert_eq!(stage.book.tasks_of(0), 1);
    let handle = stage.handle();
    match by_hand {
        0 => handle.terminate_child(&id(0)).await.unwrap(),
        1 => {
            let actor = handle.which_child(&id(0)).await.unwrap().actor.unwrap();
            handle.terminate_actor(actor).await.unwrap();
        }
        _ => {
            stage.root.terminate_child(&"sup".into()).await.unwrap();
        }
    }
    prop_assert_eq!(stage.book.tasks_of(0), 0, "a task is alive after its actor's exit was reported");
    stage.closes().await
}

#[test]
fn p15_no_task_is_alive_once_the_exit_of_its_actor_is_reported() {
    holds(20, (any::<bool>(), any::<bool>(), 0u8..3), |(brutal, hang, by_hand)| {
        on_stage(|| async move { leaves_no_task(brutal, hang, by_hand).await })
    });
}
