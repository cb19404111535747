//! Ports of the control plane, filled in: device records over the store, events over the broadcast, the sign-in rules
//! of the configuration.

use std::sync::Arc;

use actors::agents::{EventSink, GatewayEvent};
use actors::config::{AuthMode as Configured, Config, ConfigHandle};
use actors::secret::Secret;
use actors::store::{Commit, StoreError, StoreHandle, keys, value};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::control::auth::{AuthConfig, Change, DeviceRecord, DeviceStore, DeviceStoreError};
use crate::control::rpc::run_events;
use crate::control::services::auth_config;
use crate::control::{BroadcastHandle, Outgoing};

/// Most devices read at start.
const MAX_DEVICES: usize = 10_000;

/// Device records in the store.
#[derive(Debug, Clone)]
pub struct StoredDevices(pub StoreHandle);

fn failed(error: StoreError) -> DeviceStoreError {
    DeviceStoreError(Box::new(error))
}

impl StoredDevices {
    async fn apply(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut commit = Commit::new();
        for change in changes {
            commit = match change {
                Change::Put(record) => {
                    commit.put(keys::named(keys::DEVICE, &record.device_id), value::encode(&*record)?)
                }
                Change::Remove(device) => commit.delete(keys::named(keys::DEVICE, &device)),
                Change::Seen { device_id, at_ms, reason } => {
                    let key = keys::named(keys::DEVICE, &device_id);
                    match self.0.get::<DeviceRecord>(key.clone()).await? {
                        Some(record) => {
                            let seen =
                                DeviceRecord { last_seen_at_ms: Some(at_ms), last_seen_reason: Some(reason), ..record };
                            commit.put(key, value::encode(&seen)?)
                        }
                        None => commit,
                    }
                }
                // A device that waits asks again after a restart.
                Change::PutPending(_) | Change::DropPending(_) => commit,
            };
        }
        if commit.ops.is_empty() { Ok(()) } else { self.0.commit(commit).await.map(drop) }
    }
}

impl DeviceStore for StoredDevices {
    fn load(&self) -> BoxFuture<'_, Result<Vec<DeviceRecord>, DeviceStoreError>> {
        async move {
            let found: Vec<(Vec<u8>, DeviceRecord)> =
                self.0.scan(keys::DEVICE.into(), None, MAX_DEVICES).await.map_err(failed)?;
            Ok(found.into_iter().map(|(_, record)| record).collect())
        }
        .boxed()
    }

    fn save(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<(), DeviceStoreError>> {
        async move { self.apply(changes).await.map_err(failed) }.boxed()
    }
}

/// Runs and sessions, told to clients.
#[derive(Clone)]
pub struct ClientEvents(pub BroadcastHandle);

impl std::fmt::Debug for ClientEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientEvents")
    }
}

impl EventSink for ClientEvents {
    fn publish(&self, event: GatewayEvent) {
        let session = match &event {
            GatewayEvent::Run(event) => event.session.to_string(),
            GatewayEvent::SessionChanged { session, .. } => session.to_string(),
        };
        for frame in run_events::frames(&event) {
            let outgoing = Outgoing::new(frame.event, frame.payload).about(session.clone());
            self.0.publish(if frame.drop_if_slow { outgoing.droppable() } else { outgoing });
        }
    }
}

/// Who may sign in, by the configuration of now; `generated` is the token made at the first start.
#[must_use]
pub fn sign_in(config: &ConfigHandle, generated: Option<Secret>) -> Arc<dyn Fn() -> AuthConfig + Send + Sync> {
    let config = config.clone();
    Arc::new(move || auth_config(&config.current().config, generated.as_ref()))
}

/// True when the first start has to make a token.
#[must_use]
pub fn needs_token(config: &Config) -> bool {
    let auth = &config.gateway.auth;
    match auth.mode {
        Some(Configured::None | Configured::Password | Configured::TrustedProxy) => false,
        Some(Configured::Token) => auth.token.is_none(),
        None => auth.token.is_none() && auth.password.is_none(),
    }
}
