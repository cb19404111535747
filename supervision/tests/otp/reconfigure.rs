//! Other rules and specs for a supervisor that runs: OTP's code change, without the change of code.

use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::Recorder;
use supervision::tree::NodeState;
use supervision::{AdminError, BackoffError, ReconfigureOptions, SpecError};

use crate::support::*;

/// Takes specs and rules over, and starts and stops nobody.
async fn take_over(root: &SupervisorHandle, spec: SupervisorSpec) -> Result<(), AdminError> {
    root.reconfigure(spec, ReconfigureOptions::default()).await.map(drop)
}

fn with(mut spec: SupervisorSpec, children: Vec<ChildSpec>) -> SupervisorSpec {
    spec.children = children;
    spec
}

async fn names(root: &SupervisorHandle) -> Vec<String> {
    states(root).await.into_iter().map(|(id, _)| id).collect()
}

#[tokio::test(start_paused = true)]
async fn code_change() {
    let record = Recorder::new();
    let [one, two, three] = ["child1", "child2", "child3"].map(|name| Probe::new(name, &record));
    let brutal = |probe: &Probe| probe.spec().shutdown(Shutdown::Brutal);
    let (root, tree) = start(rules(Strategy::OneForOne, 0)).await;
    assert_eq!(names(&root).await, Vec::<String>::new());

    // Rules are taken over: what was one restart too many no longer is.
    take_over(&root, rules(Strategy::OneForOne, 2)).await.unwrap();
    assert_eq!(tree.node(&"root".into()).unwrap().intensity.unwrap().max, 2);
    let trial = Probe::new("trial", &record);
    root.start_child(trial.spec()).await.unwrap();
    trial.die(Death::Error).await;
    until_up(&tree, "root/trial", 2).await;
    root.terminate_child(&trial.id()).await.unwrap();
    root.delete_child(&trial.id()).await.unwrap();

    // A spec that makes no sense is refused, and with it all the rest.
    let faulty = with(rules(Strategy::OneForAll, 7), vec![one.spec(), two.spec().mailbox(Mailbox::reject(0))]);
    assert!(matches!(take_over(&root, faulty).await, Err(AdminError::Spec(SpecError::ZeroMailbox(_)))));
    let faulty = with(rules(Strategy::OneForAll, 7), vec![one.spec(), one.spec()]);
    assert!(matches!(take_over(&root, faulty).await, Err(AdminError::Spec(SpecError::DuplicateId(_)))));
    assert_eq!(names(&root).await, Vec::<String>::new());
    let shown = tree.node(&"root".into()).unwrap();
    assert_eq!((shown.strategy, shown.intensity.unwrap().max), (Some(Strategy::OneForOne), 2));

    // New children are there and not started.
    let both = vec![one.spec().shutdown(Shutdown::Timeout(Duration::from_secs(2))), brutal(&two)];
    take_over(&root, with(rules(Strategy::OneForOne, 2), both)).await.unwrap();
    settled().await;
    assert_eq!(counts(&root).await, [2, 0, 0, 2]);
    for probe in [&one, &two] {
        root.restart_child(&probe.id()).await.unwrap();
    }
    assert_eq!(names(&root).await, ["child1", "child2"]);

    // One changes, one is no longer mentioned and lives on, one is new. Who runs goes on running.
    record.clear();
    let changed = vec![one.spec().shutdown(Shutdown::Timeout(Duration::from_secs(1))), brutal(&three)];
    take_over(&root, with(rules(Strategy::OneForOne, 2), changed)).await.unwrap();
    settled().await;
    let expected = [NodeState::Running, NodeState::Running, NodeState::Exited];
    assert_eq!(states(&root).await.into_iter().map(|(_, state)| state).collect::<Vec<_>>(), expected);
    assert_eq!(names(&root).await, ["child1", "child2", "child3"]);
    assert_eq!(record.lines(), Vec::<String>::new());
    assert_eq!([one.incarnation().await, two.incarnation().await], [1, 1]);

    // The new spec rules from the next stop on: one second, and no more.
    one.leaves(Leave::Never);
    let begin = tokio::time::Instant::now();
    root.terminate_child(&one.id()).await.unwrap();
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(2), "{took:?}");

    // Rules that make no sense change nothing.
    let mut faulty = rules(Strategy::OneForAll, 9);
    faulty.intensity.period = Duration::ZERO;
    assert!(matches!(take_over(&root, faulty).await, Err(AdminError::Spec(SpecError::ZeroPeriod))));
    assert_eq!(tree.node(&"root".into()).unwrap().intensity.unwrap().max, 2);
    assert_eq!(names(&root).await, ["child1", "child2", "child3"]);
    assert!(root.shutdown(LONG).await.stragglers.is_empty());
    assert!(matches!(take_over(&root, rules(Strategy::OneForOne, 1)).await, Err(AdminError::NoProc)));
}

