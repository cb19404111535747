//! Many children: what one costs must not depend on how many there are.
//!
//! Clocks on the wall say more of the machine than of the code, so what is compared is the time this thread was on a
//! processor: as many starts and stops among few children as among many. An even price gives 1; whatever looks at all
//! the others for each one gives more, and more still for more children.

use std::time::{Duration, Instant};

use supervision::prelude::*;
use supervision::{ActorId, TemplateHandle, TemplateSlot};

use crate::support::*;

const FEW: usize = 200;
const TIMES: usize = 10;
/// A price that depends on nothing else would be 1; caches and allocators make it more.
const MOST: f64 = 2.5;
/// A disturbance does not come this often in a row.
const TRIES: usize = 4;

/// Does nothing, and is cheap.
struct Idle;

impl Actor for Idle {
    type Message = ();
    type Args = ();
    type State = ();

    async fn pre_start(&self, (): (), _: &Ctx<()>) -> Result<(), BoxError> {
        Ok(())
    }

    async fn handle(&self, (): &mut (), (): (), _: &Ctx<()>) -> ActorResult {
        Ok(())
    }
}

fn idle(id: ChildId) -> ChildSpec {
    ChildSpec::actor(id, "idle", &Slot::new(), |_| (Idle, ()))
}

/// How long this thread has been on a processor so far, or what the clock says where nobody knows.
fn busy(begin: Instant) -> Duration {
    let known = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = known.and_then(|text| text.split_whitespace().next()?.parse().ok());
    nanos.map_or_else(|| begin.elapsed(), Duration::from_nanos)
}

/// What each part of a life cost.
#[derive(Clone, Copy, Debug, Default)]
struct Price {
    starts: Duration,
    stops: Duration,
}

impl Price {
    fn add(&mut self, other: Self) {
        self.starts += other.starts;
        self.stops += other.stops;
    }

    /// How much dearer this is, for starts and for stops.
    fn over(self, other: Self) -> (f64, f64) {
        let ratio = |many: Duration, few: Duration| many.as_secs_f64() / few.as_secs_f64();
        (ratio(self.starts, other.starts), ratio(self.stops, other.stops))
    }
}

/// Compares lives among few with as many lives among many.
async fn one_costs_the_same_among_many(lives: impl AsyncFn(usize) -> Price) {
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        let mut few = Price::default();
        for _ in 0..TIMES {
            few.add(lives(FEW).await);
        }
        let (starts, stops) = lives(FEW * TIMES).await.over(few);
        if starts <= MOST && stops <= MOST {
            return;
        }
        seen.push((starts, stops));
    }
    panic!("{TIMES} times as many children cost each one (starts, stops) times as much: {seen:.2?}");
}

#[tokio::test]
async fn simple_one_for_one_scale_many_temporary_children() {
    let begin = Instant::now();
    one_costs_the_same_among_many(async |children: usize| {
        let slot = TemplateSlot::<()>::new();
        let make = |(): &(), id| idle(id).restart(Restart::Temporary);
        let (root, _) = start_below(ChildSpec::template("simple", "simple", &slot, at_most(2), make)).await;
        let template: TemplateHandle<()> = slot.handle();
        let sup = template.supervisor();

        let before = busy(begin);
        let mut actors: Vec<ActorId> = Vec::with_capacity(children);
        for _ in 0..children {
            actors.extend(template.start_child(()).await.unwrap().actor);
        }
        let between = busy(begin);
        for actor in actors {
            sup.terminate_actor(actor).await.unwrap();
        }
        let after = busy(begin);

        assert_eq!(counts(&sup).await, [1, 0, 0, 0]);
        assert!(root.shutdown(LONG).await.stragglers.is_empty());
        Price { starts: between - before, stops: after - between }
    })
    .await;
}

#[tokio::test]
async fn scale_start_stop_many_children() {
    let begin = Instant::now();
    one_costs_the_same_among_many(async |children: usize| {
        let (root, _) = start(rules(Strategy::OneForOne, 2)).await;
        let ids: Vec<ChildId> = (0..children).map(|n| ChildId::from(n.to_string())).collect();

        let before = busy(begin);
        for id in &ids {
            root.start_child(idle(id.clone())).await.unwrap();
        }
        let between = busy(begin);
        for id in &ids {
            root.terminate_child(id).await.unwrap();
        }
        let after = busy(begin);

        assert_eq!(counts(&root).await, [children, 0, 0, children]);
        assert!(root.shutdown(LONG).await.stragglers.is_empty());
        Price { starts: between - before, stops: after - between }
    })
    .await;
}
