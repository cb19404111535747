//! Bounds, permits, calls and deadlines.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails at the spot")]

use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::{Command, Puppet, Recorder};

const LONG: Duration = Duration::from_secs(30);

async fn root(children: Vec<ChildSpec>) -> (SupervisorHandle, TreeStore) {
    let tree = TreeStore::new();
    let spec = SupervisorSpec {
        intensity: Intensity { max_restarts: 1000, period: Duration::from_secs(5) },
        children,
        ..SupervisorSpec::default()
    };
    (Supervisor::start_root(spec, tree.clone()).await.unwrap(), tree)
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_refuses_and_gives_the_message_back() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let (root, tree) = root(vec![a.spec().mailbox(Mailbox::reject(3))]).await;
    a.tell(Command::Hang);
    record.until("hang a#1").await;
    a.tell(Command::Note("1".into()));
    a.tell(Command::Note("2".into()));
    match a.address().try_cast(Command::Note("3".into())) {
        Err(CastError::Busy(Command::Note(line))) => assert_eq!(line, "3"),
        other => panic!("{other:?}"),
    }
    assert_eq!(a.address().call(Command::Incarnation, LONG).await, Err(CallError::Busy));
    let mailbox = tree.node(&"root/a".into()).unwrap().mailbox.unwrap();
    assert_eq!((mailbox.depth, mailbox.bound), (3, 3));
    root.shutdown(LONG).await;
    assert!(matches!(a.address().try_cast(Command::Drain), Err(CastError::NoProc(_))));
}

#[tokio::test(start_paused = true)]
async fn permits_come_back_however_an_actor_ends() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let (root, tree) = root(vec![a.spec().mailbox(Mailbox::wait(4))]).await;
    for round in 1..=20u64 {
        let last = match round % 4 {
            0 => Command::Panic("boom"),
            1 => Command::Error("broken"),
            2 => Command::Stop("enough"),
            _ => Command::Drain,
        };
        a.address().cast(last).await.unwrap();
        // More than fit: the rest waits for room that the end of the actor must make.
        let address = a.address();
        let filler = tokio::spawn(async move {
            for _ in 0..12 {
                drop(address.cast(Command::Note("filler".into())).await);
            }
        });
        record.until(&format!("start a#{}", round + 1)).await;
        filler.await.unwrap();
        a.address().wait_live().await;
        // Nothing left over: there is room for the full bound again.
        a.incarnation().await;
        let mailbox = tree.node(&"root/a".into()).unwrap().mailbox.unwrap();
        assert!(mailbox.depth <= 1, "{mailbox:?}");
        record.clear();
        record.note(format!("start a#{}", round + 1));
    }
    root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn a_sender_waits_for_room_where_it_may() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let (root, _) = root(vec![a.spec().mailbox(Mailbox::wait(1))]).await;
    let address = a.address();
    let slow =
        tokio::spawn(async move { address.call(|reply| Command::Sleep(Duration::from_secs(2), reply), LONG).await });
    tokio::task::yield_now().await;
    let begin = tokio::time::Instant::now();
    a.address().cast(Command::Note("in".into())).await.unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(2));
    slow.await.unwrap().unwrap();
    record.until("in").await;
    root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn calls_fail_in_the_right_words() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    assert_eq!(a.address().call(Command::Incarnation, LONG).await, Err(CallError::NoProc));
    let (root, _) = root(vec![a.spec()]).await;
    let second = Duration::from_secs(1);
    let slow = a.address().call(|reply| Command::Sleep(LONG, reply), second).await;
    assert_eq!(slow, Err(CallError::Timeout));
    // Still asleep: this one expires in the queue and is never handled.
    assert_eq!(a.address().call(|reply| Command::Sleep(second, reply), second).await, Err(CallError::Timeout));
    assert_eq!(a.incarnation().await, 1);
    a.tell(Command::Panic("boom"));
    let crashed = a.address().call(Command::Incarnation, LONG).await;
    assert!(matches!(crashed, Err(CallError::Crashed | CallError::NoProc)), "{crashed:?}");
    root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_would_wait_for_itself_is_refused() {
    let record = Recorder::new();
    let (a, b) = (Puppet::new("a", &record), Puppet::new("b", &record));
    let (root, _) = root(vec![a.spec(), b.spec()]).await;
    let itself = a.address().call(|reply| Command::CallOther(a.address(), reply), LONG).await.unwrap();
    assert_eq!(itself, Err(CallError::WouldDeadlock));
    let other = a.address().call(|reply| Command::CallOther(b.address(), reply), LONG).await.unwrap();
    assert_eq!(other, Ok(1));
    root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn draining_handles_all_that_was_accepted() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let (root, _) = root(vec![a.spec().stop_mode(StopMode::Drain)]).await;
    for n in 0..50 {
        a.tell(Command::Note(n.to_string()));
    }
    root.shutdown(LONG).await;
    assert_eq!(record.lines().iter().filter(|line| line.parse::<u32>().is_ok()).count(), 50);
}
