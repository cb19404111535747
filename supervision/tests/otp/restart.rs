//! Who is restarted with whom, and when that is too much.

use std::sync::Arc;
use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::Recorder;
use supervision::{ExitClass, TemplateSlot};
use tokio::time::Instant;

use crate::support::*;

/// Children `a`, `b`, … under a root.
async fn root_of<const N: usize>(
    strategy: Strategy,
    max_restarts: u32,
) -> (SupervisorHandle, TreeStore, [Probe; N], Recorder) {
    let record = Recorder::new();
    let names = ["a", "b", "c", "d"];
    let probes: [Probe; N] = std::array::from_fn(|at| Probe::new(names[at], &record));
    let children = probes.iter().map(Probe::spec).collect();
    let (sup, tree) = start(SupervisorSpec { children, ..rules(strategy, max_restarts) }).await;
    record.clear();
    (sup, tree, probes, record)
}

/// The supervisor has ended of too many restarts, and nothing of it is left alive.
async fn melted(sup: &SupervisorHandle, probes: &[Probe]) {
    let reason = tokio::time::timeout(LONG, sup.wait()).await.unwrap();
    assert_eq!((reason.class(), reason.text().as_str()), (ExitClass::Shutdown, "intensity"));
    for probe in probes {
        assert!(!probe.is_alive(), "{probe:?}");
    }
}

fn count(record: &Recorder, line: &str) -> usize {
    record.lines().iter().filter(|seen| seen.starts_with(line)).count()
}

async fn incarnations<const N: usize>(probes: &[Probe; N]) -> [u64; N] {
    let mut all = [0; N];
    for (at, probe) in probes.iter().enumerate() {
        all[at] = probe.incarnation().await;
    }
    all
}

#[tokio::test(start_paused = true)]
async fn multiple_restarts() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        let record = Recorder::new();
        let (a, b) = (Probe::new("a", &record), Probe::new("b", &record));
        let period = Duration::from_secs(1);
        let flags = SupervisorSpec {
            intensity: Intensity { max_restarts: 2, period },
            children: vec![a.spec(), b.spec().shutdown(Shutdown::Brutal)],
            ..rules(strategy, 0)
        };
        let (sup, tree) = start(flags).await;
        // Many restarts are fine as long as there are not too many within the period.
        let mut inc = 1;
        for round in 0..5 {
            for _ in 0..2 {
                a.die(Death::Error).await;
                inc += 1;
                until_up(&tree, "root/a", inc).await;
            }
            assert_eq!(a.incarnation().await, inc, "{strategy:?} {round}");
            tokio::time::sleep(period).await;
        }
        assert_eq!(tree.node(&"root".into()).unwrap().intensity.unwrap().max, 2);
        // One more than that, and it is over.
        for _ in 0..2 {
            a.die(Death::Error).await;
            inc += 1;
            until_up(&tree, "root/a", inc).await;
        }
        a.die(Death::Error).await;
        melted(&sup, &[a, b]).await;
        assert_eq!(count(&record, &format!("start a#{}", inc + 1)), 0, "{strategy:?}: there is no restart too many");
    }
    // The same under a template.
    let record = Recorder::new();
    let simple = simple(at_most(2), |spec| spec).await;
    let a = Probe::new("a", &record);
    simple.children.start_child(a.clone()).await.unwrap();
    for inc in 2..=3 {
        a.die(Death::Error).await;
        until_up(&simple.tree, "root/simple/1", inc).await;
    }
    a.die(Death::Error).await;
    melted(&simple.sup, &[a]).await;
    // No restart at all is allowed where none is.
    let (sup, _, probes, record) = root_of::<2>(Strategy::OneForOne, 0).await;
    probes[0].die(Death::Error).await;
    melted(&sup, &probes).await;
    assert_eq!(record.lines(), ["drop a#1", "stop b#1", "drop b#1"]);
}

