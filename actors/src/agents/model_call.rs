//! One answer of a model: lease a credential, stream the call, and on failure do what failover says.
//!
//! No call is made without a lease, and each lease is reported back. Text that was shown before a call failed is
//! replaced by the text of the next one.

use std::time::Duration;

use rand::Rng as _;
use tokio::time::Instant;

use super::contract::{RunFailure, RunJob, RunServices};
use super::event::RunEventKind;
use super::port::TurnPort;
use super::receive::{Received, Shown, receive};
use crate::auth_profiles::{ErrorClass, Lease, LeaseError, Outcome};
use crate::config::ModelChoice;
use crate::message::{Message, StopReason, Usage};
use crate::providers::failover::candidates;
use crate::providers::{
    Answerer, Deadlines, Failover, Failure, ModelError, ModelInfo, ModelRef, ModelRequest, Next, ToolSpec,
};

/// Tries that are told to watchers as the most there will be (OpenClaw: 8 of one model).
const SHOWN_TRIES: u32 = 8;

/// What a model is asked.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    /// The system prompt, the part that stays.
    pub(super) system: &'a str,
    /// The part of this turn.
    pub(super) system_turn: &'a str,
    /// The conversation; cut to the model's window.
    pub(super) messages: &'a [Message],
    /// Said at the end to the model alone.
    pub(super) note: Option<&'a str>,
    /// The tools, by name.
    pub(super) tools: &'a [ToolSpec],
    /// No tool may be called.
    pub(super) no_tool_calls: bool,
    /// Tokens of system prompt and tools.
    pub(super) overhead: u64,
    /// Longest time of one try; the provider's when none.
    pub(super) limit: Option<Duration>,
}

/// How a call ended.
pub(super) enum Called {
    /// The model's message, complete.
    Answered(Box<Message>),
    /// Aborted; what there was.
    Aborted(Option<Box<Message>>),
    /// The conversation is too long for the model.
    Overflow(RunFailure),
    /// The model said nothing, and no other one is left.
    Empty(RunFailure),
    /// No answer from any candidate.
    Failed(RunFailure),
}

/// Asks the model that `failover` stands at, and its fallbacks.
pub(super) async fn call(
    job: &RunJob,
    services: &RunServices,
    port: &TurnPort,
    ask: Ask<'_>,
    shown: &mut Shown,
    failover: &mut Failover,
) -> Called {
    let kept = shown.text.len();
    let mut tries = 0;
    let mut held = None;
    loop {
        let model = failover.model().clone();
        tries += 1;
        shown.calls += 1;
        let began = Instant::now();
        let attempt = attempt(job, services, port, ask, shown, &model, held.take()).await;
        let (failure, lease) = match attempt {
            Attempt::Answered(message) => {
                failover.succeeded();
                return Called::Answered(message);
            }
            Attempt::Aborted(partial) => return Called::Aborted(partial),
            Attempt::Failed(failure, lease) => (failure, lease),
        };
        shown.discard(kept);
        failover.took(began.elapsed());
        let next = after(failover, &failure, lease, services, job, &mut held).await;
        tracing::warn!(run_id = %job.run, model = %model, failure = %class_name(&failure), next = ?next, "model call failed");
        match next {
            Next::Retry { after } => {
                port.event(RunEventKind::Retrying {
                    attempt: tries,
                    max_attempts: SHOWN_TRIES,
                    reason: class_name(&failure),
                });
                tokio::select! {
                    () = tokio::time::sleep(after) => {}
                    () = port.cancel.cancelled() => return Called::Aborted(None),
                }
            }
            Next::NextProfile | Next::Rebuild => {}
            Next::Model(to) => port.event(RunEventKind::Fallback {
                from: model.to_string(),
                to: to.to_string(),
                reason: class_name(&failure),
            }),
            Next::Compact => return Called::Overflow(user_text(&model, &failure)),
            Next::GiveUp => return given_up(&model, &failure),
            Next::Stop => return Called::Aborted(None),
        }
    }
}

fn given_up(model: &ModelRef, failure: &Failure) -> Called {
    match failure {
        Failure::Failed(error) if error.class == ErrorClass::EmptyResponse => Called::Empty(user_text(model, failure)),
        Failure::Failed(_) | Failure::Aborted | Failure::CoolingDown(_) | Failure::NoCredential => {
            Called::Failed(user_text(model, failure))
        }
    }
}

