//! Shortening the history of a conversation: how long it is, where it is cut, what the summary has to say.
//!
//! Pure but for `drive`, which asks a model. Invariants: a tool call is never parted from its result; the latest request
//! of a person that is not settled is kept to the letter; a summary that is no good changes nothing.

pub mod cut;
pub(super) mod drive;
pub mod estimate;
pub(super) mod flush;
pub mod summary;

pub use cut::{Cut, Keep, plan};
pub use estimate::{message_tokens, reserve, text_tokens};
pub use summary::{Details, is_summary, summary_message};

use crate::clock::EpochMs;

/// A history that was shortened, for the transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compacted {
    /// What stands for the part that was left out.
    pub summary: String,
    /// How many messages stay as they are, counted from the end.
    pub kept: usize,
    /// How many messages the conversation had: it is another one when that is not so any more.
    pub of: usize,
    /// Tokens before, as far as they are known.
    pub tokens_before: u64,
    /// Tokens after, estimated.
    pub tokens_after: u64,
    /// Facts beside the summary.
    pub details: Details,
    /// When.
    pub at: EpochMs,
}
