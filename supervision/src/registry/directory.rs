//! Finds the live actor of a key, starting it when there is none.
//!
//! A message is opened by exactly one incarnation, or comes back, or becomes a dead letter: what a dying incarnation
//! took in but did not open is delivered to the next one before anything newer. An incarnation is only started once
//! the one before has ended completely.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::address::Slot;
use crate::call::{CallError, Reply, WaitEdge};
use crate::child_spec::ChildSpec;
use crate::mailbox::admission::Refused;
use crate::mailbox::envelope::Postage;
use crate::mailbox::{DeadLetter, DeadLetterCause, DeadLetters};
use crate::registry::entry::{Entry, EntryHooks};
use crate::registry::roster::Roster;
use crate::registry::{DirectoryError, DirectoryOptions, DirectoryParent, LocalOnly, Place, Placement, Undelivered};
use crate::telemetry::event::TelemetryEvent;

/// Over how many locks the keys are spread.
const SHARDS: usize = 16;
/// How often a message is tried again after the actor it was meant for turned out to be ending.
pub(super) const TRIES: usize = 16;

/// Makes the spec of a key's actor.
type Template<K, M> = Box<dyn Fn(&K, &Slot<M>) -> ChildSpec + Send + Sync>;
type Shard<K, M> = Mutex<HashMap<K, Arc<Entry<M>>>>;

pub(super) struct DirectoryInner<K, M: Send + 'static> {
    pub(super) options: DirectoryOptions,
    pub(super) parent: DirectoryParent,
    pub(super) template: Template<K, M>,
    placement: Box<dyn Placement<K>>,
    pub(super) shards: Box<[Shard<K, M>]>,
    pub(super) roster: Roster<M>,
    dead_letters: DeadLetters,
    born: Instant,
    pub(super) me: OnceLock<std::sync::Weak<Self>>,
}

/// Actors by key. Cheap to clone; clones are the same directory.
pub struct Directory<K, M: Send + 'static>(pub(super) Arc<DirectoryInner<K, M>>);

impl<K: Hash + Eq + Clone + Send + Sync + 'static, M: Send + 'static> Directory<K, M> {
    /// An empty directory. `template` makes the spec of a key's actor, publishing into the slot it is given; a
    /// temporary child suits best, since the next message is its restart.
    pub fn new(
        options: DirectoryOptions,
        parent: impl Into<DirectoryParent>,
        template: impl Fn(&K, &Slot<M>) -> ChildSpec + Send + Sync + 'static,
    ) -> Self {
        Self::placed(options, parent, template, LocalOnly)
    }

    /// As [`Directory::new`], for keys some of which belong to other nodes. Those are refused with
    /// [`DirectoryError::Elsewhere`]; nothing here carries a message to another node.
    pub fn placed(
        options: DirectoryOptions,
        parent: impl Into<DirectoryParent>,
        template: impl Fn(&K, &Slot<M>) -> ChildSpec + Send + Sync + 'static,
        placement: impl Placement<K> + 'static,
    ) -> Self {
        let inner = Arc::new(DirectoryInner {
            roster: Roster::new(options.max_live),
            options,
            parent: parent.into(),
            template: Box::new(template),
            placement: Box::new(placement),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            dead_letters: DeadLetters::new(),
            born: Instant::now(),
            me: OnceLock::new(),
        });
        drop(inner.me.set(Arc::downgrade(&inner)));
        Self(inner)
    }

    /// Sends a message to the key's actor, starting it if need be.
    ///
    /// # Errors
    /// The message comes back with the reason.
    pub async fn cast(&self, key: &K, message: M) -> Result<(), Undelivered<M>> {
        match self.0.check_place(key) {
            Ok(()) => self.0.send(key, message, None).await,
            Err(error) => Err(Undelivered { message, error }),
        }
    }

