//! How the rest of the program talks to sessions.

use std::time::Duration;

use supervision::{CallError, DirectoryError};

use super::accept::{Submission, SubmitAck, SubmitError};
use super::directory::Sessions;
use super::history::History;
use super::session::{MAX_WAITING, SessionMessage};
use crate::agents::event::Ending;
use crate::ids::{AgentId, RunId, SessionKey};
use crate::store::records::DedupeRecord;
use crate::store::rows::{self, SessionRow};
use crate::store::{StoreError, StoreHandle, keys};

/// Longest wait for an acceptance: activation, one flush, a slow disk.
const PATIENCE: Duration = Duration::from_secs(30);
/// Tries of a submission whose session died over it. The same id makes a repeat harmless.
const TRIES: u32 = 3;
/// Pause before a session that died is asked again, growing.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A cheap handle.
#[derive(Clone)]
pub struct SessionsHandle {
    sessions: Sessions,
}

impl std::fmt::Debug for SessionsHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionsHandle")
    }
}

impl SessionsHandle {
    pub(super) fn new(sessions: Sessions) -> Self {
        Self { sessions }
    }

    fn store(&self) -> &StoreHandle {
        &self.sessions.services().store
    }

    /// Hands input to a session. When it returns `Accepted`, the input is on disk and will be run.
    ///
    /// # Errors
    /// When the input was refused; nothing was kept then, except with [`SubmitError::Unavailable`].
    pub async fn submit(&self, session: &SessionKey, submission: Submission) -> Result<SubmitAck, SubmitError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut crashes = 0;
        loop {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let input = submission.clone();
            let asked = self
                .sessions
                .call(session, move |reply| SessionMessage::Submit { submission: input.clone(), reply }, left)
                .await;
            match asked {
                Ok(Ok(SubmitAck::InFlight)) if crashes > 0 => return Ok(SubmitAck::Accepted),
                Ok(answer) => return answer,
                Err(DirectoryError::Call(CallError::Crashed | CallError::NoProc)) if crashes < TRIES => crashes += 1,
                Err(DirectoryError::BackingOff(wait)) if wait < left => tokio::time::sleep(wait).await,
                Err(DirectoryError::Busy) => return Err(SubmitError::Full(MAX_WAITING)),
                Err(_) => return Err(SubmitError::Unavailable),
            }
        }
    }

    /// The daemon goes down: sessions take no new input and start nothing any more. What waits is run at the next start.
    pub fn close(&self) {
        self.sessions.services().closing.cancel();
    }

    /// True from then on.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sessions.services().closing.is_cancelled()
    }

    /// The run of a session, if one is at work. Wakes nobody.
    #[must_use]
    pub fn run_of(&self, session: &SessionKey) -> Option<RunId> {
        self.sessions.services().working.run_of(session)
    }

    /// Aborts one run, or everything of a session. Gives the runs that were aborted.
    pub async fn abort(&self, session: &SessionKey, run: Option<RunId>, reason: &'static str) -> Vec<RunId> {
        if !self.sessions.is_live(session) {
            return Vec::new();
        }
        let build = move |reply| SessionMessage::Abort { run: run.clone(), reason, reply };
        self.sessions.call(session, build, PATIENCE).await.unwrap_or_default()
    }

    /// Starts a new conversation under the key.
    ///
    /// # Errors
    /// When the session does not answer.
    pub async fn reset(&self, session: &SessionKey, reason: &'static str) -> Result<SessionRow, SubmitError> {
        self.sessions
            .call(session, move |reply| SessionMessage::Reset { reason, reply }, PATIENCE)
            .await
            .map_err(|_| SubmitError::Unavailable)
    }

    /// The newest `limit` messages. A session that does not exist is not made: its history is empty.
    ///
    /// # Errors
    /// When the transcript can't be read.
    pub async fn history(&self, session: &SessionKey, limit: usize) -> Result<History, StoreError> {
        if !self.sessions.is_live(session) && self.row(session).await?.is_none() {
            return Ok(History::default());
        }
        self.sessions
            .call(session, move |reply| SessionMessage::History { limit, reply }, PATIENCE)
            .await
            .map_err(|_| StoreError::Unavailable)?
    }

    /// Waits for the end of a run. `None`: unknown, or not ended in time.
    pub async fn wait(&self, run: &RunId, patience: Duration) -> Option<Ending> {
        let known: Option<DedupeRecord> =
            self.store().get(keys::named(keys::DEDUPE, &format!("rpc/{run}"))).await.ok().flatten();
        let Some(known) = known else {
            tokio::time::sleep(patience).await;
            return None;
        };
        let session = SessionKey::parse(&known.session, &AgentId::normalised("main")).ok()?;
        self.wait_in(&session, run, patience).await
    }

    /// As [`SessionsHandle::wait`], for a run of a known session.
    pub async fn wait_in(&self, session: &SessionKey, run: &RunId, patience: Duration) -> Option<Ending> {
        let deadline = tokio::time::Instant::now() + patience;
        let mut pause = FIRST_PAUSE;
        loop {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let run = run.clone();
            let build = move |reply| SessionMessage::Wait { run: run.clone(), reply };
            match self.sessions.call(session, build, left).await {
                Ok(ending) => return Some(ending),
                Err(DirectoryError::Call(CallError::Timeout | CallError::Expired)) => return None,
                Err(_) if left.is_zero() => return None,
                // The session died, has its hands full or can't start now; one that comes up knows the run.
                Err(_) => tokio::time::sleep(pause.min(left)).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// What is known of a run without waiting.
    pub async fn status(&self, session: &SessionKey, run: &RunId) -> Option<SubmitAck> {
        if !self.sessions.is_live(session) {
            return None;
        }
        let run = run.clone();
        let build = move |reply| SessionMessage::Status { run: run.clone(), reply };
        self.sessions.call(session, build, PATIENCE).await.ok().flatten()
    }

    /// The row of a session.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn row(&self, session: &SessionKey) -> Result<Option<SessionRow>, StoreError> {
        self.store().get(rows::key(&session.agent(), session.as_str())).await
    }

    /// Rows of an agent in key order, `limit` of them behind `after`.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn rows(
        &self,
        agent: &AgentId,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Result<Vec<(String, SessionRow)>, StoreError> {
        let after = after.map(|session| rows::key(agent, session.as_str()));
        let found: Vec<(Vec<u8>, SessionRow)> = self.store().scan(rows::folder(agent), after, limit).await?;
        Ok(found
            .into_iter()
            .filter_map(|(key, row)| rows::session_of(&key).map(|session| (session.to_owned(), row)))
            .collect())
    }

    /// Activates a session, so that it goes on with what it has open.
    pub async fn ensure(&self, session: &SessionKey) {
        self.sessions.ensure(session).await;
    }

    /// The sessions that have an actor.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }
}
