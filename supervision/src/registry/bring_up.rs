//! Brings a key's actor up: one start at a time, never before the incarnation before is gone, what it left unopened
//! first.

use std::hash::Hash;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{SemaphorePermit, oneshot};
use tokio::time::Instant;

use crate::address::Live;
use crate::child_spec::ChildSpec;
use crate::incarnation::Started;
use crate::registry::directory::{DirectoryInner, TRIES};
use crate::registry::entry::{Entry, Reviving};
use crate::registry::{DirectoryError, DirectoryParent};
use crate::scope::spawn;
use crate::supervisor::{AdminError, SupervisorHandle};
use crate::telemetry::event::TelemetryEvent;

/// Pauses between two questions whether a supervisor has heard of an actor's end.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The gate of an entry, held. Nothing is kept of a key whose actor did not come up.
struct Visit<'a, K: Hash + Eq + Clone + Send + Sync + 'static, M: Send + 'static> {
    directory: &'a DirectoryInner<K, M>,
    key: &'a K,
    gate: Option<SemaphorePermit<'a>>,
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static, M: Send + 'static> Drop for Visit<'_, K, M> {
    fn drop(&mut self) {
        drop(self.gate.take());
        self.directory.forget(self.key);
    }
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static, M: Send + 'static> DirectoryInner<K, M> {
    /// The entry of a key and its live incarnation.
    pub(super) async fn resolve(&self, key: &K) -> Result<(Arc<Entry<M>>, Arc<Live<M>>), DirectoryError> {
        for _ in 0..TRIES {
            let entry = self.entry(key);
            if let Some(live) = entry.ready() {
                return Ok((entry, live));
            }
            let Ok(gate) = entry.gate.acquire().await else { return Err(DirectoryError::Stuck) };
            if entry.ledger.is_removed() {
                continue;
            }
            let visit = Visit { directory: self, key, gate: Some(gate) };
            let found = self.bring_up(key, &entry).await;
            drop(visit);
            if let Some(live) = found? {
                return Ok((entry, live));
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
        self.wait_for_end(entry).await?;
        if entry.slot.0.live().is_none() {
            let now = Instant::now();
            if let Some(until) = entry.ledger.blocked_until(now) {
                return Err(DirectoryError::BackingOff(until - now));
            }
            self.start_or_wait(key, entry).await?;
        }
        let Some(live) = entry.slot.0.live().filter(|live| !live.is_ending()) else { return Ok(None) };
        let number = live.cell.get_id().pid();
        let delivered = entry.ledger.deliver_backlog(number, |message| live.redeliver(message));
        Ok(delivered.then_some(live))
    }

    /// Waits until an ending incarnation is gone for good, and its supervisor knows.
    async fn wait_for_end(&self, entry: &Entry<M>) -> Result<(), DirectoryError> {
        let wait = async {
            loop {
                let changed = entry.slot.0.published.notified();
                let Some(live) = entry.ending() else { return };
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

    async fn start_or_wait(&self, key: &K, entry: &Arc<Entry<M>>) -> Result<(), DirectoryError> {
        let up = entry.slot.address();
        let patient_until = Instant::now() + self.options.patience;
        let mut pause = FIRST_PAUSE;
        while !self.start(key, entry).await? {
            // Its supervisor either brings it back or has not heard of its end yet; in that case nothing will come up
            // by itself.
            if tokio::time::timeout(pause, up.wait_live()).await.is_ok() {
                return Ok(());
            }
            if Instant::now() >= patient_until {
                return Err(DirectoryError::Stuck);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }

    /// False if its supervisor has the actor still, or already.
    async fn start(&self, key: &K, entry: &Arc<Entry<M>>) -> Result<bool, DirectoryError> {
        let parent = match &self.parent {
            DirectoryParent::Supervisor(handle) => handle.clone(),
            DirectoryParent::Partition(slot) => {
                slot.handle_for(key).ok_or(DirectoryError::Start(AdminError::NoProc))?
            }
        };
        let directory = self.me.get().and_then(Weak::upgrade).ok_or(DirectoryError::Stuck)?;
        self.take_seat(entry).await?;
        let spec = (self.template)(key, &entry.slot);
        let first = entry.set_restart(spec.restart);
        let (report, outcome) = oneshot::channel();
        let (starting, of) = (Arc::clone(entry), key.clone());
        // A task of its own: whoever asked may give up, yet the seat is taken until the start has ended.
        spawn(async move {
            let outcome = ask_for(&parent, spec, first).await;
            directory.leave_seat(&starting);
            if report.send(outcome).is_err() {
                directory.forget(&of);
            }
        });
        match outcome.await.unwrap_or(Err(AdminError::NoProc)) {
            Ok(Asked::Started) => {
                if let Some(live) = entry.slot.0.live() {
                    live.core.node.tell(TelemetryEvent::Activated);
                }
                Ok(true)
            }
            Ok(Asked::Ignored) => Err(DirectoryError::Ignored),
            Ok(Asked::Awaited) => Ok(false),
            Err(error) => Err(DirectoryError::Start(error)),
        }
    }

    /// Brings a key back whose dead incarnation left messages behind. From the first of them on there is a task that
    /// sees to them, until they are delivered or given up.
    pub(super) fn revive(&self, key: &K, entry: &Arc<Entry<M>>) {
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let Some(directory) = self.me.get().and_then(Weak::upgrade) else { return };
        let Some(reviving) = Reviving::begin(entry) else { return };
        let key = key.clone();
        spawn(async move {
            directory.see_to_backlog(&key, &reviving.0).await;
            let entry = Arc::clone(&reviving.0);
            drop(reviving);
            // Another message may have come back while this task still counted as seeing to them.
            if entry.ledger.is_recovering() {
                directory.revive(&key, &entry);
            }
        });
    }

    async fn see_to_backlog(&self, key: &K, entry: &Entry<M>) {
        let (mut pause, mut patient_until) = (FIRST_PAUSE, None);
        while entry.ledger.is_recovering() {
            if let Some(until) = entry.ledger.blocked_until(Instant::now()) {
                tokio::time::sleep_until(until).await;
            }
            let error = match self.resolve(key).await {
                Ok(_) | Err(DirectoryError::BackingOff(_)) => continue,
                Err(error) => error,
            };
            // Somebody will be idle soon, and nobody else will come and ask for the room.
            let now = Instant::now();
            let give_up_at = *patient_until.get_or_insert_with(|| crate::clock::later(now, self.options.patience));
            if matches!(error, DirectoryError::Crowded) && now < give_up_at {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            } else {
                self.bury(entry.ledger.abandon_backlog());
            }
        }
    }
}

/// What came of asking for a start.
enum Asked {
    /// It was started.
    Started,
    /// It said that it is not needed.
    Ignored,
    /// Its supervisor has it: it is being brought back, or has ended unheard.
    Awaited,
}

impl Asked {
    fn of(started: &Started) -> Self {
        if started.is_ignored() { Self::Ignored } else { Self::Started }
    }
}

/// Asks the supervisor for a child. If this is the `first` time for an entry, a child of that id that is there already
/// is of an entry long forgotten, and would be live where nobody looks: it is replaced.
async fn ask_for(parent: &SupervisorHandle, spec: ChildSpec, first: bool) -> Result<Asked, AdminError> {
    let id = spec.id.clone();
    let again = first.then(|| spec.clone());
    match (parent.start_child(spec).await, again) {
        (Ok(started), _) => Ok(Asked::of(&started)),
        (Err(AdminError::AlreadyPresent | AdminError::AlreadyStarted(_)), Some(spec)) => {
            drop(parent.terminate_child(&id).await);
            drop(parent.delete_child(&id).await);
            parent.start_child(spec).await.map(|started| Asked::of(&started))
        }
        (Err(AdminError::AlreadyPresent), None) => match parent.restart_child(&id).await {
            Ok(started) => Ok(Asked::of(&started)),
            Err(AdminError::Restarting | AdminError::Running) => Ok(Asked::Awaited),
            Err(error) => Err(error),
        },
        (Err(AdminError::AlreadyStarted(_)), None) => Ok(Asked::Awaited),
        (Err(error), _) => Err(error),
    }
}
