//! Changes of the registry, and the port that keeps them.

use actors::clock::EpochMs;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::records::{DeviceRecord, PendingPairing};

/// One change of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A device was paired or its record changed. To be durable before anybody hears of it.
    Put(Box<DeviceRecord>),
    /// A device is no longer paired. To be durable before anybody hears of it.
    Remove(String),
    /// A device was here. Need not be waited for.
    Seen {
        /// Which device.
        device_id: String,
        /// When.
        at_ms: EpochMs,
        /// `connect` or `device-token-auth`.
        reason: String,
    },
    /// A device waits for approval. Need not survive a restart: it asks again.
    PutPending(Box<PendingPairing>),
    /// A request was decided or gave way.
    DropPending(String),
}

impl Change {
    /// True when an answer must wait until this is durable.
    #[must_use]
    pub fn must_be_durable(&self) -> bool {
        match self {
            Self::Put(_) | Self::Remove(_) => true,
            Self::Seen { .. } | Self::PutPending(_) | Self::DropPending(_) => false,
        }
    }
}

/// The store refused.
#[derive(Debug, thiserror::Error)]
#[error("device records could not be kept")]
pub struct DeviceStoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Where device records are kept; filled in by the daemon.
pub trait DeviceStore: Send + Sync {
    /// Reads all records.
    fn load(&self) -> BoxFuture<'_, Result<Vec<DeviceRecord>, DeviceStoreError>>;
    /// Keeps changes; those that [`must be durable`](Change::must_be_durable) are when this resolves.
    fn save(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<(), DeviceStoreError>>;
}
