//! One run: a turn of a session.
//!
//! Parent: its session · Restart: temporary · Mailbox: 64, reject
//! Survives a restart: nothing; the session resumes it from its journal. Lost: text that was streamed and not stored.
//! Fails when: its turn panics. Failures of models and tools are results.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use supervision::{Actor, ActorResult, BoxError, ChildExit, ChildSpec, Ctx, Mailbox, Restart, Slot};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::calls::{Calls, Planned};
use super::contract::{RunFailure, RunJob, RunOutcome, RunResult, RunServices, RunSink};
use super::event::RunEventKind;
use super::port::TurnPort;
use super::tool_call::ToolResult;
use super::turn;

/// How long a run may take unless the configuration says otherwise (OpenClaw: 48 h).
const LONGEST: Duration = Duration::from_secs(48 * 60 * 60);

/// Arguments of a run.
#[derive(Clone)]
pub struct RunArgs {
    /// What to do.
    pub job: RunJob,
    /// With what.
    pub services: RunServices,
    /// For whom.
    pub sink: Arc<dyn RunSink>,
}

impl std::fmt::Debug for RunArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RunArgs({})", self.job.run)
    }
}

/// What a run is told.
#[derive(Debug)]
pub enum RunMessage {
    /// Something for watchers; comes from the turn.
    Event(RunEventKind),
    /// The model asked for tools. One result for each call goes back, in order.
    CallTools {
        /// The calls.
        calls: Vec<Planned>,
        /// Characters a result may have.
        result_chars: usize,
        /// Their results, with the places of their calls; has room for all.
        results: mpsc::Sender<(usize, ToolResult)>,
    },
    /// The result of a call is in the transcript.
    ToolSettled {
        /// The place of the call.
        index: usize,
    },
    /// The intent of a call is durable, or could not be made so.
    ToolIntended {
        /// In which step.
        step: u64,
        /// The place of the call.
        index: usize,
        /// Whether it is durable.
        is_durable: bool,
    },
    /// A tool is done.
    ToolDone {
        /// In which step.
        step: u64,
        /// The place of the call.
        index: usize,
        /// Its result.
        result: ToolResult,
    },
    /// A message waits to be taken in at the next safe point: what was not started of this step is left out.
    Steered,
    /// What came meanwhile was taken in.
    TookIn,
    /// Blocking work of the turn, to be done off the executor.
    Offload(Offload),
    /// Calls that were at work when the run was aborted had their time to end.
    AbortGrace,
    /// Stop as soon as you can, keep what is there.
    Abort,
    /// The run has taken as long as it may.
    TimeUp,
    /// The turn is over.
    TurnEnded(Box<Result<RunResult, String>>),
}

/// Blocking work that brings its result back by itself.
pub struct Offload(pub(super) Box<dyn FnOnce() + Send>);

impl std::fmt::Debug for Offload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Offload")
    }
}

pub(super) struct RunState {
    pub(super) args: RunArgs,
    pub(super) cancel: CancellationToken,
    pub(super) calls: Option<Calls>,
    pub(super) steps: u64,
    pub(super) result_chars: usize,
    /// A message waits to be taken in.
    pub(super) is_steered: bool,
    limit: Option<Duration>,
    is_late: bool,
}

struct RunActor;

/// The spec of a run; its id is `run:<runId>`.
#[must_use]
pub fn child_spec(args: RunArgs, slot: &Slot<RunMessage>) -> ChildSpec {
    ChildSpec::actor(child_id(&args.job), "run", slot, move |_| (RunActor, args.clone()))
        .restart(Restart::Temporary)
        .shutdown(supervision::Shutdown::Timeout(Duration::from_secs(5)))
        .mailbox(Mailbox::reject(64))
        .handler_limit(crate::HANDLER_LIMIT)
}

/// Id of a run among the children of its session.
#[must_use]
pub fn child_id(job: &RunJob) -> String {
    format!("run:{}", job.run)
}

impl Actor for RunActor {
    type Message = RunMessage;
    type Args = RunArgs;
    type State = RunState;

    async fn pre_start(&self, mut args: RunArgs, ctx: &Ctx<RunMessage>) -> Result<RunState, BoxError> {
        let cancel = ctx.cancel().child_token();
        args.services.tools = Arc::new(args.services.tools.for_run(args.job.owner));
        let port = TurnPort::new(ctx.reporter(), Arc::clone(&args.sink), cancel.clone());
        let (job, services, reporter) = (args.job.clone(), args.services.clone(), ctx.reporter());
        ctx.set_detail("session", args.job.session.as_str());
        ctx.set_detail("attempt", args.job.attempt.to_string());
        ctx.set_busy(Some(String::from("turn")));
        ctx.spawn_scoped(async move {
            let ended = AssertUnwindSafe(turn::drive(job, services, port)).catch_unwind().await;
            let ended = ended.map_err(|panic| panic_text(panic.as_ref()));
            reporter.send(RunMessage::TurnEnded(Box::new(ended)));
        });
        let limit = time_limit(&args);
        if let Some(limit) = limit {
            let spent = args.services.clock.now_ms().saturating_sub(args.job.started_at);
            let left = limit.saturating_sub(Duration::from_millis(u64::try_from(spent).unwrap_or(0)));
            ctx.send_after(left, RunMessage::TimeUp).detach();
        }
        Ok(RunState { args, cancel, calls: None, steps: 0, result_chars: 0, is_steered: false, limit, is_late: false })
    }

