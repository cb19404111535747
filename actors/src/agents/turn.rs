//! The turn itself: model calls and tools in alternation until the model has nothing more to ask.
//!
//! Runs as a scoped task of the run actor and reports to it. Each message it relies on is durable before the next
//! model call.

use std::sync::Arc;

use super::compaction::{self, drive::Shortened};
use super::context::{self, system::RunContext};
use super::contract::{RunFailure, RunJob, RunOutcome, RunResult, RunServices};
use super::event::{RunEventKind, RunPhase};
use super::loop_detection::LoopDetection;
use super::model_call::{self, Ask, Called};
use super::port::TurnPort;
use super::receive::Shown;
use super::reply::{ASK_AGAIN, NOTHING_TO_SAY, Reply};
use super::tally::Tally;
use super::tool_step::{self, Stepped, tool_requests};
use crate::message::{AssistantPart, Message, StopReason};
use crate::providers::Failover;

/// Most model calls in one turn.
const MAX_ROUNDS: u32 = 160;

/// What a turn works with.
pub(super) struct Turn {
    pub(super) context: RunContext,
    pub(super) failover: Failover,
    shown: Shown,
    /// The model is asked for its answer once more, without tools.
    is_last_pass: bool,
    /// The history was shortened because the model refused it, and no call has succeeded since.
    was_too_long: bool,
    loops: LoopDetection,
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
    let outcome = match model_call::plan(&job, &services) {
        Some(failover) => {
            let context = context::system::gather(&job, &services, &port).await;
            tally.report = Some(Box::new(context.report.clone()));
            let config = services.config.current();
            let blocks = &config.config.agents.defaults.blocks;
            let blocks = (blocks.enabled && job.channel.is_some()).then(|| blocks.clone());
            let shown = Shown::new(job.attempt > 1).in_blocks(blocks, job.streamed.clone());
            let loops = LoopDetection::new(config.config.tools.loop_detection);
            let mut turn = Turn { context, failover, shown, is_last_pass: false, was_too_long: false, loops };
            rounds(&mut job, &services, &port, &mut tally, &mut turn).await
        }
        None => RunOutcome::Failed(model_call::no_model()),
    };
    drop(slot);
    if let Some(finishing) = finishing(&outcome) {
        port.event(finishing);
    }
    port.event(RunEventKind::ModelReleased);
    tally.result(outcome)
}