/// What is said when there is nothing to ask.
pub(super) fn no_model() -> RunFailure {
    RunFailure { text: String::from("no model is configured; add one with `occtl models add`"), kind: "unknown" }
}

/// The way through the one model of that name.
pub(super) fn only(name: &str, services: &RunServices) -> Option<Failover> {
    Failover::new(vec![services.providers.find(name).ok().or_else(|| ModelRef::parse(name).ok())?])
}

/// Tokens of the window of the model that is to be asked.
pub(super) fn window(failover: &Failover, services: &RunServices) -> Option<u64> {
    services.providers.resolve(failover.model()).ok().map(|info| info.context_window)
}

/// The candidates of a run: the one it asks for, else its agent's model or the default one, then the fallbacks.
pub(super) fn plan(job: &RunJob, services: &RunServices) -> Option<Failover> {
    let find = |name: &String| services.providers.find(name).ok();
    // Somebody who names a model wants that one, or to be told why not.
    if let Some(asked) = &job.model {
        return only(asked, services);
    }
    let config = services.config.current();
    let agents = &config.config.agents;
    let own = agents.entries.iter().find(|entry| entry.id == job.agent).and_then(|entry| entry.model.as_ref());
    let choice: &ModelChoice = own.unwrap_or(&agents.defaults.model);
    let primary = match &choice.primary {
        // A name that means nothing is tried as it stands, so that the failure names it.
        Some(name) => find(name).or_else(|| ModelRef::parse(name).ok()),
        None => services.providers.catalog().default_model(),
    };
    Failover::new(candidates(primary?, choice.fallbacks.iter().filter_map(find)))
}

enum Attempt {
    Answered(Box<Message>),
    Aborted(Option<Box<Message>>),
    Failed(Failure, Option<Lease>),
}

async fn attempt(
    job: &RunJob,
    services: &RunServices,
    port: &TurnPort,
    ask: Ask<'_>,
    shown: &mut Shown,
    model: &ModelRef,
    held: Option<Lease>,
) -> Attempt {
    let leased = match held {
        Some(lease) => Ok(lease),
        None => services.auth.lease(&job.agent, &model.provider, model.profile.as_deref()).await,
    };
    let lease = match leased {
        Ok(lease) => lease,
        Err(LeaseError::CoolingDown { until, .. }) => {
            let wait = u64::try_from(until - services.clock.now_ms()).unwrap_or(0);
            return Attempt::Failed(Failure::CoolingDown(Duration::from_millis(wait)), None);
        }
        Err(error) => {
            tracing::warn!(run_id = %job.run, provider = %model.provider, error = %error, "no credential");
            return Attempt::Failed(Failure::NoCredential, None);
        }
    };
    let info = match services.providers.resolve(model) {
        Ok(info) => info,
        Err(error) => {
            let error = ModelError::new(ErrorClass::ModelNotFound, error.to_string());
            return Attempt::Failed(Failure::Failed(error), Some(lease));
        }
    };
    port.event(RunEventKind::Model { provider: model.provider.clone(), model: model.model.clone() });
    let limits = ask.limit.map(|limit| limited(services, model, limit));
    let opened = tokio::select! {
        opened = services.providers.stream(model, lease.secret(), request(ask, &info), limits) => opened,
        // An aborted call says nothing about its credential, so the lease is not reported.
        () = port.cancel.cancelled() => return Attempt::Aborted(None),
    };
    let from = Answerer { api: info.api.clone(), provider: model.provider.clone(), model: model.model.clone() };
    let now = || services.clock.now_ms();
    match opened {
        Ok(stream) => match receive(stream, port, shown, job).await {
            Received::Done(answer) => {
                services.auth.report(lease, Outcome::Ok).await;
                Attempt::Answered(Box::new(answer.finish(&from, StopReason::Stop, None, now())))
            }
            Received::Aborted(answer) => {
                let partial = (!answer.text().is_empty())
                    .then(|| Box::new(answer.finish(&from, StopReason::Aborted, None, now())));
                Attempt::Aborted(partial)
            }
            Received::Failed(error) => Attempt::Failed(Failure::Failed(error), Some(lease)),
        },
        Err(error) => Attempt::Failed(Failure::Failed(error), Some(lease)),
    }
}

