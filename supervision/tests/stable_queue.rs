//! A queue that outlives its actor's incarnations.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails at the spot")]

use std::sync::Arc;
use std::time::Duration;

use supervision::mailbox::{
    DeadLetterCause, DeadLetters, Depth, InHand, Lane, LanePolicy, ReleaseError, StableQueueOptions,
};
use supervision::prelude::*;
use supervision::testing::Recorder;

const LONG: Duration = Duration::from_secs(30);

enum Message {
    Wake,
    Note(&'static str),
}

/// Notes what it takes; cannot digest poison.
struct Consumer {
    queue: StableQueue<&'static str>,
    record: Recorder,
}

impl Actor for Consumer {
    type Message = Message;
    type Args = ();
    type State = Feeder<&'static str>;

    async fn pre_start(&self, (): (), ctx: &Ctx<Message>) -> Result<Feeder<&'static str>, BoxError> {
        let (feeder, recovered) = self.queue.feed(ctx, || Message::Wake);
        for poison in recovered.quarantined {
            self.record.note(format!("set aside {} after {}", poison.item, poison.crashes));
        }
        Ok(feeder)
    }

    async fn handle(&self, feeder: &mut Feeder<&'static str>, message: Message, ctx: &Ctx<Message>) -> ActorResult {
        match message {
            Message::Note(line) => self.record.note(line),
            Message::Wake => {
                let Some(taken) = feeder.next() else { return Ok(()) };
                self.record.note(format!("take {}", taken.item));
                assert_ne!(*taken.item, "poison", "cannot digest");
                if *taken.item == "last" {
                    ctx.stop("enough");
                }
                if *taken.item != "unfinished" {
                    self.queue.done(taken);
                }
            }
        }
        Ok(())
    }
}

async fn consumer(
    queue: &StableQueue<&'static str>,
    restart: Restart,
) -> (SupervisorHandle, Address<Message>, Recorder) {
    let record = Recorder::new();
    let slot = Slot::new();
    let (of, noted) = (queue.clone(), record.clone());
    let spec = ChildSpec::actor("consumer", "consumer", &slot, move |_| {
        (Consumer { queue: of.clone(), record: noted.clone() }, ())
    });
    let spec = SupervisorSpec {
        intensity: Intensity { max_restarts: 5, period: Duration::from_secs(5) },
        children: vec![spec.restart(restart)],
        ..SupervisorSpec::default()
    };
    (Supervisor::start_root(spec, TreeStore::new()).await.unwrap(), slot.address(), record)
}

fn queue_of(lanes: Vec<Lane>, hands: usize) -> StableQueue<&'static str> {
    StableQueue::new(StableQueueOptions { lanes, hands, ..StableQueueOptions::default() })
}

/// Takes and finishes everything.
fn drain<T>(queue: &StableQueue<T>) -> Vec<Arc<T>> {
    std::iter::from_fn(|| {
        let taken = queue.take()?;
        let item = Arc::clone(&taken.item);
        assert!(queue.done(taken));
        Some(item)
    })
    .collect()
}

fn items<T: Copy>(taken: &[InHand<T>]) -> Vec<T> {
    taken.iter().map(|taken| *taken.item).collect()
}

#[tokio::test(start_paused = true)]
async fn items_survive_crashes_and_poison_is_set_aside_after_three() {
    let letters = DeadLetters::new();
    let queue = StableQueue::new(StableQueueOptions {
        name: "letters".into(),
        dead_letters: Some(letters.clone()),
        ..StableQueueOptions::default()
    });
    for item in ["one", "poison", "two"] {
        queue.push(0, item).unwrap();
    }
    let (root, _, record) = consumer(&queue, Restart::Permanent).await;
    record.until("take two").await;
    let expected = ["take one", "take poison", "take poison", "take poison", "set aside poison after 3", "take two"];
    assert_eq!(record.lines(), expected);
    root.shutdown(LONG).await;
    assert_eq!(queue.depth(), Depth::default());
    let set_aside = queue.quarantined();
    assert_eq!((set_aside.len(), *set_aside[0].item, set_aside[0].crashes), (1, "poison", 3));
    let noted = letters.list();
    assert_eq!((noted.len(), noted[0].to.as_str(), noted[0].cause), (1, "letters", DeadLetterCause::Quarantined));
}

