//! How the rest of the program talks to the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use supervision::{Address, CallError, Reply};

use super::actor::{Job, StoreMessage};
use super::backup::{self, BackedUp};
use super::check::{self, Report};
use super::engine::Pair;
use super::error::StoreError;
use super::export::{self, Exported};
use super::flush::Disk;
use super::op::{Commit, Outcome};
use super::standing::Standing;
use super::stats::{self, Stats};
use super::value;

/// Longest wait for an answer; a flush on a slow disk takes a second, not ten.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest wait for a look at everything.
const LONG_PATIENCE: Duration = Duration::from_secs(10 * 60);
/// New work is refused below this much free disk, so that what is open can still be finished.
const MIN_FREE: u64 = 16 << 20;

/// A cheap handle that outlives restarts of the store.
#[derive(Clone)]
pub struct StoreHandle {
    address: Address<StoreMessage>,
    state_dir: Arc<Path>,
    standing: Arc<Standing>,
    /// Set when it speaks for somebody who was started in this epoch.
    epoch: Option<u64>,
}

impl std::fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreHandle")
    }
}

fn unreachable_store(_: CallError) -> StoreError {
    StoreError::Unavailable
}

impl StoreHandle {
    pub(super) fn new(address: Address<StoreMessage>, state_dir: PathBuf, standing: Arc<Standing>) -> Self {
        Self { address, state_dir: state_dir.into(), standing, epoch: None }
    }

    /// A handle for somebody who starts now: once the store is opened again, what it commits is refused, because it was
    /// decided on what may be gone.
    #[must_use]
    pub fn bound(&self) -> Self {
        Self { epoch: Some(self.epoch()), ..self.clone() }
    }

    /// Number of the epoch it commits in: how often the store was opened. 0 before the first time.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.unwrap_or_else(|| self.standing.epoch())
    }

    /// Whether new work would be taken now: the disk has room and works. Asks the system, not the actor.
    ///
    /// # Errors
    /// [`StoreError::Full`], or what fails.
    pub fn check_room(&self) -> Result<(), StoreError> {
        self.check_writable()?;
        check_room(&self.state_dir)
    }

    /// Whether anything can be stored at all.
    ///
    /// # Errors
    /// What keeps it from that.
    pub fn check_writable(&self) -> Result<(), StoreError> {
        self.standing.trouble().map_or(Ok(()), Err)
    }

    /// Makes a commit durable. Calls by one task take effect in the order they are made.
    ///
    /// # Errors
    /// When the store refuses or fails; nothing of the commit was applied then, unless the store did not answer.
    pub async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError> {
        self.write(commit, false).await
    }

    /// As [`StoreHandle::commit`], for new work: refused when the disk is nearly full.
    ///
    /// # Errors
    /// As [`StoreHandle::commit`], and [`StoreError::Full`].
    pub async fn accept(&self, commit: Commit) -> Result<Outcome, StoreError> {
        self.write(commit, true).await
    }

    fn write(&self, commit: Commit, intake: bool) -> impl Future<Output = Result<Outcome, StoreError>> + Send + use<> {
        let epoch = self.epoch();
        let address = self.address.clone();
        async move {
            address
                .call(|reply| StoreMessage::Commit { commit, epoch, intake, reply }, PATIENCE)
                .await
                .map_err(unreachable_store)?
        }
    }

    /// Reads one record.
    ///
    /// # Errors
    /// When the store fails or the record is not of this type.
    pub async fn get<T: DeserializeOwned>(&self, key: Vec<u8>) -> Result<Option<T>, StoreError> {
        let name = key.clone();
        let bytes = self
            .address
            .call(|reply| StoreMessage::Get { key, reply }, PATIENCE)
            .await
            .map_err(unreachable_store)??;
        bytes.map(|bytes| value::decode(&name, &bytes)).transpose()
    }

    /// Writes one record, durable.
    ///
    /// # Errors
    /// As [`StoreHandle::commit`].
    pub async fn put<T: Serialize>(&self, key: Vec<u8>, record: &T) -> Result<(), StoreError> {
        self.commit(Commit::new().put(key, value::encode(record)?)).await.map(drop)
    }

    /// Up to `limit` records whose key starts with `prefix`, after the key `after`.
    ///
    /// # Errors
    /// When the store fails or a record is not of this type.
    pub async fn scan<T: DeserializeOwned>(
        &self,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, T)>, StoreError> {
        let pairs: Vec<Pair> = self
            .address
            .call(|reply| StoreMessage::Scan { prefix, after, limit, reply }, PATIENCE)
            .await
            .map_err(unreachable_store)??;
        pairs
            .into_iter()
            .map(|(key, bytes)| Ok((value::decode(&key, &bytes)?, key)))
            .map(|r| r.map(|(t, k)| (k, t)))
            .collect()
    }

    async fn look<T: Send + 'static>(
        &self,
        wrap: fn(Job) -> StoreMessage,
        work: impl FnOnce(&Disk) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let job = |reply: Reply<Result<T, StoreError>>| wrap(Box::new(move |disk: &Disk| reply.send(work(disk))));
        self.address.call(job, LONG_PATIENCE).await.map_err(unreachable_store)?
    }

    /// How much the store holds.
    ///
    /// # Errors
    /// When the store fails or does not answer.
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        self.look(StoreMessage::Beside, stats::stats).await
    }

    /// Looks for what can't be right.
    ///
    /// # Errors
    /// As [`StoreHandle::stats`].
    pub async fn check(&self) -> Result<Report, StoreError> {
        self.look(StoreMessage::Beside, check::check).await
    }

    /// Writes all records to a file, as they are at one moment.
    ///
    /// # Errors
    /// As [`StoreHandle::stats`], and when the file is there or can't be written.
    pub async fn export(&self, path: PathBuf) -> Result<Exported, StoreError> {
        self.look(StoreMessage::Alone, move |disk| export::export(disk, &path)).await
    }

    /// Keeps everything a start needs, as it is at one moment, in a new folder.
    ///
    /// # Errors
    /// As [`StoreHandle::export`].
    pub async fn backup(&self, target: PathBuf, created_at: String) -> Result<BackedUp, StoreError> {
        let taken = self.look(StoreMessage::Alone, move |disk| backup::take(disk, &target)).await?;
        self.look(StoreMessage::Beside, move |_| backup::finish(&taken, created_at)).await
    }

    /// Answered when nothing waits for the disk any more.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn settle(&self) -> Result<(), StoreError> {
        self.address.call(StoreMessage::Settle, PATIENCE).await.map_err(unreachable_store)
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
