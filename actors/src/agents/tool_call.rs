//! One call of a tool.
//!
//! Parent: its run · Restart: temporary · Mailbox: 4, reject
//! Survives a restart: nothing; the run answers for a call that died. Lost: the call.
//! Fails when: the tool panics; a tool's own error is a result, not a failure.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use supervision::{Actor, ActorResult, BoxError, ChildSpec, Ctx, Mailbox, Restart, Slot};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::tools::contract::{BlockingWork, Effect, Fate, Offload};
use crate::tools::{Tool, ToolContext, ToolError, ToolOutput};

/// Result of a call, as it is told to the run.
pub(super) type ToolResult = Result<ToolOutput, ToolError>;

/// Makes what a call may use, from its cancellation and its way to do blocking work.
pub(super) type ContextOf = Arc<dyn Fn(CancellationToken, Offload) -> ToolContext + Send + Sync>;

/// Arguments.
pub(super) struct ToolCallArgs {
    pub(super) tool: Arc<dyn Tool>,
    pub(super) arguments: Value,
    pub(super) effect: Effect,
    /// Cancelled when the run is.
    pub(super) cancel: CancellationToken,
    pub(super) context: ContextOf,
    pub(super) done: Arc<dyn Fn(ToolResult) + Send + Sync>,
}

/// What the actor is told.
pub(super) enum ToolCallMessage {
    /// Blocking work of the tool.
    Work(BlockingWork),
    /// The tool is done.
    Done(ToolResult),
}

impl fmt::Debug for ToolCallMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Work(_) => "Work",
            Self::Done(_) => "Done",
        })
    }
}

pub(super) struct ToolCallState {
    done: Arc<dyn Fn(ToolResult) + Send + Sync>,
    /// Blocking work can't be stopped from outside: it is told when nobody waits for it any more.
    _cancel: DropGuard,
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

/// What is said of a call that was cut short, whatever the reason.
pub(super) fn cut_short(effect: Effect, why: &str) -> ToolError {
    match effect {
        Effect::Pure => ToolError::Failed(why.to_owned()),
        Effect::Keyed | Effect::Once => ToolError::Unfinished {
            fate: Fate::Unknown,
            text: format!("{why}; whether it took effect is not known: look before you repeat it"),
        },
    }
}

impl Actor for ToolCallActor {
    type Message = ToolCallMessage;
    type Args = ToolCallArgs;
    type State = ToolCallState;

    async fn pre_start(&self, args: ToolCallArgs, ctx: &Ctx<ToolCallMessage>) -> Result<ToolCallState, BoxError> {
        let cancel = args.cancel.child_token();
        let worker = ctx.reporter();
        let offload = Offload::new(move |work| {
            worker.send(ToolCallMessage::Work(work));
        });
        let context = (args.context)(cancel.clone(), offload);
        let reporter = ctx.reporter();
        let (tool, arguments, effect) = (args.tool, args.arguments, args.effect);
        let limit = tool.capabilities().timeout;
        ctx.set_busy(Some(tool.name().to_owned()));
        ctx.spawn_scoped(async move {
            let result = tokio::time::timeout(limit, tool.call(arguments, context))
                .await
                .unwrap_or_else(|_| Err(cut_short(effect, &format!("no result after {} s", limit.as_secs()))));
            reporter.send(ToolCallMessage::Done(result));
        });
        Ok(ToolCallState { done: args.done, _cancel: cancel.drop_guard() })
    }

    async fn handle(
        &self,
        state: &mut ToolCallState,
        message: ToolCallMessage,
        ctx: &Ctx<ToolCallMessage>,
    ) -> ActorResult {
        match message {
            ToolCallMessage::Work(work) => {
                let work = ctx.blocking(work);
                ctx.spawn_scoped(async move {
                    // The tool hears of it by the answer that does not come.
                    if work.await.is_none() {
                        tracing::error!("blocking work of a tool panicked");
                    }
                });
            }
            ToolCallMessage::Done(result) => {
                (state.done)(result);
                ctx.stop("done");
            }
        }
        Ok(())
    }
}
