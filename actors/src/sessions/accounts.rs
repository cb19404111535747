//! What a session's row says of tokens, money and the prompt. Pure.

use serde_json::{Value, json};

use crate::agents::prompt::PromptReport;
use crate::agents::prompt::report::{ContextUse, FIELD};
use crate::message::Usage;
use crate::store::rows::SessionRow;

/// Adds what a run used. `context` are the tokens of its last call, zero when there was none.
pub(super) fn of_run(row: &mut SessionRow, usage: &Usage, context: u64, report: Option<&PromptReport>) {
    if context > 0 {
        row.total_tokens = context;
        row.rest.insert(String::from("contextTokens"), json!(context));
        row.rest.insert(String::from("totalTokensFresh"), json!(true));
    }
    add(row, "cacheRead", usage.cache_read);
    add(row, "cacheWrite", usage.cache_write);
    // A model without a price adds nothing; a session of such models has no figure at all.
    if usage.cost.total > 0.0 {
        let so_far = row.rest.get("estimatedCostUsd").and_then(Value::as_f64).unwrap_or(0.0);
        row.rest.insert(String::from("estimatedCostUsd"), json!(so_far + usage.cost.total));
    }
    if let Some(report) = report {
        let known = row.rest.get(FIELD).and_then(|known| serde_json::from_value::<PromptReport>(known.clone()).ok());
        if known.is_none_or(|known| !known.is_same(report)) {
            row.rest.insert(String::from(FIELD), json!(report));
        }
    }
}

/// The history was shortened: what was known of its length is of yesterday.
pub(super) fn of_compaction(row: &mut SessionRow, tokens_after: u64) {
    let count = compactions(row) + 1;
    row.rest.insert(String::from("compactionCount"), json!(count));
    row.rest.insert(String::from("contextTokens"), json!(tokens_after));
    row.rest.insert(String::from("totalTokensFresh"), json!(false));
}

/// Notes are being taken before the history is shortened. False when that happened already for this history.
pub(super) fn of_notes(row: &mut SessionRow, now: i64) -> bool {
    let count = compactions(row);
    if row.rest.get("memoryFlushCompactionCount").and_then(Value::as_u64) == Some(count) {
        return false;
    }
    row.rest.insert(String::from("memoryFlushCompactionCount"), json!(count));
    row.rest.insert(String::from("memoryFlushAt"), json!(now));
    true
}

/// A conversation starts anew under the row's key.
pub(super) fn of_new_conversation(row: &mut SessionRow) {
    for field in [
        "contextTokens",
        "totalTokensFresh",
        "cacheRead",
        "cacheWrite",
        "estimatedCostUsd",
        "compactionCount",
        "memoryFlushCompactionCount",
        "memoryFlushAt",
        FIELD,
    ] {
        row.rest.remove(field);
    }
}

/// How often the history was shortened.
pub(super) fn compactions(row: &SessionRow) -> u64 {
    row.rest.get("compactionCount").and_then(Value::as_u64).unwrap_or(0)
}

/// The prompt's sizes at the last run, for `/context`.
pub(super) fn report(row: &SessionRow) -> Option<PromptReport> {
    row.rest.get(FIELD).and_then(|report| serde_json::from_value(report.clone()).ok())
}

/// How much of a window of `window` tokens is used, for `/context` and `/status`.
pub(super) fn context_use(row: &SessionRow, window: Option<u64>) -> ContextUse {
    let tokens = row.rest.get("contextTokens").and_then(Value::as_u64);
    let tokens = tokens.or((row.total_tokens > 0).then_some(row.total_tokens));
    ContextUse { tokens, window, compactions: compactions(row) }
}

fn add(row: &mut SessionRow, field: &str, more: u64) {
    if more > 0 {
        let so_far = row.rest.get(field).and_then(Value::as_u64).unwrap_or(0);
        row.rest.insert(field.to_owned(), json!(so_far + more));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Cost;

    fn usage(cost: f64) -> Usage {
        Usage { cache_read: 10, cost: Cost { total: cost, ..Cost::default() }, ..Usage::default() }
    }

    #[test]
    fn sums_grow_and_an_unknown_price_is_no_figure() {
        let mut row = SessionRow::default();
        of_run(&mut row, &usage(0.0), 500, None);
        assert_eq!(row.rest.get("estimatedCostUsd"), None);
        of_run(&mut row, &usage(0.25), 700, None);
        of_run(&mut row, &usage(0.5), 0, None);
        assert_eq!(row.rest["estimatedCostUsd"], 0.75);
        assert_eq!((row.rest["cacheRead"].as_u64(), row.total_tokens), (Some(30), 700));
    }

    #[test]
    fn notes_are_taken_once_per_history() {
        let mut row = SessionRow::default();
        assert!(of_notes(&mut row, 1));
        assert!(!of_notes(&mut row, 2));
        of_compaction(&mut row, 90);
        assert!(of_notes(&mut row, 3));
        assert_eq!(context_use(&row, Some(1000)), ContextUse { tokens: Some(90), window: Some(1000), compactions: 1 });
        of_new_conversation(&mut row);
        assert_eq!(context_use(&row, None), ContextUse::default());
    }

    #[test]
    fn the_report_of_a_prompt_is_kept_until_it_says_something_else() {
        let mut row = SessionRow::default();
        let first = PromptReport { generated_at: 1, workspace_dir: "/a".into(), ..PromptReport::default() };
        of_run(&mut row, &Usage::default(), 0, Some(&first));
        of_run(&mut row, &Usage::default(), 0, Some(&PromptReport { generated_at: 2, ..first.clone() }));
        assert_eq!(report(&row), Some(first.clone()));
        let other = PromptReport { workspace_dir: "/b".into(), ..first };
        of_run(&mut row, &Usage::default(), 0, Some(&other));
        assert_eq!(report(&row), Some(other));
    }
}
