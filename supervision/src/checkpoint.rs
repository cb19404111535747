//! Soft state an incarnation leaves to the next one.
//!
//! For what is expensive to rebuild and may be lost. It is dropped when the child is deleted or fails fatally.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::panics::bury;

type Stored = Option<Arc<dyn Any + Send + Sync>>;

/// A place for one value that survives a restart. Cheap to clone; clones share the place.
#[derive(Clone, Default)]
pub struct Checkpoint(Arc<Place>);

#[derive(Default)]
struct Place(Mutex<Stored>);

impl Drop for Place {
    /// Maybe in a supervisor's hands, which a panic must not harm.
    fn drop(&mut self) {
        bury(self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Checkpoint {
    /// Replaces what is stored.
    pub fn put<T: Any + Send + Sync>(&self, value: Arc<T>) {
        let old = self.lock().replace(value);
        bury(old);
    }

    /// What was stored last, if it is a `T`.
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.lock().clone().and_then(|value| value.downcast::<T>().ok())
    }

    /// Drops what is stored.
    pub fn clear(&self) {
        let old = self.lock().take();
        bury(old);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Stored> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint").field("filled", &self.lock().is_some()).finish()
    }
}
