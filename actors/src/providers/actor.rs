//! The doorkeeper of one provider: lets calls in and keeps its health.
//!
//! Parent: `providers` · Restart: permanent, with a budget of its own · Mailbox: 256, reject
//! Survives a restart: calls under way, which run in their callers' tasks. Lost: the breaker's count, counters, the
//! pool of connections; permits of calls under way no longer count.
//! Fails when: never by itself; its settings are read afresh at every call.

use std::sync::Arc;
use std::time::Duration;

use supervision::{Actor, ActorResult, Address, BoxError, Ctx, Reply};
use tokio::sync::Semaphore;

use super::breaker::{Admit, Breaker};
use super::catalog::{CatalogCell, ProviderSettings};
use super::contract::{Endpoint, ErrorClass, HttpClient, ModelError};
use crate::clock::{Clock, EpochMs, rfc3339};

/// What a provider actor is started with.
pub(super) struct ProviderArgs {
    pub(super) id: String,
    pub(super) catalog: CatalogCell,
    pub(super) clock: Clock,
}

#[derive(Debug)]
pub(super) enum ProviderMessage {
    /// A call wants in. Replies with what it needs, or why it may not.
    Admit { reply: Reply<Result<Admission, ModelError>> },
    /// A call that was let in has ended.
    CallEnded { end: CallEnd },
    /// The configuration changed.
    SettingsChanged,
}

/// What a call needs to run by itself.
#[derive(Debug)]
pub(super) struct Admission {
    /// One permit is held for the length of the call.
    pub(super) permits: Arc<Semaphore>,
    pub(super) endpoint: Endpoint,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallEnd {
    pub(super) how: CallResult,
    /// From its start to its first event.
    pub(super) first_event: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallResult {
    Answered,
    Failed {
        class: ErrorClass,
        status: Option<u16>,
    },
    /// The caller lost interest.
    Dropped,
}

/// Where calls report to, whichever incarnation is live.
pub(super) type Door = Address<ProviderMessage>;

#[derive(Debug)]
pub(super) struct ProviderActor;

pub(super) struct ProviderState {
    id: String,
    catalog: CatalogCell,
    clock: Clock,
    open: Option<Open>,
    breaker: Breaker,
    calls: u64,
    failures: u64,
    last_error: Option<(EpochMs, ErrorClass, Option<u16>)>,
    latency: Option<Duration>,
}

/// What is made anew when the settings of the connection change.
struct Open {
    settings: ProviderSettings,
    client: HttpClient,
    permits: Arc<Semaphore>,
}

impl Actor for ProviderActor {
    type Message = ProviderMessage;
    type Args = ProviderArgs;
    type State = ProviderState;

    async fn pre_start(&self, args: ProviderArgs, ctx: &Ctx<ProviderMessage>) -> Result<ProviderState, BoxError> {
        let ProviderArgs { id, catalog, clock } = args;
        let mut state = ProviderState {
            id,
            catalog,
            clock,
            open: None,
            breaker: Breaker::default(),
            calls: 0,
            failures: 0,
            last_error: None,
            latency: None,
        };
        state.refresh();
        state.show(ctx);
        Ok(state)
    }

    async fn handle(
        &self,
        state: &mut ProviderState,
        message: ProviderMessage,
        ctx: &Ctx<ProviderMessage>,
    ) -> ActorResult {
        match message {
            ProviderMessage::Admit { reply } => reply.send(state.admit()),
            ProviderMessage::CallEnded { end } => state.ended(end),
            ProviderMessage::SettingsChanged => state.refresh(),
        }
        state.show(ctx);
        Ok(())
    }
}

impl ProviderState {
    /// Takes over the current settings; a connection that stays the same is kept.
    fn refresh(&mut self) {
        let catalog = self.catalog.load();
        self.open = catalog.provider(&self.id).map(|settings| match self.open.take() {
            Some(open) if open.settings.same_connection(settings) => Open { settings: settings.clone(), ..open },
            Some(_) | None => Open {
                client: HttpClient::lazy(settings.deadlines.connect, settings.local),
                permits: Arc::new(Semaphore::new(settings.concurrency)),
                settings: settings.clone(),
            },
        });
    }

    fn admit(&mut self) -> Result<Admission, ModelError> {
        self.refresh();
        let Some(open) = &self.open else {
            return Err(ModelError::new(ErrorClass::Unknown, "the provider is no longer configured"));
        };
        let now = self.clock.now_ms();
        match self.breaker.admit(now) {
            Admit::Yes | Admit::Trial => {}
            Admit::No { until } => {
                let wait = u64::try_from(until.saturating_sub(now)).unwrap_or(0);
                let message = "the provider failed several times in a row and is left alone for a moment";
                return Err(ModelError {
                    retry_after: Some(Duration::from_millis(wait)),
                    ..ModelError::new(ErrorClass::Overloaded, message)
                });
            }
        }
        self.calls += 1;
        let settings = &open.settings;
        Ok(Admission {
            permits: Arc::clone(&open.permits),
            endpoint: Endpoint {
                provider: settings.id.clone(),
                base_url: settings.base_url.clone(),
                headers: settings.headers.clone(),
                auth_header: settings.auth_header,
                default_max_tokens: 0,
                deadlines: settings.deadlines,
                client: open.client.clone(),
            },
        })
    }

    fn ended(&mut self, end: CallEnd) {
        let now = self.clock.now_ms();
        if let Some(latency) = end.first_event {
            self.latency = Some(latency);
        }
        match end.how {
            CallResult::Answered => self.breaker.report(None, now),
            CallResult::Failed { class, status } => {
                self.failures += 1;
                self.last_error = Some((now, class, status));
                self.breaker.report(Some(class), now);
            }
            // Only what was heard of the provider counts; before that, nothing is known.
            CallResult::Dropped if end.first_event.is_some() => self.breaker.report(None, now),
            CallResult::Dropped => {}
        }
    }

    fn show(&self, ctx: &Ctx<ProviderMessage>) {
        let Some(open) = &self.open else {
            ctx.set_detail("state", "not configured");
            return;
        };
        ctx.clear_detail("state");
        let limit = open.settings.concurrency;
        let used = limit.saturating_sub(open.permits.available_permits());
        ctx.set_detail("address", shown_address(&open.settings.base_url));
        ctx.set_detail("api", open.settings.api.clone());
        ctx.set_detail("inFlight", format!("{used} of {limit}"));
        ctx.set_detail("breaker", self.breaker.describe());
        ctx.set_detail("calls", format!("{}, {} failed", self.calls, self.failures));
        if let Some(latency) = self.latency {
            ctx.set_detail("latency", format!("{} ms", latency.as_millis()));
        }
        if let Some((at, class, status)) = self.last_error {
            let status = status.map(|status| format!(" (HTTP {status})")).unwrap_or_default();
            ctx.set_detail("lastError", format!("{class}{status} at {}", rfc3339(at)));
        }
    }
}

/// Scheme, host and port: an address may hold a password or a key in its other parts.
fn shown_address(base_url: &str) -> String {
    let Ok(url) = reqwest::Url::parse(base_url) else { return "not an address".to_owned() };
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{}://{host}:{port}", url.scheme()),
        (Some(host), None) => format!("{}://{host}", url.scheme()),
        (None, _) => "built in".to_owned(),
    }
}
