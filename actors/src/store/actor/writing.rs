//! Groups of commits, and what happens when the disk fails.

use std::sync::Arc;
use std::time::Duration;

use supervision::{ActorResult, Ctx};

use super::{Job, StoreMessage, StoreState, Waiting, answer};
use crate::store::error::StoreError;
use crate::store::files;
use crate::store::flush::{Disk, Flushed};
use crate::store::handle::check_room;
use crate::store::op::{Commit, Outcome};
use crate::store::opening::STORE;

/// Most commits in one group; bounds the memory of a flush.
const MAX_GROUP: usize = 1024;
/// A disk that failed is looked at first after this long.
const FIRST_PROBE: Duration = Duration::from_millis(500);
/// And this often in the end.
const LAST_PROBE: Duration = Duration::from_secs(5);

impl StoreState {
    pub(super) fn enqueue(
        &mut self,
        commit: Commit,
        epoch: u64,
        intake: bool,
        reply: Waiting,
        ctx: &Ctx<StoreMessage>,
    ) {
        if epoch != self.epoch {
            reply.send(Err(StoreError::Fenced { writer: epoch, current: self.epoch }));
            return;
        }
        if self.failing.is_some() {
            // One that writes nothing only waits for those before it, and there are none.
            let trouble = self.standing.trouble().filter(|_| !commit.is_empty());
            reply.send(trouble.map_or(Ok(Outcome::Committed), Err));
            return;
        }
        if intake && let Err(full) = check_room(&self.disk.state_dir) {
            self.refuse(&full, ctx);
            reply.send(Err(full));
            return;
        }
        if intake && std::mem::take(&mut self.is_full) {
            tracing::info!("the disk has room again");
            ctx.clear_detail("disk");
        }
        self.queue(commit, Some(reply), ctx);
    }

    /// Takes a commit in.
    pub(super) fn queue(&mut self, commit: Commit, reply: Option<Waiting>, ctx: &Ctx<StoreMessage>) {
        self.dirty.extend(commit.dirty_agents.iter().cloned());
        self.arm_projection(ctx);
        self.queued.push_back((commit, reply));
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
        if self.is_flushing {
            return;
        }
        if let Some(job) = self.alone.pop_front() {
            self.is_flushing = true;
            let disk = Arc::clone(&self.disk);
            report(ctx, move || job(&disk), |()| StoreMessage::AloneDone, |_| StoreMessage::AloneDone);
            return;
        }
        if self.queued.is_empty() || self.failing.is_some() {
            return;
        }
        let group = self.queued.drain(..self.queued.len().min(MAX_GROUP));
        let (commits, waiting): (Vec<_>, Vec<_>) = group.unzip();
        self.in_flight = waiting;
        self.is_flushing = true;
        let disk = Arc::clone(&self.disk);
        report(
            ctx,
            move || disk.write(commits),
            StoreMessage::Flushed,
            |error| StoreMessage::Flushed(Flushed { results: Vec::new(), broken: Some(error) }),
        );
    }

    /// A look at everything, while others go on. If it panics, its asker is told that the store does not answer.
    pub(super) fn beside(&self, job: Job, ctx: &Ctx<StoreMessage>) {
        let disk = Arc::clone(&self.disk);
        let done = ctx.blocking(move || job(&disk));
        ctx.spawn_scoped(async move {
            if done.await.is_none() {
                tracing::error!("a look at the store panicked");
            }
        });
    }

    /// A look at everything between two groups.
    pub(super) fn alone(&mut self, job: Job, ctx: &Ctx<StoreMessage>) {
        self.alone.push_back(job);
        self.flush_next(ctx);
    }

    pub(super) fn alone_done(&mut self, ctx: &Ctx<StoreMessage>) {
        self.is_flushing = false;
        self.flush_next(ctx);
        self.settle_if_idle();
    }

