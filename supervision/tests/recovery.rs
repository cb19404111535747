//! What survives an end: a state carried over a clean one, effects held back until what they rest on is stored, and a
//! hung handler that does not hang for ever.

use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::{Command, Puppet, Recorder};
use tokio::sync::oneshot;

/// Counts, and carries the count over.
struct Counter;

enum Count {
    Next(Reply<u32>),
    Stop,
    Panic,
}

impl Actor for Counter {
    type Message = Count;
    type Args = ();
    type State = u32;

    async fn pre_start(&self, (): (), ctx: &Ctx<Count>) -> Result<u32, BoxError> {
        Ok(ctx.carried::<u32>().unwrap_or_default())
    }

    async fn handle(&self, state: &mut u32, message: Count, ctx: &Ctx<Count>) -> ActorResult {
        match message {
            Count::Next(reply) => {
                *state += 1;
                reply.send(*state);
            }
            Count::Stop => ctx.stop("done"),
            Count::Panic => panic!("half way"),
        }
        Ok(())
    }
}

async fn next(address: &Address<Count>) -> u32 {
    address.wait_live().await;
    match address.call(Count::Next, Duration::from_secs(5)).await {
        Ok(count) => count,
        Err(error) => panic!("{error}"),
    }
}

async fn restarted(root: &SupervisorHandle, incarnation: u64) {
    while root.which_child(&"counter".into()).await.is_ok_and(|child| child.incarnation < incarnation) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn state_is_carried_over_a_clean_end_and_dropped_after_a_panic() {
    let slot = Slot::new();
    let spec = ChildSpec::actor("counter", "counter", &slot, |_| (Counter, ())).carry_state(true);
    let intensity = Intensity { max_restarts: 9, period: Duration::from_secs(5) };
    let spec = SupervisorSpec { children: vec![spec], intensity, ..SupervisorSpec::default() };
    let root = Supervisor::start_root(spec, TreeStore::new()).await.unwrap();
    let address = slot.address();
    assert_eq!(next(&address).await, 1);
    address.try_cast(Count::Stop).unwrap();
    restarted(&root, 2).await;
    assert_eq!(next(&address).await, 2);
    root.cycle_child(&"counter".into()).await.unwrap();
    assert_eq!(next(&address).await, 3);
    address.try_cast(Count::Panic).unwrap();
    restarted(&root, 4).await;
    assert_eq!(next(&address).await, 1);
}

/// Holds its answers back.
struct Clerk;

enum Paper {
    /// Answers once the commit is done.
    File { commit: oneshot::Receiver<bool>, answer: Reply<()> },
}

impl Actor for Clerk {
    type Message = Paper;
    type Args = ();
    type State = ();

    async fn pre_start(&self, (): (), _: &Ctx<Paper>) -> Result<(), BoxError> {
        Ok(())
    }

    async fn handle(&self, (): &mut (), Paper::File { commit, answer }: Paper, ctx: &Ctx<Paper>) -> ActorResult {
        let stored = async move {
            match commit.await {
                Ok(true) => Ok(()),
                Ok(false) | Err(_) => Err("the disk is full".into()),
            }
        };
        ctx.hold(stored, move || answer.send(())).await;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_shown_before_what_it_rests_on_is_stored() {
    let slot = Slot::new();
    let spec = ChildSpec::actor("clerk", "clerk", &slot, |_| (Clerk, ()));
    let intensity = Intensity { max_restarts: 9, period: Duration::from_secs(5) };
    let spec = SupervisorSpec { children: vec![spec], intensity, ..SupervisorSpec::default() };
    let root = Supervisor::start_root(spec, TreeStore::new()).await.unwrap();
    let file = |commit| {
        let address = slot.address();
        async move { address.call(|answer| Paper::File { commit, answer }, Duration::from_secs(60)).await }
    };
    let (first, first_done) = oneshot::channel();
    let (second, second_done) = oneshot::channel();
    let (third, third_done) = oneshot::channel();
    let mut waiting = Vec::new();
    for done in [first_done, second_done, third_done] {
        waiting.push(Box::pin(file(done)));
    }
    let mut waiting = waiting.into_iter();
    let (mut one, mut two, mut three) = (waiting.next().unwrap(), waiting.next().unwrap(), waiting.next().unwrap());
    // All three are with the clerk; the second commit is done, but it waits for the first.
    for call in [&mut one, &mut two, &mut three] {
        assert!(futures_util::poll!(call.as_mut()).is_pending());
    }
    second.send(true).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(futures_util::poll!(two.as_mut()).is_pending());
    first.send(true).unwrap();
    one.await.unwrap();
    two.await.unwrap();
    // A commit that fails ends the actor; whoever waits is told, and the next incarnation starts afresh.
    third.send(false).unwrap();
    assert_eq!(three.await, Err(CallError::Crashed));
    let address = slot.address();
    while root.which_child(&"clerk".into()).await.unwrap().incarnation < 2 {
        tokio::task::yield_now().await;
    }
    address.wait_live().await;
    let (fourth, fourth_done) = oneshot::channel();
    fourth.send(true).unwrap();
    file(fourth_done).await.unwrap();
    let exit = root.which_child(&"clerk".into()).await.unwrap().last_exit.unwrap();
    assert_eq!(exit.text(), "the disk is full");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_ended_at_its_limit() {
    let recorder = Recorder::new();
    let puppet = Puppet::new("a", &recorder);
    let spec = puppet.spec().handler_limit(Duration::from_millis(400));
    let root = Supervisor::start_root(SupervisorSpec { children: vec![spec], ..Default::default() }, TreeStore::new());
    let root = root.await.unwrap();
    let began = tokio::time::Instant::now();
    puppet.tell(Command::Hang);
    recorder.until("start a#2").await;
    assert_eq!(began.elapsed().as_millis(), 400);
    let exit = root.which_child(&"a".into()).await.unwrap().last_exit.unwrap();
    assert_eq!(exit.text(), "a message was worked on for more than 400ms");
}