#[tokio::test(start_paused = true)]
async fn a_consumer_takes_one_item_per_wake_and_hears_its_other_messages_between() {
    let queue = queue_of(vec![Lane::reject(200)], 1);
    let (root, address, record) = consumer(&queue, Restart::Permanent).await;
    for _ in 0..100 {
        queue.push(0, "item").unwrap();
    }
    address.try_cast(Message::Note("heard")).unwrap();
    record.until("heard").await;
    let before = record.lines().iter().position(|line| line == "heard").unwrap();
    assert!(before <= 1, "only the wake sent before it came first, not {before} items");
    record.until_that(|lines| lines.iter().filter(|line| *line == "take item").count() == 100).await;
    // Asleep by now: a new item wakes it.
    queue.push(0, "late").unwrap();
    record.until("take late").await;
    root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_the_queue_and_leaves_the_rest_in_it() {
    let queue = queue_of(vec![Lane::reject(200)], 1);
    for item in ["one", "last", "two", "three"] {
        queue.push(0, item).unwrap();
    }
    let (root, _, record) = consumer(&queue, Restart::Temporary).await;
    record.until("take last").await;
    root.shutdown(LONG).await;
    assert_eq!(record.lines(), ["take one", "take last"]);
    assert_eq!(queue.len(), 2);
    // Nobody is there: pushing is as ever, and the next consumer finds all of it.
    queue.push(0, "four").unwrap();
    let (root, _, record) = consumer(&queue, Restart::Temporary).await;
    record.until("take four").await;
    assert_eq!(record.lines(), ["take two", "take three", "take four"]);
    root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn an_item_left_in_hand_by_a_clean_end_is_no_crash() {
    let queue = StableQueue::default();
    let id = queue.push(0, "unfinished").unwrap().id;
    let (root, address, record) = consumer(&queue, Restart::Permanent).await;
    for round in 1..=4 {
        record.until_that(|lines| lines.iter().filter(|line| *line == "take unfinished").count() == round).await;
        root.cycle_child(&"consumer".into()).await.unwrap();
        address.wait_live().await;
    }
    assert_eq!((queue.crashes(id), queue.quarantined().len()), (0, 0));
    root.shutdown(LONG).await;
}

#[test]
fn what_was_in_hand_returns_to_its_place_and_is_then_handed_out_alone() {
    let queue = queue_of(vec![Lane::reject(9)], 3);
    let ids = ["a", "b", "c", "d"].map(|item| queue.push(0, item).unwrap().id);
    let first = queue.take().unwrap();
    let second = queue.take().unwrap();
    assert_eq!(queue.recover(None).returned, 2);
    assert_eq!(ids.map(|id| queue.crashes(id)), [1, 1, 0, 0]);
    assert!(!queue.done(first) && !queue.put_back(second), "they are in hand no more");
    let alone = queue.take().unwrap();
    assert_eq!(*alone.item, "a");
    assert!(queue.take().is_none(), "nothing beside a suspect");
    assert!(queue.done(alone));
    let alone = queue.take().unwrap();
    assert_eq!(*alone.item, "b");
    assert!(queue.done(alone));
    let rest: Vec<_> = std::iter::from_fn(|| queue.take()).collect();
    assert_eq!(items(&rest), ["c", "d"], "cleared of suspicion: as many as there are hands");
    rest.into_iter().for_each(|taken| assert!(queue.put_back(taken)));
    assert_eq!(queue.depth().waiting, 2);
}

#[test]
fn the_innocent_who_shared_a_crash_are_never_set_aside() {
    let lanes = vec![Lane::reject(9)];
    let queue =
        StableQueue::new(StableQueueOptions { lanes, hands: 4, quarantine_after: 1, ..StableQueueOptions::default() });
    for item in ["a", "poison", "b", "c"] {
        queue.push(0, item).unwrap();
    }
    let (mut done, mut crashes) = (Vec::new(), 0);
    loop {
        let taken: Vec<_> = std::iter::from_fn(|| queue.take()).collect();
        if taken.is_empty() {
            break;
        }
        if taken.iter().any(|taken| *taken.item == "poison") {
            crashes += 1;
            drop(queue.recover(None));
        } else {
            done.extend(items(&taken));
            taken.into_iter().for_each(|taken| assert!(queue.done(taken)));
        }
    }
    assert_eq!((done, crashes), (vec!["a", "b", "c"], 2));
    assert_eq!(queue.quarantined().iter().map(|one| *one.item).collect::<Vec<_>>(), ["poison"]);
}

#[test]
fn lanes_are_bounded_one_by_one_and_none_starves() {
    let lanes = vec![Lane::reject(100).weight(3), Lane::reject(2)];
    let queue = StableQueue::new(StableQueueOptions { lanes, ..StableQueueOptions::default() });
    for n in 0..9 {
        queue.push(0, format!("a{n}")).unwrap();
    }
    queue.push(1, "b0".to_owned()).unwrap();
    queue.push(1, "b1".to_owned()).unwrap();
    assert_eq!(queue.push(1, "b2".to_owned()).unwrap_err().0, "b2");
    let order = drain(&queue);
    let order: Vec<&str> = order.iter().map(|item| item.as_str()).collect();
    assert_eq!(order, ["a0", "a1", "a2", "b0", "a3", "a4", "a5", "b1", "a6", "a7", "a8"]);
}

#[test]
fn the_oldest_makes_room_where_the_lane_says_so_and_is_noted() {
    let letters = DeadLetters::new();
    let queue = StableQueue::new(StableQueueOptions {
        lanes: vec![Lane { bound: 2, weight: 1, policy: LanePolicy::DropOldest }],
        dead_letters: Some(letters.clone()),
        ..StableQueueOptions::default()
    });
    let first = queue.push(0, 1).unwrap().id;
    queue.push(0, 2).unwrap();
    let dropped = queue.push(0, 3).unwrap().dropped.unwrap();
    assert_eq!((dropped.0, *dropped.1), (first, 1));
    assert_eq!((letters.total(), letters.list()[0].cause), (1, DeadLetterCause::Dropped));
    // What is in hand counts, and is not dropped.
    let taken = queue.take().unwrap();
    assert_eq!(*taken.item, 2);
    assert_eq!(*queue.push(0, 4).unwrap().dropped.unwrap().1, 3);
    assert!(queue.put_back(taken));
    assert_eq!(drain(&queue).iter().map(|item| **item).collect::<Vec<_>>(), [2, 4]);
    let queue = queue_of(vec![Lane::drop_oldest(1)], 1);
    queue.push(0, "in hand").unwrap();
    let taken = queue.take().unwrap();
    assert_eq!(queue.push(0, "no room").unwrap_err().0, "no room");
    assert!(queue.done(taken));
}

#[test]
fn items_of_one_key_are_merged_while_they_wait() {
    let queue = StableQueue::default();
    let add = |key: &str, n: u32| queue.push_coalesce(0, key, vec![n], |old, new| [old.as_slice(), &new].concat());
    let first = add("a", 1).unwrap();
    assert!(!first.merged);
    add("b", 2).unwrap();
    queue.push(0, vec![3]).unwrap();
    let again = add("a", 4).unwrap();
    assert!(again.merged && again.id == first.id, "it stands where the first stood");
    let taken = queue.take().unwrap();
    assert_eq!(*taken.item, [1, 4]);
    assert!(!add("a", 5).unwrap().merged, "what is in hand takes no more in");
    assert!(queue.put_back(taken));
    assert!(add("a", 6).unwrap().merged, "the newest of the key takes it");
    assert_eq!(
        drain(&queue).iter().map(|item| (**item).clone()).collect::<Vec<_>>(),
        [vec![1, 4], vec![2], vec![3], vec![5, 6]]
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_items_can_be_removed_and_tell_their_age() {
    let queue = StableQueue::new(StableQueueOptions {
        lanes: vec![Lane::reject(9), Lane::reject(9)],
        ..StableQueueOptions::default()
    });
    let first = queue.push(1, 1).unwrap().id;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let second = queue.push(0, 2).unwrap().id;
    let age = |secs| Some(Duration::from_secs(secs));
    assert_eq!(queue.depth(), Depth { waiting: 2, in_hand: 0, oldest: age(5) });
    assert_eq!(queue.lane_depth(0), Some(Depth { waiting: 1, in_hand: 0, oldest: age(0) }));
    assert_eq!(queue.lane_depth(1), Some(Depth { waiting: 1, in_hand: 0, oldest: age(5) }));
    assert_eq!(queue.lane_depth(2), None);
    assert_eq!(queue.remove(first).as_deref(), Some(&1));
    assert_eq!(queue.remove(first), None);
    assert_eq!(queue.oldest_age(), age(0));
    let taken = queue.take().unwrap();
    assert_eq!((taken.id, queue.depth()), (second, Depth { waiting: 0, in_hand: 1, oldest: None }));
    assert_eq!(queue.remove(second).as_deref(), Some(&2), "cancelled while in hand: a crash will not bring it back");
    assert!(!queue.done(taken));
    assert_eq!(queue.recover(None).returned, 0);
    assert!(queue.is_empty());
}

#[test]
fn quarantine_is_bounded_and_its_items_can_be_released_or_discarded() {
    let letters = DeadLetters::new();
    let queue = StableQueue::new(StableQueueOptions {
        lanes: vec![Lane::reject(2)],
        quarantine_after: 1,
        quarantine_bound: 2,
        dead_letters: Some(letters.clone()),
        ..StableQueueOptions::default()
    });
    let crash = || {
        assert!(queue.take().is_some());
        drop(queue.recover(None));
    };
    let [a, b, c] = ["a", "b", "c"].map(|item| {
        let id = queue.push(0, item).unwrap().id;
        crash();
        id
    });
    assert_eq!(queue.quarantined().iter().map(|one| one.id).collect::<Vec<_>>(), [b, c]);
    assert_eq!(queue.release(a), Err(ReleaseError::NotThere));
    queue.push(0, "d").unwrap();
    queue.push(0, "e").unwrap();
    assert_eq!(queue.release(b), Err(ReleaseError::Full));
    assert!(queue.take().is_some_and(|taken| queue.done(taken)));
    queue.release(b).unwrap();
    assert_eq!(queue.discard(c).as_deref(), Some(&"c"));
    assert_eq!(queue.discard(c), None);
    let taken = queue.take().unwrap();
    assert_eq!((*taken.item, taken.crashes), ("b", 1), "back in its old place, before what came later");
    assert!(queue.done(taken));
    assert_eq!(drain(&queue).iter().map(|item| **item).collect::<Vec<_>>(), ["e"]);
    use DeadLetterCause::{Discarded, Quarantined};
    let causes: Vec<_> = letters.list().iter().map(|letter| letter.cause).collect();
    assert_eq!(causes, [Quarantined, Quarantined, Quarantined, Discarded, Discarded]);
}
