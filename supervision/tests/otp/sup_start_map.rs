//! Specs as data: defaults, what is kept of them, what is refused.

use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::Recorder;
use supervision::{AdminError, AutoShutdown, Init, SpecError, StartError, check_specs};

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn sup_start_map() {
    let record = Recorder::new();
    let slot = SupervisorSlot::new();
    let (child1, child2) = (Probe::new("child1", &record), Probe::new("child2", &record));
    let child3 = ChildSpec::supervisor("child3", "sup", &slot, SupervisorSpec::default);
    let backoff = BackoffPolicy {
        initial: Duration::from_secs(1),
        max: Duration::from_secs(60),
        factor: 2.0,
        jitter: Jitter::None,
        max_attempts: Some(3),
        reset_after: ResetRule::OnStart,
        window: None,
        on_exhausted: Exhausted::GiveUp,
    };
    let child2 = child2
        .spec()
        .restart(Restart::Transient)
        .shutdown(Shutdown::Brutal)
        .significant(true)
        .backoff(backoff.clone())
        .counts(false);
    let specs = vec![child1.spec(), child2, child3];
    let views: Vec<_> = specs.iter().map(ChildSpec::view).collect();
    let spec = SupervisorSpec {
        auto_shutdown: AutoShutdown::AllSignificant,
        children: specs,
        ..rules(Strategy::OneForOne, 1)
    };
    let (sup, _) = start(spec).await;

    let one = sup.get_spec(&"child1".into()).await.unwrap();
    assert_eq!((one.id.as_str(), one.restart), ("child1", Restart::Permanent));
    assert_eq!(one.shutdown, Shutdown::Timeout(Duration::from_secs(5)));
    assert_eq!((one.is_supervisor, one.significant, one.counts), (false, false, true));
    assert_eq!(one.backoff, None);
    let two = sup.get_spec(&"child2".into()).await.unwrap();
    assert_eq!((two.restart, two.shutdown), (Restart::Transient, Shutdown::Brutal));
    assert_eq!((two.significant, two.counts, two.backoff.as_ref()), (true, false, Some(&backoff)));
    let three = sup.get_spec(&"child3".into()).await.unwrap();
    assert_eq!((three.restart, three.shutdown), (Restart::Permanent, Shutdown::Infinity));
    assert!(three.is_supervisor && !three.significant);
    assert_eq!([one, two, three].as_slice(), views);

    // By actor too, and whether it runs or not.
    let actor = sup.which_child(&"child1".into()).await.unwrap().actor.unwrap();
    assert_eq!(sup.get_spec_of(actor).await.unwrap(), views[0]);
    sup.terminate_child(&"child1".into()).await.unwrap();
    assert_eq!(sup.get_spec(&"child1".into()).await.unwrap(), views[0]);
    sup.delete_child(&"child1".into()).await.unwrap();
    assert!(matches!(sup.get_spec(&"child1".into()).await, Err(AdminError::NotFound)));
    assert!(matches!(sup.get_spec(&"child4".into()).await, Err(AdminError::NotFound)));
    sup.shutdown(LONG).await;

    // Flags left out are OTP's: one for one, one restart in five seconds, no end of its own.
    let flags = SupervisorSpec::default();
    assert_eq!((flags.strategy, flags.auto_shutdown), (Strategy::OneForOne, AutoShutdown::Never));
    assert_eq!(flags.intensity, Intensity { max_restarts: 1, period: Duration::from_secs(5) });
}

#[tokio::test(start_paused = true)]
async fn sup_start_map_simple() {
    let record = Recorder::new();
    let simple = simple(at_most(1), |spec| spec.shutdown(Shutdown::Brutal)).await;
    let actor = simple.children.start_child(Probe::new("child1", &record)).await.unwrap().actor.unwrap();
    let view = simple.sup.get_spec_of(actor).await.unwrap();
    assert_eq!((view.kind, view.restart, view.shutdown), ("probe", Restart::Permanent, Shutdown::Brutal));
    assert!(!view.is_supervisor && !view.significant && view.counts);
    // A child's name in the tree is no id.
    let listed = simple.sup.which_children().await.unwrap();
    assert_eq!(listed[0].id.as_str(), "1");
    assert!(matches!(simple.sup.get_spec(&"1".into()).await, Err(AdminError::NotSupported)));
    let foreign = simple.root.which_child(&"simple".into()).await.unwrap().actor.unwrap();
    assert!(matches!(simple.sup.get_spec_of(foreign).await, Err(AdminError::NotFound)));
    simple.sup.terminate_actor(actor).await.unwrap();
    assert!(matches!(simple.sup.get_spec_of(actor).await, Err(AdminError::NotFound)));
    simple.root.shutdown(LONG).await;
}

/// Whether it is refused for the right reason.
type Expected = fn(&SpecError) -> bool;

/// A spec is made by naming an id, a kind, a slot and a start: none of them can be left out, and a flag that does not
/// exist has no method to be set with. What remains are combinations that make no sense.
#[tokio::test(start_paused = true)]
async fn sup_start_map_faulty_specs() {
    let record = Recorder::new();
    let spec = |name: &str| Probe::new(name, &record).spec();
    let delays = |initial: u64, max: u64, factor: f64| BackoffPolicy {
        initial: Duration::from_secs(initial),
        max: Duration::from_secs(max),
        factor,
        jitter: Jitter::None,
        max_attempts: None,
        reset_after: ResetRule::OnStart,
        window: None,
        on_exhausted: Exhausted::GiveUp,
    };
    let faulty: [(ChildSpec, Expected); 5] = [
        (spec(""), |error| *error == SpecError::EmptyId),
        (spec("x").significant(true), |error| matches!(error, SpecError::SignificantPermanent(_))),
        (spec("x").mailbox(Mailbox::reject(0)), |error| matches!(error, SpecError::ZeroMailbox(_))),
        (spec("x").backoff(delays(5, 1, 2.0)), |error| matches!(error, SpecError::Backoff(..))),
        (spec("x").backoff(delays(1, 5, 0.5)), |error| matches!(error, SpecError::Backoff(..))),
    ];
    let (root, _) = start(rules(Strategy::OneForOne, 1)).await;
    for (spec, expected) in faulty {
        let error = check_specs(std::slice::from_ref(&spec), AutoShutdown::AnySignificant).unwrap_err();
        assert!(expected(&error), "{error}");
        let started = root.start_child(spec.clone()).await;
        assert!(matches!(started, Err(AdminError::Spec(_))), "{started:?}");
        // In the list of a supervisor it is found before anything starts.
        let children = vec![Probe::new("good", &record).spec(), spec.clone()];
        let flags = SupervisorSpec { children, ..rules(Strategy::OneForOne, 1) };
        let refused = Supervisor::start_root(flags.clone(), TreeStore::new()).await;
        assert!(matches!(refused, Err(StartError::Spec(_))), "{refused:?}");
        let init = move |_: &StartCtx| Ok(Init::Run(flags.clone()));
        let below = ChildSpec::supervisor_with("below", "sup", &SupervisorSlot::new(), init);
        assert!(matches!(root.start_child(below).await, Err(AdminError::StartFailed(_))));
    }
    assert!(record.lines().is_empty(), "{record:?}");
    assert_eq!(counts(&root).await, [0, 0, 0, 0]);
    root.shutdown(LONG).await;
}
