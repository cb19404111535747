//! What an actor is: a message type, a state, and what to do with both.

use crate::context::Ctx;
use crate::exit::{ActorResult, BoxError, ExitReason};
use crate::path::ChildId;

/// An actor. Implementors write plain `async fn`.
///
/// Mutable data lives in `State` alone; the value itself holds nothing or what never changes.
pub trait Actor: Send + Sync + Sized + 'static {
    /// What it is sent.
    type Message: Send + 'static;
    /// What a start is given, made afresh each time.
    type Args: Send + 'static;
    /// What it keeps.
    type State: Send + 'static;

    /// Builds the state. Quick and without network; an error means that the start failed.
    fn pre_start(
        &self,
        args: Self::Args,
        ctx: &Ctx<Self::Message>,
    ) -> impl Future<Output = Result<Self::State, BoxError>> + Send;

    /// Handles one message. An error ends this incarnation: it is the request to be restarted.
    fn handle(
        &self,
        state: &mut Self::State,
        message: Self::Message,
        ctx: &Ctx<Self::Message>,
    ) -> impl Future<Output = ActorResult> + Send;

    /// Learns how a child started with [`Ctx::start_child`] ended, or that it did not start.
    fn child_exited(
        &self,
        state: &mut Self::State,
        exit: ChildExit,
        ctx: &Ctx<Self::Message>,
    ) -> impl Future<Output = ActorResult> + Send {
        let _ = (state, exit, ctx);
        async { Ok(()) }
    }

    /// Cleans up after a clean stop. Skipped after a panic, an error or a kill.
    fn post_stop(&self, state: &mut Self::State, ctx: &Ctx<Self::Message>) -> impl Future<Output = ActorResult> + Send {
        let _ = (state, ctx);
        async { Ok(()) }
    }
}

/// How a worker's own child ended.
#[derive(Clone, Debug)]
pub struct ChildExit {
    /// Which one.
    pub id: ChildId,
    /// Its incarnation; a temporary child has but one.
    pub incarnation: u64,
    /// Why; [`ExitReason::InitFailed`] or [`ExitReason::InitTimeout`] if it never ran.
    pub reason: ExitReason,
}