/// Calls and tools in alternation.
async fn rounds(
    job: &mut RunJob,
    services: &RunServices,
    port: &TurnPort,
    tally: &mut Tally,
    turn: &mut Turn,
) -> RunOutcome {
    if let Some(wishes) = job.compact.clone() {
        return compaction::drive::on_command(job, services, port, tally, turn, &wishes).await;
    }
    let taken_up = tool_step::take_up(job, services, port, &mut turn.loops).await;
    if let Round::End(end) = after_step(taken_up, port, tally) {
        return *end;
    }
    compaction::drive::before_call(job, services, port, tally, turn).await;
    port.event(RunEventKind::Status(RunPhase::StartingModel));
    for _ in 0..MAX_ROUNDS {
        match round(job, services, port, tally, turn).await {
            Round::Again => {}
            Round::End(end) => return *end,
        }
    }
    RunOutcome::Failed(RunFailure { text: format!("stopped after {MAX_ROUNDS} model calls"), kind: "unknown" })
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

impl Round {
    fn end(outcome: RunOutcome) -> Self {
        Self::End(Box::new(outcome))
    }
}

async fn round(job: &mut RunJob, services: &RunServices, port: &TurnPort, tally: &mut Tally, turn: &mut Turn) -> Round {
    let ask = turn.context.ask(&job.history);
    let ask = if turn.is_last_pass { Ask { note: Some(ASK_AGAIN), no_tool_calls: true, ..ask } } else { ask };
    let called = model_call::call(job, services, port, ask, &mut turn.shown, &mut turn.failover).await;
    let message = match called {
        Called::Answered(message) => *message,
        Called::Aborted(partial) => return Round::end(RunOutcome::Aborted(partial.map(|message| *message))),
        Called::Overflow(failure) => {
            return too_long(job, services, port, tally, turn, failure).await;
        }
        Called::Empty(_) if !tally.tools.is_empty() && !turn.is_last_pass && !turn.context.may_be_silent => {
            turn.is_last_pass = true;
            return Round::Again;
        }
        Called::Empty(failure) | Called::Failed(failure) => return Round::end(RunOutcome::Failed(failure)),
    };
    turn.was_too_long = false;
    tally.heard(&message);
    port.event(RunEventKind::Usage { output_tokens: tally.usage.output });
    let calls = match &message {
        Message::Assistant { content, .. } if !turn.is_last_pass => tool_requests(content),
        Message::Assistant { .. } | Message::User { .. } | Message::ToolResult { .. } => Vec::new(),
    };
    if calls.is_empty() {
        return answered(job, tally, turn, message);
    }
    let stepped = tool_step::step(job, services, port, &mut turn.loops, message, calls).await;
    let next = after_step(stepped, port, tally);
    if matches!(next, Round::Again) && services.config.current().config.agents.defaults.compaction.mid_turn {
        compaction::drive::before_call(job, services, port, tally, turn).await;
    }
    next
}

/// Whether the turn goes on after a step with tools.
fn after_step(stepped: Option<Stepped>, port: &TurnPort, tally: &mut Tally) -> Round {
    match stepped {
        Some(stepped) => {
            for name in stepped.succeeded {
                if !tally.tools.contains(&name) {
                    tally.tools.push(name);
                }
            }
            match stepped.end {
                None => Round::Again,
                Some(text) => Round::end(RunOutcome::Failed(RunFailure { text, kind: "unknown" })),
            }
        }
        None if port.cancel.is_cancelled() => Round::end(RunOutcome::Aborted(None)),
        None => Round::end(RunOutcome::Failed(RunFailure {
            text: String::from("the transcript could not be written; the turn was stopped"),
            kind: "unknown",
        })),
    }
}

/// The model has nothing more to ask. Where somebody waits, it may not say nothing: it is asked once more, and if that is in
/// vain the gateway says so.
fn answered(job: &RunJob, tally: &mut Tally, turn: &mut Turn, message: Message) -> Round {
    let message = if turn.is_last_pass { saying(&message, &message.text()) } else { message };
    let reply = Reply::of(&message, turn.shown.sent_of(job.history.len()));
    if !reply.is_empty() || turn.context.may_be_silent {
        tally.reply = reply;
        return Round::end(RunOutcome::Answered(message));
    }
    if !turn.is_last_pass {
        turn.is_last_pass = true;
        return Round::Again;
    }
    tally.reply = Reply::plain(NOTHING_TO_SAY);
    Round::end(RunOutcome::Answered(saying(&message, NOTHING_TO_SAY)))
}

/// The message with another text, and without calls that were not carried out.
fn saying(message: &Message, text: &str) -> Message {
    let mut message = message.clone();
    if let Message::Assistant { content, stop_reason, .. } = &mut message {
        *content = vec![AssistantPart::Text { text: text.to_owned() }];
        *stop_reason = StopReason::Stop;
    }
    message
}

/// The model refused the conversation as too long: it is shortened and the same call made again, once.
async fn too_long(
    job: &mut RunJob,
    services: &RunServices,
    port: &TurnPort,
    tally: &mut Tally,
    turn: &mut Turn,
    failure: RunFailure,
) -> Round {
    if !turn.was_too_long {
        turn.was_too_long = true;
        match compaction::drive::shorten(job, services, port, tally, turn, None, true).await {
            Shortened::Done { .. } => {
                turn.loops.compacted();
                return Round::Again;
            }
            Shortened::Aborted => return Round::end(RunOutcome::Aborted(None)),
            Shortened::Nothing => {}
            Shortened::Failed(why) => tracing::warn!(run_id = %job.run, why, "history not shortened"),
        }
    }
    let text = format!(
        "{}. The conversation is too long for the model and could not be shortened enough; try again, or use /compact or /new",
        failure.text.trim_end_matches('.')
    );
    Round::end(RunOutcome::Failed(RunFailure { text, ..failure }))
}
