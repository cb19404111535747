//! The turn itself: model calls and tools in alternation until the model has nothing more to ask.
//!
//! Runs as a scoped task of the run actor and reports to it. Each message it relies on is durable before the next
//! model call.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use supervision::Reporter;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::contract::{RunFailure, RunJob, RunOutcome, RunResult, RunServices, RunSink};
use super::event::{RunEventKind, RunPhase};
use super::model_call::{self, Called};
use super::prompt;
use super::receive::Shown;
use super::run::RunMessage;
use super::tool_call::ToolResult;
use crate::message::{AssistantPart, Message, StopReason, TextPart, Usage};

/// Most model calls in one turn.
const MAX_ROUNDS: u32 = 160;

/// One call the model asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolRequest {
    /// The provider's id of it.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub arguments: Value,
}

/// What the turn may do to the outside.
pub(super) struct TurnPort {
    pub(super) reporter: Reporter<RunMessage>,
    pub(super) sink: Arc<dyn RunSink>,
    pub(super) cancel: CancellationToken,
}

impl TurnPort {
    pub(super) fn event(&self, kind: RunEventKind) {
        self.reporter.send(RunMessage::Event(kind));
    }
}

/// What is known so far.
#[derive(Default)]
struct Tally {
    provider: String,
    model: String,
    usage: Usage,
    tools: Vec<String>,
}

impl Tally {
    fn result(self, outcome: RunOutcome) -> RunResult {
        RunResult { outcome, provider: self.provider, model: self.model, usage: self.usage, tools: self.tools }
    }
}

/// Does one turn.
pub(super) async fn drive(mut job: RunJob, services: RunServices, port: TurnPort) -> RunResult {
    let mut tally = Tally::default();
    port.event(RunEventKind::Status(RunPhase::PreparingWorkspace));
    let slot = tokio::select! {
        slot = Arc::clone(&services.lane).acquire_owned() => slot.ok(),
        () = port.cancel.cancelled() => return tally.result(RunOutcome::Aborted(None)),
    };
    port.event(RunEventKind::Status(RunPhase::PreparingContext));
    port.event(RunEventKind::Started { started_at: job.started_at });
    port.event(RunEventKind::Status(RunPhase::StartingModel));
    let mut shown = Shown::new(job.attempt > 1);
    let mut outcome = None;
    for _ in 0..MAX_ROUNDS {
        match round(&mut job, &services, &port, &mut tally, &mut shown).await {
            Round::Again => {}
            Round::End(end) => {
                outcome = Some(*end);
                break;
            }
        }
    }
    drop(slot);
    let outcome = outcome.unwrap_or_else(|| {
        RunOutcome::Failed(RunFailure { text: format!("stopped after {MAX_ROUNDS} model calls"), kind: "unknown" })
    });
    if let Some(finishing) = finishing(&outcome) {
        port.event(finishing);
    }
    port.event(RunEventKind::ModelReleased);
    tally.result(outcome)
}

/// An aborted turn does not finish.
fn finishing(outcome: &RunOutcome) -> Option<RunEventKind> {
    match outcome {
        RunOutcome::Answered(Message::Assistant { stop_reason: StopReason::Length, .. }) => {
            Some(RunEventKind::Finishing { stop_reason: "length", error: None })
        }
        RunOutcome::Answered(_) => Some(RunEventKind::Finishing { stop_reason: "stop", error: None }),
        RunOutcome::Failed(failure) => {
            Some(RunEventKind::Finishing { stop_reason: "error", error: Some(failure.text.clone()) })
        }
        RunOutcome::Aborted(_) => None,
    }
}

enum Round {
    Again,
    End(Box<RunOutcome>),
}

