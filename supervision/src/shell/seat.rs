//! What a start needs of its supervisor, and what a supervisor needs of a slot whose message type it does not know.

use std::sync::{Arc, OnceLock};

use ractor::{ActorCell, ActorId};

use crate::exit::ExitReason;
use crate::mailbox::Mailbox;
use crate::shell::tree_link::{NodeLink, TreeShared};
use crate::telemetry::meter::Meter;

/// What one incarnation is built into.
#[derive(Clone)]
pub(crate) struct Seating {
    pub(crate) supervisor: ActorCell,
    pub(crate) shared: Arc<TreeShared>,
    pub(crate) node: NodeLink,
    pub(crate) meter: Arc<Meter>,
    pub(crate) mailbox: Mailbox,
    /// Filled by a supervisor as soon as it exists, before its children are up, so that it can be stopped in order.
    pub(crate) early_cell: Arc<OnceLock<ActorCell>>,
}

/// A place an incarnation was published in.
pub(crate) trait ErasedSlot: Send + Sync {
    /// Takes the incarnation back if it is still the one published.
    fn unpublish(&self, actor: ActorId, reason: &ExitReason);
}