#[tokio::test(start_paused = true)]
async fn one_for_one() {
    let (sup, tree, probes, record) = root_of::<2>(Strategy::OneForOne, 2).await;
    let before: Vec<_> = sup.which_children().await.unwrap().iter().map(|child| child.actor).collect();
    probes[0].die(Death::Error).await;
    until_up(&tree, "root/a", 2).await;
    let after: Vec<_> = sup.which_children().await.unwrap().iter().map(|child| child.actor).collect();
    assert!(before[0] != after[0] && before[1] == after[1] && after[0].is_some());
    assert_eq!(incarnations(&probes).await, [2, 1]);
    assert_eq!(record.lines(), ["drop a#1", "start a#2"]);
    // Too often.
    probes[1].die(Death::Panic).await;
    until_up(&tree, "root/b", 2).await;
    probes[0].die(Death::Killed).await;
    melted(&sup, &probes).await;
    assert_eq!(record.lines()[2..], ["drop b#1", "start b#2", "drop a#2", "stop b#2", "drop b#2"]);
}

#[tokio::test(start_paused = true)]
async fn one_for_one_escalation() {
    let (sup, _, probes, record) = root_of::<2>(Strategy::OneForOne, 4).await;
    probes[0].all_starts(Birth::Fail);
    probes[0].die(Death::Error).await;
    melted(&sup, &probes).await;
    // The crash and each failed start count; the fifth is too much.
    let expected = ["drop a#1", "fail a#2", "fail a#3", "fail a#4", "fail a#5", "stop b#1", "drop b#1"];
    assert_eq!(record.lines(), expected);
}

#[tokio::test(start_paused = true)]
async fn one_for_all() {
    let (sup, tree, probes, record) = root_of::<3>(Strategy::OneForAll, 2).await;
    let before: Vec<_> = sup.which_children().await.unwrap().iter().map(|child| child.actor).collect();
    probes[1].die(Death::Error).await;
    until_up(&tree, "root/c", 2).await;
    let after: Vec<_> = sup.which_children().await.unwrap().iter().map(|child| child.actor).collect();
    assert!(after.iter().all(|actor| actor.is_some() && !before.contains(actor)), "no old child is left");
    assert_eq!(incarnations(&probes).await, [2, 2, 2]);
    let expected = ["drop b#1", "stop c#1", "drop c#1", "stop a#1", "drop a#1", "start a#2", "start b#2", "start c#2"];
    assert_eq!(record.lines(), expected);
    // One crash is one restart, however many came along.
    probes[0].die(Death::Error).await;
    until_up(&tree, "root/c", 3).await;
    assert_eq!(incarnations(&probes).await, [3, 3, 3]);
    probes[2].die(Death::Error).await;
    melted(&sup, &probes).await;
}

#[tokio::test(start_paused = true)]
async fn one_for_all_escalation() {
    let (sup, _, probes, record) = root_of::<2>(Strategy::OneForAll, 4).await;
    probes[0].all_starts(Birth::Fail);
    probes[0].die(Death::Error).await;
    melted(&sup, &probes).await;
    let expected = ["drop a#1", "stop b#1", "drop b#1", "fail a#2", "fail a#3", "fail a#4", "fail a#5"];
    assert_eq!(record.lines(), expected, "the sibling is not started before its elder");
}

#[tokio::test(start_paused = true)]
async fn one_for_all_other_child_fails_restart() {
    let (sup, tree, probes, record) = root_of::<2>(Strategy::OneForAll, 2).await;
    probes[1].next_starts(&[Birth::Fail]);
    probes[0].die(Death::Error).await;
    until_up(&tree, "root/b", 3).await;
    let expected =
        ["drop a#1", "stop b#1", "drop b#1", "start a#2", "fail b#2", "stop a#2", "drop a#2", "start a#3", "start b#3"];
    assert_eq!(record.lines(), expected, "what this round has started is stopped again");
    assert_eq!(incarnations(&probes).await, [3, 3]);
    // The failed start was the second of two.
    probes[0].die(Death::Error).await;
    melted(&sup, &probes).await;
}