async fn round(
    job: &mut RunJob,
    services: &RunServices,
    port: &TurnPort,
    tally: &mut Tally,
    shown: &mut Shown,
) -> Round {
    let config = services.config.current();
    let name = config.config.agents.entries.iter().find(|entry| entry.id == job.agent).and_then(|e| e.name.clone());
    let system = prompt::system(&job.agent, name.as_deref());
    let message = match model_call::call(job, services, port, &system, shown).await {
        Called::Answered(message) => *message,
        Called::Aborted(partial) => return Round::End(Box::new(RunOutcome::Aborted(partial.map(|message| *message)))),
        Called::Failed(failure) => return Round::End(Box::new(RunOutcome::Failed(failure))),
    };
    let Message::Assistant { content, provider, model, .. } = &message else {
        return Round::End(Box::new(RunOutcome::Answered(message)));
    };
    tally.provider.clone_from(provider);
    tally.model.clone_from(model);
    add(&mut tally.usage, &model_call::usage_of(&message));
    port.event(RunEventKind::Usage { output_tokens: tally.usage.output });
    let calls = tool_requests(content);
    if calls.is_empty() {
        return Round::End(Box::new(RunOutcome::Answered(message)));
    }
    match tools(job, services, port, tally, message, calls).await {
        Some(()) => Round::Again,
        None if port.cancel.is_cancelled() => Round::End(Box::new(RunOutcome::Aborted(None))),
        None => Round::End(Box::new(RunOutcome::Failed(RunFailure {
            text: String::from("the transcript could not be written; the turn was stopped"),
            kind: "unknown",
        }))),
    }
}

/// Stores the model's message, carries out its calls, stores their results. `None` when the turn can't go on.
async fn tools(
    job: &mut RunJob,
    services: &RunServices,
    port: &TurnPort,
    tally: &mut Tally,
    message: Message,
    calls: Vec<ToolRequest>,
) -> Option<()> {
    if !port.sink.append(message.clone()).await {
        return None;
    }
    job.history.push(message);
    let (reply, results) = oneshot::channel();
    port.reporter.send(RunMessage::CallTools { calls: calls.clone(), reply });
    let results: Vec<ToolResult> = tokio::select! {
        results = results => results.ok()?,
        () = port.cancel.cancelled() => calls.iter().map(|_| Err(crate::tools::ToolError::Failed(String::from("aborted")))).collect(),
    };
    for (call, result) in calls.into_iter().zip(results) {
        if result.is_ok() && !tally.tools.contains(&call.name) {
            tally.tools.push(call.name.clone());
        }
        let message = tool_message(call, result, services);
        if !port.sink.append(message.clone()).await {
            return None;
        }
        job.history.push(message);
    }
    if port.cancel.is_cancelled() {
        return None;
    }
    job.history.extend(port.sink.steered().await);
    Some(())
}

fn tool_message(call: ToolRequest, result: ToolResult, services: &RunServices) -> Message {
    let is_error = result.is_err();
    let (text, details) = match result {
        Ok(output) => (output.text, output.details),
        Err(error) => (error.to_string(), None),
    };
    Message::ToolResult {
        tool_call_id: call.id,
        tool_name: call.name,
        content: vec![TextPart { text }],
        details,
        is_error,
        timestamp: services.clock.now_ms(),
    }
}

fn tool_requests(content: &[AssistantPart]) -> Vec<ToolRequest> {
    content
        .iter()
        .filter_map(|part| match part {
            AssistantPart::ToolCall { id, name, arguments } => {
                Some(ToolRequest { id: id.clone(), name: name.clone(), arguments: arguments.clone() })
            }
            AssistantPart::Text { .. } | AssistantPart::Thinking { .. } => None,
        })
        .collect()
}

fn add(sum: &mut Usage, more: &Usage) {
    sum.input += more.input;
    sum.output += more.output;
    sum.cache_read += more.cache_read;
    sum.cache_write += more.cache_write;
    sum.total_tokens += more.total_tokens;
    sum.cost.input += more.cost.input;
    sum.cost.output += more.cost.output;
    sum.cost.cache_read += more.cost.cache_read;
    sum.cost.cache_write += more.cost.cache_write;
    sum.cost.total += more.cost.total;
}

/// How often streamed text is passed on at most (OpenClaw: one frame per 75 ms and run).
pub(super) const PACE: Duration = Duration::from_millis(75);
