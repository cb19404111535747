//! What the store remembers of credentials. Never a key.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::auth_profiles::{ProfileKey, ProfileStore, ProfileStoreError, UsageStats};
use crate::store::{StoreError, StoreHandle, keys};

/// Usage of credentials, in the store.
#[derive(Debug, Clone)]
pub struct StoredProfiles(pub StoreHandle);

fn key_of(key: &ProfileKey) -> Vec<u8> {
    keys::named(keys::PROFILE, &key.to_string())
}

fn failed(error: StoreError) -> ProfileStoreError {
    ProfileStoreError(error.into())
}

impl ProfileStore for StoredProfiles {
    fn load(&self, key: &ProfileKey) -> BoxFuture<'static, Result<Option<UsageStats>, ProfileStoreError>> {
        let (store, key) = (self.0.clone(), key_of(key));
        async move { store.get(key).await.map_err(failed) }.boxed()
    }

    fn save(&self, key: &ProfileKey, stats: &UsageStats) -> BoxFuture<'static, Result<(), ProfileStoreError>> {
        let (store, key, stats) = (self.0.clone(), key_of(key), stats.clone());
        async move { store.put(key, &stats).await.map_err(failed) }.boxed()
    }
}
