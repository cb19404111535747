//! One step of a turn with tools: the model's message is stored, its calls are carried out, each result is stored as it
//! comes.

use tokio::sync::mpsc;

use super::calls::{Planned, ToolRequest, unfinished};
use super::contract::{RunJob, RunServices, Unsettled};
use super::loop_detection::{Kind, LoopDetection, Made, Verdict};
use super::port::TurnPort;
use super::run::RunMessage;
use super::tool_call::ToolResult;
use super::truncate;
use crate::message::{AssistantPart, Message, TextPart};
use crate::providers::ModelRef;
use crate::tools::ToolError;
use crate::tools::contract::Fate;

/// Window of a model nobody knows.
const USUAL_WINDOW: u64 = 200_000;

/// What a step leaves behind.
#[derive(Debug, Default)]
pub(super) struct Stepped {
    /// Tools that were called with success.
    pub(super) succeeded: Vec<String>,
    /// Why the run is to end here.
    pub(super) end: Option<String>,
}

/// Stores the model's message, carries out its calls, stores their results. `None` when the turn can't go on.
pub(super) async fn step(
    job: &mut RunJob,
    services: &RunServices,
    port: &TurnPort,
    loops: &mut LoopDetection,
    message: Message,
    calls: Vec<ToolRequest>,
) -> Option<Stepped> {
    let window = window(services, &message);
    if !port.sink.append(message.clone()).await {
        return None;
    }
    job.history.push(message);
    let made: Vec<Made> = calls.iter().map(|call| made(services, call)).collect();
    let (refused, end) = match loops.before(&made) {
        Verdict::Go => (None, None),
        Verdict::Block(text) => (Some(text), None),
        Verdict::End(text) => (Some(text.clone()), Some(text)),
    };
    let verdict = || refused.as_ref().map(|text| unfinished(Fate::Blocked, text.clone()));
    let planned = calls.into_iter().map(|request| Planned { request, verdict: verdict() }).collect();
    let stepped = carry_out(job, services, port, loops, planned, window).await?;
    Some(Stepped { end, ..stepped })
}

/// A call as far as loops are concerned.
fn made(services: &RunServices, call: &ToolRequest) -> Made {
    let kind = match services.tools.get(&call.name) {
        None => Kind::Unknown,
        Some(tool) if tool.capabilities().is_poll => Kind::Poll,
        Some(_) => Kind::Other,
    };
    Made::new(&call.name, &call.arguments, kind)
}

/// Settles the calls an earlier attempt left open: those that may be repeated are, the others are told.
pub(super) async fn take_up(
    job: &mut RunJob,
    services: &RunServices,
    port: &TurnPort,
    loops: &mut LoopDetection,
) -> Option<Stepped> {
    let unsettled = std::mem::take(&mut job.unsettled);
    if unsettled.is_empty() {
        return Some(Stepped::default());
    }
    let asked = |message: &&Message| matches!(message, Message::Assistant { .. });
    let window = job.history.iter().rev().find(asked).map_or(USUAL_WINDOW, |message| window(services, message));
    let planned = unsettled
        .into_iter()
        .map(|call| match call {
            Unsettled::Repeat(request) => Planned { request, verdict: None },
            Unsettled::Told { request, fate, text } => Planned { request, verdict: Some(unfinished(fate, text)) },
        })
        .collect();
    carry_out(job, services, port, loops, planned, window).await
}

async fn carry_out(
    job: &mut RunJob,
    services: &RunServices,
    port: &TurnPort,
    loops: &mut LoopDetection,
    planned: Vec<Planned>,
    window: u64,
) -> Option<Stepped> {
    let requests: Vec<ToolRequest> = planned.iter().map(|call| call.request.clone()).collect();
    let (told, mut results) = mpsc::channel(requests.len().max(1));
    let result_chars = truncate::result_chars(window);
    port.reporter.send(RunMessage::CallTools { calls: planned, result_chars, results: told });
    let mut room = truncate::step_chars(window);
    let mut stepped = Stepped::default();
    for _ in 0..requests.len() {
        let (index, result) = results.recv().await?;
        let request = requests.get(index)?.clone();
        if result.is_ok() && !stepped.succeeded.contains(&request.name) {
            stepped.succeeded.push(request.name.clone());
        }
        let note = watch(loops, services, &request, &result);
        let message = tool_message(request, result, note, result_chars.min(room), services);
        room = room.saturating_sub(message.text().chars().count());
        if !port.sink.append(message.clone()).await {
            return None;
        }
        job.history.push(message);
        port.reporter.send(RunMessage::ToolSettled { index });
    }
    if port.cancel.is_cancelled() {
        return None;
    }
    // The safe point: what came meanwhile is taken in before the next call of the model.
    job.history.extend(port.sink.steered().await);
    port.reporter.send(RunMessage::TookIn);
    Some(stepped)
}

/// What is to be told with a result because it shows a loop.
fn watch(loops: &mut LoopDetection, services: &RunServices, call: &ToolRequest, result: &ToolResult) -> Option<String> {
    let text = match result {
        Ok(output) => output.text.clone(),
        Err(ToolError::Unfinished { fate: Fate::Blocked | Fate::Skipped | Fate::Aborted, .. }) => return None,
        Err(error) => error.to_string(),
    };
    loops.after(made(services, call), &text)
}

fn tool_message(
    call: ToolRequest,
    result: ToolResult,
    note: Option<String>,
    room: usize,
    services: &RunServices,
) -> Message {
    let is_error = result.is_err();
    let (text, details) = match result {
        Ok(output) => (output.text, output.details),
        Err(error) => {
            let fate = match &error {
                ToolError::Unfinished { fate, .. } => Some(*fate),
                ToolError::Arguments(_) => Some(Fate::NotStarted),
                ToolError::Failed(_) => None,
            };
            (error.to_string(), fate.map(Fate::details))
        }
    };
    let mut text = truncate::cut(text, room);
    if let Some(note) = note {
        text.push_str("\n\n");
        text.push_str(&note);
    }
    Message::ToolResult {
        tool_call_id: call.id,
        tool_name: call.name,
        content: vec![TextPart { text }],
        details,
        is_error,
        timestamp: services.clock.now_ms(),
    }
}

/// The window of the model that asked.
fn window(services: &RunServices, message: &Message) -> u64 {
    let Message::Assistant { provider, model, .. } = message else { return USUAL_WINDOW };
    let model = ModelRef { provider: provider.clone(), model: model.clone(), profile: None };
    services.providers.resolve(&model).map_or(USUAL_WINDOW, |info| info.context_window)
}

/// The calls of a model's message.
pub(super) fn tool_requests(content: &[AssistantPart]) -> Vec<ToolRequest> {
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
