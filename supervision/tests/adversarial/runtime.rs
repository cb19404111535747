//! Runtimes that go away, and clocks that jump.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::{Command, Puppet, Recorder};
use supervision::tree::NodeState;

use crate::{BUDGET, count, every, is_waiting, root, root_of, rules, subtree, until_state};

/// A tree with a child in every phase there is: running, starting, stopping, backing off, failed, and an actor that is
/// busy with a call to another.
async fn in_every_phase(record: &Recorder) -> (SupervisorHandle, TreeStore) {
    let puppet = |name: &str| Puppet::new(name, record);
    let (a, b, retry, stuck) = (puppet("a"), puppet("b"), puppet("retry"), puppet("stuck").hang_stop());
    let (inner, all) = (SupervisorSlot::new(), SupervisorSlot::new());
    let (root, tree) = root(vec![
        a.spec(),
        b.spec(),
        retry.spec().counts(false).backoff(every(Duration::from_secs(3600))),
        stuck.spec().shutdown(Shutdown::Infinity),
        subtree("inner", &inner, &[&puppet("c"), &puppet("d")]),
        ChildSpec::dynamic("all", "all", &all, DynamicOptions::default()),
        ChildSpec::task("task", "task", |ctx: TaskCtx| async move {
            ctx.spawn_scoped(std::future::pending());
            ctx.cancel().cancelled().await;
            Ok(())
        }),
    ])
    .await;
    retry.tell(Command::Error("broken"));
    b.tell(Command::Hang);
    let (reply, _) = tokio::sync::oneshot::channel::<()>();
    drop(reply);
    a.tell(Command::StartChild(Box::new(puppet("own").spec())));
    let (starter, stopper) = (all.handle(), root.clone());
    let starting = puppet("starting").hang_start();
    tokio::spawn(async move { drop(starter.start_child(starting.spec()).await) });
    tokio::spawn(async move { drop(stopper.terminate_child(&"stuck".into()).await) });
    record.until("hang starting#1").await;
    record.until("hang b#1").await;
    record.until("start own#1").await;
    until_state(&tree, "root/stuck", |state| *state == NodeState::Stopping).await;
    until_state(&tree, "root/retry", is_waiting).await;
    (root, tree)
}

/// Counts panics of this process; the tests that use it share one binary but not one process with others.
fn count_panics() -> Arc<AtomicUsize> {
    let panics = Arc::new(AtomicUsize::new(0));
    let (seen, before) = (Arc::clone(&panics), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |info| {
        seen.fetch_add(1, Ordering::SeqCst);
        before(info);
    }));
    panics
}

/// Runs `work` in a thread of its own and waits for its end, but not for ever.
fn in_time(work: impl FnOnce() + Send + 'static) {
    let (done, end) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::spawn(move || {
        work();
        done.send(()).ok();
    });
    let ended = end.recv_timeout(Duration::from_secs(30));
    if ended == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
        panic!("still not over after half a minute");
    }
    thread.join().unwrap();
}

fn dropped(make: impl Fn() -> tokio::runtime::Runtime + Send + 'static) {
    in_time(move || {
        let panics = count_panics();
        let record = Recorder::new();
        for with_handles in [true, false] {
            let runtime = make();
            let kept = runtime.block_on(in_every_phase(&record));
            if with_handles {
                drop(runtime);
                drop(kept);
            } else {
                drop(kept);
                drop(runtime);
            }
        }
        assert_eq!(panics.load(Ordering::SeqCst), 0);
        for life in ["a", "b", "c", "d", "own", "stuck"] {
            assert_eq!(count(&record, &format!("drop {life}#1")), 2, "{life} is left: {record:?}");
        }
    });
}

