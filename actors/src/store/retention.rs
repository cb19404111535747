//! What the store forgets, and when: memory of input for repeats, runs that ended, deliveries that were given up.
//!
//! All records are looked through a page at a time, at start and then rarely. A record goes only if it is still what
//! was looked at. Those without a term of their own, and those whose term has not come, stay, unless there are more
//! than the cap; then the ones whose term comes first go.

use super::engine::Engine;
use super::error::StoreError;
use super::keys;
use super::op::Commit;
use super::payload::Payloads;
use super::records::{DedupeRecord, OutboxRecord, OutboxState, RunRecord, RunState};
use super::value;
use crate::clock::EpochMs;

/// Records looked at in one go: some milliseconds.
const PAGE: usize = 512;
/// Most records of a kind that has terms (some 100 bytes each for input, some 1,000 for runs).
const MAX_KEPT: usize = 100_000;
/// How long a delivery that was given up can be looked at.
const DEAD_KEPT_MS: EpochMs = 30 * 24 * 60 * 60 * 1000;

/// Kinds of records that are forgotten, in the order they are looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Input,
    Runs,
    Deliveries,
}

impl Kind {
    fn prefix(self) -> &'static [u8] {
        match self {
            Self::Input => keys::DEDUPE.as_bytes(),
            Self::Runs => keys::RUN.as_bytes(),
            Self::Deliveries => keys::OUTBOX.as_bytes(),
        }
    }

    fn next(self) -> Option<Self> {
        match self {
            Self::Input => Some(Self::Runs),
            Self::Runs => Some(Self::Deliveries),
            Self::Deliveries => None,
        }
    }

    /// When the record may go; never, for one that is still needed.
    fn term(self, key: &[u8], value: &[u8]) -> Result<Option<EpochMs>, StoreError> {
        Ok(match self {
            Self::Input => Some(value::decode::<DedupeRecord>(key, value)?.expires_at),
            Self::Runs => {
                let record: RunRecord = value::decode(key, value)?;
                match record.state {
                    RunState::Open => None,
                    RunState::Ended(_) => record.expires_at,
                }
            }
            Self::Deliveries => {
                let record: OutboxRecord = value::decode(key, value)?;
                match record.state {
                    OutboxState::Queued | OutboxState::Sending(_) => None,
                    OutboxState::Dead | OutboxState::Held => Some(record.at + DEAD_KEPT_MS),
                }
            }
        })
    }
}

/// Where the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    kind: Kind,
    after: Option<Vec<u8>>,
    /// Terms of the records seen so far that stay.
    terms: Vec<EpochMs>,
    /// Set while too many are thinned out: all with a term up to this go.
    cutoff: Option<EpochMs>,
    cap: usize,
}

impl Default for Cursor {
    fn default() -> Self {
        Self { kind: Kind::Input, after: None, terms: Vec::new(), cutoff: None, cap: MAX_KEPT }
    }
}

/// What a page came to.
#[derive(Debug)]
pub(super) struct Swept {
    /// Deletes, each on the condition that the record did not change.
    pub(super) commits: Vec<Commit>,
    /// Where to go on; nothing when all is done.
    pub(super) next: Option<Cursor>,
}

/// Looks through a page of records.
///
/// # Errors
/// When the engine fails. A record that can't be read stays.
pub(super) fn sweep(
    engine: &dyn Engine,
    payloads: &Payloads,
    mut cursor: Cursor,
    now: EpochMs,
) -> Result<Swept, StoreError> {
    let page = engine.scan_prefix(cursor.kind.prefix(), cursor.after.as_deref(), PAGE)?;
    let is_last = page.len() < PAGE;
    cursor.after = page.last().map(|(key, _)| key.clone()).or(cursor.after);
    let mut commits = Vec::new();
    for (key, stored) in page {
        let read = payloads.resolve(stored).and_then(|value| Ok((cursor.kind.term(&key, &value)?, value)));
        let (term, value) = match read {
            Ok((Some(term), value)) => (term, value),
            Ok((None, _)) => continue,
            Err(error) => {
                tracing::warn!(error = error.words(), "a record can't be read and is kept");
                continue;
            }
        };
        if term <= now || cursor.cutoff.is_some_and(|cutoff| term <= cutoff) {
            commits.push(Commit::new().expect_equals(key.clone(), value).delete(key));
        } else if cursor.cutoff.is_none() {
            cursor.terms.push(term);
        }
    }
    let next = if is_last { following(cursor) } else { Some(cursor) };
    Ok(Swept { commits, next })
}

/// Behind the last page of a kind: the same kind again if it has too many, else the next one.
fn following(mut cursor: Cursor) -> Option<Cursor> {
    let cap = cursor.cap;
    if cursor.terms.len() > cap {
        let surplus = cursor.terms.len() - cap;
        let (_, cutoff, _) = cursor.terms.select_nth_unstable(surplus - 1);
        return Some(Cursor { kind: cursor.kind, after: None, terms: Vec::new(), cutoff: Some(*cutoff), cap });
    }
    cursor.kind.next().map(|kind| Cursor { kind, after: None, terms: Vec::new(), cutoff: None, cap })
}

#[cfg(test)]
mod tests;
