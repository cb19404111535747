//! Children that are actors: how a spec becomes one on the runtime.

use std::sync::Arc;

use ractor::{ActorCell, SpawnErr};

use crate::actor::Actor;
use crate::address::{Slot, SlotInner};
use crate::child_spec::{ChildKind, ChildSpec, StartCtx, StartFn};
use crate::exit::{BoxError, ExitReason};
use crate::incarnation::{Incarnation, NotLinked, NotUp};
use crate::path::ChildId;
use crate::shell::seat::ErasedSlot;
use crate::shell::supervised::{SeatArgs, Supervised};

impl ChildSpec {
    /// An actor. `make` runs at each start, so a restart never reuses what broke it.
    pub fn actor<A: Actor>(
        id: impl Into<ChildId>,
        kind: &'static str,
        slot: &Slot<A::Message>,
        make: impl Fn(&StartCtx) -> (A, A::Args) + Send + Sync + 'static,
    ) -> Self {
        let make = Arc::new(make);
        let place = Arc::clone(&slot.0);
        let start: StartFn = Arc::new(move |start| {
            let make = Arc::clone(&make);
            let slot = Arc::clone(&place);
            Box::pin(async move {
                let (actor, args) = make(&start);
                spawn_actor(start, slot, actor, args).await
            })
        });
        let mut spec = Self::new(id.into(), kind, ChildKind::Worker, start);
        spec.slot = Some(Arc::clone(&slot.0) as Arc<dyn ErasedSlot>);
        spec
    }

    /// A child with a start function of its own, for starts that have something to do first. It has to start its actor
    /// with the [`StartCtx`] it is given and to give that back; anything else fails the start with [`NotLinked`].
    /// `Err(Exit::Ignore.into())` says that there is nothing to run.
    pub fn custom<M, F>(
        id: impl Into<ChildId>,
        kind: &'static str,
        slot: &Slot<M>,
        start: impl Fn(StartCtx) -> F + Send + Sync + 'static,
    ) -> Self
    where
        M: Send + 'static,
        F: Future<Output = Result<Incarnation, BoxError>> + Send + 'static,
    {
        let start: StartFn = Arc::new(move |ctx| {
            let desk = Arc::clone(&ctx.seating.desk);
            let starting = start(ctx);
            Box::pin(async move {
                let Incarnation(cell) = starting.await.map_err(NotUp::from_box)?;
                let own = desk.spawned.get().is_some_and(|spawned| spawned.get_id() == cell.get_id());
                if own { Ok(cell) } else { Err(ExitReason::error(NotLinked).into()) }
            })
        });
        let mut spec = Self::new(id.into(), kind, ChildKind::Worker, start);
        spec.slot = Some(Arc::clone(&slot.0) as Arc<dyn ErasedSlot>);
        spec
    }
}

impl StartCtx {
    /// Starts the child's actor. For start functions, see [`ChildSpec::custom`].
    ///
    /// # Errors
    /// What `pre_start` returned, or its panic.
    pub async fn spawn<A: Actor>(
        self,
        slot: &Slot<A::Message>,
        actor: A,
        args: A::Args,
    ) -> Result<Incarnation, BoxError> {
        spawn_actor(self, Arc::clone(&slot.0), actor, args).await.map(Incarnation).map_err(NotUp::into_box)
    }
}

async fn spawn_actor<A: Actor>(
    start: StartCtx,
    slot: Arc<SlotInner<A::Message>>,
    actor: A,
    args: A::Args,
) -> Result<ActorCell, NotUp> {
    let supervisor = start.seating.supervisor.clone();
    let desk = Arc::clone(&start.seating.desk);
    let seat = SeatArgs::<A> { args, start, slot };
    match ractor::Actor::spawn_linked(None, Supervised { actor }, seat, supervisor).await {
        Ok((actor, _)) => {
            let cell = actor.get_cell();
            drop(desk.spawned.set(cell.clone()));
            Ok(cell)
        }
        Err(error) => Err(start_error(error)),
    }
}

pub(crate) fn start_error(error: SpawnErr) -> NotUp {
    match error {
        SpawnErr::StartupFailed(error) => NotUp::from_box(error),
        error @ (SpawnErr::ActorAlreadyStarted | SpawnErr::ActorAlreadyRegistered(_)) => {
            ExitReason::error(error).into()
        }
    }
}
