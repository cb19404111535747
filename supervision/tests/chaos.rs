//! Faults on purpose: each kind does what it says, and the tree heals.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails at the spot")]

use std::time::Duration;

use supervision::chaos::{Fault, InjectError};
use supervision::prelude::*;
use supervision::testing::{Command, Puppet, Recorder};
use supervision::{ExitClass, tree::Action};

async fn root(name: &str, record: &Recorder) -> (SupervisorHandle, TreeStore, Puppet) {
    let tree = TreeStore::new();
    tree.arm_chaos();
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
    tree.chaos().unwrap().inject(format!("root/{name}").as_str(), fault).unwrap();
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
    tree.chaos().unwrap().inject("root/hangs", Fault::Hang).unwrap();
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
    let (root, tree, puppet) = root("blocks", &record).await;
    tree.chaos().unwrap().inject("root/blocks", Fault::Block(Duration::from_millis(200))).unwrap();
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
    let chaos = tree.arm_chaos();
    let root = Supervisor::start_root(spec, tree.clone()).await.unwrap();
    assert_eq!(chaos.inject("root/inner", Fault::Hang), Err(InjectError::Supervisor("root/inner".into())));
    assert!(matches!(chaos.inject("root/nobody", Fault::Panic), Err(InjectError::NotFound(_))));
    chaos.inject("root/inner", Fault::Kill).unwrap();
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
    let chaos = tree.arm_chaos();
    let root = Supervisor::start_root(spec, tree.clone()).await.unwrap();
    let puppets: Vec<Puppet> = (0..200).map(|n| Puppet::new(&format!("s{n}"), &record)).collect();
    for puppet in &puppets {
        slot.handle().start_child(puppet.spec()).await.unwrap();
    }
    for round in 0..10usize {
        for (n, puppet) in puppets.iter().enumerate() {
            match (n + round) % 3 {
                0 => drop(chaos.inject(format!("root/storm/s{n}").as_str(), Fault::Kill)),
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

#[tokio::test(start_paused = true)]
async fn trees_of_one_process_share_no_faults_and_an_unarmed_one_takes_none() {
    let record = Recorder::new();
    let (root, tree, puppet) = root("twin", &record).await;
    let second = Recorder::new();
    let (other_root, other_tree, other) = self::root("twin", &second).await;
    tree.chaos().unwrap().inject("root/twin", Fault::Panic).unwrap();
    assert_eq!(other.incarnation().await, 1);
    other.tell(Command::Note("reached".into()));
    second.until("reached").await;
    assert!(other_tree.chaos().unwrap().pending().is_empty());
    assert_eq!(tree.chaos().unwrap().pending(), [("root/twin".into(), Fault::Panic)]);
    puppet.tell(Command::Note("not reached".into()));
    record.until("start twin#2").await;
    assert_eq!((tree.chaos().unwrap().struck(), other_tree.chaos().unwrap().struck()), (1, 0));

    let unarmed = TreeStore::new();
    let plain = Puppet::new("plain", &Recorder::new());
    let spec = SupervisorSpec { children: vec![plain.spec()], ..SupervisorSpec::default() };
    let third = Supervisor::start_root(spec, unarmed.clone()).await.unwrap();
    assert!(unarmed.chaos().is_none());
    assert_eq!(
        unarmed.arm_chaos().strike("root/plain", Fault::Kill),
        Err(InjectError::NotRunning("root/plain".into()))
    );
    assert_eq!(unarmed.arm_chaos().actors(), 0, "armed too late to know anybody");
    for root in [root, other_root, third] {
        root.shutdown(Duration::from_secs(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_strike_needs_no_message_and_an_injected_fault_waits_for_one() {
    let record = Recorder::new();
    let (root, tree, puppet) = root("idle", &record).await;
    let chaos = tree.chaos().unwrap();
    chaos.inject("root/idle", Fault::Error).unwrap();
    root.which_children().await.unwrap();
    assert_eq!(tree.node(&"root/idle".into()).unwrap().incarnation, 1);
    assert_eq!(chaos.clear(), 1);
    assert_eq!(puppet.incarnation().await, 1, "a fault that is forgotten does not strike");
    chaos.strike("root/idle", Fault::Error).unwrap();
    record.until("start idle#2").await;
    assert_eq!(puppet.incarnation().await, 2);
    assert!(chaos.pending().is_empty());
    root.shutdown(Duration::from_secs(5)).await;
    assert_eq!(chaos.actors(), 0, "nobody is on the list of a tree that has ended");
}

#[tokio::test(start_paused = true)]
async fn faults_at_start_strike_the_next_starts() {
    let record = Recorder::new();
    let (root, tree, puppet) = root("starts", &record).await;
    let chaos = tree.chaos().unwrap();
    chaos.inject("root/starts", Fault::PanicAtStart).unwrap();
    chaos.inject("root/starts", Fault::FailStart(2)).unwrap();
    chaos.inject("root/starts", Fault::HangAtStart).unwrap();
    chaos.inject("root/starts", Fault::Kill).unwrap();
    record.until("start starts#6").await;
    assert_eq!(puppet.incarnation().await, 6);
    let exits = tree.history(&"root/starts".into());
    let classes: Vec<ExitClass> = exits.iter().map(|exit| exit.class).collect();
    assert_eq!(classes[0], ExitClass::Killed, "{exits:?}");
    let said: Vec<bool> = exits[1..4].iter().map(|exit| exit.text.contains("injected")).collect();
    assert_eq!(said, [true; 3], "{exits:?}");
    assert_eq!((exits.len(), chaos.struck(), chaos.pending().len()), (5, 5, 0));
    root.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn faults_at_stop_strike_an_orderly_stop() {
    let record = Recorder::new();
    let slot = SupervisorSlot::new();
    let puppet = Puppet::new("stops", &record);
    let of = puppet.clone();
    let inner = ChildSpec::supervisor("inner", "inner", &slot, move || SupervisorSpec {
        children: vec![of.spec()],
        ..SupervisorSpec::default()
    });
    let tree = TreeStore::new();
    let chaos = tree.arm_chaos();
    let spec = SupervisorSpec { children: vec![inner], ..SupervisorSpec::default() };
    let root = Supervisor::start_root(spec, tree.clone()).await.unwrap();
    let path = "root/inner/stops";
    chaos.inject(path, Fault::PanicAtStop).unwrap();
    tree.act(&path.into(), Action::Restart).await.unwrap();
    assert_eq!(puppet.incarnation().await, 2);
    chaos.inject(path, Fault::HangAtStop).unwrap();
    let begin = tokio::time::Instant::now();
    tree.act(&path.into(), Action::Restart).await.unwrap();
    assert_eq!(puppet.incarnation().await, 3);
    assert!(begin.elapsed() >= Duration::from_secs(5), "it was waited for, then killed");
    assert_eq!(chaos.inject("root/inner", Fault::HangAtStop), Err(InjectError::Supervisor("root/inner".into())));
    root.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_panics_or_fails_is_restored_with_its_subtree() {
    for (fault, class) in [(Fault::Panic, ExitClass::Panic), (Fault::Error, ExitClass::Error)] {
        let record = Recorder::new();
        let slot = SupervisorSlot::new();
        let puppet = Puppet::new("leaf", &record);
        let of = puppet.clone();
        let inner = ChildSpec::supervisor("inner", "inner", &slot, move || SupervisorSpec {
            children: vec![of.spec()],
            ..SupervisorSpec::default()
        });
        let tree = TreeStore::new();
        let chaos = tree.arm_chaos();
        let spec = SupervisorSpec { children: vec![inner], ..SupervisorSpec::default() };
        let root = Supervisor::start_root(spec, tree.clone()).await.unwrap();
        chaos.strike("root/inner", fault).unwrap();
        record.until_that(|lines| lines.iter().filter(|line| *line == "start leaf#1").count() == 2).await;
        assert_eq!(tree.history(&"root/inner".into())[0].class, class);
        let nodes = tree.snapshot(&Default::default()).nodes;
        assert_eq!(nodes.iter().filter(|node| node.name == "leaf").count(), 1);
        root.shutdown(Duration::from_secs(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_strike_that_comes_too_late_for_one_incarnation_meets_the_next() {
    let record = Recorder::new();
    let (root, tree, puppet) = root("late", &record).await;
    let chaos = tree.chaos().unwrap();
    // The kill is on its way when the second blow falls.
    chaos.strike("root/late", Fault::Kill).unwrap();
    chaos.strike("root/late", Fault::Panic).unwrap();
    record.until("start late#3").await;
    assert_eq!(puppet.incarnation().await, 3);
    assert!(chaos.pending().is_empty());
    root.shutdown(Duration::from_secs(5)).await;
}
