//! Sole writer of the store.
//!
//! Parent: `core` · Restart: permanent · Mailbox: 1024, wait
//! Survives a restart: everything that was answered. Lost: commits in flight, whose callers get an error.
//! Fails when: the folder can't be opened, is held by another process or is damaged (fatal), or a flush fails.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use supervision::{Actor, ActorResult, BoxError, ChildSpec, Ctx, Exit, Mailbox, Reply, Reporter, Slot};

use super::engine::{Engine, Pair};
use super::error::StoreError;
use super::flush::{self, Flushed};
use super::keys;
use super::op::{Commit, Outcome};
use super::payload::Payloads;
use super::projection;
use super::sled_engine::SledEngine;
use crate::ids::AgentId;

/// How long `sessions.json` may lag behind the rows (one second, so that an editor sees what just happened).
const PROJECTION_LAG: Duration = Duration::from_secs(1);
/// New work is refused below this much free disk, so that what is open can still be finished.
const MIN_FREE: u64 = 16 << 20;
/// Most commits in one group; bounds the memory of a flush.
const MAX_GROUP: usize = 1024;
/// How long a predecessor's last flush may hold the folder.
const OPEN_PATIENCE: Duration = Duration::from_secs(3);

/// Arguments.
#[derive(Debug, Clone)]
pub struct StoreArgs {
    /// The state directory. The store is `openclawd/store` in it.
    pub state_dir: PathBuf,
}

/// What the actor is asked.
pub(super) enum StoreMessage {
    /// Make a commit durable.
    Commit {
        /// What.
        commit: Commit,
        /// Refused when the disk is nearly full.
        intake: bool,
        /// Answered when it is on disk.
        reply: Reply<Result<Outcome, StoreError>>,
    },
    /// Read one key.
    Get {
        /// Which.
        key: Vec<u8>,
        /// The encoded value.
        reply: Reply<Result<Option<Vec<u8>>, StoreError>>,
    },
    /// Read a range of keys.
    Scan {
        /// Common start.
        prefix: Vec<u8>,
        /// Exclusive start.
        after: Option<Vec<u8>>,
        /// At most.
        limit: usize,
        /// Pairs in order.
        reply: Reply<Result<Vec<Pair>, StoreError>>,
    },
    /// A group is done.
    Flushed(Flushed),
    /// `sessions.json` is due.
    ProjectionDue,
    /// `sessions.json` files were written, or not.
    Projected(Result<(), StoreError>),
    /// Write what is outstanding now; answered when it is on disk.
    Settle(Reply<()>),
}

type Waiting = Reply<Result<Outcome, StoreError>>;

struct StoreState {
    engine: Arc<dyn Engine>,
    payloads: Payloads,
    state_dir: PathBuf,
    queued: Vec<(Commit, Waiting)>,
    in_flight: Vec<Waiting>,
    flushing: bool,
    dirty: BTreeSet<String>,
    projection_armed: bool,
    settling: Vec<Reply<()>>,
    /// New work was refused for want of room.
    is_full: bool,
}

struct StoreActor;

/// The usual spec.
pub(super) fn spec(args: StoreArgs, slot: &Slot<StoreMessage>) -> ChildSpec {
    ChildSpec::actor("store", "store", slot, move |_| (StoreActor, args.clone()))
        .mailbox(Mailbox::wait(1024))
        .init_timeout(Duration::from_secs(60))
        .handler_limit(crate::HANDLER_LIMIT)
}

/// The spec of the store, and the handle to it.
#[must_use]
pub fn child_spec(args: StoreArgs) -> (ChildSpec, super::StoreHandle) {
    let slot = Slot::new();
    let handle = super::StoreHandle::new(slot.address(), args.state_dir.clone());
    (spec(args, &slot), handle)
}

impl Actor for StoreActor {
    type Message = StoreMessage;
    type Args = StoreArgs;
    type State = StoreState;

