//! Which sessions have a run at work, for lists: asking each session would wake them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ids::{RunId, SessionKey};

/// The runs at work, by session. Each session writes only what is its own.
#[derive(Clone, Default)]
pub struct Working(Arc<Mutex<HashMap<SessionKey, RunId>>>);

impl std::fmt::Debug for Working {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Working({})", self.lock().len())
    }
}

impl Working {
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionKey, RunId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, session: &SessionKey, run: &RunId) {
        self.lock().insert(session.clone(), run.clone());
    }

    pub(super) fn clear(&self, session: &SessionKey) {
        self.lock().remove(session);
    }

    /// The run of a session, if one is at work.
    #[must_use]
    pub fn run_of(&self, session: &SessionKey) -> Option<RunId> {
        self.lock().get(session).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AgentId;

    #[test]
    fn a_run_is_at_work_until_it_is_cleared() {
        let (working, session) = (Working::default(), SessionKey::main(&AgentId::normalised("main")));
        working.set(&session, &RunId::parse("r").unwrap());
        assert_eq!(working.run_of(&session).unwrap().as_str(), "r");
        working.clear(&session);
        assert_eq!(working.run_of(&session), None);
    }
}
