//! The engine without a disk, for tests of what builds on the store.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::engine::{Engine, Pair, Size};
use super::error::StoreError;
use super::op::Op;

/// An ordered map behind a lock.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    map: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    batches: AtomicU64,
}

impl MemoryEngine {
    fn map(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for MemoryEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.map().get(key).cloned())
    }

    fn scan_prefix(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, StoreError> {
        let start = after.map_or(Bound::Included(prefix), Bound::Excluded);
        Ok(self
            .map()
            .range::<[u8], _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn batch(&self, ops: &[Op]) -> Result<(), StoreError> {
        let mut map = self.map();
        for op in ops {
            match op {
                Op::Put { key, value } => map.insert(key.clone(), value.clone()),
                Op::Delete { key } => map.remove(key),
            };
        }
        self.batches.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn commit(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn check_place(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn seal(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn size(&self) -> Result<Size, StoreError> {
        let records = u64::try_from(self.map().len()).unwrap_or(u64::MAX);
        Ok(Size { records, batches: self.batches.load(Ordering::Relaxed), bytes_on_disk: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_engine_conforms() {
        super::super::engine::conformance::all(&MemoryEngine::default());
    }
}
