//! Several dynamic supervisors side by side, picked by the hash of a key, so that one meltdown takes out one part only.

use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::{Arc, OnceLock};

use crate::child_spec::{ChildSpec, SupervisorSpec};
use crate::dynamic::DynamicOptions;
use crate::path::ChildId;
use crate::supervisor::{SupervisorHandle, SupervisorSlot};

/// Made before its supervisors; [`ChildSpec::partitioned`] fills it. Cheap to clone.
#[derive(Clone, Default)]
pub struct PartitionSlot(Arc<OnceLock<Box<[SupervisorSlot]>>>);

impl PartitionSlot {
    /// An empty slot.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The supervisor responsible for `key`; always the same one. `None` before the spec was made.
    #[must_use]
    pub fn handle_for(&self, key: &impl Hash) -> Option<SupervisorHandle> {
        let parts = self.0.get()?;
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        let at = usize::try_from(hash % parts.len() as u64).unwrap_or(0);
        parts.get(at).map(SupervisorSlot::handle)
    }

    /// All the supervisors.
    pub fn handles(&self) -> impl Iterator<Item = SupervisorHandle> + '_ {
        self.0.get().into_iter().flatten().map(SupervisorSlot::handle)
    }
}

impl fmt::Debug for PartitionSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionSlot").field("parts", &self.0.get().map_or(0, |parts| parts.len())).finish()
    }
}

impl ChildSpec {
    /// `n` dynamic supervisors named `0` to `n - 1` under one. A slot takes its number of parts from the first spec
    /// made with it.
    pub fn partitioned(
        id: impl Into<ChildId>,
        kind: &'static str,
        slot: &PartitionSlot,
        n: usize,
        options: DynamicOptions,
    ) -> Self {
        let own = SupervisorSlot::new();
        let parts = slot.clone();
        parts.0.get_or_init(|| (0..n.max(1)).map(|_| SupervisorSlot::new()).collect());
        Self::supervisor(id, kind, &own, move || {
            let children = parts.0.get().into_iter().flatten().enumerate();
            SupervisorSpec {
                intensity: options.intensity,
                children: children
                    .map(|(at, part)| Self::dynamic(at.to_string(), "partition", part, options))
                    .collect(),
                ..SupervisorSpec::default()
            }
        })
    }
}
