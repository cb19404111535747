//! How the rest of the gateway sees models: the catalog of now, and calls.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::{Stream, StreamExt};
use supervision::{
    AdminError, AutoShutdown, BackoffPolicy, ChildId, ChildSpec, Exhausted, Intensity, Jitter, Mailbox,
    ReconfigureOptions, ResetRule, Slot, StartMode, Strategy, SupervisorSlot, SupervisorSpec,
};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::actor::{CallEnd, CallResult, Door, ProviderActor, ProviderArgs, ProviderMessage};
use super::catalog::{Catalog, CatalogCell, ModelInfo, ModelRef, ModelRefError, price};
use super::contract::{ErrorClass, ModelError, ModelEvent, ModelRequest, ModelStream};
use super::deadlines::Deadlines;
use super::registry::Api;
use crate::auth_profiles::ProfileSource;
use crate::clock::Clock;
use crate::config::ModelCost;
use crate::secret::Secret;

/// Id of the supervisor.
const ID: &str = "providers";
/// How long a provider's actor may take to let a call in; it never waits for anything itself.
const ADMIT_TIME: Duration = Duration::from_secs(5);
/// What is said when the actor is being restarted.
const COME_BACK: Duration = Duration::from_millis(500);
/// Calls and their ends; a provider has far fewer at a time.
const MAILBOX: usize = 256;

/// Models of the running configuration. Cheap to clone; outlives restarts and reloads.
#[derive(Clone)]
pub struct ProvidersHandle {
    inner: Arc<Inner>,
}

struct Inner {
    catalog: CatalogCell,
    doors: Mutex<BTreeMap<String, Slot<ProviderMessage>>>,
    supervisor: SupervisorSlot,
    clock: Clock,
}

impl std::fmt::Debug for ProvidersHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProvidersHandle").finish_non_exhaustive()
    }
}

