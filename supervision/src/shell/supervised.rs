//! Runs an [`Actor`] on the runtime: catches its panics, measures it, frees what it holds, in whatever way it ends.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use ractor::{ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::time::Sleep;

use crate::actor::{Actor, ChildExit};
use crate::address::{Live, Slot, SlotInner};
use crate::child_spec::StartCtx;
use crate::context::{Core, Ctx};
use crate::exit::{BoxError, ExitReason};
use crate::mailbox::envelope::{Env, Opened, Wire};
use crate::mailbox::inbox::Inbox;
use crate::panics::{Frame, catch, catch_callback, guard, guard_callback};
use crate::scope::Scope;
use crate::shell::nursery::Nursery;
use crate::shell::pulse::Pulse;
use crate::shell::seat::ErasedSlot;

/// How long the end of an actor waits for its cancelled tasks and killed children.
pub(super) const TIDY: Duration = Duration::from_secs(1);

/// A message was worked on for longer than the spec allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message was worked on for more than {0:?}")]
pub struct HandlerTimeout(pub Duration);

/// The adapter.
pub(crate) struct Supervised<A> {
    pub(super) actor: A,
}

pub(crate) struct SeatArgs<A: Actor> {
    pub(super) args: A::Args,
    pub(super) start: StartCtx,
    pub(super) slot: Arc<SlotInner<A::Message>>,
}

/// The runtime's view of an actor's state.
pub(crate) struct Seat<A: Actor> {
    user: Option<A::State>,
    bond: Bond<A>,
    /// It has not had a message yet.
    fresh: bool,
    pulse: Pulse,
}

/// What a turn of an actor is about.
enum Job<M: Send + 'static> {
    Message(Env<M>),
    Child(Box<ChildExit>),
    Crash(BoxError),
    /// A fault on purpose may wait.
    Nudge,
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
        core.desk.cancel.cancel();
        core.scope.end();
        core.node.set_busy(None);
        if let Some(marked) = &core.chaos {
            marked.leave();
        }
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
        let chaos = seating.shared.tree.chaos_table().map(|table| {
            let nudged = cell.clone();
            table.enter(&start.path, &cell, Box::new(move |_| drop(nudged.send_message(Wire::<A::Message>::Nudge))))
        });
        let core = Arc::new(Core {
            path: start.path,
            incarnation: start.incarnation,
            attempt: start.attempt,
            last_exit: start.last_exit,
            checkpoint: start.checkpoint,
            scope: Scope::default(),
            node: seating.node,
            shared: seating.shared,
            cell: cell.clone(),
            meter: seating.meter,
            nursery: std::sync::Mutex::default(),
            crash: Box::new(move |error| drop(crash_to.send_message(Wire::<A::Message>::Crash(error)))),
            chaos,
            drain_wanted: AtomicBool::new(false),
            handler_limit: seating.handler_limit,
            desk: seating.desk,
            gate: std::sync::OnceLock::new(),
            child_exit: Arc::new(move |exit| drop(exits_to.send_message(Wire::<A::Message>::Child(exit)))),
        });
        drop(core.desk.core.set(Arc::downgrade(&core)));
        let inbox = Inbox::new(seating.mailbox, Arc::clone(&core.meter), Arc::downgrade(&slot), cell.get_id());
        let live = Arc::new(Live::new(cell, inbox, Arc::clone(&core)));
        slot.publish(Arc::clone(&live));
        let address = Slot(slot).address();
        Self { ctx: Ctx { core, live, address }, orderly: false }
    }
}

impl<A: Actor> Supervised<A> {
    /// Ends an incarnation that failed: nothing of it is left when its supervisor learns of it.
    async fn fail(seat: &mut Seat<A>, error: BoxError) -> BoxError {
        let core = Arc::clone(&seat.bond.ctx.core);
        core.desk.cancel.cancel();
        core.scope.end();
        if let Some(nursery) = core.nursery() {
            nursery.kill(TIDY).await;
        }
        if let Some(state) = seat.user.take() {
            drop(catch(move || drop(state)));
        }
        core.scope.ended_within(TIDY).await;
        seat.bond.orderly = true;
        error
    }

    /// Woken for a fault on purpose.
    async fn nudged(core: &Core) -> Result<(), BoxError> {
        let Some(marked) = &core.chaos else { return Ok(()) };
        let struck = guard(|| marked.strike());
        let struck = match core.handler_limit {
            None => struck.await,
            Some(limit) => match tokio::time::timeout(limit, struck).await {
                Ok(struck) => struck,
                Err(_) => return Err(HandlerTimeout(limit).into()),
            },
        };
        struck.unwrap_or_else(|panic| Err(panic.into()))
    }

    async fn last_words(&self, state: &mut A::State, ctx: &Ctx<A::Message>) -> Result<(), BoxError> {
        if let Some(marked) = &ctx.core.chaos {
            marked.strike_stop().await?;
        }
        self.actor.post_stop(state, ctx).await
    }

