//! What the credentials need from outside: a place that remembers how each was used.

use futures_util::future::BoxFuture;
use supervision::BoxError;

use super::cooldown::UsageStats;
use super::profile::ProfileKey;

/// Why something could not be remembered.
#[derive(Debug, thiserror::Error)]
#[error("the record of a credential's use can't be kept")]
pub struct ProfileStoreError(#[source] pub BoxError);

/// Remembers the use of credentials. Never sees a key.
pub trait ProfileStore: Send + Sync + 'static {
    /// What is remembered of a credential.
    fn load(&self, key: &ProfileKey) -> BoxFuture<'static, Result<Option<UsageStats>, ProfileStoreError>>;

    /// Replaces it. Durable when the future resolves.
    fn save(&self, key: &ProfileKey, stats: &UsageStats) -> BoxFuture<'static, Result<(), ProfileStoreError>>;
}