    async fn pre_start(&self, args: StoreArgs, ctx: &Ctx<StoreMessage>) -> Result<StoreState, BoxError> {
        let base = args.state_dir.join("openclawd");
        let engine = open(&base.join("store")).await?;
        let payloads = Payloads::new(base.join("payloads"));
        let taken = projection::merge_edits(engine.as_ref(), &args.state_dir)?;
        payloads.sweep(engine.as_ref())?;
        engine.commit()?;
        if taken > 0 {
            tracing::info!(rows = taken, "took over sessions edited by hand");
        }
        ctx.set_detail("path", base.join("store").display().to_string());
        Ok(StoreState {
            engine,
            payloads,
            state_dir: args.state_dir,
            queued: Vec::new(),
            in_flight: Vec::new(),
            flushing: false,
            dirty: BTreeSet::new(),
            projection_armed: false,
            settling: Vec::new(),
            is_full: false,
        })
    }

    async fn handle(&self, state: &mut StoreState, message: StoreMessage, ctx: &Ctx<StoreMessage>) -> ActorResult {
        match message {
            StoreMessage::Commit { commit, intake, reply } => state.enqueue(commit, intake, reply, ctx),
            StoreMessage::Get { key, reply } => reply.send(state.get(&key)),
            StoreMessage::Scan { prefix, after, limit, reply } => {
                reply.send(state.scan(&prefix, after.as_deref(), limit));
            }
            StoreMessage::Flushed(flushed) => state.flushed(flushed, ctx)?,
            StoreMessage::ProjectionDue => state.project(ctx),
            StoreMessage::Projected(result) => state.projected(result, ctx),
            StoreMessage::Settle(reply) => {
                state.settling.push(reply);
                state.settle_if_idle();
            }
        }
        Ok(())
    }

    async fn post_stop(&self, state: &mut StoreState, _ctx: &Ctx<StoreMessage>) -> ActorResult {
        let (commits, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut state.queued).into_iter().unzip();
        let flushed = flush::run(state.engine.as_ref(), &state.payloads, commits);
        for (reply, result) in waiting.into_iter().zip(flushed.results) {
            reply.send(result);
        }
        for agent in std::mem::take(&mut state.dirty) {
            projection::write(state.engine.as_ref(), &state.state_dir, &AgentId::normalised(&agent))?;
        }
        state.engine.commit()?;
        Ok(())
    }
}

/// Opens the engine; waits a little for a predecessor in this process to let go of it.
async fn open(folder: &Path) -> Result<Arc<dyn Engine>, BoxError> {
    let deadline = tokio::time::Instant::now() + OPEN_PATIENCE;
    loop {
        match SledEngine::open(folder) {
            Ok(engine) => return Ok(Arc::new(engine)),
            Err(error @ (StoreError::Damaged { .. } | StoreError::Newer { .. })) => {
                return Err(Exit::Fatal(error.into()).into());
            }
            Err(error) if tokio::time::Instant::now() >= deadline => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(25)).await,
        }
    }
}

impl StoreState {
    fn enqueue(&mut self, commit: Commit, intake: bool, reply: Waiting, ctx: &Ctx<StoreMessage>) {
        if intake {
            if let Err(full) = check_room(&self.state_dir) {
                self.refuse(&full, ctx);
                reply.send(Err(full));
                return;
            }
            if std::mem::take(&mut self.is_full) {
                tracing::info!("the disk has room again");
                ctx.clear_detail("disk");
            }
        }
        self.dirty.extend(commit.dirty_agents.iter().cloned());
        if !self.dirty.is_empty() && !self.projection_armed {
            self.projection_armed = true;
            arm_projection(ctx);
        }
        self.queued.push((commit, reply));
        self.flush_next(ctx);
    }

    /// Shows that new work is refused.
    fn refuse(&mut self, full: &StoreError, ctx: &Ctx<StoreMessage>) {
        if !std::mem::replace(&mut self.is_full, true) {
            tracing::error!(error = %full, "new work is refused");
        }
        ctx.set_detail("disk", full.to_string());
    }

    fn flush_next(&mut self, ctx: &Ctx<StoreMessage>) {
        if self.flushing || self.queued.is_empty() {
            return;
        }
        let rest = self.queued.split_off(self.queued.len().min(MAX_GROUP));
        let (commits, waiting): (Vec<_>, Vec<_>) = std::mem::replace(&mut self.queued, rest).into_iter().unzip();
        self.in_flight = waiting;
        self.flushing = true;
        let (engine, payloads) = (Arc::clone(&self.engine), self.payloads.clone());
        let job = ctx.blocking(move || flush::run(engine.as_ref(), &payloads, commits));
        report(ctx, ctx.reporter(), job, StoreMessage::Flushed, |error| {
            StoreMessage::Flushed(Flushed { results: Vec::new(), broken: Some(error) })
        });
    }

