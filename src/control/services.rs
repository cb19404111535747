//! What the gateway is made of, as the control plane reaches it.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actors::clock::{Clock, EpochMs};
use actors::config::{self, Bind, Config, ConfigSnapshot};
use actors::gateway::domain::Domain;
use actors::secret::Secret;
use supervision::TreeStore;

use super::auth::credentials::{AuthConfig, AuthMode};
use super::auth::{RateLimits, WriteBudget};
use super::broadcast::BroadcastHandle;
use super::devices::DevicesHandle;
use super::load::RuntimeLoad;
use super::readiness::Readiness;
use super::rpc::{agents, config as config_rpc};
use super::settings::ControlSettings;
use crate::protocol::hello::Snapshot;

/// Everything a handler may ask. Made once, before the tree starts; handles inside outlive restarts.
pub struct Services {
    /// What the gateway does: configuration, store, sessions, models, channels.
    pub domain: Domain,
    /// The running tree.
    pub tree: TreeStore,
    /// The clock of the gateway.
    pub clock: Clock,
    /// Changes with every start.
    pub boot_id: String,
    /// The gateway's version.
    pub version: String,
    /// The machine's name.
    pub host: String,
    /// Whether work is taken.
    pub readiness: Readiness,
    /// How busy the runtime is.
    pub load: RuntimeLoad,
    /// Speaks to all clients.
    pub broadcast: BroadcastHandle,
    /// Who is paired and who may come in.
    pub devices: DevicesHandle,
    /// Numbers of the control plane.
    pub settings: Arc<ControlSettings>,
    /// The log file of now, one JSON object per line; `None` when there is none.
    pub log_file: Box<dyn Fn() -> Option<PathBuf> + Send + Sync>,
    /// Control-plane writes so far.
    pub writes: Writes,
    /// The token made at the first start, in force while the configuration names none.
    pub generated: Option<Secret>,
}

impl Services {
    /// Who is let in under this configuration.
    pub(crate) fn sign_in(&self, snapshot: &ConfigSnapshot) -> AuthConfig {
        auth_config(&snapshot.config, self.generated.as_ref())
    }

    /// Fills in what depends on the configuration; secrets of the set-up go to administrators only.
    pub(crate) fn complete_snapshot(&self, snapshot: &mut Snapshot, is_admin: bool) {
        let current = self.domain.config.current();
        snapshot.applied_config_hash = Some(config_rpc::revision(&current));
        snapshot.session_defaults = Some(agents::session_defaults(self));
        if is_admin {
            snapshot.config_path = Some(current.path.display().to_string());
            snapshot.state_dir = Some(self.domain.state_dir.display().to_string());
            snapshot.auth_mode = Some(self.sign_in(&current).mode.as_str().to_owned());
        }
    }
}

impl Services {
    /// What keeps the gateway from taking work, by name, each with words for an operator where there are any.
    pub(crate) fn failing(&self) -> Vec<(String, Option<String>)> {
        let full = self.domain.store.check_room().err().map(|full| (String::from("store"), Some(full.to_string())));
        self.readiness.failing().into_iter().map(|name| (name, None)).chain(full).collect()
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").field("boot_id", &self.boot_id).finish_non_exhaustive()
    }
}

/// Who is let in, as the configuration says. Asked anew for each connection.
#[must_use]
pub fn auth_config(config: &Config, generated: Option<&Secret>) -> AuthConfig {
    let gateway = &config.gateway;
    let configured = gateway.auth.mode.map(|mode| match mode {
        config::AuthMode::None => AuthMode::None,
        config::AuthMode::Token => AuthMode::Token,
        config::AuthMode::Password => AuthMode::Password,
        config::AuthMode::TrustedProxy => AuthMode::TrustedProxy,
    });
    let mut mode = AuthMode::effective(configured, gateway.auth.password.is_some());
    // Nobody else's machine may come in without a proof, whatever the file says.
    if mode == AuthMode::None && !is_loopback(gateway.bind) {
        mode = AuthMode::Token;
    }
    let limits = &gateway.auth.rate_limit;
    AuthConfig {
        mode,
        token: gateway.auth.token.clone().or_else(|| generated.cloned()),
        password: gateway.auth.password.clone(),
        allowed_origins: gateway.control_ui.allowed_origins.clone(),
        host_header_origin_fallback: gateway.control_ui.dangerously_allow_host_header_origin_fallback,
        silent_pairing: gateway.nodes_auto_approve_local,
        rate: RateLimits {
            max_attempts: usize::try_from(limits.max_attempts).unwrap_or(usize::MAX),
            window: limits.window,
            lockout: limits.lockout,
            exempt_loopback: limits.exempt_loopback,
        },
    }
}

fn is_loopback(bind: Bind) -> bool {
    bind.is_loopback()
}

/// The budget of control-plane writes, shared by all connections.
#[derive(Debug, Default)]
pub struct Writes(Mutex<WriteBudget>);

impl Writes {
    /// Takes one write of `method` by `who`.
    ///
    /// # Errors
    /// How long to wait when the budget is spent.
    pub fn take(&self, method: &str, who: &str, now: EpochMs) -> Result<(), Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(method, who, now)
    }
}
