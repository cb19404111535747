//! Stops: deadlines, kills, and children that end by themselves meanwhile.

use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::Recorder;
use supervision::tree::Query;
use supervision::{ExitClass, Handling};
use tokio::time::Instant;

use crate::support::*;

const SECOND: Duration = Duration::from_secs(1);
const RESTARTS: [Restart; 3] = [Restart::Permanent, Restart::Transient, Restart::Temporary];

fn exits(tree: &TreeStore, paths: &[&str]) -> Vec<ExitClass> {
    paths.iter().map(|path| last_exit(tree, path).class).collect()
}

#[tokio::test(start_paused = true)]
async fn sup_stop_infinity() {
    let record = Recorder::new();
    let minutes = Duration::from_secs(600);
    let slot = SupervisorSlot::new();
    let (inner, child2) = (Probe::new("inner", &record), Probe::new("child2", &record));
    inner.leaves(Leave::After(minutes));
    child2.leaves(Leave::After(minutes));
    let of = inner.clone();
    let child1 = ChildSpec::supervisor("child1", "sup", &slot, move || SupervisorSpec {
        children: vec![of.spec().shutdown(Shutdown::Infinity)],
        ..SupervisorSpec::default()
    });
    let children = vec![child1.shutdown(Shutdown::Infinity), child2.spec().shutdown(Shutdown::Infinity)];
    let (sup, tree) = start(SupervisorSpec { children, ..rules(Strategy::OneForOne, 1) }).await;
    let begin = Instant::now();
    assert!(sup.shutdown(LONG).await.stragglers.is_empty());
    assert!(begin.elapsed() >= 2 * minutes, "both were waited for");
    assert_eq!(exits(&tree, &["root/child1", "root/child2", "root/child1/inner"]), [ExitClass::Shutdown; 3]);
    assert_eq!(record.lines()[2..], ["stop child2#1", "drop child2#1", "stop inner#1", "drop inner#1"]);
    assert_eq!(sup.wait().await.class(), ExitClass::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn sup_stop_timeout() {
    let record = Recorder::new();
    let (child1, child2) = (Probe::new("child1", &record), Probe::new("child2", &record));
    child2.leaves(Leave::Never);
    let children = [&child1, &child2].map(|child| child.spec().shutdown(Shutdown::Timeout(SECOND))).into();
    let (sup, tree) = start(SupervisorSpec { children, ..rules(Strategy::OneForOne, 1) }).await;
    let begin = Instant::now();
    let report = sup.shutdown(LONG).await;
    let took = begin.elapsed();
    assert!(took >= SECOND && took < 2 * SECOND, "{took:?}");
    assert_eq!(report.stragglers, ["root/child2".into()]);
    assert_eq!(exits(&tree, &["root/child1", "root/child2"]), [ExitClass::Shutdown, ExitClass::Killed]);
    assert_eq!(record.lines()[2..], ["drop child2#1", "stop child1#1", "drop child1#1"]);
    assert_eq!(sup.wait().await.class(), ExitClass::Shutdown);
}

/// Ten children that never leave and one that does.
async fn eleven(sup: &SupervisorHandle, record: &Recorder, shutdown: Shutdown) {
    for n in 0..10 {
        let child = Probe::new(&format!("stuck{n}"), record);
        child.leaves(Leave::Never);
        sup.start_child(child.spec().shutdown(shutdown)).await.unwrap();
    }
    sup.start_child(Probe::new("prompt", record).spec().shutdown(Shutdown::Timeout(LONG))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn sup_stop_timeout_dynamic() {
    let record = Recorder::new();
    let dynamic = dynamic(at_most(1)).await;
    eleven(&dynamic.sup, &record, Shutdown::Timeout(SECOND)).await;
    let begin = Instant::now();
    dynamic.root.terminate_child(&"dynamic".into()).await.unwrap();
    let took = begin.elapsed();
    assert!(took >= SECOND && took < 2 * SECOND, "one deadline for all: {took:?}");
    for n in 0..10 {
        let exit = last_exit(&dynamic.tree, &format!("root/dynamic/stuck{n}"));
        assert_eq!((exit.class, exit.handling), (ExitClass::Killed, Handling::Stopped));
    }
    assert_eq!(exits(&dynamic.tree, &["root/dynamic/prompt", "root/dynamic"]), [ExitClass::Shutdown; 2]);
    assert!(dynamic.root.shutdown(LONG).await.stragglers.is_empty(), "they were killed before this shutdown");
}

#[tokio::test(start_paused = true)]
async fn sup_stop_brutal_kill() {
    let record = Recorder::new();
    let (child1, child2) = (Probe::new("child1", &record), Probe::new("child2", &record));
    let children = vec![child1.spec(), child2.spec().shutdown(Shutdown::Brutal)];
    let (sup, tree) = start(SupervisorSpec { children, ..rules(Strategy::OneForOne, 1) }).await;
    // It is not asked first, so a kill is what was wanted and nobody overstayed.
    assert!(sup.shutdown(LONG).await.stragglers.is_empty());
    assert_eq!(exits(&tree, &["root/child1", "root/child2"]), [ExitClass::Shutdown, ExitClass::Killed]);
    assert_eq!(record.lines()[2..], ["drop child2#1", "stop child1#1", "drop child1#1"]);
    assert_eq!(sup.wait().await.class(), ExitClass::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn sup_stop_brutal_kill_dynamic() {
    let record = Recorder::new();
    let dynamic = dynamic(at_most(1)).await;
    eleven(&dynamic.sup, &record, Shutdown::Brutal).await;
    let begin = Instant::now();
    dynamic.root.terminate_child(&"dynamic".into()).await.unwrap();
    assert!(begin.elapsed() < SECOND);
    for n in 0..10 {
        assert_eq!(last_exit(&dynamic.tree, &format!("root/dynamic/stuck{n}")).class, ExitClass::Killed);
    }
    assert_eq!(exits(&dynamic.tree, &["root/dynamic/prompt", "root/dynamic"]), [ExitClass::Shutdown; 2]);
    assert_eq!(record.lines().iter().filter(|line| line.starts_with("stop")).count(), 1, "only the one that was asked");
    assert!(dynamic.root.shutdown(LONG).await.stragglers.is_empty());
}

/// Two children that die while the supervisor stops.
async fn dying(sup: &SupervisorHandle, record: &Recorder, restart: Restart, death: Death) {
    for name in ["victim1", "victim2"] {
        let victim = Probe::new(name, record);
        sup.start_child(victim.spec().restart(restart)).await.unwrap();
        victim.tell(Order::DieAfter(Duration::from_millis(10), death));
        record.until(&format!("dying {name}#1")).await;
    }
}

fn none_came_back(record: &Recorder, what: (Restart, Death)) {
    let lines = record.lines();
    assert!(!lines.iter().any(|line| line.ends_with("#2")), "{what:?}: {lines:?}");
    let (starts, drops) =
        ["start", "drop"].map(|word| lines.iter().filter(|line| line.starts_with(word)).count()).into();
    assert_eq!(starts, drops, "{what:?}: {lines:?}");
}

#[tokio::test(start_paused = true)]
async fn sup_stop_race() {
    for what in RESTARTS.into_iter().flat_map(|restart| Death::ALL.map(|death| (restart, death))) {
        let (restart, death) = what;
        let record = Recorder::new();
        // With an intensity of nothing, a single restart would show.
        let (sup, tree) = start(rules(Strategy::OneForAll, 0)).await;
        dying(&sup, &record, restart, death).await;
        // Stopped first, and still at it when the others die by themselves.
        let slow = Probe::new("slow", &record);
        slow.leaves(Leave::After(Duration::from_millis(50)));
        sup.start_child(slow.spec()).await.unwrap();
        let begin = Instant::now();
        assert!(sup.shutdown(LONG).await.stragglers.is_empty(), "{what:?}");
        assert!(begin.elapsed() < SECOND, "{what:?}");
        for name in ["victim1", "victim2"] {
            let exit = last_exit(&tree, &format!("root/{name}"));
            assert_eq!((exit.class, exit.handling), (death.class(), Handling::Stopped), "{what:?}");
        }
        assert_eq!(last_exit(&tree, "root/slow").class, ExitClass::Shutdown, "{what:?}");
        none_came_back(&record, what);
        let reason = sup.wait().await;
        assert_eq!((reason.class(), reason.text().as_str()), (ExitClass::Shutdown, "shutdown"), "{what:?}");
        assert!(tree.snapshot(&Query::default()).nodes.is_empty(), "{what:?}");

        // The same where all are asked at once: each has been asked to stop when it dies of something else.
        let record = Recorder::new();
        let dynamic = dynamic(at_most(0)).await;
        dying(&dynamic.sup, &record, restart, death).await;
        dynamic.root.terminate_child(&"dynamic".into()).await.unwrap();
        for name in ["victim1", "victim2"] {
            let exit = last_exit(&dynamic.tree, &format!("root/dynamic/{name}"));
            // Being asked to stop comes before a clean end of one's own.
            let class = if death.is_clean() { ExitClass::Shutdown } else { death.class() };
            assert_eq!((exit.class, exit.handling), (class, Handling::Stopped), "{what:?}");
        }
        none_came_back(&record, what);
        assert_eq!(last_exit(&dynamic.tree, "root/dynamic").class, ExitClass::Shutdown, "{what:?}");
        assert!(dynamic.root.shutdown(LONG).await.stragglers.is_empty(), "{what:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn sup_stop_non_shutdown_exit_dynamic() {
    for restart in RESTARTS {
        let record = Recorder::new();
        let dynamic = dynamic(at_most(0)).await;
        let ways = [
            ("prompt", Leave::Promptly, ExitClass::Shutdown),
            ("slow", Leave::After(SECOND), ExitClass::Shutdown),
            ("failing", Leave::Failing, ExitClass::Error),
            ("panicking", Leave::Panicking, ExitClass::Panic),
        ];
        for (name, leave, _) in ways.clone() {
            let child = Probe::new(name, &record);
            child.leaves(leave);
            dynamic.sup.start_child(child.spec().restart(restart)).await.unwrap();
        }
        dynamic.root.terminate_child(&"dynamic".into()).await.unwrap();
        for (name, _, class) in ways {
            let exit = last_exit(&dynamic.tree, &format!("root/dynamic/{name}"));
            assert_eq!((exit.class, exit.handling, exit.incarnation), (class, Handling::Stopped, 1), "{name}");
        }
        let exit = last_exit(&dynamic.tree, "root/dynamic");
        assert_eq!((exit.class, exit.text.as_str()), (ExitClass::Shutdown, "shutdown"));
        assert!(dynamic.root.shutdown(LONG).await.stragglers.is_empty());
    }
}
