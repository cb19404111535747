//! Panics of every sort in every place: the child is dealt with as after any failure, and nothing else suffers.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use supervision::prelude::{
    Actor, ActorResult, BoxError, ChildSpec, Ctx, Intensity, Mailbox, Reply, Restart, Shutdown, Slot, SupervisorSpec,
};
use tokio::runtime::Handle;

use crate::shared::seeds::holds;
use crate::stage::{BUDGET, Stage, on_stage, settle};

/// How many messages a mine has room for.
const ROOM: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Make,
    PreStart,
    Handle,
    PostStop,
    StateDrop,
    QueueDrop,
    Task,
    ChildExited,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payload {
    Text,
    Owned,
    Number,
    Boxed,
    /// Panics again when it is dropped.
    Bomb,
}

/// How the first incarnation is brought to its end, where the place does not do that by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Error,
    Stop,
    Kill,
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a payload that does not go quietly");
        }
    }
}

fn blow(payload: Payload) -> ! {
    match payload {
        Payload::Text => panic!("text"),
        Payload::Owned => panic!("{} text", "owned"),
        Payload::Number => std::panic::panic_any(7u32),
        Payload::Boxed => std::panic::panic_any(Box::new("boxed") as Box<dyn std::any::Any + Send>),
        Payload::Bomb => std::panic::panic_any(Bomb),
    }
}

/// Blows up when dropped, if armed.
struct Fuse(Option<Payload>);

impl Drop for Fuse {
    fn drop(&mut self) {
        if let Some(payload) = self.0.take()
            && !std::thread::panicking()
        {
            blow(payload);
        }
    }
}

enum Order {
    End(Ending),
    Trip,
    Carry(#[expect(dead_code, reason = "there for its drop")] Fuse),
    Well(Reply<u64>),
}

struct Mine {
    place: Place,
    payload: Payload,
}

impl Actor for Mine {
    type Message = Order;
    type Args = ();
    type State = Fuse;

    async fn pre_start(&self, (): (), ctx: &Ctx<Order>) -> Result<Fuse, BoxError> {
        let first = ctx.incarnation() == 1;
        if first && self.place == Place::PreStart {
            blow(self.payload);
        }
        Ok(Fuse((first && self.place == Place::StateDrop).then_some(self.payload)))
    }

    async fn handle(&self, _: &mut Fuse, order: Order, ctx: &Ctx<Order>) -> ActorResult {
        let payload = self.payload;
        match order {
            Order::Trip => match self.place {
                Place::Handle => blow(payload),
                Place::Task => ctx.spawn_scoped(async move { blow(payload) }),
                Place::ChildExited => ctx.start_child(ChildSpec::task("brief", "task", |_| async { Ok(()) })),
                Place::Make | Place::PreStart | Place::PostStop | Place::StateDrop | Place::QueueDrop => {}
            },
            Order::End(Ending::Error) => return Err("end".into()),
            Order::End(Ending::Stop) => ctx.stop("end"),
            Order::End(Ending::Kill) | Order::Carry(_) => {}
            Order::Well(reply) => reply.send(ctx.incarnation()),
        }
        Ok(())
    }

    async fn child_exited(&self, _: &mut Fuse, _: supervision::ChildExit, _: &Ctx<Order>) -> ActorResult {
        blow(self.payload)
    }

    async fn post_stop(&self, _: &mut Fuse, ctx: &Ctx<Order>) -> ActorResult {
        if ctx.incarnation() == 1 && self.place == Place::PostStop {
            blow(self.payload);
        }
        Ok(())
    }
}

fn cast(slot: &Slot<Order>, order: Order) -> bool {
    match slot.address().try_cast(order) {
        Ok(()) => true,
        Err(refused) => {
            // What comes back may blow up as well; that is the sender's own doing.
            drop(refused);
            false
        }
    }
}

async fn is_contained(place: Place, payload: Payload, ending: Ending) -> Result<(), TestCaseError> {
    let stage = Stage::new().await;
    let slot = Slot::new();
    let spec = ChildSpec::actor("mine", "mine", &slot, move |start| {
        if place == Place::Make && start.incarnation() == 1 {
            blow(payload);
        }
        (Mine { place, payload }, ())
    });
    let spec = spec
        .mailbox(Mailbox::reject(ROOM))
        .counts(false)
        .backoff(supervision::BackoffPolicy { initial: Duration::ZERO, ..Default::default() });
    let spec = if ending == Ending::Kill { spec.shutdown(Shutdown::Brutal) } else { spec };
    let sibling = ChildSpec::task("sibling", "task", |_| std::future::pending());
    let rules = SupervisorSpec {
        intensity: Intensity { max_restarts: 0, period: Duration::from_secs(5) },
        children: vec![sibling, spec],
        ..SupervisorSpec::default()
    };
    let sup = ChildSpec::supervisor("sup", "sup", &stage.slot, move || rules.clone());
    stage.root.start_child(sup.restart(Restart::Temporary)).await.unwrap();
    if !matches!(place, Place::Make | Place::PreStart) {
        prop_assert!(cast(&slot, Order::Trip));
        if !matches!(place, Place::Handle | Place::Task | Place::ChildExited) {
            prop_assert!(cast(&slot, Order::End(ending)));
        }
        if place == Place::QueueDrop {
            prop_assert!(cast(&slot, Order::Carry(Fuse(Some(payload)))));
        }
        if ending == Ending::Kill && !matches!(place, Place::Handle | Place::Task | Place::ChildExited) {
            stage.handle().cycle_child(&"mine".into()).await.unwrap();
        }
    }
    settle().await;
    let infos = stage.handle().which_children().await.unwrap();
    let seen: Vec<_> = infos.iter().map(|info| info.state.as_str()).collect();
    prop_assert_eq!(seen, ["running", "running"]);
    prop_assert_eq!(infos[0].incarnation, 1, "a sibling is not touched");
    let incarnation = slot.address().call(Order::Well, Duration::from_secs(1)).await.unwrap();
    prop_assert!(incarnation > 1 && incarnation == infos[1].incarnation);
    // All the room there was is there again, and no more.
    for _ in 0..ROOM {
        prop_assert!(cast(&slot, Order::Carry(Fuse(None))));
    }
    prop_assert!(!cast(&slot, Order::Carry(Fuse(None))));
    let report = stage.root.shutdown(BUDGET).await;
    prop_assert!(report.stragglers.is_empty());
    drop(slot);
    stage.leaves_nothing().await?;
    prop_assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    Ok(())
}

#[test]
fn p17_a_panic_anywhere_kills_no_supervisor_and_leaks_no_room() {
    let place = proptest::sample::select(vec![
        Place::Make,
        Place::PreStart,
        Place::Handle,
        Place::PostStop,
        Place::StateDrop,
        Place::QueueDrop,
        Place::Task,
        Place::ChildExited,
    ]);
    let payload =
        proptest::sample::select(vec![Payload::Text, Payload::Owned, Payload::Number, Payload::Boxed, Payload::Bomb]);
    let ending = proptest::sample::select(vec![Ending::Error, Ending::Stop, Ending::Kill]);
    holds(150, (place, payload, ending), |(place, payload, ending)| {
        on_stage(|| async move { is_contained(place, payload, ending).await })
    });
}