fn request(ask: Ask<'_>, info: &ModelInfo) -> ModelRequest {
    let mut messages = super::context::fit(ask.messages, info.context_window, ask.overhead);
    messages.extend(ask.note.map(|note| Message::user(note, 0)));
    ModelRequest {
        model: info.id.clone(),
        system: Some(ask.system.to_owned()),
        system_turn: Some(ask.system_turn.to_owned()),
        messages,
        tools: ask.tools.to_vec(),
        no_tool_calls: ask.no_tool_calls,
        max_tokens: Some(info.max_tokens),
    }
}

/// The provider's limits, and `limit` for the whole call.
fn limited(services: &RunServices, model: &ModelRef, limit: Duration) -> Deadlines {
    let usual = services.providers.catalog().provider(&model.provider).map(|provider| provider.deadlines);
    Deadlines { total: Some(limit), ..usual.unwrap_or_default() }
}

/// Reports the lease of a failed call and asks failover what is next.
async fn after(
    failover: &mut Failover,
    failure: &Failure,
    lease: Option<Lease>,
    services: &RunServices,
    job: &RunJob,
    held: &mut Option<Lease>,
) -> Next {
    let provider = failover.model().provider.clone();
    let other = match &lease {
        Some(lease) => services.auth.has_other(&job.agent, &provider, &lease.profile.profile).await,
        None => false,
    };
    let credentials = services.auth.profiles(&job.agent, &provider).await;
    failover.bound_by(credentials.map_or(1, |credentials| credentials.len()));
    let random = rand::rng().random::<f64>();
    let next = failover.after(failure, other, random);
    if let (Some(lease), Failure::Failed(error)) = (lease, failure) {
        let transient = matches!(error.class, ErrorClass::Timeout | ErrorClass::ServerError);
        if transient && matches!(next, Next::Retry { .. }) {
            // Trouble that is tried again with the same credential is not the credential's failure yet.
            *held = Some(lease);
            return next;
        }
        let outcome = Outcome::Failed { class: error.class, retry_after: error.retry_after };
        services.auth.report(lease, outcome).await;
    }
    next
}

fn class_name(failure: &Failure) -> String {
    match failure {
        Failure::Aborted => String::from("aborted"),
        Failure::Failed(error) => error.class.to_string(),
        Failure::CoolingDown(_) => String::from("rate_limit"),
        Failure::NoCredential => String::from("no_credential"),
    }
}

/// The failure in words for a person.
fn user_text(model: &ModelRef, failure: &Failure) -> RunFailure {
    match failure {
        Failure::Aborted => RunFailure { text: String::from("aborted"), kind: "unknown" },
        Failure::Failed(error) => {
            RunFailure { text: format!("{model}: {}", error.message), kind: kind_of(error.class) }
        }
        Failure::CoolingDown(wait) => RunFailure {
            text: format!("{model}: every credential is resting after failures; try again in {} s", wait.as_secs() + 1),
            kind: "rate_limit",
        },
        Failure::NoCredential => RunFailure {
            text: format!("{model}: no usable credential; add one with `occtl models add` or set the provider's key"),
            kind: "unknown",
        },
    }
}

fn kind_of(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::RateLimit | ErrorClass::Overloaded => "rate_limit",
        ErrorClass::Timeout => "timeout",
        ErrorClass::ContextOverflow => "context_length",
        ErrorClass::Billing
        | ErrorClass::Auth
        | ErrorClass::AuthPermanent
        | ErrorClass::ServerError
        | ErrorClass::TlsCertificate
        | ErrorClass::Format
        | ErrorClass::ModelNotFound
        | ErrorClass::SessionExpired
        | ErrorClass::EmptyResponse
        | ErrorClass::NoErrorDetails
        | ErrorClass::Unclassified
        | ErrorClass::Unknown => "unknown",
    }
}

/// Tokens of a message.
pub(super) fn usage_of(message: &Message) -> Usage {
    match message {
        Message::Assistant { usage, .. } => usage.clone(),
        Message::User { .. } | Message::ToolResult { .. } => Usage::default(),
    }
}