#[test]
fn a_runtime_of_one_thread_may_be_dropped_at_any_time() {
    dropped(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
}

#[test]
fn a_runtime_of_many_threads_may_be_dropped_at_any_time() {
    dropped(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());
}

#[test]
fn a_runtime_may_be_dropped_while_a_tree_is_shutting_down_or_booting() {
    in_time(|| {
        let panics = count_panics();
        let record = Recorder::new();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let (root, tree) = in_every_phase(&record).await;
            tokio::spawn(async move { drop(root.shutdown(BUDGET).await) });
            until_state(&tree, "root/inner", |state| *state == NodeState::Exited).await;
        });
        drop(runtime);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let hang = Puppet::new("hang", &record).hang_start();
            let spec = rules(Strategy::OneForOne, vec![Puppet::new("e", &record).spec(), hang.spec()]);
            tokio::spawn(async move { drop(Supervisor::start_root(spec, TreeStore::new()).await) });
            record.until("hang hang#1").await;
        });
        drop(runtime);
        assert_eq!(panics.load(Ordering::SeqCst), 0);
        assert_eq!(count(&record, "drop e#1"), 1);
    });
}

#[test]
fn asking_a_tree_whose_runtime_is_gone_is_answered() {
    in_time(|| {
        let record = Recorder::new();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (root, _) = runtime.block_on(in_every_phase(&record));
        drop(runtime);
        let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        other.block_on(async {
            assert!(root.which_children().await.is_err());
            assert!(root.start_child(Puppet::new("late", &record).spec()).await.is_err());
            root.shutdown(Duration::from_secs(1)).await;
            drop(root.wait().await);
        });
    });
}

#[tokio::test(start_paused = true)]
async fn each_timer_fires_once_when_the_clock_jumps_by_hours() {
    let record = Recorder::new();
    let puppets: Vec<Puppet> = (0..20).map(|n| Puppet::new(&format!("p{n}"), &record)).collect();
    let after = |n: u64| every(Duration::from_secs(10 * (n + 1)));
    let specs = (0..).zip(&puppets).map(|(n, puppet)| puppet.spec().counts(false).backoff(after(n))).collect();
    let (root, tree) = root(specs).await;
    for puppet in &puppets {
        puppet.tell(Command::Error("broken"));
    }
    for n in 0..20 {
        until_state(&tree, &format!("root/p{n}"), is_waiting).await;
    }
    tokio::time::advance(Duration::from_secs(5 * 3600)).await;
    for n in 0..20 {
        record.until(&format!("start p{n}#2")).await;
    }
    tokio::time::advance(Duration::from_secs(5 * 3600)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for n in 0..20 {
        assert_eq!(count(&record, &format!("start p{n}#2")), 1);
        assert_eq!(count(&record, &format!("start p{n}#3")), 0);
    }
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_jump_of_the_clock_empties_windows_and_melts_nothing_down() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let spec = SupervisorSpec {
        intensity: Intensity { max_restarts: 2, period: Duration::from_secs(5) },
        ..rules(Strategy::OneForOne, vec![a.spec()])
    };
    let tree = TreeStore::new();
    let root = Supervisor::start_root(spec, tree.clone()).await.unwrap();
    for round in 0..6_u64 {
        for crash in 0..2 {
            a.tell(Command::Error("broken"));
            record.until(&format!("start a#{}", 2 * round + crash + 2)).await;
            a.address().wait_live().await;
        }
        tokio::time::advance(Duration::from_secs(7 * 3600)).await;
    }
    assert_eq!(a.incarnation().await, 13);
    assert_eq!(root.count_children().await.unwrap().active, 1);
    root.shutdown(BUDGET).await;
}

#[tokio::test(start_paused = true)]
async fn a_round_that_waits_goes_on_once_when_the_clock_jumps() {
    let record = Recorder::new();
    let puppets = ["a", "b", "c"].map(|name| Puppet::new(name, &record));
    let specs = puppets.iter().map(|puppet| puppet.spec().backoff(every(Duration::from_secs(30)))).collect();
    let (root, tree) = root_of(Strategy::OneForAll, specs).await;
    puppets[1].tell(Command::Error("broken"));
    until_state(&tree, "root/a", is_waiting).await;
    tokio::time::advance(Duration::from_secs(24 * 3600)).await;
    record.until("start c#2").await;
    tokio::time::advance(Duration::from_secs(24 * 3600)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for name in ["a", "b", "c"] {
        assert_eq!((count(&record, &format!("start {name}#2")), count(&record, &format!("start {name}#3"))), (1, 0));
    }
    root.shutdown(BUDGET).await;
}