    /// Asks the key's actor, starting it if need be, and waits for the answer: at most `timeout`, all included.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn call<R: Send>(
        &self,
        key: &K,
        build: impl FnOnce(Reply<R>) -> M,
        timeout: Duration,
    ) -> Result<R, DirectoryError> {
        self.0.check_place(key)?;
        let edge = WaitEdge::enter(self.0.entry(key).slot.0.uid())?;
        let now = Instant::now();
        let deadline = crate::clock::later(now, timeout);
        let (reply, answer) = Reply::pair();
        let message = build(reply);
        let exchange = async {
            self.0.send(key, message, Some((now, deadline))).await.map_err(|undelivered| undelivered.error)?;
            answer.await.map_err(|_| DirectoryError::Call(CallError::Crashed))
        };
        let outcome = tokio::time::timeout_at(deadline, exchange).await;
        drop(edge);
        outcome.unwrap_or(Err(DirectoryError::Call(CallError::Timeout)))
    }

    /// Makes sure that the key's actor is live.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub async fn ensure(&self, key: &K) -> Result<(), DirectoryError> {
        self.0.check_place(key)?;
        self.0.resolve(key).await.map(|_| ())
    }

    /// True if the key has a live actor.
    #[must_use]
    pub fn is_live(&self, key: &K) -> bool {
        self.0.shard(key).get(key).is_some_and(|entry| entry.slot.address().is_live())
    }

    /// How many actors are live.
    #[must_use]
    pub fn live_count(&self) -> usize {
        self.0.roster.len()
    }

    /// How many keys something is kept of: live ones, and for a while those that crashed.
    #[must_use]
    pub fn known_count(&self) -> usize {
        let shards = self.0.shards.iter();
        shards.map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    /// Asks up to `n` idle actors to go, those nobody has written to for longest. Returns how many were asked. For
    /// whoever watches the memory; [`DirectoryOptions::max_live`] is the hard bound.
    pub fn relieve(&self, n: usize) -> usize {
        self.0.relieve(n)
    }

    /// Lets actors go that have been idle for long enough, and forgets keys whose crashes are no longer of interest.
    /// Returns how many actors were asked to go. Meant to be called from time to time by whoever owns the directory.
    pub fn sweep(&self) -> usize {
        self.0.sweep()
    }

    /// Messages that could not be brought to anybody.
    #[must_use]
    pub fn dead_letters(&self) -> &DeadLetters {
        &self.0.dead_letters
    }
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static, M: Send + 'static> DirectoryInner<K, M> {
    pub(super) fn shard(&self, key: &K) -> MutexGuard<'_, HashMap<K, Arc<Entry<M>>>> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        let at = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_place(&self, key: &K) -> Result<(), DirectoryError> {
        match self.placement.place(key) {
            Place::Local => Ok(()),
            Place::Elsewhere(node) => Err(DirectoryError::Elsewhere(node)),
        }
    }

    pub(super) fn entry(&self, key: &K) -> Arc<Entry<M>> {
        let mut shard = self.shard(key);
        if let Some(entry) = shard.get(key) {
            return Arc::clone(entry);
        }
        let entry = Entry::new();
        entry.slot.0.set_hooks(Box::new(EntryHooks {
            key: key.clone(),
            entry: Arc::downgrade(&entry),
            directory: self.me.get().cloned().unwrap_or_default(),
        }));
        shard.insert(key.clone(), Arc::clone(&entry));
        entry
    }

    pub(super) fn tick(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    async fn send(&self, key: &K, mut message: M, deadline: Option<(Instant, Instant)>) -> Result<(), Undelivered<M>> {
        for _ in 0..TRIES {
            let (entry, live) = match self.resolve(key).await {
                Ok(found) => found,
                Err(error) => return Err(Undelivered { message, error }),
            };
            entry.touch(self.tick());
            match live.enter().await {
                Ok(permit) => match live.deliver(message, Postage { permit: Some(permit), deadline, returns: true }) {
                    Ok(()) => return Ok(()),
                    Err(back) => message = back,
                },
                Err(Refused::Full) => return Err(Undelivered { message, error: DirectoryError::Busy }),
                Err(Refused::Closed) => {}
            }
        }
        Err(Undelivered { message, error: DirectoryError::Stuck })
    }

    /// Forgets a key nothing is known of.
    pub(super) fn forget(&self, key: &K) {
        let forgotten = {
            let mut shard = self.shard(key);
            let retire =
                |entry: &Arc<Entry<M>>| entry.gate.try_acquire().is_ok_and(|_gate| entry.retire(Instant::now()));
            if shard.get(key).is_some_and(retire) { shard.remove_entry(key) } else { None }
        };
        drop(forgotten);
    }

    pub(super) fn bury(&self, messages: Vec<M>) {
        for message in messages {
            drop(message);
            let letter = DeadLetter {
                to: std::any::type_name::<K>().to_owned(),
                kind: std::any::type_name::<M>(),
                cause: DeadLetterCause::Undeliverable,
            };
            if let Some(tree) = self.parent.tree() {
                tree.tell(TelemetryEvent::DeadLetter(letter.clone()));
            }
            self.dead_letters.push(letter);
        }
    }
}

impl<K, M: Send + 'static> Clone for Directory<K, M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, M: Send + 'static> fmt::Debug for Directory<K, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("live", &self.0.roster.len()).finish_non_exhaustive()
    }
}
