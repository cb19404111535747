//! One call of a tool.
//!
//! Parent: its run · Restart: temporary · Mailbox: 4, reject
//! Survives a restart: nothing; the run answers for a call that died. Lost: the call.
//! Fails when: the tool panics; a tool's own error is a result, not a failure.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use supervision::{Actor, ActorResult, BoxError, ChildSpec, Ctx, Mailbox, Restart, Slot};

use crate::clock::Clock;
use crate::tools::{Tool, ToolContext, ToolError, ToolOutput};

/// Longest run of a tool that sets no limit of its own (OpenClaw's `exec`: 1800 s; read-only tools need less).
const TOOL_TIMEOUT: Duration = Duration::from_secs(120);

/// Result of a call, as it is told to the run.
pub(super) type ToolResult = Result<ToolOutput, ToolError>;

/// Arguments.
pub(super) struct ToolCallArgs {
    pub(super) tool: Arc<dyn Tool>,
    pub(super) arguments: Value,
    pub(super) clock: Clock,
    pub(super) done: Arc<dyn Fn(ToolResult) + Send + Sync>,
}

/// What the actor is told.
#[derive(Debug)]
pub(super) enum ToolCallMessage {
    /// The tool is done.
    Done(ToolResult),
}

pub(super) struct ToolCallState {
    done: Arc<dyn Fn(ToolResult) + Send + Sync>,
}

struct ToolCallActor;

/// The spec of a call; `id` is `tool:<callId>`.
pub(super) fn child_spec(
    id: String,
    slot: &Slot<ToolCallMessage>,
    make: impl Fn() -> ToolCallArgs + Send + Sync + 'static,
) -> ChildSpec {
    ChildSpec::actor(id, "tool", slot, move |_| (ToolCallActor, make()))
        .restart(Restart::Temporary)
        .mailbox(Mailbox::reject(4))
        .handler_limit(crate::HANDLER_LIMIT)
}

impl Actor for ToolCallActor {
    type Message = ToolCallMessage;
    type Args = ToolCallArgs;
    type State = ToolCallState;

    async fn pre_start(&self, args: ToolCallArgs, ctx: &Ctx<ToolCallMessage>) -> Result<ToolCallState, BoxError> {
        let context = ToolContext { clock: args.clock, cancel: ctx.cancel().child_token() };
        let reporter = ctx.reporter();
        let (tool, arguments) = (args.tool, args.arguments);
        ctx.set_busy(Some(tool.name().to_owned()));
        ctx.spawn_scoped(async move {
            let result = tokio::time::timeout(TOOL_TIMEOUT, tool.call(arguments, context))
                .await
                .unwrap_or_else(|_| Err(ToolError::Failed(format!("no result after {} s", TOOL_TIMEOUT.as_secs()))));
            reporter.send(ToolCallMessage::Done(result));
        });
        Ok(ToolCallState { done: args.done })
    }

    async fn handle(
        &self,
        state: &mut ToolCallState,
        message: ToolCallMessage,
        ctx: &Ctx<ToolCallMessage>,
    ) -> ActorResult {
        match message {
            ToolCallMessage::Done(result) => {
                (state.done)(result);
                ctx.stop("done");
            }
        }
        Ok(())
    }
}
