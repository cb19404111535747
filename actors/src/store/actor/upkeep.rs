//! What the store does beside commits: `sessions.json`, syncing transcripts, forgetting.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use supervision::Ctx;
use tokio::time::Instant;

use super::writing::report;
use super::{StoreMessage, StoreState};
use crate::ids::AgentId;
use crate::store::error::StoreError;
use crate::store::handle::check_room;
use crate::store::projection;
use crate::store::retention::{self, Cursor, Swept};

/// How long `sessions.json` may lag behind the rows (one second, so that an editor sees what just happened).
const PROJECTION_LAG: Duration = Duration::from_secs(1);
/// It waits so many times as long as writing it took, so that with very many sessions it does not take up a core.
const PROJECTION_SHARE: u32 = 10;
/// How long lines stay in the database before their files are synced: a busy session's file once a second.
const SYNC_LAG: Duration = Duration::from_secs(1);
/// What may be forgotten is first looked for when the start is over.
const FIRST_SWEEP: Duration = Duration::from_secs(30);
/// And then so often.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);
/// Between two pages of a sweep, so that it never keeps anybody waiting.
const SWEEP_PAUSE: Duration = Duration::from_millis(20);

/// Work that a start finds.
pub(super) fn begin(state: &mut StoreState, ctx: &Ctx<StoreMessage>) {
    state.arm_sync(ctx);
    ctx.send_after(FIRST_SWEEP, StoreMessage::SweepDue(Cursor::default())).detach();
}

impl StoreState {
    pub(super) fn arm_projection(&mut self, ctx: &Ctx<StoreMessage>) {
        self.arm_projection_after(PROJECTION_LAG, ctx);
    }

    fn arm_projection_after(&mut self, lag: Duration, ctx: &Ctx<StoreMessage>) {
        if !self.dirty.is_empty() && !self.is_projecting {
            self.is_projecting = true;
            ctx.send_after(lag, StoreMessage::ProjectionDue).detach();
        }
    }

    pub(super) fn project(&mut self, ctx: &Ctx<StoreMessage>) {
        self.is_projecting = false;
        if self.failing.is_some() {
            return;
        }
        if check_room(&self.disk.state_dir).is_err() {
            // What is left is for what is open; the file can wait.
            self.arm_projection(ctx);
            return;
        }
        self.is_projecting = true;
        let agents = std::mem::take(&mut self.dirty);
        let (disk, todo, started) = (Arc::clone(&self.disk), agents.clone(), Instant::now());
        let job = move || {
            todo.iter().try_for_each(|agent| {
                let agent = AgentId::normalised(agent);
                projection::write(disk.engine.as_ref(), &disk.payloads, &disk.state_dir, &agent)
            })
        };
        let again = agents.clone();
        report(
            ctx,
            job,
            move |result| StoreMessage::Projected(result, agents, started.elapsed()),
            move |error| StoreMessage::Projected(Err(error), again, Duration::ZERO),
        );
    }

    pub(super) fn projected(
        &mut self,
        result: Result<(), StoreError>,
        agents: BTreeSet<String>,
        took: Duration,
        ctx: &Ctx<StoreMessage>,
    ) {
        match result {
            Ok(()) => ctx.clear_detail("sessionsFile"),
            Err(error) => {
                tracing::warn!(error = error.words(), "can't write sessions.json; the store has the rows");
                ctx.set_detail("sessionsFile", error.words());
                self.dirty.extend(agents);
            }
        }
        self.is_projecting = false;
        self.arm_projection_after(PROJECTION_LAG.max(took * PROJECTION_SHARE), ctx);
    }

    pub(super) fn arm_sync(&mut self, ctx: &Ctx<StoreMessage>) {
        if !self.is_syncing && self.failing.is_none() && self.disk.lines.is_waiting() {
            self.is_syncing = true;
            ctx.send_after(SYNC_LAG, StoreMessage::LinesDue).detach();
        }
    }

    pub(super) fn sync_lines(&self, ctx: &Ctx<StoreMessage>) {
        let disk = Arc::clone(&self.disk);
        report(
            ctx,
            move || disk.sync_lines(None, false),
            StoreMessage::LinesSynced,
            |error| StoreMessage::LinesSynced(Err(error)),
        );
    }

    pub(super) fn lines_synced(&mut self, result: Result<(), StoreError>, ctx: &Ctx<StoreMessage>) {
        self.is_syncing = false;
        match result {
            Ok(()) => self.arm_sync(ctx),
            Err(error) => self.fail(&error, ctx),
        }
    }

    pub(super) fn sweep(&self, cursor: Cursor, ctx: &Ctx<StoreMessage>) {
        let (disk, now) = (Arc::clone(&self.disk), self.clock.now_ms());
        let job = move || retention::sweep(disk.engine.as_ref(), &disk.payloads, cursor, now);
        report(ctx, job, StoreMessage::Swept, |error| StoreMessage::Swept(Err(error)));
    }

    pub(super) fn swept(&mut self, result: Result<Swept, StoreError>, ctx: &Ctx<StoreMessage>) {
        let next = match result {
            Ok(Swept { commits, next }) if self.failing.is_none() => {
                self.forgotten += u64::try_from(commits.len()).unwrap_or(u64::MAX);
                for commit in commits {
                    self.queue(commit, None, ctx);
                }
                next
            }
            // Looked for again with the next one.
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(error = error.words(), "records could not be looked through");
                None
            }
        };
        if next.is_none() && self.forgotten > 0 {
            tracing::debug!(records = std::mem::take(&mut self.forgotten), "forgot what is past its term");
        }
        let wait = if next.is_some() { SWEEP_PAUSE } else { SWEEP_EVERY };
        ctx.send_after(wait, StoreMessage::SweepDue(next.unwrap_or_default())).detach();
    }
}
