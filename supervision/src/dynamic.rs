//! Supervisors whose children are started on demand and do not depend on each other.

use crate::child_spec::{AutoShutdown, ChildSpec, Intensity, Strategy, SupervisorSpec};
use crate::machine::Family;
use crate::path::ChildId;
use crate::supervisor::{Blueprint, SupervisorSlot};

/// The rules of a dynamic supervisor.
#[derive(Clone, Copy, Debug)]
pub struct DynamicOptions {
    /// At most this many children; one more is refused.
    pub max_children: Option<usize>,
    /// How many restarts are too many.
    pub intensity: Intensity,
    /// Whether it ends with its significant children.
    pub auto_shutdown: AutoShutdown,
}

impl Default for DynamicOptions {
    /// No limit of children; 100 restarts in 10 s.
    fn default() -> Self {
        Self {
            max_children: None,
            intensity: Intensity { max_restarts: 100, period: std::time::Duration::from_secs(10) },
            auto_shutdown: AutoShutdown::Never,
        }
    }
}

impl ChildSpec {
    /// A supervisor that starts empty. Its children are started with
    /// [`SupervisorHandle::start_child`](crate::SupervisorHandle::start_child), restarted one by one and stopped all at
    /// once.
    pub fn dynamic(id: impl Into<ChildId>, kind: &'static str, slot: &SupervisorSlot, options: DynamicOptions) -> Self {
        Self::supervising(id.into(), kind, slot, move |_| Ok(options.blueprint(Family::Dynamic)))
    }
}

impl DynamicOptions {
    pub(crate) fn blueprint(&self, family: Family) -> Blueprint {
        Blueprint {
            spec: SupervisorSpec {
                strategy: Strategy::OneForOne,
                intensity: self.intensity,
                auto_shutdown: self.auto_shutdown,
                ..SupervisorSpec::default()
            },
            family,
            max_children: self.max_children,
        }
    }
}