    async fn child_exited(&self, exit: ChildExit, seat: &mut Seat<A>) -> Result<(), BoxError> {
        let ctx = &seat.bond.ctx;
        let Some(state) = seat.user.as_mut() else { return Ok(()) };
        if let Some(nursery) = ctx.core.nursery() {
            nursery.forget_one();
        }
        let handling = guard_callback(ctx.address.0.uid(), None, || self.actor.child_exited(state, exit, ctx));
        let outcome = match ctx.core.handler_limit {
            None => handling.await,
            Some(limit) => match tokio::time::timeout(limit, handling).await {
                Ok(outcome) => outcome,
                Err(_) => return Err(HandlerTimeout(limit).into()),
            },
        };
        outcome.unwrap_or_else(|panic| Err(panic.into()))
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
        let state = guard_callback(uid, Frame::trace(), || self.actor.pre_start(args, &bond.ctx))
            .await
            .unwrap_or_else(|panic| Err(panic.into()))?;
        Ok(Seat { user: Some(state), bond, fresh: true, pulse: Pulse::default() })
    }

    async fn post_start(&self, me: ActorRef<Self::Msg>, seat: &mut Seat<A>) -> Result<(), ActorProcessingErr> {
        if seat.bond.ctx.core.drain_wanted.load(Ordering::SeqCst) {
            drop(me.drain());
        }
        Ok(())
    }

    /// Runs for each message. What surrounds a future is copied with it, so what is rare is boxed. The envelope is opened
    /// only when the future runs: if the actor is killed before that, the message goes back.
    fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        wire: Self::Msg,
        seat: &mut Seat<A>,
    ) -> impl Future<Output = Result<(), ActorProcessingErr>> + Send {
        let job = match wire {
            Wire::User(env) => Job::Message(env),
            Wire::Child(exit) => Job::Child(Box::new(exit)),
            Wire::Crash(error) => Job::Crash(error),
            Wire::Nudge => Job::Nudge,
        };
        let fresh = std::mem::take(&mut seat.fresh);
        async move {
            if fresh {
                // The runtime has just told the supervisor of the start and so put it next in line on this very thread.
                // If the first message blocks, the supervisor must not be the one that waits.
                tokio::task::yield_now().await;
            }
            let outcome = match job {
                Job::Message(env) => {
                    let Some(Opened { message, trace, stub }) = env.open() else { return Ok(()) };
                    let Seat { user: Some(state), bond: Bond { ctx, .. }, pulse, .. } = seat else { return Ok(()) };
                    let ctx = &*ctx;
                    let mut beat = pulse.beat(stub);
                    let mut handler = pin!(async move {
                        if let Some(marked) = &ctx.core.chaos {
                            marked.strike().await?;
                        }
                        self.actor.handle(state, message, ctx).await
                    });
                    let mut alarm: Option<Pin<Box<Sleep>>> = None;
                    let outcome = poll_fn(|cx| {
                        match catch_callback(ctx.address.0.uid(), trace, || handler.as_mut().poll(cx)) {
                            Ok(Poll::Ready(outcome)) => return Poll::Ready(outcome),
                            Ok(Poll::Pending) => beat.waits(),
                            Err(panic) => return Poll::Ready(Err(panic.into())),
                        }
                        let Some(limit) = ctx.core.handler_limit else { return Poll::Pending };
                        let alarm = alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
                        alarm.as_mut().poll(cx).map(|()| Err(HandlerTimeout(limit).into()))
                    })
                    .await;
                    beat.end(pulse, outcome.is_err());
                    outcome
                }
                Job::Child(exit) => Box::pin(self.child_exited(*exit, seat)).await,
                Job::Crash(error) => Err(error),
                Job::Nudge => Box::pin(Self::nudged(&seat.bond.ctx.core)).await,
            };
            match outcome {
                Ok(()) => Ok(()),
                Err(error) => Err(Box::pin(Self::fail(seat, error)).await),
            }
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
        core.desk.cancel.cancel();
        if let Some(nursery) = core.nursery() {
            Nursery::shut_down(&nursery).await;
        }
        let outcome = match seat.user.as_mut() {
            Some(state) => {
                let ctx = &seat.bond.ctx;
                guard_callback(ctx.address.0.uid(), None, || self.last_words(state, ctx))
                    .await
                    .unwrap_or_else(|panic| Err(panic.into()))
            }
            None => Ok(()),
        };
        match outcome {
            Ok(()) => {
                core.scope.end();
                core.scope.ended_within(TIDY).await;
                if let Some(state) = seat.user.take().and_then(|state| core.desk.leave(state)) {
                    drop(catch(move || drop(state)));
                }
                seat.bond.orderly = true;
                Ok(())
            }
            Err(error) => Err(Self::fail(seat, error).await),
        }
    }
}
