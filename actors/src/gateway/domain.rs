//! The handles of everything in the tree, for whoever stands outside it: the control plane, the daemon, tests.

use std::path::PathBuf;

use super::lifecycle::LifecycleHandle;
use crate::auth_profiles::AuthProfilesHandle;
use crate::channels::handle::ChannelsHandle;
use crate::config::ConfigHandle;
use crate::delivery::handle::DeliveryHandle;
use crate::ids::AgentId;
use crate::providers::ProvidersHandle;
use crate::sessions::SessionsHandle;
use crate::store::StoreHandle;

/// Handles that outlive restarts of what they lead to.
#[derive(Debug, Clone)]
pub struct Domain {
    /// The state directory.
    pub state_dir: PathBuf,
    /// Configuration.
    pub config: ConfigHandle,
    /// The store.
    pub store: StoreHandle,
    /// Sessions.
    pub sessions: SessionsHandle,
    /// Models.
    pub providers: ProvidersHandle,
    /// Credentials.
    pub auth: AuthProfilesHandle,
    /// Channel accounts.
    pub channels: ChannelsHandle,
    /// Lanes of channel accounts.
    pub delivery: DeliveryHandle,
    /// Where the daemon stands.
    pub lifecycle: LifecycleHandle,
}

impl Domain {
    /// Provider, model and context window that an agent uses unless told otherwise.
    #[must_use]
    pub fn model_of(&self, agent: &AgentId) -> (String, String, u64) {
        let config = self.config.current();
        let agents = &config.config.agents;
        let own = agents.entries.iter().find(|entry| entry.id == *agent).and_then(|entry| entry.model.as_ref());
        let choice = own.unwrap_or(&agents.defaults.model);
        let catalog = self.providers.catalog();
        let model =
            choice.primary.as_ref().and_then(|name| catalog.find(name).ok()).or_else(|| catalog.default_model());
        match model {
            Some(model) => {
                let window = catalog.resolve(&model).map_or(0, |info| info.context_window);
                (model.provider, model.model, window)
            }
            None => (String::new(), String::new(), 0),
        }
    }
}