    fn flushed(&mut self, flushed: Flushed, ctx: &Ctx<StoreMessage>) -> ActorResult {
        let mut results = flushed.results.into_iter();
        for reply in self.in_flight.drain(..) {
            reply.send(results.next().unwrap_or(Err(StoreError::Unavailable)));
        }
        self.flushing = false;
        if let Some(broken) = flushed.broken {
            tracing::error!(error = broken.words(), "the store can't promise durability any more");
            return Err(broken.into());
        }
        self.flush_next(ctx);
        self.settle_if_idle();
        Ok(())
    }

    fn project(&mut self, ctx: &Ctx<StoreMessage>) {
        let agents = std::mem::take(&mut self.dirty);
        let (engine, state_dir) = (Arc::clone(&self.engine), self.state_dir.clone());
        let job = ctx.blocking(move || {
            agents
                .iter()
                .try_for_each(|agent| projection::write(engine.as_ref(), &state_dir, &AgentId::normalised(agent)))
        });
        report(ctx, ctx.reporter(), job, StoreMessage::Projected, |error| StoreMessage::Projected(Err(error)));
    }

    fn projected(&mut self, result: Result<(), StoreError>, ctx: &Ctx<StoreMessage>) {
        match result {
            Ok(()) => ctx.clear_detail("sessionsFile"),
            Err(error) => {
                tracing::warn!(error = error.words(), "can't write sessions.json; the store has the rows");
                ctx.set_detail("sessionsFile", error.words());
            }
        }
        self.projection_armed = !self.dirty.is_empty();
        if self.projection_armed {
            arm_projection(ctx);
        }
    }

    fn settle_if_idle(&mut self) {
        if !self.flushing && self.queued.is_empty() {
            for reply in self.settling.drain(..) {
                reply.send(());
            }
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.engine.get(key)?.map(|stored| self.payloads.resolve(stored)).transpose()
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, StoreError> {
        self.engine
            .scan_prefix(prefix, after, limit)?
            .into_iter()
            .map(|(key, stored)| Ok((key, self.payloads.resolve(stored)?)))
            .collect()
    }
}

/// Room for new work while what is open can still be finished.
pub(super) fn check_room(state_dir: &Path) -> Result<(), StoreError> {
    let free = fs2::available_space(state_dir).unwrap_or(u64::MAX);
    if free < MIN_FREE {
        return Err(StoreError::Full { path: state_dir.to_owned(), free_mb: free >> 20 });
    }
    Ok(())
}

fn arm_projection(ctx: &Ctx<StoreMessage>) {
    ctx.send_after(PROJECTION_LAG, StoreMessage::ProjectionDue).detach();
}

/// Brings the result of a blocking job back as a message, also when the job panicked.
fn report<T: Send + 'static>(
    ctx: &Ctx<StoreMessage>,
    reporter: Reporter<StoreMessage>,
    job: impl Future<Output = Option<T>> + Send + 'static,
    done: impl FnOnce(T) -> StoreMessage + Send + 'static,
    failed: impl FnOnce(StoreError) -> StoreMessage + Send + 'static,
) {
    ctx.spawn_scoped(async move {
        reporter.send(match job.await {
            Some(result) => done(result),
            None => failed(StoreError::Engine(Arc::from("the flush panicked"))),
        });
    });
}

impl std::fmt::Debug for StoreMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Commit { commit, .. } => write!(f, "Commit({} ops)", commit.ops.len()),
            Self::Get { key, .. } => write!(f, "Get({})", keys::printable(key)),
            Self::Scan { prefix, .. } => write!(f, "Scan({})", keys::printable(prefix)),
            Self::Flushed(_) => f.write_str("Flushed"),
            Self::ProjectionDue => f.write_str("ProjectionDue"),
            Self::Projected(_) => f.write_str("Projected"),
            Self::Settle(_) => f.write_str("Settle"),
        }
    }
}
