//! Runs an [`Actor`] on the runtime: catches its panics, measures it, frees what it holds, in whatever way it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ractor::{ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};

use crate::actor::Actor;
use crate::address::{Live, Slot, SlotInner};
use crate::call::CURRENT;
use crate::child_spec::{ChildKind, ChildSpec, StartCtx, StartFn};
use crate::context::{Core, Ctx};
use crate::exit::{BoxError, ExitReason};
use crate::mailbox::admission::Admission;
use crate::mailbox::envelope::Wire;
use crate::panics::{catch, guard};
use crate::path::ChildId;
use crate::scope::Scope;
use crate::shell::nursery::Nursery;
use crate::shell::seat::ErasedSlot;

/// How long the end of an actor waits for its cancelled tasks and killed children.
const TIDY: Duration = Duration::from_secs(1);

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
                let (actor, args) = catch(|| make(&start)).map_err(|panic| ExitReason::Panic(Arc::new(panic)))?;
                let supervisor = start.seating.supervisor.clone();
                let seat = SeatArgs::<A> { args, start, slot };
                match ractor::Actor::spawn_linked(None, Supervised { actor }, seat, supervisor).await {
                    Ok((actor, _)) => Ok(actor.get_cell()),
                    Err(error) => Err(start_error(error)),
                }
            })
        });
        let mut spec = Self::new(id.into(), kind, ChildKind::Worker, start);
        spec.slot = Some(Arc::clone(&slot.0) as Arc<dyn ErasedSlot>);
        spec
    }
}

pub(crate) fn start_error(error: SpawnErr) -> ExitReason {
    match error {
        SpawnErr::StartupFailed(error) => ExitReason::from_box(error),
        error @ (SpawnErr::ActorAlreadyStarted | SpawnErr::ActorAlreadyRegistered(_)) => ExitReason::error(error),
    }
}

/// The adapter.
pub(crate) struct Supervised<A> {
    actor: A,
}

pub(crate) struct SeatArgs<A: Actor> {
    args: A::Args,
    start: StartCtx,
    slot: Arc<SlotInner<A::Message>>,
}

/// The runtime's view of an actor's state.
pub(crate) struct Seat<A: Actor> {
    user: Option<A::State>,
    bond: Bond<A>,
}

/// Undoes an incarnation's traces however it ends.
struct Bond<A: Actor> {
    ctx: Ctx<A::Message>,
    /// It ended in a way its supervisor learns the reason of.
    orderly: bool,
}

impl<A: Actor> Drop for Bond<A> {
    fn drop(&mut self) {
        let core = &self.ctx.core;
        core.cancel.cancel();
        core.scope.end();
        core.node.set_busy(None);
        if !self.orderly {
            self.ctx.address.0.unpublish(core.cell.get_id(), &ExitReason::Killed);
        }
    }
}

impl<A: Actor> Bond<A> {
    fn new(start: StartCtx, slot: Arc<SlotInner<A::Message>>, cell: ractor::ActorCell) -> Self {
        let seating = start.seating;
        seating.meter.set_bound(seating.mailbox.bound());
        let crash_to = cell.clone();
        let exits_to = cell.clone();
        let core = Arc::new(Core {
            path: start.path,
            incarnation: start.incarnation,
            attempt: start.attempt,
            last_exit: start.last_exit,
            cancel: start.cancel,
            checkpoint: start.checkpoint,
            scope: Scope::default(),
            node: seating.node,
            shared: seating.shared,
            cell: cell.clone(),
            meter: seating.meter,
            nursery: std::sync::Mutex::default(),
            crash: Box::new(move |panic| drop(crash_to.send_message(Wire::<A::Message>::Crash(panic)))),
            drain_wanted: AtomicBool::new(false),
            child_exit: Arc::new(move |exit| drop(exits_to.send_message(Wire::<A::Message>::Child(exit)))),
        });
        let live = Arc::new(Live::new(cell, Admission::new(seating.mailbox), Arc::clone(&core)));
        slot.publish(Arc::clone(&live));
        let address = Slot(slot).address();
        Self { ctx: Ctx { core, live, address }, orderly: false }
    }
}