#[tokio::test(start_paused = true)]
async fn code_change_map() {
    // The same for what a spec says: everything that can be said is seen changed, and nothing else.
    let record = Recorder::new();
    let [one, two] = ["child1", "child2"].map(|name| Probe::new(name, &record));
    let (root, tree) = start(SupervisorSpec::default()).await;
    assert_eq!(tree.node(&"root".into()).unwrap().intensity.unwrap().max, 1);
    take_over(&root, SupervisorSpec { strategy: Strategy::RestForOne, ..rules(Strategy::OneForOne, 3) }).await.unwrap();
    let shown = tree.node(&"root".into()).unwrap();
    assert_eq!((shown.strategy, shown.intensity.unwrap().max), (Some(Strategy::RestForOne), 3));

    let backoff = |factor| BackoffPolicy {
        initial: Duration::from_secs(1),
        max: Duration::from_secs(60),
        factor,
        jitter: Jitter::None,
        max_attempts: Some(4),
        reset_after: ResetRule::OnStart,
        window: None,
        on_exhausted: Exhausted::GiveUp,
    };
    let faulty = vec![one.spec().backoff(backoff(0.5))];
    match take_over(&root, with(rules(Strategy::OneForOne, 9), faulty)).await {
        Err(AdminError::Spec(SpecError::Backoff(id, error))) => {
            assert_eq!((id, error), (one.id(), BackoffError::Factor))
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(tree.node(&"root".into()).unwrap().intensity.unwrap().max, 3);

    take_over(&root, with(rules(Strategy::OneForOne, 3), vec![one.spec(), two.spec()])).await.unwrap();
    for probe in [&one, &two] {
        root.restart_child(&probe.id()).await.unwrap();
    }
    let before = root.get_spec(&one.id()).await.unwrap();
    let changed = one
        .spec()
        .restart(Restart::Transient)
        .shutdown(Shutdown::Timeout(Duration::from_secs(1)))
        .stop_mode(StopMode::Drain)
        .backoff(backoff(2.0))
        .counts(false)
        .init_timeout(Duration::from_secs(7))
        .mailbox(Mailbox::wait(3));
    let wanted = changed.view();
    assert_ne!(before, wanted);
    take_over(&root, with(rules(Strategy::OneForOne, 3), vec![changed])).await.unwrap();
    assert_eq!(root.get_spec(&one.id()).await.unwrap(), wanted);
    assert_eq!(root.get_spec(&two.id()).await.unwrap(), two.spec().view());
    assert_eq!([one.incarnation().await, two.incarnation().await], [1, 1]);

    // It is followed from the next end on: transient now, it stays down after a clean one.
    one.die(Death::Normal).await;
    until_state(&tree, "root/child1", NodeState::Exited).await;
    two.die(Death::Normal).await;
    until_up(&tree, "root/child2", 2).await;
    settled().await;
    assert_eq!(root.which_child(&one.id()).await.unwrap().state, NodeState::Exited);
    assert!(root.shutdown(LONG).await.stragglers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn code_change_simple() {
    let record = Recorder::new();
    let world = simple(at_most(0), |spec| spec.shutdown(Shutdown::Brutal)).await;
    let [first, second] = ["first", "second"].map(|name| Probe::new(name, &record));
    let actor = world.children.start_child(first.clone()).await.unwrap().actor.unwrap();
    assert_eq!(world.sup.get_spec_of(actor).await.unwrap().shutdown, Shutdown::Brutal);

    // Another template: who runs goes on running and follows it, who comes next is made by it.
    let later = Shutdown::Timeout(Duration::from_secs(1));
    world.children.replace(move |probe, _| probe.spec().shutdown(later)).await.unwrap();
    assert_eq!(first.incarnation().await, 1);
    let next = world.children.start_child(second.clone()).await.unwrap().actor.unwrap();
    for actor in [actor, next] {
        assert_eq!(world.sup.get_spec_of(actor).await.unwrap().shutdown, later);
    }
    first.leaves(Leave::Never);
    let begin = tokio::time::Instant::now();
    world.sup.terminate_actor(actor).await.unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1));

    // One template, no more and no less: children can be neither listed beside it nor taken away.
    let more = with(rules(Strategy::OneForOne, 0), vec![Probe::new("third", &record).spec()]);
    assert!(matches!(take_over(&world.sup, more).await, Err(AdminError::NotSupported)));
    let fewer = ReconfigureOptions { stop_removed: true, ..ReconfigureOptions::default() };
    let refused = world.sup.reconfigure(rules(Strategy::OneForOne, 0), fewer).await;
    assert!(matches!(refused, Err(AdminError::NotSupported)), "{refused:?}");
    // Nor do its children depend on each other.
    let tied = take_over(&world.sup, rules(Strategy::OneForAll, 0)).await;
    assert!(matches!(tied, Err(AdminError::NotSupported)), "{tied:?}");
    assert_eq!(second.incarnation().await, 1);
    assert_eq!(counts(&world.sup).await[1], 1);

    // Its other rules may change.
    take_over(&world.sup, rules(Strategy::OneForOne, 1)).await.unwrap();
    second.die(Death::Error).await;
    until_up(&world.tree, "root/simple/2", 2).await;
    assert!(world.root.shutdown(LONG).await.stragglers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn code_change_simple_map() {
    // What the template says of a child: seen changed, followed from the next end on, refused as a whole.
    let record = Recorder::new();
    let world = simple(at_most(3), |spec| spec).await;
    let probes = ["one", "two"].map(|name| Probe::new(name, &record));
    let mut actors = Vec::new();
    for probe in &probes {
        actors.extend(world.children.start_child(probe.clone()).await.unwrap().actor);
    }
    let before = world.sup.get_spec_of(actors[0]).await.unwrap();
    assert_eq!((before.restart, before.shutdown), (Restart::Permanent, Shutdown::Timeout(Duration::from_secs(5))));

    let refused = world.children.replace(|probe, _| probe.spec().mailbox(Mailbox::reject(0))).await;
    assert!(matches!(refused, Err(AdminError::Spec(SpecError::ZeroMailbox(_)))), "{refused:?}");
    assert_eq!(world.sup.get_spec_of(actors[0]).await.unwrap(), before);
    let third = Probe::new("three", &record);
    let still = world.children.start_child(third.clone()).await.unwrap().actor.unwrap();
    assert_eq!(world.sup.get_spec_of(still).await.unwrap().mailbox, before.mailbox, "the old template still rules");

    world.children.replace(|probe, _| probe.spec().restart(Restart::Transient)).await.unwrap();
    for actor in &actors {
        assert_eq!(world.sup.get_spec_of(*actor).await.unwrap().restart, Restart::Transient);
    }
    probes[0].die(Death::Normal).await;
    until_gone(&world.tree, "root/simple/1").await;
    probes[1].die(Death::Error).await;
    until_up(&world.tree, "root/simple/2", 2).await;
    settled().await;
    assert!(!probes[0].is_alive());
    assert_eq!(counts(&world.sup).await[1], 2);
    assert!(world.root.shutdown(LONG).await.stragglers.is_empty());
}
