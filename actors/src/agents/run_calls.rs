//! The tool calls of a run: intents before effects, one result for each call.

use std::sync::Arc;
use std::time::Duration;

use ring::digest;
use serde_json::Value;
use supervision::{Ctx, Slot};
use tokio::sync::mpsc;

use super::calls::{Calls, Planned, Told, unfinished};
use super::contract::Intent;
use super::event::RunEventKind;
use super::run::{RunMessage, RunState};
use super::tool_call::{self, ContextOf, ToolCallArgs, ToolResult, cut_short};
use crate::tools::ToolContext;
use crate::tools::contract::{Effect, Fate};
use crate::tools::workspace::WorkspacePlaces;

/// How long calls that do something to the world may go on after an abort, so that their outcome is known. Less than
/// what a session waits for its aborted run.
const ABORT_GRACE: Duration = Duration::from_secs(2);
/// What a call is told that gave way to a message.
const SKIPPED: &str = "skipped to process an incoming message";
/// Hex digits of the arguments' digest in a call's key: a provider may give an id a second time.
const KEY_DIGITS: usize = 16;

impl RunState {
    pub(super) fn call_tools(
        &mut self,
        planned: Vec<Planned>,
        result_chars: usize,
        results: mpsc::Sender<Told>,
        ctx: &Ctx<RunMessage>,
    ) {
        self.steps += 1;
        self.result_chars = result_chars;
        let tools = Arc::clone(&self.args.services.tools);
        let prepare = |call: &super::calls::ToolRequest| tools.prepare(&call.name, call.arguments.clone());
        let calls = Calls::new(self.steps, planned, results, prepare);
        for index in 0..calls.len() {
            if let Some(call) = calls.get(index).filter(|call| call.tool.is_none()) {
                let (id, name) = (call.request.id.clone(), call.request.name.clone());
                let arguments = call.request.arguments.clone();
                self.publish(RunEventKind::ToolStarted { call_id: id, name, arguments }, ctx);
            }
        }
        self.calls = Some(calls);
        if self.cancel.is_cancelled() {
            self.abort_calls(ctx);
        } else if self.is_steered {
            self.skip_rest(ctx);
        } else {
            self.go_on(ctx);
        }
    }

    /// A message came in, which goes before what was not started yet. It is taken in behind the results of this step.
    pub(super) fn steered(&mut self, ctx: &Ctx<RunMessage>) {
        self.is_steered = true;
        self.skip_rest(ctx);
    }

    /// Leaves out what was not started yet: each of those calls gets a result that says so.
    fn skip_rest(&mut self, ctx: &Ctx<RunMessage>) {
        self.end_all(|calls| calls.waiting(), &|_| unfinished(Fate::Skipped, SKIPPED), ctx);
        self.go_on(ctx);
    }

    /// The run is to stop: nothing new starts, and what does something to the world gets a moment to end.
    pub(super) fn abort_calls(&mut self, ctx: &Ctx<RunMessage>) {
        self.cancel.cancel();
        let not_started = |_| unfinished(Fate::Aborted, "aborted before it was started");
        self.end_all(|calls| [calls.waiting(), calls.intending()].concat(), &not_started, ctx);
        self.end_all(|calls| calls.running(false), &|_| unfinished(Fate::Aborted, "aborted"), ctx);
        if self.calls.as_ref().is_some_and(|calls| !calls.running(true).is_empty()) {
            ctx.send_after(ABORT_GRACE, RunMessage::AbortGrace).detach();
        }
        self.go_on(ctx);
    }

    /// What is still at work is not waited for any longer.
    pub(super) fn give_up_calls(&mut self, ctx: &Ctx<RunMessage>) {
        self.end_all(
            |calls| calls.running(true),
            &|effect| Err(cut_short(effect, "aborted while it was at work")),
            ctx,
        );
        self.go_on(ctx);
    }

    pub(super) fn tool_settled(&mut self, index: usize, ctx: &Ctx<RunMessage>) {
        if let Some(calls) = &mut self.calls {
            calls.settled(index);
        }
        self.go_on(ctx);
    }

    pub(super) fn tool_intended(&mut self, step: u64, index: usize, is_durable: bool, ctx: &Ctx<RunMessage>) {
        let Some(calls) = self.calls.as_mut().filter(|calls| calls.step == step) else { return };
        if !calls.intended(index) {
            return;
        }
        if is_durable {
            self.carry_out(index, ctx);
        } else {
            let text = "it was not started: the journal could not be written";
            self.tool_done(step, index, unfinished(Fate::NotStarted, text), ctx);
        }
    }

    pub(super) fn tool_done(&mut self, step: u64, index: usize, result: ToolResult, ctx: &Ctx<RunMessage>) {
        if self.end(step, index, result, ctx) {
            self.go_on(ctx);
        }
    }

    /// The actor of a call ended without a result.
    pub(super) fn tool_died(&mut self, key: &str, reason: &str, ctx: &Ctx<RunMessage>) {
        let Some(calls) = &self.calls else { return };
        let Some((index, call)) = calls.by_key(key).and_then(|index| calls.get(index).map(|call| (index, call))) else {
            return;
        };
        let error = cut_short(call.effect, &format!("the tool crashed: {reason}"));
        self.tool_done(calls.step, index, Err(error), ctx);
    }