#[tokio::test(start_paused = true)]
async fn simple_one_for_one() {
    let record = Recorder::new();
    let Simple { sup, tree, children, .. } = simple(at_most(2), |spec| spec).await;
    let probes = ["a", "b"].map(|name| Probe::new(name, &record));
    for probe in &probes {
        children.start_child(probe.clone()).await.unwrap();
    }
    let before: Vec<_> = sup.which_children().await.unwrap().iter().map(|child| child.actor).collect();
    probes[0].die(Death::Error).await;
    until_up(&tree, "root/simple/1", 2).await;
    let after: Vec<_> = sup.which_children().await.unwrap().iter().map(|child| child.actor).collect();
    assert!(before[0] != after[0] && before[1] == after[1] && after[0].is_some());
    assert_eq!(incarnations(&probes).await, [2, 1]);
    assert_eq!(counts(&sup).await, [1, 2, 0, 2]);
    // Too often.
    probes[1].die(Death::Panic).await;
    until_up(&tree, "root/simple/2", 2).await;
    probes[0].die(Death::Killed).await;
    melted(&sup, &probes).await;
    until_gone(&tree, "root/simple").await;
}

#[tokio::test(start_paused = true)]
async fn simple_one_for_one_shutdown() {
    let record = Recorder::new();
    let limit = Duration::from_secs(5);
    let simple = simple(at_most(2), move |spec| spec.shutdown(Shutdown::Timeout(limit))).await;
    for n in 0..100 {
        let child = Probe::new(&format!("child{n}"), &record);
        child.leaves(Leave::After(Duration::from_secs(2)));
        simple.children.start_child(child).await.unwrap();
    }
    let begin = Instant::now();
    simple.root.terminate_child(&"simple".into()).await.unwrap();
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(3), "all at once: {took:?}");
    assert_eq!(count(&record, "stop"), 100);
    assert!(simple.root.shutdown(LONG).await.stragglers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn simple_one_for_one_extra() {
    let record = Recorder::new();
    let Simple { sup, tree, children, .. } = simple(at_most(2), |spec| spec).await;
    let probes = ["a", "b"].map(|name| Probe::new(name, &record));
    for probe in &probes {
        probe.tells("extra");
        let started = children.start_child(probe.clone()).await.unwrap();
        assert_eq!(started.info.unwrap().downcast_ref::<&'static str>(), Some(&"extra"));
    }
    let kept = sup.which_children().await.unwrap()[1].actor;
    probes[0].die(Death::Error).await;
    until_up(&tree, "root/simple/1", 2).await;
    assert_eq!(sup.which_children().await.unwrap()[1].actor, kept);
    probes[0].die(Death::Error).await;
    until_up(&tree, "root/simple/1", 3).await;
    probes[1].die(Death::Error).await;
    melted(&sup, &probes).await;
}

#[tokio::test(start_paused = true)]
async fn simple_one_for_one_escalation() {
    let record = Recorder::new();
    let Simple { sup, children, .. } = simple(at_most(4), |spec| spec).await;
    let probes = ["a", "b"].map(|name| Probe::new(name, &record));
    for probe in &probes {
        children.start_child(probe.clone()).await.unwrap();
    }
    record.clear();
    probes[0].all_starts(Birth::Fail);
    probes[0].die(Death::Error).await;
    melted(&sup, &probes).await;
    let expected = ["drop a#1", "fail a#2", "fail a#3", "fail a#4", "fail a#5", "stop b#1", "drop b#1"];
    assert_eq!(record.lines(), expected);
}

/// The arguments of a child are those it was started with: kept unchanged for its restarts, and not kept at all where
/// there will be none.
#[tokio::test(start_paused = true)]
async fn simple_one_for_one_corruption() {
    for (restart, kept) in [(Restart::Permanent, true), (Restart::Transient, true), (Restart::Temporary, false)] {
        let record = Recorder::new();
        let slot = TemplateSlot::<(Probe, Arc<str>)>::new();
        let noted = record.clone();
        let make = move |(probe, text): &(Probe, Arc<str>), _| {
            noted.note(format!("made with {text}"));
            probe.spec().restart(restart)
        };
        let template = ChildSpec::template("simple", "simple", &slot, at_most(9), make);
        let (root, tree) = start_below(template).await;
        let (children, text) = (slot.handle(), Arc::<str>::from("its argument"));
        let child = Probe::new("child", &record);
        let actor = children.start_child((child.clone(), Arc::clone(&text))).await.unwrap().actor.unwrap();
        assert_eq!(Arc::strong_count(&text) > 1, kept, "{restart:?}");
        assert_eq!(record.lines(), ["made with its argument", "start child#1"]);
        // Ends that are not its own change nothing.
        let other = Probe::new("other", &record);
        root.start_child(other.spec().restart(Restart::Temporary)).await.unwrap();
        other.die(Death::Error).await;
        assert_eq!(children.supervisor().which_actor(actor).await.unwrap().incarnation, 1);
        child.die(Death::Error).await;
        if kept {
            until_up(&tree, "root/simple/1", 2).await;
            let actor = children.supervisor().which_children().await.unwrap()[0].actor.unwrap();
            children.supervisor().terminate_actor(actor).await.unwrap();
        } else {
            until_gone(&tree, "root/simple/1").await;
        }
        assert_eq!(counts(&children.supervisor()).await, [1, 0, 0, 0]);
        assert_eq!(Arc::strong_count(&text), 1, "{restart:?}: nothing is kept of a child that is gone");
        root.shutdown(LONG).await;
    }
}

#[tokio::test(start_paused = true)]
async fn simple_one_for_one_restart_ignore() {
    let record = Recorder::new();
    let Simple { root, sup, tree, children } = simple(at_most(2), |spec| spec).await;
    let [a, b] = ["a", "b"].map(|name| Probe::new(name, &record));
    children.start_child(a.clone()).await.unwrap();
    children.start_child(b.clone()).await.unwrap();
    a.next_starts(&[Birth::Ignore]);
    a.die(Death::Error).await;
    record.until("ignore a#2").await;
    until_gone(&tree, "root/simple/1").await;
    assert_eq!(counts(&sup).await, [1, 1, 0, 1]);
    assert_eq!(sup.which_children().await.unwrap().len(), 1);
    assert_eq!(b.incarnation().await, 1);
    root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn rest_for_one() {
    let (sup, tree, probes, record) = root_of::<4>(Strategy::RestForOne, 2).await;
    let before: Vec<_> = sup.which_children().await.unwrap().iter().map(|child| child.actor).collect();
    probes[1].die(Death::Error).await;
    until_up(&tree, "root/d", 2).await;
    let after: Vec<_> = sup.which_children().await.unwrap().iter().map(|child| child.actor).collect();
    assert_eq!(before[0], after[0]);
    assert!(after[1..].iter().all(|actor| actor.is_some() && !before.contains(actor)));
    assert_eq!(incarnations(&probes).await, [1, 2, 2, 2]);
    let expected = ["drop b#1", "stop d#1", "drop d#1", "stop c#1", "drop c#1", "start b#2", "start c#2", "start d#2"];
    assert_eq!(record.lines(), expected);
    // The last has nobody after it, the first has all.
    record.clear();
    probes[3].die(Death::Error).await;
    until_up(&tree, "root/d", 3).await;
    assert_eq!(record.lines(), ["drop d#2", "start d#3"]);
    record.clear();
    probes[0].die(Death::Error).await;
    melted(&sup, &probes).await;
    let expected = ["drop a#1", "stop d#3", "drop d#3", "stop c#2", "drop c#2", "stop b#2", "drop b#2"];
    assert_eq!(record.lines(), expected);
}

#[tokio::test(start_paused = true)]
async fn rest_for_one_escalation() {
    let (sup, _, probes, record) = root_of::<3>(Strategy::RestForOne, 4).await;
    probes[1].all_starts(Birth::Fail);
    probes[1].die(Death::Error).await;
    melted(&sup, &probes).await;
    let expected =
        ["drop b#1", "stop c#1", "drop c#1", "fail b#2", "fail b#3", "fail b#4", "fail b#5", "stop a#1", "drop a#1"];
    assert_eq!(record.lines(), expected);
}

#[tokio::test(start_paused = true)]
async fn rest_for_one_other_child_fails_restart() {
    let (sup, tree, probes, record) = root_of::<3>(Strategy::RestForOne, 2).await;
    probes[2].next_starts(&[Birth::Fail]);
    probes[1].die(Death::Error).await;
    until_up(&tree, "root/c", 3).await;
    let expected = ["drop b#1", "stop c#1", "drop c#1", "start b#2", "fail c#2", "start c#3"];
    assert_eq!(record.lines(), expected, "what came back stays; the retry begins at who failed");
    assert_eq!(incarnations(&probes).await, [1, 2, 3]);
    // The failed start was the second of two.
    probes[0].die(Death::Error).await;
    melted(&sup, &probes).await;
}
