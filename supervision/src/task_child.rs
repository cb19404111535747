//! A long-running future as a child: it ends as an actor would, and is stopped like one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use crate::actor::Actor;
use crate::address::Slot;
use crate::checkpoint::Checkpoint;
use crate::child_spec::ChildSpec;
use crate::context::{Core, Ctx};
use crate::exit::{ActorResult, BoxError, ExitReason};
use crate::path::{ActorPath, ChildId};

/// What a task knows of itself.
#[derive(Clone)]
pub struct TaskCtx {
    core: Arc<Core>,
    watches_cancel: Arc<AtomicBool>,
}

impl TaskCtx {
    /// Where the task stands.
    #[must_use]
    pub fn path(&self) -> &ActorPath {
        &self.core.path
    }

    /// The how-manieth start of this child it is, counted from 1.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.core.incarnation
    }

    /// How many retries in a row led here; 0 for a first start.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.core.attempt
    }

    /// How the incarnation before ended.
    #[must_use]
    pub fn last_exit(&self) -> Option<&ExitReason> {
        self.core.last_exit.as_deref()
    }

    /// Cancelled when the task is to stop. A task that asks for this is waited for, up to its shutdown deadline; one
    /// that does not is aborted at once.
    #[must_use]
    pub fn cancel(&self) -> CancellationToken {
        self.watches_cancel.store(true, Ordering::SeqCst);
        self.core.desk.cancel.token().clone()
    }

    /// Shows a fact in the tree, cut at 256 bytes.
    pub fn set_detail(&self, key: &'static str, value: impl Into<String>) {
        self.core.node.set_detail(key, value.into());
    }

    /// Takes a fact back.
    pub fn clear_detail(&self, key: &'static str) {
        self.core.node.clear_detail(key);
    }

    /// Shows what the task is busy with, from now on.
    pub fn set_busy(&self, what: Option<String>) {
        self.core.node.set_busy(what);
    }

    /// The tree the task is part of.
    pub(crate) fn tree(&self) -> crate::tree::TreeStore {
        self.core.shared.tree.clone()
    }

    /// Runs a further task that ends with this one.
    pub fn spawn_scoped(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.core.spawn_scoped(future);
    }

    /// Soft state for the next incarnation.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.core.checkpoint
    }
}

impl fmt::Debug for TaskCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskCtx").field("path", &self.core.path).finish_non_exhaustive()
    }
}

impl ChildSpec {
    /// A long-running future. `Ok(())` is a normal exit, an error an abnormal one.
    pub fn task<F>(
        id: impl Into<ChildId>,
        kind: &'static str,
        make: impl Fn(TaskCtx) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let make = Arc::new(make);
        Self::actor(id, kind, &Slot::new(), move |_| {
            let make = Arc::clone(&make);
            (TaskActor(std::marker::PhantomData), Box::new(move |ctx| make(ctx)) as MakeTask<F>)
        })
    }
}

type MakeTask<F> = Box<dyn FnOnce(TaskCtx) -> F + Send>;

struct TaskActor<F>(std::marker::PhantomData<fn() -> F>);

struct Finished(ActorResult);

struct TaskState {
    watches_cancel: Arc<AtomicBool>,
    done: CancellationToken,
}

impl<F: Future<Output = Result<(), BoxError>> + Send + 'static> Actor for TaskActor<F> {
    type Message = Finished;
    type Args = MakeTask<F>;
    type State = TaskState;

    async fn pre_start(&self, make: MakeTask<F>, ctx: &Ctx<Finished>) -> Result<TaskState, BoxError> {
        let state = TaskState { watches_cancel: Arc::new(AtomicBool::new(false)), done: CancellationToken::new() };
        let future = make(TaskCtx { core: Arc::clone(&ctx.core), watches_cancel: Arc::clone(&state.watches_cancel) });
        let (reporter, done) = (ctx.reporter(), state.done.clone().drop_guard());
        ctx.spawn_scoped(async move {
            let _done = done;
            reporter.send(Finished(future.await));
        });
        Ok(state)
    }

    async fn handle(&self, _: &mut TaskState, finished: Finished, ctx: &Ctx<Finished>) -> ActorResult {
        finished.0?;
        ctx.core.cell.stop(None);
        Ok(())
    }

    async fn post_stop(&self, state: &mut TaskState, _: &Ctx<Finished>) -> ActorResult {
        if state.watches_cancel.load(Ordering::SeqCst) {
            state.done.cancelled().await;
        }
        Ok(())
    }
}
