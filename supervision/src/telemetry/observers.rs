//! Who is told of events, at once and one by one.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::panics::catch;
use crate::telemetry::event::TelemetryEvent;

type Observer = Arc<dyn Fn(&TelemetryEvent) + Send + Sync>;

/// Those who want to be told. Only ever grows: an observer belongs to the tree.
#[derive(Default)]
pub(crate) struct Observers(ArcSwap<Vec<Observer>>);

impl Observers {
    pub(crate) fn add(&self, observer: Observer) {
        self.0.rcu(|all| {
            let mut all = Vec::clone(all);
            all.push(Arc::clone(&observer));
            all
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }

    /// Makes the event only if somebody wants it. An observer that panics is logged, and the next one is told.
    pub(crate) fn tell(&self, event: impl FnOnce() -> TelemetryEvent) {
        let all = self.0.load();
        if all.is_empty() {
            return;
        }
        let event = event();
        for observer in all.iter() {
            if let Err(panic) = catch(|| observer(&event)) {
                tracing::error!(target: "supervision", event = event.name(), %panic, "an observer panicked");
            }
        }
    }
}