    async fn handle(&self, state: &mut RunState, message: RunMessage, ctx: &Ctx<RunMessage>) -> ActorResult {
        match message {
            RunMessage::Event(kind) => state.publish(kind, ctx),
            RunMessage::CallTools { calls, result_chars, results } => {
                state.call_tools(calls, result_chars, results, ctx);
            }
            RunMessage::ToolSettled { index } => state.tool_settled(index, ctx),
            RunMessage::ToolIntended { step, index, is_durable } => state.tool_intended(step, index, is_durable, ctx),
            RunMessage::ToolDone { step, index, result } => state.tool_done(step, index, result, ctx),
            // The turn asks for messages at its safe points by itself.
            RunMessage::Steered => state.steered(ctx),
            RunMessage::TookIn => state.is_steered = false,
            RunMessage::Offload(Offload(work)) => {
                let done = ctx.blocking(work);
                ctx.spawn_scoped(async move {
                    if done.await.is_none() {
                        tracing::error!("blocking work of a turn panicked");
                    }
                });
            }
            RunMessage::AbortGrace => state.give_up_calls(ctx),
            RunMessage::Abort => state.abort_calls(ctx),
            RunMessage::TimeUp => {
                state.is_late = true;
                state.abort_calls(ctx);
            }
            RunMessage::TurnEnded(ended) => {
                let result = ended.map_err(|panic| format!("the turn panicked: {panic}"))?;
                state.args.sink.finished(state.judged(result));
                ctx.stop("ended");
            }
        }
        Ok(())
    }

    async fn child_exited(&self, state: &mut RunState, exit: ChildExit, ctx: &Ctx<RunMessage>) -> ActorResult {
        if !exit.reason.is_clean()
            && let Some(key) = exit.id.as_str().strip_prefix("tool:")
        {
            state.tool_died(key, &exit.reason.to_string(), ctx);
        }
        Ok(())
    }
}

/// How long a run may take, all attempts together.
fn time_limit(args: &RunArgs) -> Option<Duration> {
    let configured = args.services.config.current().config.agents.defaults.timeout;
    Some(configured.unwrap_or(LONGEST)).filter(|limit| !limit.is_zero())
}

impl RunState {
    /// A run that was stopped for being late has failed, whatever its turn says.
    fn judged(&self, result: RunResult) -> RunResult {
        match (&result.outcome, self.limit) {
            (RunOutcome::Aborted(_), Some(limit)) if self.is_late => {
                let text = format!("the run took longer than {} s (agents.defaults.timeoutSeconds)", limit.as_secs());
                RunResult { outcome: RunOutcome::Failed(RunFailure { text, kind: "timeout" }), ..result }
            }
            (RunOutcome::Answered(_) | RunOutcome::Failed(_) | RunOutcome::Aborted(_), _) => result,
        }
    }

    pub(super) fn publish(&self, kind: RunEventKind, ctx: &Ctx<RunMessage>) {
        match &kind {
            RunEventKind::Status(phase) => ctx.set_busy(Some(phase.as_str().to_owned())),
            RunEventKind::Model { provider, model } => {
                ctx.set_busy(Some(String::from("model")));
                ctx.set_detail("model", format!("{provider}/{model}"));
            }
            RunEventKind::ToolStarted { name, .. } => ctx.set_busy(Some(format!("tool {name}"))),
            RunEventKind::Text { text, .. } => ctx.set_detail("streamed", format!("{} bytes", text.len())),
            RunEventKind::Retrying { reason, .. } => ctx.set_busy(Some(format!("waiting to ask again ({reason})"))),
            RunEventKind::Compaction { is_over: false, .. } => ctx.set_busy(Some(String::from("compaction"))),
            RunEventKind::Started { .. }
            | RunEventKind::ModelReleased
            | RunEventKind::Thinking { .. }
            | RunEventKind::ToolEnded { .. }
            | RunEventKind::Usage { .. }
            | RunEventKind::Compaction { is_over: true, .. }
            | RunEventKind::Finishing { .. }
            | RunEventKind::Fallback { .. }
            | RunEventKind::Ended(_)
            | RunEventKind::Failed { .. }
            | RunEventKind::Aborted { .. } => {}
        }
        self.args.job.publish(&self.args.services, kind);
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| String::from("no message"))
}
