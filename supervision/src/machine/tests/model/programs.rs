//! Whole programs: the machine does what the naive supervisor does, step by step.

use super::bench::agrees;
use super::shared::program::{Focus, Sort, programs};
use super::shared::seeds::holds;

const ALL: &[Sort] = &[Sort::Fixed, Sort::Fixed, Sort::Dynamic, Sort::Template];
const FIXED: &[Sort] = &[Sort::Fixed];
const CASES: u32 = 300;

fn agree(focus: Focus, sorts: &'static [Sort]) {
    holds(CASES, programs(focus, sorts), |program| agrees(&program, false));
}

#[test]
fn p1_children_added_stopped_and_brought_back_by_hand_never_run_twice() {
    agree(Focus::Admin, ALL);
}

#[test]
fn p2_rounds_stop_in_reverse_and_start_in_order() {
    agree(Focus::Rounds, FIXED);
}

#[test]
fn p3_nothing_is_left_after_any_program() {
    agree(Focus::All, ALL);
}

#[test]
fn p4_small_budgets_end_the_supervisor_exactly_when_exceeded() {
    agree(Focus::Intensity, ALL);
}

#[test]
fn p5_p8_exits_of_every_kind_are_followed_by_what_the_restart_type_says() {
    agree(Focus::Decisions, ALL);
}

#[test]
fn p6_delays_attempts_windows_and_cooldowns_are_kept_to() {
    agree(Focus::Backoff, ALL);
}

#[test]
fn p7_what_is_said_of_the_past_changes_nothing() {
    holds(CASES / 3, programs(Focus::All, ALL), |program| agrees(&program, true));
}

#[test]
fn p9_significant_children_end_the_supervisor_exactly_when_their_end_says_so() {
    agree(Focus::Auto, ALL);
}
