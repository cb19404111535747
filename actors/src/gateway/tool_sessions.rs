//! Sessions, as tools see them: the port that tools declare, over the handle of the sessions.
//!
//! Runs are built before the sessions they belong to have a handle, so the handle is put in when there is one.

use std::sync::OnceLock;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};

use crate::agents::event::Ending;
use crate::config::ConfigHandle;
use crate::ids::{AgentId, RunId, SessionKey};
use crate::providers::ProvidersHandle;
use crate::sessions::{SessionsHandle, Submission, SubmitAck};
use crate::store::records::{RunEnd, RunStatus};
use crate::store::rows::SessionRow;
use crate::tools::sessions_port::{
    PortError, SessionFacts, SessionMessageOut, SessionMessages, SessionStatus, SessionsPort, Taken,
};

/// The source of messages between sessions, in the ids of their runs.
const SOURCE: &str = "session";

/// See the module.
pub(super) struct ToolSessions {
    sessions: OnceLock<SessionsHandle>,
    config: ConfigHandle,
    providers: ProvidersHandle,
}

impl ToolSessions {
    pub(super) fn new(config: ConfigHandle, providers: ProvidersHandle) -> Self {
        Self { sessions: OnceLock::new(), config, providers }
    }

    /// Puts the handle in.
    pub(super) fn bind(&self, sessions: SessionsHandle) {
        // Bound once, where the tree is built.
        drop(self.sessions.set(sessions));
    }

    fn handle(&self) -> Result<SessionsHandle, PortError> {
        self.sessions.get().cloned().ok_or_else(|| PortError(String::from("the gateway is still starting")))
    }

    fn model_of(&self, agent: &AgentId) -> (String, u64) {
        let config = self.config.current();
        let choice = config.config.agents.model_of(agent);
        let catalog = self.providers.catalog();
        let named = choice.primary.as_ref().and_then(|name| catalog.find(name).ok());
        match named.or_else(|| catalog.default_model()) {
            Some(model) => (model.to_string(), catalog.resolve(&model).map_or(0, |info| info.context_window)),
            None => (String::from("none"), 0),
        }
    }
}

fn facts(key: String, row: SessionRow) -> SessionFacts {
    let spawned_by = row.rest.get("spawnedBy").and_then(|by| by.as_str()).map(str::to_owned);
    SessionFacts {
        key,
        session_id: row.session_id,
        label: row.label,
        channel: row.last_channel,
        updated_at: row.updated_at,
        last_interaction_at: row.last_interaction_at,
        provider: row.model_provider,
        model: row.model,
        context_tokens: row.total_tokens,
        input_tokens: row.input_tokens,
        output_tokens: row.output_tokens,
        aborted_last_run: row.aborted_last_run.unwrap_or(false),
        spawned_by,
    }
}

fn answer(end: RunEnd) -> Result<String, String> {
    match end.status {
        RunStatus::Ok => Ok(end.text),
        RunStatus::Error => Err(end.error.unwrap_or_else(|| String::from("it failed"))),
        RunStatus::Aborted => Err(String::from("it was aborted")),
    }
}

fn unavailable(error: impl std::fmt::Display) -> PortError {
    PortError(error.to_string())
}

impl SessionsPort for ToolSessions {
    fn list(
        &self,
        agent: AgentId,
        after: Option<SessionKey>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<SessionFacts>, PortError>> {
        let sessions = self.handle();
        async move {
            let rows = sessions?.rows(&agent, after.as_ref(), limit).await.map_err(unavailable)?;
            Ok(rows.into_iter().map(|(key, row)| facts(key, row)).collect())
        }
        .boxed()
    }

    fn status(&self, session: SessionKey) -> BoxFuture<'static, Result<Option<SessionStatus>, PortError>> {
        let sessions = self.handle();
        let (model, window) = self.model_of(&session.agent());
        async move {
            let sessions = sessions?;
            let Some(row) = sessions.row(&session).await.map_err(unavailable)? else { return Ok(None) };
            let history = sessions.history(&session, 0).await.map_err(unavailable)?;
            let active_run = history.active.map(|active| active.run.to_string());
            Ok(Some(SessionStatus { facts: facts(session.to_string(), row), active_run, model, window }))
        }
        .boxed()
    }

    fn history(&self, session: SessionKey, limit: usize) -> BoxFuture<'static, Result<SessionMessages, PortError>> {
        let sessions = self.handle();
        async move {
            let history = sessions?.history(&session, limit).await.map_err(unavailable)?;
            let messages = history.items.into_iter().map(|item| (item.id, item.message)).collect();
            Ok(SessionMessages { messages, total: history.total })
        }
        .boxed()
    }

    fn send(&self, message: SessionMessageOut) -> BoxFuture<'static, Result<Taken, PortError>> {
        let sessions = self.handle();
        async move {
            let SessionMessageOut { to, text, key, from_owner, mode } = message;
            let run = RunId::parse(&format!("{SOURCE}:{key}")).map_err(unavailable)?;
            let submission = Submission {
                run: run.clone(),
                source: SOURCE.to_owned(),
                event_id: key,
                text,
                route: None,
                model: None,
                owner: from_owner,
                sender: None,
                queue_mode: mode,
                priority: false,
                literal: true,
            };
            match sessions?.submit(&to, submission).await.map_err(unavailable)? {
                SubmitAck::Accepted | SubmitAck::InFlight => Ok(Taken::Accepted(run)),
                SubmitAck::Ended(end) => Ok(Taken::Ended(run, answer(*end))),
                SubmitAck::Stopped(_) => Ok(Taken::Ended(run, Err(String::from("it was taken for a stop command")))),
            }
        }
        .boxed()
    }

    fn wait(
        &self,
        session: SessionKey,
        run: RunId,
        patience: Duration,
    ) -> BoxFuture<'static, Option<Result<String, String>>> {
        let sessions = self.handle();
        async move {
            let Ending { end } = sessions.ok()?.wait_in(&session, &run, patience).await?;
            Some(answer(end))
        }
        .boxed()
    }
}
