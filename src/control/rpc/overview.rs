//! The newest sessions of an agent, for those who show them at a glance.

use actors::ids::{AgentId, SessionKey};
use actors::store::transcripts;

use crate::control::services::Services;
use crate::protocol::methods::health::{RecentSession, SessionsHealth};

/// Rows read at a time.
const PAGE: usize = 1000;
/// Rows looked at; more than these are counted no further, for this is a glance.
const MOST: usize = 10_000;

/// The `limit` newest sessions of an agent, and how many there are. Empty while the store does not answer: that is told
/// by its own state, not here.
pub(super) async fn recent(services: &Services, agent: &AgentId, limit: usize) -> SessionsHealth {
    let now = services.clock.now_ms();
    let path = transcripts::folder(&services.domain.state_dir, agent).join("sessions.json");
    let mut count = 0;
    let mut newest: Vec<RecentSession> = Vec::new();
    let mut after: Option<SessionKey> = None;
    while count < MOST {
        let Ok(page) = services.domain.sessions.rows(agent, after.as_ref(), PAGE).await else { break };
        let Some((last, _)) = page.last() else { break };
        after = SessionKey::parse(last, agent).ok();
        count += page.len();
        let is_last = page.len() < PAGE || after.is_none();
        newest.extend(page.into_iter().map(|(key, row)| RecentSession {
            key,
            updated_at: row.updated_at,
            age: now.saturating_sub(row.updated_at),
        }));
        newest.sort_by_key(|session| std::cmp::Reverse(session.updated_at));
        newest.truncate(limit);
        if is_last {
            break;
        }
    }
    SessionsHealth { path: path.display().to_string(), count: u64::try_from(count).unwrap_or(u64::MAX), recent: newest }
}
