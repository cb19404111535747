//! A queue that outlives its actor's incarnations.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails at the spot")]

use std::sync::Arc;
use std::time::Duration;

use supervision::mailbox::{Lane, StableQueueOptions};
use supervision::prelude::*;
use supervision::testing::Recorder;

struct Consumer {
    queue: StableQueue<&'static str>,
    record: Recorder,
}

impl Actor for Consumer {
    type Message = ();
    type Args = ();
    type State = ();

    async fn pre_start(&self, (): (), ctx: &Ctx<()>) -> Result<(), BoxError> {
        for poison in self.queue.recover().quarantined {
            self.record.note(format!("set aside {} after {}", poison.item, poison.crashes));
        }
        ctx.reporter().send(());
        Ok(())
    }

    async fn handle(&self, (): &mut (), (): (), ctx: &Ctx<()>) -> ActorResult {
        let Some(taken) = self.queue.take() else { return Ok(()) };
        self.record.note(format!("take {}", taken.item));
        assert_ne!(*taken.item, "poison", "cannot digest");
        self.queue.done(taken.id);
        ctx.reporter().send(());
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn items_survive_crashes_and_poison_is_set_aside_after_three() {
    let record = Recorder::new();
    let queue = StableQueue::default();
    for item in ["one", "poison", "two"] {
        queue.push(0, item).unwrap();
    }
    let (of, noted) = (queue.clone(), record.clone());
    let spec = ChildSpec::actor("consumer", "consumer", &Slot::new(), move |_| {
        (Consumer { queue: of.clone(), record: noted.clone() }, ())
    });
    let spec = SupervisorSpec {
        intensity: Intensity { max_restarts: 5, period: Duration::from_secs(5) },
        children: vec![spec],
        ..SupervisorSpec::default()
    };
    let root = Supervisor::start_root(spec, TreeStore::new()).await.unwrap();
    record.until("take two").await;
    let expected = ["take one", "take poison", "take poison", "take poison", "set aside poison after 3", "take two"];
    assert_eq!(record.lines(), expected);
    root.shutdown(Duration::from_secs(5)).await;
    assert!(queue.is_empty() && queue.in_hand() == 0);
}

#[test]
fn what_was_in_hand_returns_to_the_front_in_order() {
    let queue = StableQueue::default();
    for item in 1..=4 {
        queue.push(0, item).unwrap();
    }
    let first = queue.take().unwrap();
    let second = queue.take().unwrap();
    assert_eq!(queue.recover().returned, 2);
    assert_eq!((queue.crashes(first.id), queue.crashes(second.id)), (1, 1));
    assert!(!queue.done(first.id), "it is in hand no more");
    let order: Vec<i32> = std::iter::from_fn(|| queue.take().map(|taken| *taken.item)).collect();
    assert_eq!(order, [1, 2, 3, 4]);
}

#[test]
fn lanes_are_bounded_one_by_one_and_none_starves() {
    let lanes = vec![Lane { bound: 100, weight: 3 }, Lane { bound: 2, weight: 1 }];
    let queue = StableQueue::new(StableQueueOptions { lanes, quarantine_after: 3 });
    for n in 0..9 {
        queue.push(0, format!("a{n}")).unwrap();
    }
    queue.push(1, "b0".to_owned()).unwrap();
    queue.push(1, "b1".to_owned()).unwrap();
    assert_eq!(queue.push(1, "b2".to_owned()).unwrap_err().0, "b2");
    let order: Vec<Arc<String>> = std::iter::from_fn(|| {
        let taken = queue.take()?;
        queue.done(taken.id);
        Some(taken.item)
    })
    .collect();
    let order: Vec<&str> = order.iter().map(|item| item.as_str()).collect();
    assert_eq!(order, ["a0", "a1", "a2", "b0", "a3", "a4", "a5", "b1", "a6", "a7", "a8"]);
}

#[tokio::test(start_paused = true)]
async fn waiting_items_can_be_removed_and_tell_their_age() {
    let queue = StableQueue::default();
    let first = queue.push(0, 1).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let second = queue.push(0, 2).unwrap();
    assert_eq!(queue.oldest_age(), Some(Duration::from_secs(5)));
    assert_eq!(queue.remove(first).as_deref(), Some(&1));
    assert_eq!(queue.remove(first), None);
    assert_eq!(queue.oldest_age(), Some(Duration::ZERO));
    let taken = queue.take().unwrap();
    assert_eq!((taken.id, queue.len()), (second, 0));
    assert!(queue.put_back(second));
    assert_eq!(queue.len(), 1);
}