    pub(super) fn flushed(&mut self, flushed: Flushed, ctx: &Ctx<StoreMessage>) {
        let mut results = flushed.results.into_iter();
        for reply in self.in_flight.drain(..) {
            let lost = || Err(flushed.broken.clone().unwrap_or(StoreError::Unavailable));
            answer(reply, results.next().unwrap_or_else(lost));
        }
        self.is_flushing = false;
        if let Some(broken) = flushed.broken {
            self.fail(&broken, ctx);
            return;
        }
        self.flush_next(ctx);
        self.arm_sync(ctx);
        self.settle_if_idle();
    }

    /// Durability can't be promised any more: nothing is written until the disk works, and then everything is read back
    /// from it first.
    pub(super) fn fail(&mut self, error: &StoreError, ctx: &Ctx<StoreMessage>) {
        let trouble = match error {
            StoreError::Gone { .. } => error.clone(),
            StoreError::Unavailable
            | StoreError::Io { .. }
            | StoreError::Engine(_)
            | StoreError::Damaged { .. }
            | StoreError::Newer { .. }
            | StoreError::Full { .. }
            | StoreError::Fenced { .. }
            | StoreError::Failing { .. }
            | StoreError::Backup { .. }
            | StoreError::Record { .. } => StoreError::Failing { why: Arc::from(error.words()) },
        };
        if self.failing.is_none() {
            tracing::error!(error = error.words(), "nothing can be stored; new work is refused until the disk works");
            self.standing.distrust();
            self.failing = Some(FIRST_PROBE);
            ctx.send_after(FIRST_PROBE, StoreMessage::ProbeDue).detach();
        }
        ctx.set_detail("disk", trouble.to_string());
        self.standing.set_trouble(Some(trouble.clone()));
        for (_, reply) in self.queued.drain(..) {
            answer(reply, Err(trouble.clone()));
        }
        self.settle_if_idle();
    }

    pub(super) fn probe(&self, ctx: &Ctx<StoreMessage>) {
        let disk = Arc::clone(&self.disk);
        report(ctx, move || try_disk(&disk), StoreMessage::Probed, |error| StoreMessage::Probed(Err(error)));
    }

    pub(super) fn probed(&mut self, result: Result<(), StoreError>, ctx: &Ctx<StoreMessage>) -> ActorResult {
        match result {
            Ok(()) => Err("the disk works again; what is stored is read back from it".into()),
            Err(error) => {
                tracing::debug!(error = error.words(), "the disk still fails");
                let wait = self.failing.map_or(FIRST_PROBE, |wait| (wait * 2).min(LAST_PROBE));
                self.failing = Some(wait);
                ctx.send_after(wait, StoreMessage::ProbeDue).detach();
                Ok(())
            }
        }
    }

    pub(super) fn settle_if_idle(&mut self) {
        if !self.is_flushing && self.queued.is_empty() {
            for reply in self.settling.drain(..) {
                reply.send(());
            }
        }
    }
}

/// Whether a file can be written beside the database and brought to disk.
fn try_disk(disk: &Disk) -> Result<(), StoreError> {
    disk.engine.check_place()?;
    check_room(&disk.state_dir)?;
    let path = disk.state_dir.join(STORE).join("probe");
    files::replace(&path, b"probe\n")?;
    std::fs::remove_file(&path).map_err(|error| StoreError::io("can't remove", path, error))
}

/// Does blocking work and brings its result back as a message, also when it panicked.
pub(super) fn report<T: Send + 'static>(
    ctx: &Ctx<StoreMessage>,
    work: impl FnOnce() -> T + Send + 'static,
    done: impl FnOnce(T) -> StoreMessage + Send + 'static,
    failed: impl FnOnce(StoreError) -> StoreMessage + Send + 'static,
) {
    let (job, reporter) = (own_thread(work), ctx.reporter());
    ctx.spawn_scoped(async move {
        reporter.send(match job.await {
            Ok(result) => done(result),
            Err(_) => failed(StoreError::Engine(Arc::from("a write panicked"))),
        });
    });
}

/// A thread beside the bounded pool, in which files of others that hang could take all the room. The actor has one job of
/// each kind at a time; each goes on to its end when the actor dies, and the next opening waits for it.
#[expect(clippy::disallowed_methods, reason = "bounded by the actor, and must not wait behind anybody's files")]
fn own_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::task::spawn_blocking(work)
}
