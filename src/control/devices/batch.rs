//! Changes on their way to the store: one save at a time, all that came meanwhile in the next.

use std::collections::BTreeSet;
use std::fmt;

use crate::control::auth::{Change, DeviceRegistry};

/// What happens once the changes before it are durable.
pub(super) type Then = Box<dyn FnOnce() + Send>;

/// Devices whose records wait for the store, and who waits for them.
#[derive(Default)]
pub(super) struct Batch {
    touched: BTreeSet<String>,
    waiting: Vec<Then>,
    /// Who waits for the save that runs.
    in_hand: Option<Vec<Then>>,
}

impl Batch {
    /// Notes what was changed. `then` runs once it is durable: at once when it need not be.
    pub(super) fn add(&mut self, changes: &[Change], then: Then) {
        let must_wait = changes.iter().any(Change::must_be_durable);
        self.touched.extend(changes.iter().filter_map(device_of).map(str::to_owned));
        if must_wait {
            self.waiting.push(then);
        } else {
            then();
        }
    }

    /// What to save now: each touched record as it is by now, so that the order of changes can't matter. `None` while
    /// a save runs or nothing waits.
    pub(super) fn take(&mut self, registry: &DeviceRegistry) -> Option<Vec<Change>> {
        if self.in_hand.is_some() || self.touched.is_empty() {
            return None;
        }
        self.in_hand = Some(std::mem::take(&mut self.waiting));
        let touched = std::mem::take(&mut self.touched);
        let changes = touched.into_iter().map(|device_id| match registry.device(&device_id) {
            Some(record) => Change::Put(Box::new(record.clone())),
            None => Change::Remove(device_id),
        });
        Some(changes.collect())
    }

    /// The save is done.
    pub(super) fn saved(&mut self) {
        for then in self.in_hand.take().into_iter().flatten() {
            then();
        }
    }
}

/// The device whose record is to be kept. Waiting requests live in memory only: a device asks again.
fn device_of(change: &Change) -> Option<&str> {
    match change {
        Change::Put(device) => Some(&device.device_id),
        Change::Remove(device_id) | Change::Seen { device_id, .. } => Some(device_id),
        Change::PutPending(_) | Change::DropPending(_) => None,
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("touched", &self.touched.len()).field("waiting", &self.waiting.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn count(done: &AtomicUsize) {
        done.fetch_add(1, Ordering::SeqCst);
    }

    #[test]
    fn an_answer_waits_for_the_save_that_holds_its_change() {
        let done = Arc::new(AtomicUsize::new(0));
        let then = || {
            let done = Arc::clone(&done);
            Box::new(move || count(&done)) as Then
        };
        let remove = [Change::Remove("d".to_owned())];
        let registry = DeviceRegistry::default();
        let mut batch = Batch::default();
        batch.add(&remove, then());
        assert_eq!(batch.take(&registry).unwrap(), remove);
        batch.add(&remove, then());
        batch.add(&remove, then());
        assert!(batch.take(&registry).is_none());
        assert_eq!(done.load(Ordering::SeqCst), 0);
        batch.saved();
        assert_eq!(done.load(Ordering::SeqCst), 1);
        assert_eq!(batch.take(&registry).unwrap(), remove);
        batch.saved();
        assert_eq!(done.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn what_need_not_be_durable_does_not_wait() {
        let mut batch = Batch::default();
        let done = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&done);
        let changes = [Change::DropPending("r".to_owned())];
        batch.add(&changes, Box::new(move || count(&counter)));
        assert_eq!(done.load(Ordering::SeqCst), 1);
        assert!(batch.take(&DeviceRegistry::default()).is_none());
    }
}
