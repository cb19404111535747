//! What a directory keeps of one key.

use std::hash::Hash;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use ractor::ActorId;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::address::{Live, Slot, SlotHooks};
use crate::child_spec::Restart;
use crate::exit::ExitReason;
use crate::mailbox::inbox::Inbox;
use crate::registry::directory::DirectoryInner;
use crate::registry::ledger::{Ending, Ledger};

/// One key's place.
pub(super) struct Entry<M: Send + 'static> {
    pub(super) slot: Slot<M>,
    /// Held by whoever starts the actor, so that there is one start at a time.
    pub(super) gate: Semaphore,
    pub(super) ledger: Ledger<M>,
    /// The mailbox of the last incarnation: what is still in it may come back.
    last: Mutex<Weak<Inbox<M>>>,
    /// When its supervisor starts it again by itself.
    restart: OnceLock<Restart>,
    last_used: AtomicU64,
    /// Where the roster has it.
    place: AtomicUsize,
    /// Seats taken for starts that have not published an incarnation yet.
    reserved: AtomicUsize,
    /// Asked to go.
    leaving: AtomicBool,
}

impl<M: Send + 'static> Entry<M> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            slot: Slot::new(),
            gate: Semaphore::new(1),
            ledger: Ledger::new(),
            last: Mutex::new(Weak::new()),
            restart: OnceLock::new(),
            last_used: AtomicU64::new(0),
            place: AtomicUsize::new(usize::MAX),
            reserved: AtomicUsize::new(0),
            leaving: AtomicBool::new(false),
        })
    }

    /// The incarnation a message may be sent to at once.
    pub(super) fn ready(&self) -> Option<Arc<Live<M>>> {
        let live = self.slot.0.live().filter(|live| !live.is_ending())?;
        (!self.ledger.is_recovering()).then_some(live)
    }

    /// The entry's incarnation, if it accepts nothing any more. One that left messages unopened may not know it yet,
    /// and would take them in a second time, behind those it still has.
    pub(super) fn ending(&self) -> Option<Arc<Live<M>>> {
        self.slot.0.live().filter(|live| live.is_ending() || self.ledger.was_left_by(live.cell.get_id().pid()))
    }

    /// The entry's incarnation, if it has nothing to do.
    pub(super) fn idle(&self) -> Option<Arc<Live<M>>> {
        self.ready().filter(|live| live.core.is_idle())
    }

    pub(super) fn touch(&self, tick: u64) {
        self.last_used.store(tick, Ordering::Relaxed);
    }

    pub(super) fn last_used(&self) -> u64 {
        self.last_used.load(Ordering::Relaxed)
    }

    /// Marks the entry as forgotten if nothing is known of the key. The gate must be held.
    pub(super) fn retire(&self, now: Instant) -> bool {
        let starting = self.reserved.load(Ordering::Acquire) > 0;
        !starting && self.slot.0.live().is_none() && !self.may_get_back() && self.ledger.retire(now)
    }

    fn may_get_back(&self) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        last.is_some_and(|inbox| inbox.admission.messages() > 0)
    }

    /// All incarnations of a key are of one restart type. True the first time.
    pub(super) fn set_restart(&self, restart: Restart) -> bool {
        self.restart.set(restart).is_ok()
    }

    fn comes_back(&self, reason: &ExitReason) -> bool {
        match self.restart.get() {
            Some(Restart::Permanent) => true,
            Some(Restart::Transient) => !reason.is_clean(),
            Some(Restart::Temporary) | None => false,
        }
    }

    pub(super) fn place(&self) -> usize {
        self.place.load(Ordering::Relaxed)
    }

    pub(super) fn set_place(&self, at: usize) {
        self.place.store(at, Ordering::Relaxed);
    }

    /// A seat was taken for a start of it.
    pub(super) fn reserve(&self) {
        self.reserved.fetch_add(1, Ordering::AcqRel);
    }

    /// Uses one of those seats up. False if there is none.
    pub(super) fn unreserve(&self) -> bool {
        self.reserved.fetch_update(Ordering::AcqRel, Ordering::Acquire, |seats| seats.checked_sub(1)).is_ok()
    }

    /// Notes that it was asked to go. False if it had been already.
    pub(super) fn ask_to_leave(&self) -> bool {
        !self.leaving.swap(true, Ordering::AcqRel)
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Notes that it has gone. False if it went without being asked.
    pub(super) fn has_left(&self) -> bool {
        self.leaving.swap(false, Ordering::AcqRel)
    }
}

/// Held by the one task that sees to an entry's backlog.
pub(super) struct Reviving<M: Send + 'static>(pub(super) Arc<Entry<M>>);

impl<M: Send + 'static> Reviving<M> {
    /// `None` if there is such a task already.
    pub(super) fn begin(entry: &Arc<Entry<M>>) -> Option<Self> {
        entry.ledger.begin_reviving().then(|| Self(Arc::clone(entry)))
    }
}

impl<M: Send + 'static> Drop for Reviving<M> {
    fn drop(&mut self) {
        self.0.ledger.end_reviving();
    }
}

/// Ties a slot to its entry.
pub(super) struct EntryHooks<K, M: Send + 'static> {
    pub(super) key: K,
    pub(super) entry: Weak<Entry<M>>,
    pub(super) directory: Weak<DirectoryInner<K, M>>,
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static, M: Send + 'static> SlotHooks<M> for EntryHooks<K, M> {
    fn undelivered(&self, message: M, from: ActorId) {
        let Some(directory) = self.directory.upgrade() else { return };
        let mut entry = self.entry.upgrade().unwrap_or_else(|| directory.entry(&self.key));
        let mut kept = entry.ledger.keep(message, from.pid());
        while let Err(message) = kept {
            entry = directory.entry(&self.key);
            kept = entry.ledger.keep(message, from.pid());
        }
        directory.revive(&self.key, &entry);
    }

    fn published(&self) {
        let (Some(entry), Some(directory)) = (self.entry.upgrade(), self.directory.upgrade()) else { return };
        entry.touch(directory.tick());
        entry.ledger.published(Instant::now());
        directory.roster.enter(entry);
    }

    fn exited(&self, reason: &ExitReason) {
        let (Some(entry), Some(directory)) = (self.entry.upgrade(), self.directory.upgrade()) else { return };
        directory.roster.leave(&entry);
        if let Some(live) = entry.slot.0.live() {
            *entry.last.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&live.inbox);
        }
        let options = &directory.options;
        let ending = Ending {
            clean: reason.is_clean(),
            owed: entry.comes_back(reason),
            memory: options.crash_memory().unwrap_or_default(),
        };
        entry.ledger.exited(Instant::now(), &ending, |crashes, ran| options.crash_delay(crashes, ran));
    }

    fn vacated(&self) {
        if let Some(directory) = self.directory.upgrade() {
            directory.forget(&self.key);
        }
    }
}
