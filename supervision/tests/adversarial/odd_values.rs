//! Values that panic or overflow where nobody looks.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::{Command, Puppet, Recorder};
use supervision::tree::NodeState;

use crate::{BUDGET, every, is_waiting, root, rules, until_state};

/// Panics when dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("bomb");
    }
}

/// An error that cannot even say what it is.
#[derive(Debug)]
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no words")
    }
}

impl std::error::Error for Unspeakable {}

/// An error that panics when dropped.
struct Sticky(Bomb);

impl fmt::Debug for Sticky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sticky")
    }
}

impl fmt::Display for Sticky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sticky")
    }
}

impl std::error::Error for Sticky {}

/// The supervisor that had to do with it is the one it was, and works.
async fn unharmed(root: &SupervisorHandle, bystander: &Puppet) {
    assert_eq!(bystander.incarnation().await, 1, "the supervisor took its other child along");
    let late = Puppet::new("late", &Recorder::new());
    root.start_child(late.spec()).await.unwrap();
    root.shutdown(BUDGET).await;
}

fn carrying(id: &str, bomb: Arc<Bomb>) -> ChildSpec {
    ChildSpec::task(id, "carrier", move |ctx: TaskCtx| {
        let _kept = &bomb;
        let cancel = ctx.cancel();
        async move {
            cancel.cancelled().await;
            Ok(())
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_start_function_that_panics_when_dropped_is_forgotten_all_the_same() {
    let record = Recorder::new();
    let bystander = Puppet::new("bystander", &record);
    let (root, _) = root(vec![bystander.spec()]).await;
    root.start_child(carrying("temporary", Arc::new(Bomb)).restart(Restart::Temporary)).await.unwrap();
    root.start_child(carrying("permanent", Arc::new(Bomb))).await.unwrap();
    root.terminate_child(&"permanent".into()).await.unwrap();
    root.delete_child(&"permanent".into()).await.unwrap();
    unharmed(&root, &bystander).await;
}

#[tokio::test(start_paused = true)]
async fn an_error_that_panics_when_shown_is_an_error_like_any_other() {
    let record = Recorder::new();
    let bystander = Puppet::new("bystander", &record);
    let failing = ChildSpec::task("failing", "failing", |_| async { Err(Unspeakable.into()) });
    let (root, tree) = root(vec![bystander.spec(), failing.backoff(every(Duration::from_secs(1)))]).await;
    until_state(&tree, "root/failing", is_waiting).await;
    unharmed(&root, &bystander).await;
}

#[tokio::test(start_paused = true)]
async fn an_error_that_panics_when_dropped_harms_nobody() {
    let record = Recorder::new();
    let bystander = Puppet::new("bystander", &record);
    let failing = ChildSpec::task("failing", "failing", |_| async { Err(Sticky(Bomb).into()) });
    let (root, tree) = root(vec![bystander.spec(), failing.backoff(every(Duration::from_secs(1)))]).await;
    until_state(&tree, "root/failing", is_waiting).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    root.terminate_child(&"failing".into()).await.unwrap();
    root.delete_child(&"failing".into()).await.unwrap();
    unharmed(&root, &bystander).await;
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_panics_when_dropped_harms_nobody() {
    let record = Recorder::new();
    let bystander = Puppet::new("bystander", &record);
    let saving = ChildSpec::task("saving", "saving", |ctx: TaskCtx| {
        ctx.checkpoint().put(Arc::new(Bomb));
        async move {
            ctx.cancel().cancelled().await;
            Ok(())
        }
    });
    let (root, _) = root(vec![bystander.spec(), saving]).await;
    root.terminate_child(&"saving".into()).await.unwrap();
    root.delete_child(&"saving".into()).await.unwrap();
    unharmed(&root, &bystander).await;
}

/// Leaves whoever started it something that panics when dropped.
struct Teller;

impl Actor for Teller {
    type Message = ();
    type Args = ();
    type State = ();

    async fn pre_start(&self, (): (), ctx: &Ctx<()>) -> Result<(), BoxError> {
        ctx.set_start_info(Arc::new(Bomb));
        // Time for whoever asked to go away.
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(())
    }

    async fn handle(&self, (): &mut (), (): (), _: &Ctx<()>) -> ActorResult {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_info_that_nobody_wants_any_more_and_that_panics_when_dropped_harms_nobody() {
    let record = Recorder::new();
    let bystander = Puppet::new("bystander", &record);
    let (root, tree) = root(vec![bystander.spec()]).await;
    let slot = Slot::new();
    let asking = root.start_child(ChildSpec::actor("teller", "teller", &slot, |_| (Teller, ())));
    assert!(tokio::time::timeout(Duration::from_secs(1), asking).await.is_err());
    until_state(&tree, "root/teller", |state| *state == NodeState::Running).await;
    unharmed(&root, &bystander).await;
}

#[tokio::test(start_paused = true)]
async fn the_longest_delays_there_are_do_not_overflow() {
    let record = Recorder::new();
    let (a, b, c) = (Puppet::new("a", &record), Puppet::new("b", &record), Puppet::new("c", &record));
    let forever = BackoffPolicy { factor: 1e300, max: Duration::MAX, ..every(Duration::from_secs(1)) };
    let rest = BackoffPolicy {
        max_attempts: Some(0),
        on_exhausted: Exhausted::Cooldown { wait: Duration::MAX, then_reset: false },
        ..every(Duration::from_secs(1))
    };
    let budget =
        BackoffPolicy { window: Some(Budget { max: 1, per: Duration::MAX }), ..every(Duration::from_millis(1)) };
    let (root, tree) = root(vec![a.spec().backoff(forever), b.spec().backoff(rest), c.spec().backoff(budget)]).await;
    a.tell(Command::Error("once"));
    record.until("start a#2").await;
    a.address().wait_live().await;
    a.tell(Command::Error("twice"));
    until_state(&tree, "root/a", is_waiting).await;
    b.tell(Command::Error("once"));
    until_state(&tree, "root/b", |state| matches!(state, NodeState::CoolingDown { .. })).await;
    c.tell(Command::Error("once"));
    record.until("start c#2").await;
    c.address().wait_live().await;
    c.tell(Command::Error("twice"));
    until_state(&tree, "root/c", |state| matches!(state, NodeState::CoolingDown { .. })).await;
    assert_eq!(root.count_children().await.unwrap().specs, 3);
    assert!(root.shutdown(BUDGET).await.stragglers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_without_a_limit_does_not_overflow() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let spec = a.spec().shutdown(Shutdown::Timeout(Duration::MAX)).init_timeout(Duration::MAX);
    let (root, _) = root(vec![spec]).await;
    assert!(a.address().call(Command::Incarnation, Duration::MAX).await.is_ok(), "nor does a call");
    assert!(root.shutdown(Duration::MAX).await.stragglers.is_empty());
    assert_eq!(record.lines(), ["start a#1", "stop a#1", "drop a#1"]);
}

#[tokio::test(start_paused = true)]
async fn the_largest_intensity_there_is_does_not_overflow() {
    let record = Recorder::new();
    let a = Puppet::new("a", &record);
    let intensity = Intensity { max_restarts: u32::MAX, period: Duration::MAX };
    let spec = SupervisorSpec { intensity, ..rules(Strategy::OneForOne, vec![a.spec()]) };
    let root = Supervisor::start_root(spec, TreeStore::new()).await.unwrap();
    for round in 2..10 {
        a.tell(Command::Error("broken"));
        record.until(&format!("start a#{round}")).await;
        a.address().wait_live().await;
    }
    root.shutdown(BUDGET).await;
}
