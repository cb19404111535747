//! One event, many readers: fan-out, the presence list, the health snapshot and the tick.

mod actor;
mod fanout;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use supervision::{Address, CallError, Slot};

use actor::BroadcastMessage;
pub(crate) use actor::{BroadcastArgs, child_spec};
pub use fanout::Outgoing;
use fanout::Written;

use super::connection::context::{ConnContext, ConnId};
use super::roster::Roster;
use crate::protocol::close::Close;
use crate::protocol::frame::StateVersion;
use crate::protocol::presence::PresenceEntry;

/// How long the fan-out may be behind before a caller gives up on it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Events that may wait for the fan-out: what a hundred runs publish in a few seconds.
const QUEUE: usize = 4096;

/// Speaks to all clients. Cheap to clone; made before the actor behind it.
#[derive(Clone)]
pub struct BroadcastHandle(Arc<Inner>);

struct Inner {
    slot: Slot<BroadcastMessage>,
    address: Address<BroadcastMessage>,
    roster: Roster,
    /// Events on their way to the fan-out. Outside of it, so that one that crashes loses none.
    queue: Mutex<VecDeque<(Outgoing, Written)>>,
    /// Events that found no room: every client's counter skips as many, so that it sees a gap and asks again.
    missed: AtomicU64,
}

/// What a new connection is told of the state of things.
#[derive(Debug, Clone)]
pub struct StateSnapshot {
    /// Who is there.
    pub presence: Vec<PresenceEntry>,
    /// The last health snapshot, or `{}`.
    pub health: Value,
    /// Versions of the two.
    pub version: StateVersion,
}

impl Default for BroadcastHandle {
    fn default() -> Self {
        Self::new()
    }
}

impl BroadcastHandle {
    /// A handle whose actor is not there yet.
    #[must_use]
    pub fn new() -> Self {
        let slot = Slot::new();
        let address = slot.address();
        let queue = Mutex::default();
        Self(Arc::new(Inner { slot, address, roster: Roster::new(), queue, missed: AtomicU64::new(0) }))
    }

    /// Broadcasts an event. Never waits; events of one caller arrive in the order of its calls.
    pub fn publish(&self, outgoing: Outgoing) {
        if self.0.roster.has_no_audience() {
            return;
        }
        let written = Written::of(&outgoing);
        let is_first = {
            let mut queue = self.queue();
            if queue.len() >= QUEUE {
                self.0.missed.fetch_add(1, Ordering::Relaxed);
                return;
            }
            queue.push_back((outgoing, written));
            queue.len() == 1
        };
        if is_first {
            // A fan-out that is full looks at the queue with its next message, one that is gone when it is back.
            self.0.address.try_cast(BroadcastMessage::Published).ok();
        }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<(Outgoing, Written)>> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The oldest event that is to be sent.
    fn next_queued(&self) -> Option<(Outgoing, Written)> {
        self.queue().pop_front()
    }

    /// Waits until all that was published before is queued at its readers, so that an answer sent afterwards comes
    /// after it.
    pub async fn settle(&self) {
        // A fan-out that is gone or behind has nothing in order any more; the answer must not wait for it.
        self.0.address.call(|reply| BroadcastMessage::Settle { reply }, PATIENCE).await.ok();
    }

    /// What a new connection is told.
    ///
    /// # Errors
    /// When the fan-out is not there.
    pub async fn state(&self) -> Result<StateSnapshot, CallError> {
        self.0.address.call(|reply| BroadcastMessage::State { reply }, PATIENCE).await
    }

    /// Asks for a fresh health snapshot, which is broadcast.
    pub fn refresh_health(&self) {
        // One that is refused comes with the next interval.
        self.0.address.try_cast(BroadcastMessage::RefreshHealth).ok();
    }

    /// Closes the authenticated connections that `which` picks; tells how many.
    pub fn close_where(&self, close: &Close, which: impl Fn(&ConnContext) -> bool) -> usize {
        self.0.roster.close_where(close, which)
    }

    /// Authenticated connections.
    #[must_use]
    pub fn connections(&self) -> Vec<Arc<ConnContext>> {
        self.0.roster.authenticated()
    }

    pub(crate) fn roster(&self) -> &Roster {
        &self.0.roster
    }

    pub(crate) fn joined(&self, context: Arc<ConnContext>) {
        // Missed ones are found by the next tick.
        self.0.address.try_cast(BroadcastMessage::Joined { context }).ok();
    }

    pub(crate) fn left(&self, conn_id: ConnId) {
        self.0.address.try_cast(BroadcastMessage::Left { conn_id }).ok();
    }

    fn slot(&self) -> &Slot<BroadcastMessage> {
        &self.0.slot
    }

    fn take_missed(&self) -> u64 {
        self.0.missed.swap(0, Ordering::Relaxed)
    }
}

impl fmt::Debug for BroadcastHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastHandle").field("connections", &self.0.roster.len()).finish_non_exhaustive()
    }
}
