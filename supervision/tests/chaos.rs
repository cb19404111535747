//! Faults on purpose: each kind does what it says, and the tree heals.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails at the spot")]

use std::time::Duration;

use supervision::chaos::{Fault, InjectError, inject};
use supervision::prelude::*;
use supervision::testing::{Command, Puppet, Recorder};
use supervision::{ExitClass, tree::Action};

// Paths are shared by all trees of a process, so each test has names of its own.
async fn root(name: &str, record: &Recorder) -> (SupervisorHandle, TreeStore, Puppet) {
    let tree = TreeStore::new();
    let puppet = Puppet::new(name, record);
    let spec = SupervisorSpec {
        intensity: Intensity { max_restarts: 50, period: Duration::from_secs(5) },
        children: vec![puppet.spec().shutdown(Shutdown::Brutal)],
        ..SupervisorSpec::default()
    };
    (Supervisor::start_root(spec, tree.clone()).await.unwrap(), tree, puppet)
}

async fn strikes(name: &str, fault: Fault, class: ExitClass) {
    let record = Recorder::new();
    let (root, tree, puppet) = root(name, &record).await;
    inject(format!("root/{name}").as_str(), fault).unwrap();
    if fault != Fault::Kill {
        puppet.tell(Command::Note("not reached".into()));
    }
    record.until(&format!("start {name}#2")).await;
    assert!(!record.lines().contains(&"not reached".to_owned()));
    assert_eq!(tree.history(&format!("root/{name}").as_str().into())[0].class, class);
    assert_eq!(puppet.incarnation().await, 2);
    root.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_strikes_at_the_next_message() {
    strikes("panics", Fault::Panic, ExitClass::Panic).await;
}

#[tokio::test(start_paused = true)]
async fn an_error_strikes_at_the_next_message() {
    strikes("errs", Fault::Error, ExitClass::Error).await;
}

#[tokio::test(start_paused = true)]
async fn a_kill_strikes_now() {
    strikes("dies", Fault::Kill, ExitClass::Killed).await;
}

#[tokio::test(start_paused = true)]
async fn a_hang_lasts_until_the_actor_is_restarted() {
    let record = Recorder::new();
    let (root, tree, puppet) = root("hangs", &record).await;
    inject("root/hangs", Fault::Hang).unwrap();
    puppet.tell(Command::Note("not reached".into()));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(tree.node(&"root/hangs".into()).unwrap().in_hand.unwrap() >= Duration::from_secs(59));
    tree.act(&"root/hangs".into(), Action::Restart).await.unwrap();
    assert_eq!(puppet.incarnation().await, 2);
    root.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_delays_the_message_and_nobody_else() {
    let record = Recorder::new();
    let (root, _, puppet) = root("blocks", &record).await;
    inject("root/blocks", Fault::Block(Duration::from_millis(200))).unwrap();
    let begin = std::time::Instant::now();
    puppet.tell(Command::Note("late".into()));
    root.which_children().await.unwrap();
    record.until("late").await;
    assert!(begin.elapsed() >= Duration::from_millis(200));
    root.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_supervisor_is_restored_with_its_subtree() {
    let record = Recorder::new();
    let slot = SupervisorSlot::new();
    let puppet = Puppet::new("leaf", &record);
    let of = puppet.clone();
    let inner = ChildSpec::supervisor("inner", "inner", &slot, move || SupervisorSpec {
        children: vec![of.spec()],
        ..SupervisorSpec::default()
    });
    let spec = SupervisorSpec { children: vec![inner], ..SupervisorSpec::default() };
    let tree = TreeStore::new();
    let root = Supervisor::start_root(spec, tree.clone()).await.unwrap();
    assert_eq!(inject("root/inner", Fault::Panic), Err(InjectError::OnlyKill("root/inner".into())));
    assert!(matches!(inject("root/nobody", Fault::Panic), Err(InjectError::NotFound(_))));
    inject("root/inner", Fault::Kill).unwrap();
    record.until_that(|lines| lines.iter().filter(|line| *line == "start leaf#1").count() == 2).await;
    let nodes = tree.snapshot(&Default::default()).nodes;
    assert_eq!(nodes.iter().filter(|node| node.name == "leaf").count(), 1);
    root.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_kills_leaves_the_tree_as_specified() {
    let record = Recorder::new();
    let slot = SupervisorSlot::new();
    let options = DynamicOptions {
        intensity: Intensity { max_restarts: 100_000, period: Duration::from_secs(1) },
        ..DynamicOptions::default()
    };
    let spec = SupervisorSpec {
        children: vec![ChildSpec::dynamic("storm", "storm", &slot, options)],
        ..SupervisorSpec::default()
    };
    let tree = TreeStore::new();
    let root = Supervisor::start_root(spec, tree.clone()).await.unwrap();
    let puppets: Vec<Puppet> = (0..200).map(|n| Puppet::new(&format!("s{n}"), &record)).collect();
    for puppet in &puppets {
        slot.handle().start_child(puppet.spec()).await.unwrap();
    }
    for round in 0..10usize {
        for (n, puppet) in puppets.iter().enumerate() {
            match (n + round) % 3 {
                0 => drop(inject(format!("root/storm/s{n}").as_str(), Fault::Kill)),
                1 => drop(puppet.address().try_cast(Command::Panic("storm"))),
                _ => drop(puppet.address().try_cast(Command::Stop("storm"))),
            }
        }
        tokio::task::yield_now().await;
    }
    for puppet in &puppets {
        puppet.address().wait_live().await;
    }
    let all_up = async {
        while !slot
            .handle()
            .which_children()
            .await
            .unwrap()
            .iter()
            .all(|c| c.state == supervision::tree::NodeState::Running)
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all_up).await.unwrap();
    assert_eq!(slot.handle().count_children().await.unwrap().active, 200);
    let (starts, ends) = record.lines().iter().fold((0, 0), |(starts, ends), line| {
        (starts + u32::from(line.starts_with("start")), ends + u32::from(line.starts_with("drop")))
    });
    assert_eq!(starts, ends + 200, "one incarnation of each, no more");
    root.shutdown(Duration::from_secs(10)).await;
    assert!(tree.snapshot(&Default::default()).nodes.is_empty());
}
