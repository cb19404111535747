//! A stable queue's consumer, struck at random.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::{Just, prop, prop_oneof, proptest};
use supervision::mailbox::{Depth, InHand, Lane, StableQueueOptions};
use supervision::prelude::*;
use supervision::testing::Recorder;

/// What happens to an item, each time it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Fine,
    /// Its consumer crashes once on it.
    Stumble,
    /// Its consumer crashes on it every time.
    Poison,
    /// It is worked on for a while by a task of the consumer.
    Slow,
}

struct Job {
    n: u32,
    fate: Fate,
    met: std::sync::atomic::AtomicBool,
}

enum Message {
    Wake,
    Finished(InHand<Arc<Job>>),
}

struct Worker {
    queue: StableQueue<Arc<Job>>,
    record: Recorder,
    done: Arc<Mutex<Vec<u32>>>,
}

impl Worker {
    fn finish(&self, taken: InHand<Arc<Job>>) {
        let n = taken.item.n;
        if self.queue.done(taken) {
            self.done.lock().unwrap().push(n);
            self.record.note("done");
        }
    }
}

impl Actor for Worker {
    type Message = Message;
    type Args = ();
    type State = Feeder<Arc<Job>>;

    async fn pre_start(&self, (): (), ctx: &Ctx<Message>) -> Result<Feeder<Arc<Job>>, BoxError> {
        let (feeder, recovered) = self.queue.feed(ctx, || Message::Wake);
        recovered.quarantined.iter().for_each(|_| self.record.note("done"));
        Ok(feeder)
    }

    async fn handle(&self, feeder: &mut Feeder<Arc<Job>>, message: Message, ctx: &Ctx<Message>) -> ActorResult {
        match message {
            Message::Finished(taken) => self.finish(taken),
            Message::Wake => {
                let Some(taken) = feeder.next() else { return Ok(()) };
                let met = taken.item.met.swap(true, std::sync::atomic::Ordering::SeqCst);
                match taken.item.fate {
                    Fate::Fine => self.finish(taken),
                    Fate::Stumble if met => self.finish(taken),
                    Fate::Stumble | Fate::Poison => return Err("cannot digest".into()),
                    Fate::Slow => {
                        let reporter = ctx.reporter();
                        ctx.spawn_scoped(async move {
                            tokio::time::sleep(Duration::from_millis(3)).await;
                            reporter.send(Message::Finished(taken));
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
enum Blow {
    None,
    Cycle,
    Kill,
}

proptest! {
    #![proptest_config(super::config(40))]

    #[test]
    fn whatever_strikes_the_consumer_each_item_is_done_once_and_only_poison_set_aside(
        jobs in prop::collection::vec((prop_oneof![
            6 => Just(Fate::Fine), 1 => Just(Fate::Stumble), 1 => Just(Fate::Poison), 3 => Just(Fate::Slow)
        ], prop_oneof![8 => Just(Blow::None), 1 => Just(Blow::Cycle), 1 => Just(Blow::Kill)]), 1..40),
        hands in 1..4usize,
    ) {
        super::paused().block_on(strike(jobs, hands));
    }
}

async fn strike(jobs: Vec<(Fate, Blow)>, hands: usize) {
    let queue = StableQueue::new(StableQueueOptions {
        lanes: vec![Lane::reject(1000)],
        hands,
        // So that no item is set aside for what was done to its consumer from outside.
        quarantine_after: 60,
        ..StableQueueOptions::default()
    });
    let (record, done) = (Recorder::new(), Arc::<Mutex<Vec<u32>>>::default());
    let (of, noted, finished, slot) = (queue.clone(), record.clone(), Arc::clone(&done), Slot::new());
    let make =
        move |_: &StartCtx| (Worker { queue: of.clone(), record: noted.clone(), done: Arc::clone(&finished) }, ());
    let spec = ChildSpec::actor("stable-worker", "worker", &slot, make).shutdown(Shutdown::Brutal);
    let (root, tree) = super::root(vec![spec]).await;
    let total = jobs.len();
    for (n, (fate, blow)) in (0u32..).zip(&jobs) {
        let job = Job { n, fate: *fate, met: false.into() };
        queue.push(0, Arc::new(job)).unwrap();
        match blow {
            Blow::None => tokio::task::yield_now().await,
            Blow::Cycle => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                drop(root.cycle_child(&"stable-worker".into()).await);
            }
            Blow::Kill => drop(tree.chaos().unwrap().inject("root/stable-worker", supervision::chaos::Fault::Kill)),
        }
    }
    record.until_that(|lines| lines.len() == total).await;
    let poison: BTreeSet<u32> = (0u32..).zip(&jobs).filter(|(_, job)| job.0 == Fate::Poison).map(|(n, _)| n).collect();
    let aside: BTreeSet<u32> = queue.quarantined().iter().map(|item| item.item.n).collect();
    assert_eq!(aside, poison);
    let mut finished = done.lock().unwrap().clone();
    finished.sort_unstable();
    assert_eq!(finished, (0..total as u32).filter(|n| !poison.contains(n)).collect::<Vec<_>>());
    assert_eq!(queue.depth(), Depth::default());
    root.shutdown(Duration::from_secs(5)).await;
}
