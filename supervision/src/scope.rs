//! Tasks that end with their actor, and the one place of this workspace that spawns.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::exit::PanicInfo;
use crate::panics::{Frame, guard_task};

/// Spawns a task whose owner is named by the caller: a start, a stop, a timer of a supervisor.
#[expect(clippy::disallowed_methods, reason = "the one sanctioned spawn; every caller owns what it starts")]
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(future)
}

/// Blocking jobs of the whole process at once: disks do not get faster by more, and threads cost memory.
const BLOCKING: usize = 16;

/// Runs blocking work off the executor; more than the bound waits. `None`: it panicked, or the runtime is going.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    static ROOM: Semaphore = Semaphore::const_new(BLOCKING);
    let _room = ROOM.acquire().await.ok()?;
    #[allow(clippy::disallowed_methods, reason = "bounded here, and the caller waits for it")]
    let job = tokio::task::spawn_blocking(work);
    job.await.ok()
}

/// The tasks of one incarnation. Most actors have none, so it weighs nothing until the first.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    tasks: OnceLock<Box<Tasks>>,
    /// Set before the tasks are told, so that one started meanwhile is told too.
    ended: AtomicBool,
}

#[derive(Debug, Default)]
struct Tasks {
    token: CancellationToken,
    tracker: TaskTracker,
}

impl Scope {
    /// Runs `future` until it is done or the scope ends. A panic is handed to `on_panic`.
    pub(crate) fn spawn(
        &self,
        future: impl Future<Output = ()> + Send + 'static,
        on_panic: impl FnOnce(PanicInfo) + Send + 'static,
    ) {
        if self.ended.load(Ordering::SeqCst) {
            return;
        }
        let tasks = self.tasks.get_or_init(Box::default);
        let token = tasks.token.clone();
        let trace = Frame::trace();
        tasks.tracker.spawn(async move {
            tokio::select! {
                biased;
                () = token.cancelled() => {}
                outcome = guard_task(trace, move || future) => {
                    if let Err(panic) = outcome {
                        on_panic(panic);
                    }
                }
            }
        });
        if self.ended.load(Ordering::SeqCst) {
            tasks.end();
        }
    }

    /// Ends all tasks at their next await point.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        if let Some(tasks) = self.tasks.get() {
            tasks.end();
        }
    }

    /// Waits until all tasks have ended, but no longer than `limit`; `end` first.
    pub(crate) async fn ended_within(&self, limit: Duration) {
        let Some(tasks) = self.tasks.get() else { return };
        drop(tokio::time::timeout(limit, tasks.tracker.wait()).await);
    }

    /// How many tasks there are.
    pub(crate) fn len(&self) -> usize {
        self.tasks.get().map_or(0, |tasks| tasks.tracker.len())
    }
}

impl Tasks {
    fn end(&self) {
        self.token.cancel();
        self.tracker.close();
    }
}
