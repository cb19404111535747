//! Sole writer of the store.
//!
//! Parent: `core` · Restart: permanent · Mailbox: 1024, wait
//! Survives a restart: everything that was answered. Lost: commits in flight, whose callers get an error.
//! Fails when: the folder can't be opened, is held by another process, is damaged or of a newer version (fatal); or,
//! once the disk works again after a failed write, so that everything below it is rebuilt from what is on disk. While
//! the disk fails it stays, answers reads, and refuses whatever is to be stored.

mod upkeep;
mod writing;

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use supervision::{Actor, ActorResult, BoxError, ChildSpec, Ctx, Exit, Mailbox, Reply, Slot};

use super::engine::Pair;
use super::error::StoreError;
use super::flush::{Disk, Flushed};
use super::keys;
use super::op::{Commit, Outcome};
use super::opening::{self, Opened, Past, STORE};
use super::projection;
use super::retention::{Cursor, Swept};
use super::standing::Standing;
use crate::clock::Clock;
use crate::ids::AgentId;

/// How long a predecessor's last flush may hold the folder.
const OPEN_PATIENCE: Duration = Duration::from_secs(3);

/// Arguments.
#[derive(Debug, Clone)]
pub struct StoreArgs {
    /// The state directory. The store is `openclawd/store` in it.
    pub state_dir: PathBuf,
    /// Tells what may be forgotten.
    pub clock: Clock,
}

/// What the actor is asked.
pub(super) enum StoreMessage {
    /// Make a commit durable.
    Commit {
        /// What.
        commit: Commit,
        /// When its writer was started.
        epoch: u64,
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
    /// Look at everything, beside whatever is written meanwhile.
    Beside(Job),
    /// Look at everything while nothing is written.
    Alone(Job),
    /// Such a look is over.
    AloneDone,
    /// A group is done.
    Flushed(Flushed),
    /// `sessions.json` is due.
    ProjectionDue,
    /// `sessions.json` files were written, or not, and how long that took.
    Projected(Result<(), StoreError>, BTreeSet<String>, Duration),
    /// Transcripts are to be synced.
    LinesDue,
    /// Transcripts were synced, or not.
    LinesSynced(Result<(), StoreError>),
    /// What may be forgotten is looked for.
    SweepDue(Cursor),
    /// A part of the records was looked through.
    Swept(Result<Swept, StoreError>),
    /// See whether the disk works again.
    ProbeDue,
    /// It does, or not.
    Probed(Result<(), StoreError>),
    /// Write what is outstanding now; answered when it is on disk.
    Settle(Reply<()>),
}

/// Work on everything the store writes to; blocking, answers by itself.
pub(super) type Job = Box<dyn FnOnce(&Disk) + Send>;
type Waiting = Reply<Result<Outcome, StoreError>>;

struct StoreState {
    disk: Arc<Disk>,
    standing: Arc<Standing>,
    clock: Clock,
    epoch: u64,
    /// `None`: nobody waits for the answer.
    queued: VecDeque<(Commit, Option<Waiting>)>,
    in_flight: Vec<Option<Waiting>>,
    /// Looks that wait for the group under way.
    alone: VecDeque<Job>,
    /// A group is being written, or somebody looks who must be alone.
    is_flushing: bool,
    dirty: BTreeSet<String>,
    is_projecting: bool,
    is_syncing: bool,
    settling: Vec<Reply<()>>,
    /// New work was refused for want of room.
    is_full: bool,
    /// The disk fails since; the wait before the next look.
    failing: Option<Duration>,
    /// Records that the sweep under way found past their term.
    forgotten: u64,
}

struct StoreActor {
    standing: Arc<Standing>,
}

/// The spec of the store, and the handle to it.
#[must_use]
pub fn child_spec(args: StoreArgs) -> (ChildSpec, super::StoreHandle) {
    let (slot, standing) = (Slot::new(), Arc::new(Standing::default()));
    let handle = super::StoreHandle::new(slot.address(), args.state_dir.clone(), Arc::clone(&standing));
    let make = move |_: &_| (StoreActor { standing: Arc::clone(&standing) }, args.clone());
    let spec = ChildSpec::actor("store", "store", &slot, make)
        .mailbox(Mailbox::wait(1024))
        .init_timeout(Duration::from_secs(60))
        .handler_limit(crate::HANDLER_LIMIT);
    (spec, handle)
}

impl Actor for StoreActor {
    type Message = StoreMessage;
    type Args = StoreArgs;
    type State = StoreState;

    async fn pre_start(&self, args: StoreArgs, ctx: &Ctx<StoreMessage>) -> Result<StoreState, BoxError> {
        let past = self.standing.past();
        let Opened { disk, epoch } = open(&args.state_dir, past, ctx).await?;
        self.standing.opened(epoch);
        ctx.set_detail("path", args.state_dir.join(STORE).display().to_string());
        ctx.set_detail("epoch", epoch.to_string());
        let mut state = StoreState {
            disk: Arc::new(disk),
            standing: Arc::clone(&self.standing),
            clock: args.clock,
            epoch,
            queued: VecDeque::new(),
            in_flight: Vec::new(),
            alone: VecDeque::new(),
            is_flushing: false,
            dirty: BTreeSet::new(),
            is_projecting: false,
            is_syncing: false,
            settling: Vec::new(),
            is_full: false,
            failing: None,
            forgotten: 0,
        };
        upkeep::begin(&mut state, ctx);
        Ok(state)
    }

