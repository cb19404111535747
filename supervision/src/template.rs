//! Supervisors whose children are all made from one template and known by their actors alone (OTP's
//! `simple_one_for_one`).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use crate::child_spec::{ChildSpec, Restart};
use crate::dynamic::DynamicOptions;
use crate::incarnation::Started;
use crate::machine::{AdminError, Family};
use crate::panics::Quiet;
use crate::path::ChildId;
use crate::supervisor::{SupervisorHandle, SupervisorSlot};

type MakeSpec<K> = dyn Fn(&K, ChildId) -> ChildSpec + Send + Sync;

struct Inner<K> {
    supervisor: SupervisorSlot,
    /// What makes a child's spec from its argument and the id it is to have.
    make: ArcSwapOption<Box<MakeSpec<K>>>,
    next: AtomicU64,
}

impl<K> Inner<K> {
    fn make(&self, argument: &K, id: &ChildId) -> Option<ChildSpec> {
        let make = self.make.load();
        let mut spec = make.as_ref()?(argument, id.clone());
        spec.id = id.clone();
        Some(spec)
    }
}

/// Made before its supervisor; [`ChildSpec::template`] fills it. Cheap to clone.
pub struct TemplateSlot<K>(Arc<Inner<K>>);

impl<K: Clone + Send + Sync + 'static> TemplateSlot<K> {
    /// An empty slot.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            supervisor: SupervisorSlot::new(),
            make: ArcSwapOption::empty(),
            next: AtomicU64::new(1),
        }))
    }

    /// A handle on whichever incarnation of the supervisor is live.
    #[must_use]
    pub fn handle(&self) -> TemplateHandle<K> {
        TemplateHandle(Arc::clone(&self.0))
    }
}

impl<K: Clone + Send + Sync + 'static> Default for TemplateSlot<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> Clone for TemplateSlot<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> fmt::Debug for TemplateSlot<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TemplateSlot").field(&self.0.supervisor).finish()
    }
}

/// Starts children from the template. Cheap to clone.
pub struct TemplateHandle<K>(Arc<Inner<K>>);

impl<K: Clone + Send + Sync + 'static> TemplateHandle<K> {
    /// Starts a child made from `argument`. The argument is kept to make it again, unless the child is temporary.
    ///
    /// # Errors
    /// If the start fails (nothing is kept then) or the supervisor will not take it.
    pub async fn start_child(&self, argument: K) -> Result<Started, AdminError> {
        let id = ChildId::from(self.0.next.fetch_add(1, Ordering::Relaxed).to_string());
        let mut spec = self.0.make(&argument, &id).ok_or(AdminError::NoProc)?;
        if spec.restart != Restart::Temporary {
            let inner = Arc::clone(&self.0);
            let (first, argument) = (spec.clone(), Quiet::new(argument));
            spec.remake = Some(Arc::new(move || inner.make(argument.get(), &id).unwrap_or_else(|| first.clone())));
        }
        self.0.supervisor.handle().start_child(spec).await
    }

    /// Replaces the template. Children that run stay up and follow the new one from their next start or exit on.
    ///
    /// # Errors
    /// If the supervisor is not running, or what the template makes of a running child's argument makes no sense;
    /// then the template is as before.
    pub async fn replace(
        &self,
        make: impl Fn(&K, ChildId) -> ChildSpec + Send + Sync + 'static,
    ) -> Result<(), AdminError> {
        let old = self.0.make.swap(Some(Arc::new(Box::new(make))));
        let outcome = self.0.supervisor.handle().remake().await;
        if outcome.is_err() {
            self.0.make.store(old);
        }
        outcome
    }

    /// The supervisor itself: to list, count and stop its children by their actors. It refuses ids.
    #[must_use]
    pub fn supervisor(&self) -> SupervisorHandle {
        self.0.supervisor.handle()
    }
}

impl<K> Clone for TemplateHandle<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> fmt::Debug for TemplateHandle<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TemplateHandle").field(&self.0.supervisor).finish()
    }
}

impl ChildSpec {
    /// A supervisor that starts empty and makes each child from an argument. `make` is given the id the child is to
    /// have, which is no more than its name in the tree: children are stopped by their actors.
    pub fn template<K: Clone + Send + Sync + 'static>(
        id: impl Into<ChildId>,
        kind: &'static str,
        slot: &TemplateSlot<K>,
        options: DynamicOptions,
        make: impl Fn(&K, ChildId) -> ChildSpec + Send + Sync + 'static,
    ) -> Self {
        slot.0.make.store(Some(Arc::new(Box::new(make))));
        Self::supervising(id.into(), kind, &slot.0.supervisor, move |_| Ok(options.blueprint(Family::Template)))
    }
}
