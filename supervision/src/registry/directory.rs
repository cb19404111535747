//! Finds the live actor of a key, starting it when there is none.
//!
//! A message is opened by exactly one incarnation, or comes back, or becomes a dead letter: what a dying incarnation
//! took in but did not open is delivered to the next one before anything newer. An incarnation is only started once
//! the one before has ended completely.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::address::{Live, Slot};
use crate::call::{CallError, Reply, WaitEdge};
use crate::child_spec::ChildSpec;
use crate::mailbox::admission::Refused;
use crate::mailbox::{DeadLetter, DeadLetterCause, DeadLetters};
use crate::registry::entry::{Entry, EntryHooks, Reviving};
use crate::registry::{DirectoryError, DirectoryOptions, DirectoryParent, Undelivered};
use crate::scope::spawn;
use crate::supervisor::AdminError;

/// Over how many locks the keys are spread.
const SHARDS: usize = 16;
/// How often a message is tried again after the actor it was meant for turned out to be ending.
const TRIES: usize = 16;

/// Makes the spec of a key's actor.
type Template<K, M> = Box<dyn Fn(&K, &Slot<M>) -> ChildSpec + Send + Sync>;
type Shard<K, M> = Mutex<HashMap<K, Arc<Entry<M>>>>;

pub(super) struct DirectoryInner<K, M: Send + 'static> {
    pub(super) options: DirectoryOptions,
    parent: DirectoryParent,
    template: Template<K, M>,
    pub(super) shards: Box<[Shard<K, M>]>,
    pub(super) live: AtomicUsize,
    dead_letters: DeadLetters,
    born: Instant,
    me: OnceLock<std::sync::Weak<Self>>,
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
        let inner = Arc::new(DirectoryInner {
            options,
            parent: parent.into(),
            template: Box::new(template),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            live: AtomicUsize::new(0),
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
        self.0.send(key, message, None).await
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
        let edge = WaitEdge::enter(self.0.entry(key).slot.0.uid())?;
        let deadline = Instant::now() + timeout;
        let (reply, answer) = Reply::pair();
        let message = build(reply);
        let exchange = async {
            self.0.send(key, message, Some(deadline)).await.map_err(|undelivered| undelivered.error)?;
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
        self.0.live.load(Ordering::Relaxed)
    }

    /// Lets idle actors go and forgets keys nothing is known of. Returns how many actors were asked to go. Meant to be
    /// called from time to time by whoever owns the directory.
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

    fn entry(&self, key: &K) -> Arc<Entry<M>> {
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
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn send(&self, key: &K, mut message: M, deadline: Option<Instant>) -> Result<(), Undelivered<M>> {
        for _ in 0..TRIES {
            let (entry, live) = match self.resolve(key).await {
                Ok(found) => found,
                Err(error) => return Err(Undelivered { message, error }),
            };
            entry.touch(self.tick());
            match live.admission.enter().await {
                Ok(permit) => match live.deliver(Some(&entry.slot.0), message, deadline, Some(permit)) {
                    Ok(()) => return Ok(()),
                    Err(back) => message = back,
                },
                Err(Refused::Full) => return Err(Undelivered { message, error: DirectoryError::Busy }),
                Err(Refused::Closed) => {}
            }
        }
        Err(Undelivered { message, error: DirectoryError::Stuck })
    }

    async fn resolve(&self, key: &K) -> Result<(Arc<Entry<M>>, Arc<Live<M>>), DirectoryError> {
        for _ in 0..TRIES {
            let entry = self.entry(key);
            if let Some(live) = entry.ready() {
                return Ok((entry, live));
            }
            let Ok(_gate) = entry.gate.acquire().await else { return Err(DirectoryError::Stuck) };
            if entry.is_removed() {
                continue;
            }
            if let Some(live) = self.bring_up(key, &entry).await? {
                entry.touch(self.tick());
                return Ok((Arc::clone(&entry), live));
            }
        }
        Err(DirectoryError::Stuck)
    }

    /// With the gate held: the live incarnation, after what the one before left has been handed to it. `None` if it
    /// ended meanwhile.
    async fn bring_up(&self, key: &K, entry: &Arc<Entry<M>>) -> Result<Option<Arc<Live<M>>>, DirectoryError> {
        if let Some(live) = entry.ready() {
            return Ok(Some(live));
        }
        let starting = entry.starting();
        self.wait_for_end(entry).await?;
        if entry.slot.0.live().is_none() {
            let now = Instant::now();
            if let Some(until) = entry.blocked_until(now) {
                // What waits will be delivered when the time has come.
                drop(starting);
                if entry.is_recovering() {
                    self.revive(key.clone());
                }
                return Err(DirectoryError::BackingOff(until - now));
            }
            self.make_room().await?;
            if let Err(error) = self.start(key, entry).await {
                self.bury(entry.abandon_backlog());
                return Err(error);
            }
        }
        let Some(live) = entry.slot.0.live().filter(|live| !live.is_ending()) else { return Ok(None) };
        Ok(entry.deliver_backlog(&live).then_some(live))
    }

    /// Waits until an ending incarnation is gone for good, and its supervisor knows.
    async fn wait_for_end(&self, entry: &Entry<M>) -> Result<(), DirectoryError> {
        let wait = async {
            loop {
                let changed = entry.slot.0.published.notified();
                let Some(live) = entry.slot.0.live().filter(|live| live.is_ending()) else { return };
                drop(live.cell.wait(None).await);
                match entry.slot.0.live() {
                    Some(still) if still.cell.get_id() == live.cell.get_id() => {}
                    Some(_) | None => return,
                }
                changed.await;
            }
        };
        tokio::time::timeout(self.options.patience, wait).await.map_err(|_| DirectoryError::Stuck)
    }

    async fn start(&self, key: &K, entry: &Entry<M>) -> Result<(), DirectoryError> {
        let parent = match &self.parent {
            DirectoryParent::Supervisor(handle) => handle.clone(),
            DirectoryParent::Partition(slot) => {
                slot.handle_for(key).ok_or(DirectoryError::Start(AdminError::NoProc))?
            }
        };
        let spec = (self.template)(key, &entry.slot);
        let id = spec.id.clone();
        let started = match parent.start_child(spec).await {
            Err(AdminError::AlreadyPresent) => match parent.restart_child(&id).await {
                Err(AdminError::Restarting | AdminError::Running) => Err(AdminError::AlreadyStarted(None)),
                other => other,
            },
            other => other,
        };
        match started {
            Ok(_) => Ok(()),
            // Its supervisor is bringing it up, or down, by itself.
            Err(AdminError::AlreadyStarted(_)) => {
                let up = entry.slot.address();
                let wait = tokio::time::timeout(self.options.patience, up.wait_live()).await;
                wait.map_err(|_| DirectoryError::Stuck)
            }
            Err(error) => Err(DirectoryError::Start(error)),
        }
    }

    /// Brings a key back whose dead incarnation left messages behind.
    pub(super) fn revive(&self, key: K) {
        let Some(directory) = self.me.get().and_then(std::sync::Weak::upgrade) else { return };
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let entry = directory.entry(&key);
        let Some(reviving) = Reviving::begin(&entry) else { return };
        spawn(async move {
            directory.see_to_backlog(&key, &reviving.0).await;
            let entry = Arc::clone(&reviving.0);
            drop(reviving);
            // It may have crashed again while this task still counted as seeing to it.
            if entry.is_recovering() && entry.slot.0.live().is_none() {
                directory.revive(key);
            }
        });
    }

    async fn see_to_backlog(&self, key: &K, entry: &Entry<M>) {
        loop {
            if let Some(until) = entry.blocked_until(Instant::now()) {
                tokio::time::sleep_until(until).await;
            }
            if !entry.is_recovering() {
                return;
            }
            match self.resolve(key).await {
                Ok(_) => return,
                Err(DirectoryError::BackingOff(_)) => {}
                Err(_) => {
                    self.bury(entry.abandon_backlog());
                    return;
                }
            }
        }
    }

    fn bury(&self, messages: Vec<M>) {
        for message in messages {
            drop(message);
            self.dead_letters.push(DeadLetter {
                to: std::any::type_name::<K>().to_owned(),
                kind: std::any::type_name::<M>(),
                cause: DeadLetterCause::Undeliverable,
            });
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
        f.debug_struct("Directory").field("live", &self.0.live.load(Ordering::Relaxed)).finish_non_exhaustive()
    }
}
