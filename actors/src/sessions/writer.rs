//! The order of a session's commits: handed to the store as they were made, their answers brought back in that order.
//!
//! Commits are pipelined, so that a burst of input shares a flush. Nothing runs while there is nothing to write, so an
//! idle session can leave.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use supervision::{Ctx, Reporter};

use super::session::{SessionMessage, Stored};
use crate::store::{Commit, Outcome, StoreError, StoreHandle};

/// Commits in the hands of the store at once.
const PIPELINE: usize = 64;

struct Job {
    tag: Stored,
    commit: Commit,
    intake: bool,
}

/// Commits of one session that are to be written. Bounded by the input a session takes and by what one run has open.
pub(super) struct Writer {
    store: StoreHandle,
    queued: VecDeque<Job>,
    busy: bool,
}

impl Writer {
    pub(super) fn new(store: StoreHandle) -> Self {
        Self { store, queued: VecDeque::new(), busy: false }
    }

    /// The epoch its commits belong to.
    pub(super) fn epoch(&self) -> u64 {
        self.store.epoch()
    }

    /// Writes; the answer comes back as [`SessionMessage::Stored`] with the same tag.
    pub(super) fn write(&mut self, tag: Stored, commit: Commit) {
        self.queued.push_back(Job { tag, commit, intake: false });
    }

    /// As [`Writer::write`], for new work, which a full disk refuses.
    pub(super) fn accept(&mut self, tag: Stored, commit: Commit) {
        self.queued.push_back(Job { tag, commit, intake: true });
    }

    /// Hands over what is queued. Called at the end of each message.
    pub(super) fn hand_over(&mut self, ctx: &Ctx<SessionMessage>) {
        if self.busy || self.queued.is_empty() {
            return;
        }
        self.busy = true;
        let group: Vec<Job> = self.queued.drain(..self.queued.len().min(PIPELINE)).collect();
        ctx.spawn_scoped(write_group(group, self.store.clone(), ctx.reporter()));
    }

    /// The group is written.
    pub(super) fn written(&mut self) {
        self.busy = false;
    }

    /// True when nothing is to be written.
    pub(super) fn is_idle(&self) -> bool {
        !self.busy && self.queued.is_empty()
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Outcome, StoreError>> + Send>>;

async fn write_group(group: Vec<Job>, store: StoreHandle, reporter: Reporter<SessionMessage>) {
    let mut open: Vec<(Stored, Answer)> = Vec::with_capacity(group.len());
    for Job { tag, commit, intake } in group {
        let store = store.clone();
        let mut answer: Answer =
            Box::pin(async move { if intake { store.accept(commit).await } else { store.commit(commit).await } });
        // The first poll puts it into the store's mailbox, before the next one.
        if let Poll::Ready(result) = futures_util::poll!(&mut answer) {
            answer = Box::pin(std::future::ready(result));
        }
        open.push((tag, answer));
    }
    for (tag, answer) in open {
        let result = answer.await;
        reporter.send(SessionMessage::Stored { tag, result });
    }
    reporter.send(SessionMessage::Written);
}
