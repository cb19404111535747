//! Whole programs: a real supervisor does what the naive one does, step by step.

use std::sync::Arc;

use proptest::prop_assert_eq;
use proptest::test_runner::TestCaseError;
use supervision::prelude::*;
use supervision::tree::{ActError, Action};
use supervision::{AdminError, ReconfigureOptions, StartMode};

use crate::shared::naive::Naive;
use crate::shared::program::{Focus, PERIOD, Program, Sort, Step, programs};
use crate::shared::seeds::holds;
use crate::stage::{Answers, Stage, on_stage, settle};

const BOTH: &[Sort] = &[Sort::Fixed, Sort::Fixed, Sort::Dynamic];
const FIXED: &[Sort] = &[Sort::Fixed];
const CASES: u32 = 60;

fn id(name: usize) -> ChildId {
    ChildId::from(format!("c{name}"))
}

async fn step(stage: &Stage, program: &Program, step: &Step, answers: &Answers, ticket: usize, naive: &Naive) {
    let handle = stage.handle();
    match step.clone() {
        Step::Ends(name, end) if naive.is_up(name) => stage.book.tell(name, end),
        Step::Ends(..) => {}
        Step::Starts(name, starts) => stage.book.next_starts(name, &starts),
        Step::Add(name, plan) => {
            let spec = stage.book.spec(name, &plan.under(program.auto_shutdown));
            Stage::ask(answers, ticket, async move { handle.start_child(spec).await });
        }
        Step::TerminateActor(name) if naive.is_up(name) => {
            let actor = handle.which_child(&id(name)).await.unwrap().actor.unwrap();
            Stage::ask(answers, ticket, async move { handle.terminate_actor(actor).await });
        }
        Step::TerminateActor(_) => {}
        Step::Terminate(name) => Stage::ask(answers, ticket, async move { handle.terminate_child(&id(name)).await }),
        Step::Hold(name) => {
            let (tree, path) = (stage.tree.clone(), format!("root/sup/c{name}"));
            Stage::ask(answers, ticket, async move {
                match tree.act(&path.as_str().into(), Action::Stop).await {
                    Ok(()) => Ok(()),
                    Err(ActError::NotFound) => Err(AdminError::NotFound),
                    Err(error) => panic!("{error}"),
                }
            });
        }
        Step::Restart(name) => Stage::ask(answers, ticket, async move { handle.restart_child(&id(name)).await }),
        Step::StartNow(name) => Stage::ask(answers, ticket, async move { handle.start_now(&id(name)).await }),
        Step::Delete(name) => Stage::ask(answers, ticket, async move { handle.delete_child(&id(name)).await }),
        Step::Cycle(name) => Stage::ask(answers, ticket, async move { handle.cycle_child(&id(name)).await }),
        Step::Suspend(name) => Stage::ask(answers, ticket, async move { handle.suspend(&id(name)).await }),
        Step::Resume(name) => Stage::ask(answers, ticket, async move { handle.resume(&id(name)).await }),
        Step::ResetBackoff(name) => Stage::ask(answers, ticket, async move { handle.reset_backoff(&id(name)).await }),
        Step::Reconfigure(strategy, max_restarts, name, plan) if program.sort == Sort::Fixed => {
            let rules = SupervisorSpec {
                strategy,
                intensity: Intensity { max_restarts, period: PERIOD },
                auto_shutdown: program.auto_shutdown,
                starts: StartMode::Ordered,
                children: vec![stage.book.spec(name, &plan.under(program.auto_shutdown))],
            };
            handle.reconfigure(rules, ReconfigureOptions::default()).await.unwrap();
        }
        Step::Reconfigure(..) => {}
        Step::Advance(time) => tokio::time::sleep(time).await,
        Step::Shutdown => {
            let root = stage.root.clone();
            drop(tokio::spawn(async move { root.terminate_child(&"sup".into()).await }));
        }
    }
    settle().await;
}

fn compare(
    number: usize,
    what: &Step,
    stage: &Stage,
    program: &Program,
    naive: &mut Naive,
) -> Result<(), TestCaseError> {
    let mut lines = stage.book.lines();
    if program.sort != Sort::Fixed {
        // Independent children end in whatever order they like.
        lines.sort();
        naive.log.sort();
    }
    prop_assert_eq!(&lines, &naive.log, "step {}: {:?}", number, what);
    Ok(())
}

async fn agrees(program: &Program) -> Result<(), TestCaseError> {
    let stage = Stage::new().await;
    for (name, starts) in &program.starts {
        stage.book.next_starts(*name, starts);
    }
    let (root, spec) = (stage.root.clone(), stage.supervisor(program));
    let booting = tokio::spawn(async move { root.start_child(spec).await });
    settle().await;
    let mut naive = Naive::start(program);
    prop_assert_eq!(&stage.book.lines(), &naive.log, "boot");
    let answers: Answers = Arc::default();
    let shutdown = [Step::Shutdown];
    for (number, what) in program.steps.iter().chain(&shutdown).enumerate() {
        if naive.over.is_some() {
            break;
        }
        if matches!(what, Step::Cycle(name) if !naive.can_cycle(*name)) {
            continue;
        }
        let infos = stage.handle().which_children().await.unwrap();
        let seen: Vec<_> = infos
            .iter()
            .map(|info| {
                let name: usize = info.id.as_str()[1..].parse().unwrap();
                (name, info.state.as_str(), info.incarnation, info.attempt, info.restarts)
            })
            .collect();
        prop_assert_eq!(seen, naive.children(), "before step {}", number);
        step(&stage, program, what, &answers, number + 1, &naive).await;
        naive.step(what, number + 1);
        compare(number, what, &stage, program, &mut naive)?;
        let answered = answers.lock().unwrap().clone();
        prop_assert_eq!(&answered, &naive.answers, "step {}: {:?}", number, what);
    }
    let reason = stage.handle().wait().await;
    let reason = reason.text();
    prop_assert_eq!(Some(reason.as_str()), naive.over);
    prop_assert_eq!(booting.await.unwrap().is_err(), naive.never_up);
    stage.closes().await
}

fn agree(focus: Focus, sorts: &'static [Sort]) {
    holds(CASES, programs(focus, sorts), |program| on_stage(|| async move { agrees(&program).await }));
}

#[test]
fn p1_children_added_stopped_and_brought_back_by_hand_never_run_twice() {
    agree(Focus::Admin, BOTH);
}

#[test]
fn p2_rounds_stop_in_reverse_and_start_in_order() {
    agree(Focus::Rounds, FIXED);
}

#[test]
fn p3_p15_no_child_task_or_timer_is_left_after_any_program() {
    agree(Focus::All, BOTH);
}

#[test]
fn p4_small_budgets_end_the_supervisor_exactly_when_exceeded() {
    agree(Focus::Intensity, BOTH);
}

#[test]
fn p5_p8_exits_of_every_kind_are_followed_by_what_the_restart_type_says() {
    agree(Focus::Decisions, BOTH);
}

#[test]
fn p6_delays_attempts_windows_and_cooldowns_are_kept_to() {
    agree(Focus::Backoff, BOTH);
}

#[test]
fn p9_significant_children_end_the_supervisor_exactly_when_their_end_says_so() {
    agree(Focus::Auto, BOTH);
}
