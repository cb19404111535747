//! A mailbox never holds more than its bound, and however its actor ends, all its room is there again.

use std::time::Duration;

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use supervision::chaos::Fault;
use supervision::prelude::*;
use supervision::testing::{Command, Puppet, Recorder};

const LONG: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
enum Op {
    /// This many senders send at once, waiting for room where they may.
    Send(usize),
    Ask,
    /// The actor takes this many milliseconds over a message.
    Slow(u64),
    Panic,
    Error,
    Stop,
    Drain,
    Kill,
    Cycle,
    /// Time passes.
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1..6usize).prop_map(Op::Send),
        2 => Just(Op::Ask),
        3 => (1..20u64).prop_map(Op::Slow),
        1 => Just(Op::Panic),
        1 => Just(Op::Error),
        1 => Just(Op::Stop),
        1 => Just(Op::Drain),
        1 => Just(Op::Kill),
        1 => Just(Op::Cycle),
        3 => (0..20u64).prop_map(Op::Pass),
    ]
}

proptest! {
    #![proptest_config(super::config(60))]

    #[test]
    fn a_mailbox_keeps_its_bound_and_gets_all_its_room_back(
        bound in 1..6usize,
        waits in any::<bool>(),
        program in prop::collection::vec(op(), 0..40),
    ) {
        super::paused().block_on(run(bound, waits, program));
    }
}

async fn run(bound: usize, waits: bool, program: Vec<Op>) {
    let record = Recorder::new();
    let a = Puppet::new("bounded", &record);
    let mailbox = if waits { Mailbox::wait(bound) } else { Mailbox::reject(bound) };
    let (root, tree) = super::root(vec![a.spec().mailbox(mailbox)]).await;
    let depth = || tree.node(&"root/bounded".into()).and_then(|node| node.mailbox).map_or(0, |mailbox| mailbox.depth);
    let mut senders = tokio::task::JoinSet::new();
    for op in program {
        let address = a.address();
        let commands = match op {
            Op::Send(count) => (0..count).map(|n| Command::Note(n.to_string())).collect(),
            Op::Panic => vec![Command::Panic("boom")],
            Op::Error => vec![Command::Error("broken")],
            Op::Stop => vec![Command::Stop("enough")],
            Op::Drain => vec![Command::Drain],
            Op::Ask | Op::Slow(_) | Op::Kill | Op::Cycle | Op::Pass(_) => Vec::new(),
        };
        for command in commands {
            let address = address.clone();
            senders.spawn(async move { drop(address.cast(command).await) });
        }
        match op {
            Op::Ask => {
                senders
                    .spawn(async move { address.call(Command::Incarnation, LONG).await.map(drop).unwrap_or_default() });
            }
            Op::Slow(ms) => {
                let time = Duration::from_millis(ms);
                senders.spawn(async move {
                    address.call(|reply| Command::Sleep(time, reply), LONG).await.unwrap_or_default()
                });
            }
            Op::Kill => drop(tree.chaos().unwrap().inject("root/bounded", Fault::Kill)),
            Op::Cycle => drop(root.cycle_child(&"bounded".into()).await),
            Op::Pass(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Op::Send(_) | Op::Panic | Op::Error | Op::Stop | Op::Drain => {}
        }
        tokio::task::yield_now().await;
        assert!(depth() <= bound as u64, "{} in a mailbox for {bound}", depth());
    }
    // Nobody waits for ever: each sender got in, or was told.
    while let Some(sent) = senders.join_next().await {
        sent.unwrap();
        assert!(depth() <= bound as u64, "{} in a mailbox for {bound}", depth());
    }
    // The last may have ended it once more: until one incarnation answers two requests in a row.
    let last = loop {
        a.address().wait_live().await;
        let first = a.address().call(Command::Incarnation, LONG).await;
        let second = a.address().call(Command::Incarnation, LONG).await;
        match (first, second) {
            (Ok(first), Ok(second)) if first == second => break first,
            (Ok(_) | Err(_), Ok(_) | Err(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    a.address().cast(Command::Hang).await.unwrap();
    record.until(&format!("hang bounded#{last}")).await;
    assert_eq!(depth(), 1, "something was left over");
    for n in 1..bound {
        a.address().try_cast(Command::Note(n.to_string())).unwrap();
    }
    assert!(a.address().try_cast(Command::Note("one too many".into())).is_err_and(|error| error.is_busy()));
    assert_eq!(depth(), bound as u64);
    root.shutdown(LONG).await;
}
