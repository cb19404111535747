//! Records of credentials' use that are kept in memory and can be made to fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use crate::auth_profiles::{ProfileKey, ProfileStore, ProfileStoreError, UsageStats};

/// A store in memory. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryProfiles(Arc<Mutex<Records>>);

#[derive(Debug, Default)]
struct Records {
    stats: BTreeMap<ProfileKey, UsageStats>,
    saves: usize,
    failing: bool,
}

impl MemoryProfiles {
    /// Makes reads and writes fail, or no longer.
    pub fn fail(&self, failing: bool) {
        self.with(|records| records.failing = failing);
    }

    /// What is kept of a credential.
    #[must_use]
    pub fn get(&self, key: &ProfileKey) -> Option<UsageStats> {
        self.with(|records| records.stats.get(key).cloned())
    }

    /// Writes so far.
    #[must_use]
    pub fn saves(&self) -> usize {
        self.with(|records| records.saves)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Records) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn failure() -> ProfileStoreError {
    ProfileStoreError("told to fail".into())
}

impl ProfileStore for MemoryProfiles {
    fn load(&self, key: &ProfileKey) -> BoxFuture<'static, Result<Option<UsageStats>, ProfileStoreError>> {
        let found =
            self.with(|records| if records.failing { Err(failure()) } else { Ok(records.stats.get(key).cloned()) });
        ready(found).boxed()
    }

    fn save(&self, key: &ProfileKey, stats: &UsageStats) -> BoxFuture<'static, Result<(), ProfileStoreError>> {
        let saved = self.with(|records| {
            if records.failing {
                return Err(failure());
            }
            records.saves += 1;
            records.stats.insert(key.clone(), stats.clone());
            Ok(())
        });
        ready(saved).boxed()
    }
}
