//! What follows the end of a child, by restart type: none of OTP's twelve answers may be missing.

use supervision::prelude::*;
use supervision::testing::Recorder;
use supervision::tree::NodeState;
use supervision::{ActorId, ChildInfo, ExitClass, Handling, NotLinked, StartError};

use crate::elsewhere::*;
use crate::log::*;
use crate::support::*;

const CHILD: &str = "root/child";

/// A supervisor with one child.
struct World {
    root: SupervisorHandle,
    tree: TreeStore,
    child: Probe,
    record: Recorder,
}

async fn world(restart: Restart) -> World {
    let record = Recorder::new();
    let child = Probe::new("child", &record);
    let (root, tree) = start(rules(Strategy::OneForOne, 2)).await;
    root.start_child(child.spec().restart(restart)).await.unwrap();
    World { root, tree, child, record }
}

impl World {
    async fn only(&self) -> ChildInfo {
        let mut children = self.root.which_children().await.unwrap();
        assert_eq!(children.len(), 1, "{children:?}");
        children.remove(0)
    }

    async fn actor(&self) -> Option<ActorId> {
        self.only().await.actor
    }

    /// The child is up again, as another incarnation.
    async fn is_restarted(&self, incarnation: u64, before: ActorId) {
        until_up(&self.tree, CHILD, incarnation).await;
        let child = self.only().await;
        assert_eq!((child.state, child.restarts), (NodeState::Running, incarnation - 1));
        assert_ne!(child.actor.unwrap(), before);
        assert_eq!(self.child.incarnation().await, incarnation);
        assert_eq!(counts(&self.root).await, [1, 1, 0, 1]);
        assert_eq!(last_exit(&self.tree, CHILD).handling, Handling::Restart);
    }

    /// The child stays down, and its place is kept.
    async fn is_kept_down(&self) {
        until_state(&self.tree, CHILD, NodeState::Exited).await;
        settled().await;
        let child = self.only().await;
        assert_eq!((child.state, child.actor), (NodeState::Exited, None));
        assert_eq!(counts(&self.root).await, [1, 0, 0, 1]);
        assert_eq!(last_exit(&self.tree, CHILD).handling, Handling::Ended);
    }

    /// Nothing of the child is left, and it does not come back.
    async fn is_forgotten(&self, lives: usize) {
        until_gone(&self.tree, CHILD).await;
        settled().await;
        assert_eq!(self.root.which_children().await.unwrap().len(), 0);
        assert_eq!(counts(&self.root).await, [0, 0, 0, 0]);
        assert_eq!(last_exit(&self.tree, CHILD).handling, Handling::Ended);
        let starts = self.record.lines().into_iter().filter(|line| line.starts_with("start ")).count();
        assert_eq!(starts, lives);
    }

    fn died_of(&self, class: ExitClass) {
        assert_eq!(last_exit(&self.tree, CHILD).class, class);
    }