impl ProvidersHandle {
    /// A handle on the providers of `catalog`, which run once [`ProvidersHandle::child_spec`] is started.
    #[must_use]
    pub fn new(catalog: Catalog, clock: Clock) -> Self {
        let inner = Inner {
            catalog: Arc::new(ArcSwap::from_pointee(catalog)),
            doors: Mutex::default(),
            supervisor: SupervisorSlot::new(),
            clock,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The supervisor with one actor per provider of the catalog, read afresh at each start.
    #[must_use]
    pub fn child_spec(&self) -> ChildSpec {
        let handle = self.clone();
        ChildSpec::supervisor(ID, ID, &self.inner.supervisor, move || handle.spec())
    }

    /// Goes over to another catalog: new providers start, those that are gone stop, the others use their new
    /// settings from the next call on. Calls under way are not disturbed.
    ///
    /// # Errors
    /// When the supervisor is not running; the catalog is in force all the same and is used at its next start.
    pub async fn apply(&self, catalog: Catalog) -> Result<(), AdminError> {
        let before = self.inner.catalog.swap(Arc::new(catalog));
        let options = ReconfigureOptions { start_new: true, stop_removed: true };
        let supervisor = self.inner.supervisor.handle();
        supervisor.reconfigure(self.spec(), options).await?;
        for settings in self.inner.catalog.load().providers().filter(|now| before.provider(&now.id).is_some()) {
            // One that had given up gets another chance with its new settings; for one that is up this does nothing.
            if self.door(&settings.id).try_cast(ProviderMessage::SettingsChanged).is_err() {
                drop(supervisor.start_now(&ChildId::from(settings.id.as_str())).await);
            }
        }
        Ok(())
    }

    /// The catalog in force.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.inner.catalog.load_full()
    }

    /// All known models.
    #[must_use]
    pub fn models(&self) -> Vec<ModelInfo> {
        self.catalog().models().to_vec()
    }

    /// The model that a name means, see [`Catalog::find`].
    ///
    /// # Errors
    /// When it means none.
    pub fn find(&self, name: &str) -> Result<ModelRef, ModelRefError> {
        self.catalog().find(name)
    }

    /// What is known of a model, see [`Catalog::resolve`].
    ///
    /// # Errors
    /// When its provider is unknown or speaks a format we don't.
    pub fn resolve(&self, model: &ModelRef) -> Result<ModelInfo, ModelRefError> {
        self.catalog().resolve(model)
    }

    /// Where the credentials of a provider come from; for the wiring of `auth_profiles`.
    #[must_use]
    pub fn profile_source(&self, provider: &str) -> Option<ProfileSource> {
        self.catalog().provider(provider).map(|settings| settings.credentials.clone())
    }

    /// Calls a model. `request.model` is set from `model`; `deadlines` replace those of the provider, except for
    /// connecting. The answer runs in the task that polls it; dropping it cancels the call.
    ///
    /// Waits while the provider has as many calls as it may; give the wait up by dropping the future.
    ///
    /// # Errors
    /// When the model can't be called: unknown, not spoken, or its provider is left alone after failures.
    pub async fn stream(
        &self,
        model: &ModelRef,
        credential: Option<&Secret>,
        mut request: ModelRequest,
        deadlines: Option<Deadlines>,
    ) -> Result<ModelStream, ModelError> {
        let info = self.resolve(model).map_err(|error| ModelError::new(ErrorClass::Unknown, error.to_string()))?;
        let api = Api::parse(&info.api)
            .ok_or_else(|| ModelError::new(ErrorClass::Unknown, "the model's wire format is not supported"))?;
        let door = self.door(&model.provider);
        let admission = door.call(|reply| ProviderMessage::Admit { reply }, ADMIT_TIME).await.map_err(|error| {
            tracing::debug!(provider = %model.provider, %error, "provider actor did not answer");
            ModelError {
                retry_after: Some(COME_BACK),
                ..ModelError::new(ErrorClass::ServerError, "the provider is being restarted")
            }
        })??;
        let permit = admission.permits.acquire_owned().await;
        let permit = permit.map_err(|_| ModelError::new(ErrorClass::Unknown, "the provider was shut down"))?;
        let mut endpoint = admission.endpoint;
        endpoint.default_max_tokens = info.max_tokens;
        if let Some(deadlines) = deadlines {
            endpoint.deadlines = deadlines;
        }
        request.model.clone_from(&model.model);
        let call = Call {
            answer: api.wire().stream(&endpoint, credential, &request),
            cost: info.cost,
            door,
            started: Instant::now(),
            first_event: None,
            how: CallResult::Dropped,
            _permit: permit,
        };
        Ok(call.boxed())
    }

    fn door(&self, provider: &str) -> Door {
        self.slot(provider).address()
    }

    fn slot(&self, provider: &str) -> Slot<ProviderMessage> {
        let mut doors = self.inner.doors.lock().unwrap_or_else(PoisonError::into_inner);
        doors.entry(provider.to_owned()).or_default().clone()
    }

    fn spec(&self) -> SupervisorSpec {
        let catalog = self.inner.catalog.load();
        SupervisorSpec {
            strategy: Strategy::OneForOne,
            intensity: Intensity::default(),
            auto_shutdown: AutoShutdown::Never,
            starts: StartMode::Ordered,
            children: catalog.providers().map(|settings| self.provider_spec(&settings.id)).collect(),
        }
    }

    /// Isolated: a provider that keeps failing is nobody else's trouble.
    fn provider_spec(&self, id: &str) -> ChildSpec {
        let (name, catalog, clock) = (id.to_owned(), Arc::clone(&self.inner.catalog), self.inner.clock.clone());
        ChildSpec::actor(id, "provider", &self.slot(id), move |_start| {
            let args = ProviderArgs { id: name.clone(), catalog: Arc::clone(&catalog), clock: clock.clone() };
            (ProviderActor, args)
        })
        .mailbox(Mailbox::reject(MAILBOX))
        .handler_limit(crate::HANDLER_LIMIT)
        .counts(false)
        .backoff(BackoffPolicy {
            initial: Duration::from_millis(50),
            max: Duration::from_secs(30),
            factor: 2.0,
            jitter: Jitter::Additive(0.1),
            max_attempts: None,
            reset_after: ResetRule::Stable(Duration::from_secs(60)),
            window: None,
            on_exhausted: Exhausted::GiveUp,
        })
    }
}

/// A call under way: prices its usage, holds its permit, reports its end however it comes.
struct Call {
    answer: ModelStream,
    cost: ModelCost,
    door: Door,
    started: Instant,
    first_event: Option<Duration>,
    how: CallResult,
    _permit: OwnedSemaphorePermit,
}

impl Stream for Call {
    type Item = Result<ModelEvent, ModelError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.answer.poll_next_unpin(cx);
        let Poll::Ready(Some(item)) = polled else { return polled };
        let call = &mut *self;
        Poll::Ready(Some(match item {
            Ok(event) => {
                call.first_event.get_or_insert_with(|| call.started.elapsed());
                Ok(match event {
                    ModelEvent::Usage(mut usage) => {
                        price(&call.cost, &mut usage);
                        ModelEvent::Usage(usage)
                    }
                    ModelEvent::Done(stop) => {
                        call.how = CallResult::Answered;
                        ModelEvent::Done(stop)
                    }
                    event @ (ModelEvent::TextDelta(_)
                    | ModelEvent::ThinkingDelta(_)
                    | ModelEvent::ThinkingSignature(_)
                    | ModelEvent::ToolCallStart { .. }
                    | ModelEvent::ToolCallDelta { .. }) => event,
                })
            }
            Err(error) => {
                call.how = CallResult::Failed { class: error.class, status: error.status };
                Err(error)
            }
        }))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // A report that finds no room or nobody is only missing from the counters.
        let end = CallEnd { how: self.how, first_event: self.first_event };
        drop(self.door.try_cast(ProviderMessage::CallEnded { end }));
    }
}

#[cfg(test)]
mod tests;