    /// Ends the chosen calls, each with what `result` says of a call of its effect.
    fn end_all(
        &mut self,
        choose: impl Fn(&Calls) -> Vec<usize>,
        result: &dyn Fn(Effect) -> ToolResult,
        ctx: &Ctx<RunMessage>,
    ) {
        let Some(calls) = &self.calls else { return };
        let step = calls.step;
        let chosen: Vec<(usize, Effect)> =
            choose(calls).into_iter().filter_map(|at| calls.get(at).map(|call| (at, call.effect))).collect();
        for (index, effect) in chosen {
            self.end(step, index, result(effect), ctx);
        }
    }

    fn end(&mut self, step: u64, index: usize, result: ToolResult, ctx: &Ctx<RunMessage>) -> bool {
        let Some(calls) = self.calls.as_mut().filter(|calls| calls.step == step) else { return false };
        let (text, is_error) = match &result {
            Ok(output) => (output.text.clone(), false),
            Err(error) => (error.to_string(), true),
        };
        if !calls.done(index, result) {
            return false;
        }
        let Some(call) = calls.get(index) else { return false };
        let (call_id, name, started_at) = (call.request.id.clone(), call.request.name.clone(), call.started_at);
        self.publish(RunEventKind::ToolEnded { call_id, name, text, is_error, started_at }, ctx);
        true
    }

    /// Tells what is done and starts what may start.
    fn go_on(&mut self, ctx: &Ctx<RunMessage>) {
        let now = self.args.services.clock.now_ms();
        let Some(calls) = &mut self.calls else { return };
        if calls.tell() {
            self.calls = None;
            return;
        }
        for index in calls.start(now) {
            self.begin(index, ctx);
        }
    }

    /// Starts a call, or first writes down that it is about to start.
    fn begin(&mut self, index: usize, ctx: &Ctx<RunMessage>) {
        let Some(calls) = &self.calls else { return };
        let Some(call) = calls.get(index) else { return };
        let (step, effect) = (calls.step, call.effect);
        let started = RunEventKind::ToolStarted {
            call_id: call.request.id.clone(),
            name: call.request.name.clone(),
            arguments: call.request.arguments.clone(),
        };
        let intent = Intent {
            call_id: call.request.id.clone(),
            key: call.key.clone(),
            tool: call.request.name.clone(),
            effect,
            arguments: arguments_digest(&call.request.arguments),
        };
        self.publish(started, ctx);
        match effect {
            Effect::Pure => self.carry_out(index, ctx),
            Effect::Keyed | Effect::Once => {
                let (durable, reporter) = (self.args.sink.intend(intent), ctx.reporter());
                ctx.spawn_scoped(async move {
                    let is_durable = durable.await;
                    reporter.send(RunMessage::ToolIntended { step, index, is_durable });
                });
            }
        }
    }

    fn carry_out(&mut self, index: usize, ctx: &Ctx<RunMessage>) {
        let Some(calls) = &self.calls else { return };
        let Some(call) = calls.get(index) else { return };
        let Some((tool, arguments)) = call.tool.clone() else { return };
        let (step, effect, key) = (calls.step, call.effect, call.key.clone());
        let digest = arguments_digest(&call.request.arguments);
        let context = self.context_of(format!("{key}-{}", &digest[..KEY_DIGITS]));
        let (cancel, reporter) = (self.cancel.clone(), ctx.reporter());
        let label = tool.name();
        let make = move || {
            let reporter = reporter.clone();
            ToolCallArgs {
                tool: Arc::clone(&tool),
                arguments: arguments.clone(),
                effect,
                cancel: cancel.clone(),
                context: Arc::clone(&context),
                done: Arc::new(move |result| {
                    reporter.send(RunMessage::ToolDone { step, index, result });
                }),
            }
        };
        ctx.start_child(tool_call::child_spec(format!("tool:{key}"), &Slot::new(), make).label(label.to_owned()));
    }

    /// What a call may use.
    fn context_of(&self, call_id: String) -> ContextOf {
        let (job, services) = (&self.args.job, &self.args.services);
        let snapshot = services.config.current();
        let workspace = WorkspacePlaces {
            root: snapshot.config.agents.workspace_of(&job.agent, &services.state_dir),
            state_dir: services.state_dir.clone(),
            config_files: snapshot.files.iter().cloned().chain([snapshot.path.clone()]).collect(),
        };
        let (agent, session, run) = (job.agent.clone(), job.session.clone(), job.run.clone());
        let (is_owner, result_chars) = (job.owner, self.result_chars);
        let (clock, sessions, config) =
            (services.clock.clone(), Arc::clone(&services.tool_sessions), Arc::clone(&snapshot.config));
        let call_id: Arc<str> = call_id.into();
        Arc::new(move |cancel, offload| ToolContext {
            clock: clock.clone(),
            cancel,
            agent: agent.clone(),
            session: session.clone(),
            run: run.clone(),
            call_id: Arc::clone(&call_id),
            is_owner,
            workspace: workspace.clone(),
            result_chars,
            config: Arc::clone(&config),
            sessions: Arc::clone(&sessions),
            offload,
        })
    }
}

/// SHA-256 of the arguments, in hex.
fn arguments_digest(arguments: &Value) -> String {
    let digest = digest::digest(&digest::SHA256, arguments.to_string().as_bytes());
    digest.as_ref().iter().fold(String::with_capacity(64), |hex, byte| hex + &format!("{byte:02x}"))
}