    async fn end(self) {
        assert!(self.root.shutdown(LONG).await.stragglers.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn external_start_no_progress_log() {
    let log = Log::default();
    let _guard = log.listen();
    let record = Recorder::new();
    let (owner, _) = start(rules(Strategy::OneForOne, 2)).await;
    let (root, tree) = start(rules(Strategy::OneForOne, 2)).await;

    // An actor that another supervisor is about to have.
    let theirs = Probe::new("theirs", &record);
    let loot = lend(&owner, &theirs).await;

    // Passed off as a child of ours, it is never shown or reported as started.
    let place = Slot::<Order>::new();
    let thief = ChildSpec::custom("child", "probe", &place, move |_| {
        let loot = loot.lock().unwrap().take();
        async move { loot.ok_or_else(|| "nothing to give".into()) }
    });
    let mut changes = tree.subscribe();
    let mut starting = tokio::spawn({
        let root = root.clone();
        async move { root.start_child(thief).await }
    });
    let refused = loop {
        tokio::select! {
            refused = &mut starting => break refused.unwrap().unwrap_err(),
            _ = changes.next() => {
                assert!(tree.node(&CHILD.into()).is_none_or(|node| node.state != NodeState::Running));
            }
        }
    };
    assert!(refused.to_string().contains(&NotLinked.to_string()), "{refused}");
    assert_eq!(counts(&root).await, [0, 0, 0, 0]);
    let said = log.of(CHILD);
    assert!(said.iter().all(|line| line.field("class") == "init_failed"), "{said:?}");
    assert_eq!(tree.history(&CHILD.into()).iter().map(|exit| exit.class).collect::<Vec<_>>(), [ExitClass::InitFailed]);

    // Its end is not ours to report either.
    assert_eq!(theirs.incarnation().await, 1);
    theirs.die(Death::Error).await;
    assert!(owner.shutdown(LONG).await.stragglers.is_empty());
    settled().await;
    assert_eq!(log.of(CHILD).len(), said.len());
    assert_eq!(tree.history(&CHILD.into()).len(), 1);

    // A child of our own: its start by hand says nothing, its restart does.
    let own = Probe::new("child", &record);
    root.start_child(own.spec()).await.unwrap();
    assert_eq!(log.of(CHILD).len(), said.len());
    own.die(Death::Normal).await;
    until_up(&tree, CHILD, 2).await;
    let said = log.of(CHILD).split_off(said.len());
    assert_eq!(
        said.iter().map(|line| (line.level, line.field("next"))).collect::<Vec<_>>(),
        [(tracing::Level::WARN, "restart")]
    );
}

#[tokio::test(start_paused = true)]
async fn permanent_normal() {
    let world = world(Restart::Permanent).await;
    let first = world.actor().await.unwrap();
    world.child.die(Death::Normal).await;
    world.is_restarted(2, first).await;
    world.died_of(ExitClass::Normal);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn transient_normal() {
    let world = world(Restart::Transient).await;
    world.child.die(Death::Normal).await;
    world.is_kept_down().await;
    world.died_of(ExitClass::Normal);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn temporary_normal() {
    let world = world(Restart::Temporary).await;
    world.child.die(Death::Normal).await;
    world.is_forgotten(1).await;
    world.died_of(ExitClass::Normal);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn permanent_shutdown() {
    let world = world(Restart::Permanent).await;
    let first = world.actor().await.unwrap();
    world.child.die(Death::Shutdown).await;
    world.is_restarted(2, first).await;
    world.died_of(ExitClass::Shutdown);

    let second = world.actor().await.unwrap();
    world.child.die(Death::ShutdownWith("some info")).await;
    world.is_restarted(3, second).await;
    world.died_of(ExitClass::Shutdown);
    assert_eq!(last_exit(&world.tree, CHILD).text, "some info");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn transient_shutdown() {
    let world = world(Restart::Transient).await;
    world.child.die(Death::Shutdown).await;
    world.is_kept_down().await;
    world.died_of(ExitClass::Shutdown);

    let again = world.root.restart_child(&world.child.id()).await.unwrap();
    assert_eq!(world.actor().await, again.actor);
    world.child.die(Death::ShutdownWith("some info")).await;
    world.is_kept_down().await;
    assert_eq!(last_exit(&world.tree, CHILD).text, "some info");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn temporary_shutdown() {
    let world = world(Restart::Temporary).await;
    world.child.die(Death::Shutdown).await;
    world.is_forgotten(1).await;
    world.died_of(ExitClass::Shutdown);

    world.root.start_child(world.child.spec().restart(Restart::Temporary)).await.unwrap();
    world.record.clear();
    world.child.die(Death::ShutdownWith("some info")).await;
    world.is_forgotten(0).await;
    assert_eq!(last_exit(&world.tree, CHILD).text, "some info");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn faulty_application_shutdown() {
    // A child that cannot start: whoever starts the whole is told why, down to the cause, and nothing is left.
    let record = Recorder::new();
    let (good, faulty) = (Probe::new("good", &record), Probe::new("faulty", &record));
    faulty.all_starts(Birth::Panic);
    let (slot, of) = (SupervisorSlot::new(), faulty.clone());
    let application = ChildSpec::supervisor("application", "supervisor", &slot, move || SupervisorSpec {
        children: vec![of.spec()],
        ..rules(Strategy::OneForOne, 2)
    });
    let tree = TreeStore::new();
    let whole = SupervisorSpec { children: vec![good.spec(), application], ..rules(Strategy::OneForOne, 2) };
    match Supervisor::start_root(whole, tree.clone()).await {
        Err(StartError::Child { id, reason }) => {
            assert_eq!(id.as_str(), "application");
            let text = reason.text();
            assert!(text.contains("faulty") && text.contains("start panicked"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(record.lines(), ["start good#1", "fail faulty#1", "stop good#1", "drop good#1"]);
    assert!(tree.snapshot(&Default::default()).nodes.is_empty());

    // One that fails too often later: the whole ends, in order, and says why it did. The daemon ends with a status then.
    record.clear();
    let (good, faulty) = (Probe::new("good", &record), Probe::new("faulty", &record));
    let whole = SupervisorSpec { children: vec![good.spec(), faulty.spec()], ..rules(Strategy::OneForOne, 1) };
    let (root, tree) = start(whole).await;
    faulty.die(Death::Error).await;
    until_up(&tree, "root/faulty", 2).await;
    faulty.tell(Order::Die(Death::Error));
    let reason = root.wait().await;
    assert_eq!((reason.class(), reason.text().as_str()), (ExitClass::Shutdown, "intensity"));
    let lives = [
        "start good#1",
        "start faulty#1",
        "drop faulty#1",
        "start faulty#2",
        "drop faulty#2",
        "stop good#1",
        "drop good#1",
    ];
    assert_eq!(record.lines(), lives);
    assert_eq!(last_exit(&tree, "root/faulty").handling, Handling::Escalated);
    assert!(tree.snapshot(&Default::default()).nodes.is_empty());
}

/// Every way to end abnormally by itself.
const ABNORMAL: [Death; 3] = [Death::Error, Death::Panic, Death::Killed];

/// The same for a child whose task is aborted. Its runtime has a clock of its own, so time is not paused.
async fn aborted(restart: Restart) -> (SupervisorHandle, TreeStore, Probe) {
    let record = Recorder::new();
    let child = Probe::new("child", &record);
    let elsewhere = Elsewhere::new(&child, &record);
    let (root, tree) = start(rules(Strategy::OneForOne, 2)).await;
    root.start_child(elsewhere.spec().restart(restart)).await.unwrap();
    elsewhere.abort().await;
    match restart {
        Restart::Permanent | Restart::Transient => until_up(&tree, CHILD, 2).await,
        Restart::Temporary => until_gone(&tree, CHILD).await,
    }
    assert_eq!(last_exit(&tree, CHILD).class, ExitClass::Cancelled);
    (root, tree, child)
}

async fn abnormal_ends_are_followed_by_a_restart(restart: Restart) {
    for death in ABNORMAL {
        let world = world(restart).await;
        let first = world.actor().await.unwrap();
        world.child.die(death).await;
        world.is_restarted(2, first).await;
        world.died_of(death.class());
        world.end().await;
    }
    let (root, tree, child) = aborted(restart).await;
    assert_eq!(child.incarnation().await, 2);
    assert_eq!(counts(&root).await, [1, 1, 0, 1]);
    assert_eq!(last_exit(&tree, CHILD).handling, Handling::Restart);
    assert!(root.shutdown(LONG).await.stragglers.is_empty());
}

#[tokio::test]
async fn permanent_abnormal() {
    abnormal_ends_are_followed_by_a_restart(Restart::Permanent).await;
}

#[tokio::test]
async fn transient_abnormal() {
    abnormal_ends_are_followed_by_a_restart(Restart::Transient).await;
}

#[tokio::test]
async fn temporary_abnormal() {
    tokio::time::pause();
    for death in ABNORMAL {
        let world = world(Restart::Temporary).await;
        world.child.die(death).await;
        world.is_forgotten(1).await;
        world.died_of(death.class());
        world.end().await;
    }
    tokio::time::resume();
    let (root, tree, child) = aborted(Restart::Temporary).await;
    assert!(!child.is_alive());
    assert_eq!(counts(&root).await, [0, 0, 0, 0]);
    assert_eq!(last_exit(&tree, CHILD).handling, Handling::Ended);
    assert!(root.shutdown(LONG).await.stragglers.is_empty());
}
