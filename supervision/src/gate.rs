//! The output gate: what an actor shows the outside world waits until what it rests on is stored.
//!
//! Many messages may share one commit; their effects are released together, in order, and a crash before the commit
//! releases none of them.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::context::Core;
use crate::exit::BoxError;
use crate::panics::{bury, catch};

/// Effects one actor may have waiting.
const HELD: usize = 256;

type Commit = BoxFuture<'static, Result<(), BoxError>>;
type Held = (Commit, Box<dyn FnOnce() + Send>, OwnedSemaphorePermit);

/// What one incarnation holds back.
pub(crate) struct Gate {
    /// Closed once a commit has failed: nothing passes any more.
    room: Arc<Semaphore>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    held: VecDeque<Held>,
    /// A task of the actor releases what is held. There is none while nothing is.
    releasing: bool,
}

impl Drop for Gate {
    fn drop(&mut self) {
        bury(std::mem::take(&mut self.lock().held));
    }
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { room: Arc::new(Semaphore::new(HELD)), queue: Mutex::default() }
    }

    /// See [`Ctx::hold`](crate::Ctx::hold).
    pub(crate) async fn hold(
        &self,
        core: &Arc<Core>,
        commit: impl Future<Output = Result<(), BoxError>> + Send + 'static,
        effect: impl FnOnce() + Send + 'static,
    ) {
        let Ok(room) = Arc::clone(&self.room).acquire_owned().await else { return };
        let start = {
            let mut queue = self.lock();
            queue.held.push_back((Box::pin(commit), Box::new(effect), room));
            !std::mem::replace(&mut queue.releasing, true)
        };
        if start {
            let owner = Arc::clone(core);
            core.spawn_scoped(async move { owner.gate().release(&owner).await });
        }
    }

    async fn release(&self, core: &Core) {
        while let Some((commit, effect, room)) = self.next() {
            let outcome = match commit.await {
                Ok(()) => catch(effect).map_err(BoxError::from),
                Err(error) => Err(error),
            };
            drop(room);
            if let Err(error) = outcome {
                self.room.close();
                let held = std::mem::take(&mut self.lock().held);
                drop(held);
                (core.crash)(error);
                return;
            }
        }
    }

    fn next(&self) -> Option<Held> {
        let mut queue = self.lock();
        let next = queue.held.pop_front();
        queue.releasing = next.is_some();
        next
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