impl<A: Actor> Supervised<A> {
    /// Ends an incarnation that failed: nothing of it is left when its supervisor learns of it.
    async fn fail(seat: &mut Seat<A>, error: BoxError) -> BoxError {
        let core = Arc::clone(&seat.bond.ctx.core);
        core.cancel.cancel();
        core.scope.end();
        if let Some(nursery) = core.nursery() {
            nursery.kill(TIDY).await;
        }
        if let Some(state) = seat.user.take() {
            drop(catch(move || drop(state)));
        }
        drop(tokio::time::timeout(TIDY, core.scope.ended()).await);
        seat.bond.orderly = true;
        error
    }

    async fn run(&self, wire: Wire<A::Message>, state: &mut A::State, ctx: &Ctx<A::Message>) -> Result<(), BoxError> {
        match wire {
            Wire::User(mut env) => {
                let Some(message) = env.open() else { return Ok(()) };
                let mut busy = ctx.core.meter.begin();
                #[cfg(feature = "chaos")]
                let outcome = guard(|| async {
                    crate::chaos::strike(&ctx.core.path).await?;
                    self.actor.handle(state, message, ctx).await
                })
                .await;
                #[cfg(not(feature = "chaos"))]
                let outcome = guard(|| self.actor.handle(state, message, ctx)).await;
                let outcome = outcome.unwrap_or_else(|panic| Err(panic.into()));
                if outcome.is_err() {
                    busy.fail();
                }
                outcome
            }
            Wire::Child(exit) => {
                if let Some(nursery) = ctx.core.nursery() {
                    nursery.forget_one();
                }
                guard(|| self.actor.child_exited(state, exit, ctx)).await.unwrap_or_else(|panic| Err(panic.into()))
            }
            Wire::Crash(panic) => Err(panic.into()),
        }
    }
}

impl<A: Actor> ractor::Actor for Supervised<A> {
    type Msg = Wire<A::Message>;
    type State = Seat<A>;
    type Arguments = SeatArgs<A>;

    async fn pre_start(&self, me: ActorRef<Self::Msg>, seat: SeatArgs<A>) -> Result<Seat<A>, ActorProcessingErr> {
        let SeatArgs { args, start, slot } = seat;
        let uid = slot.uid();
        let bond = Bond::<A>::new(start, slot, me.get_cell());
        #[cfg(feature = "chaos")]
        crate::chaos::register(&bond.ctx.core.path, &bond.ctx.core.cell, true);
        let state = CURRENT
            .scope(uid, guard(|| self.actor.pre_start(args, &bond.ctx)))
            .await
            .unwrap_or_else(|panic| Err(panic.into()))?;
        Ok(Seat { user: Some(state), bond })
    }

    async fn post_start(&self, me: ActorRef<Self::Msg>, seat: &mut Seat<A>) -> Result<(), ActorProcessingErr> {
        if seat.bond.ctx.core.drain_wanted.load(Ordering::SeqCst) {
            drop(me.drain());
        }
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        wire: Self::Msg,
        seat: &mut Seat<A>,
    ) -> Result<(), ActorProcessingErr> {
        let ctx = &seat.bond.ctx;
        let Some(state) = seat.user.as_mut() else { return Ok(()) };
        match CURRENT.scope(ctx.address.0.uid(), self.run(wire, state, ctx)).await {
            Ok(()) => Ok(()),
            Err(error) => Err(Self::fail(seat, error).await),
        }
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        _: &mut Seat<A>,
    ) -> Result<(), ActorProcessingErr> {
        // Only the nursery is linked here, and it speaks for itself.
        drop(event);
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Self::Msg>, seat: &mut Seat<A>) -> Result<(), ActorProcessingErr> {
        let core = Arc::clone(&seat.bond.ctx.core);
        core.cancel.cancel();
        if let Some(nursery) = core.nursery() {
            Nursery::shut_down(&nursery).await;
        }
        let outcome = match seat.user.as_mut() {
            Some(state) => {
                let ctx = &seat.bond.ctx;
                CURRENT
                    .scope(ctx.address.0.uid(), guard(|| self.actor.post_stop(state, ctx)))
                    .await
                    .unwrap_or_else(|panic| Err(panic.into()))
            }
            None => Ok(()),
        };
        match outcome {
            Ok(()) => {
                core.scope.end();
                drop(tokio::time::timeout(TIDY, core.scope.ended()).await);
                if let Some(state) = seat.user.take() {
                    drop(catch(move || drop(state)));
                }
                seat.bond.orderly = true;
                Ok(())
            }
            Err(error) => Err(Self::fail(seat, error).await),
        }
    }
}