    async fn handle(&self, state: &mut StoreState, message: StoreMessage, ctx: &Ctx<StoreMessage>) -> ActorResult {
        match message {
            StoreMessage::Commit { commit, epoch, intake, reply } => state.enqueue(commit, epoch, intake, reply, ctx),
            StoreMessage::Get { key, reply } => reply.send(state.get(&key)),
            StoreMessage::Scan { prefix, after, limit, reply } => {
                reply.send(state.scan(&prefix, after.as_deref(), limit));
            }
            StoreMessage::Beside(job) => state.beside(job, ctx),
            StoreMessage::Alone(job) => state.alone(job, ctx),
            StoreMessage::AloneDone => state.alone_done(ctx),
            StoreMessage::Flushed(flushed) => state.flushed(flushed, ctx),
            StoreMessage::ProjectionDue => state.project(ctx),
            StoreMessage::Projected(result, agents, took) => state.projected(result, agents, took, ctx),
            StoreMessage::LinesDue => state.sync_lines(ctx),
            StoreMessage::LinesSynced(result) => state.lines_synced(result, ctx),
            StoreMessage::SweepDue(cursor) => state.sweep(cursor, ctx),
            StoreMessage::Swept(result) => state.swept(result, ctx),
            StoreMessage::ProbeDue => state.probe(ctx),
            StoreMessage::Probed(result) => state.probed(result, ctx)?,
            StoreMessage::Settle(reply) => {
                state.settling.push(reply);
                state.settle_if_idle();
            }
        }
        Ok(())
    }

    async fn post_stop(&self, state: &mut StoreState, _ctx: &Ctx<StoreMessage>) -> ActorResult {
        if state.failing.is_some() {
            return Ok(());
        }
        let (commits, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut state.queued).into_iter().unzip();
        let flushed = state.disk.write(commits);
        for (reply, result) in waiting.into_iter().zip(flushed.results) {
            answer(reply, result);
        }
        let disk = &state.disk;
        disk.sync_lines(None, true)?;
        for agent in std::mem::take(&mut state.dirty) {
            let agent = AgentId::normalised(&agent);
            projection::write(disk.engine.as_ref(), &disk.payloads, &disk.state_dir, &agent)?;
        }
        disk.engine.commit()?;
        disk.engine.seal()?;
        Ok(())
    }
}

/// Opens the store; waits a little for a predecessor in this process to let go of it.
async fn open(state_dir: &Path, past: Past, ctx: &Ctx<StoreMessage>) -> Result<Opened, BoxError> {
    let deadline = tokio::time::Instant::now() + OPEN_PATIENCE;
    loop {
        let folder = state_dir.to_owned();
        match ctx.blocking(move || opening::open(&folder, past)).await {
            Some(Ok(opened)) => return Ok(opened),
            None => return Err("opening the store panicked".into()),
            Some(Err(error)) if error.is_final() => return Err(Exit::Fatal(error.into()).into()),
            Some(Err(error)) if tokio::time::Instant::now() >= deadline => return Err(error.into()),
            Some(Err(_)) => tokio::time::sleep(Duration::from_millis(25)).await,
        }
    }
}

fn answer(reply: Option<Waiting>, result: Result<Outcome, StoreError>) {
    if let Some(reply) = reply {
        reply.send(result);
    }
}

impl StoreState {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.disk.engine.get(key)?.map(|stored| self.disk.payloads.resolve(stored)).transpose()
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, StoreError> {
        self.disk
            .engine
            .scan_prefix(prefix, after, limit)?
            .into_iter()
            .map(|(key, stored)| Ok((key, self.disk.payloads.resolve(stored)?)))
            .collect()
    }
}

impl std::fmt::Debug for StoreMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Commit { commit, .. } => write!(f, "Commit({} ops)", commit.ops.len()),
            Self::Get { key, .. } => write!(f, "Get({})", keys::printable(key)),
            Self::Scan { prefix, .. } => write!(f, "Scan({})", keys::printable(prefix)),
            Self::Beside(_) => f.write_str("Beside"),
            Self::Alone(_) => f.write_str("Alone"),
            Self::AloneDone => f.write_str("AloneDone"),
            Self::Flushed(_) => f.write_str("Flushed"),
            Self::ProjectionDue => f.write_str("ProjectionDue"),
            Self::Projected(..) => f.write_str("Projected"),
            Self::LinesDue => f.write_str("LinesDue"),
            Self::LinesSynced(_) => f.write_str("LinesSynced"),
            Self::SweepDue(_) => f.write_str("SweepDue"),
            Self::Swept(_) => f.write_str("Swept"),
            Self::ProbeDue => f.write_str("ProbeDue"),
            Self::Probed(_) => f.write_str("Probed"),
            Self::Settle(_) => f.write_str("Settle"),
        }
    }
}

#[cfg(test)]
mod tests;
