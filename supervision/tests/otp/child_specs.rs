//! Specs and flags that make no sense.

use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::Recorder;
use supervision::{AdminError, AutoShutdown, ChildKind, ReconfigureOptions, SpecError, StartError, check_specs};

use crate::support::*;

/// A restart type, a shutdown or a kind that does not exist cannot be written down: these are all there are, and a
/// match that leaves one out, or names another, does not compile.
#[tokio::test(start_paused = true)]
async fn child_specs() {
    let restart = |restart: Restart| match restart {
        Restart::Permanent => "permanent",
        Restart::Transient => "transient",
        Restart::Temporary => "temporary",
    };
    for each in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
        assert_eq!(restart(each), each.as_str());
    }
    let shutdown = |shutdown: Shutdown| match shutdown {
        Shutdown::Brutal => None,
        Shutdown::Timeout(limit) => Some(limit),
        Shutdown::Infinity => Some(Duration::MAX),
    };
    // There is no negative time to wait for.
    let limits = [Shutdown::Brutal, Shutdown::Timeout(Duration::ZERO), Shutdown::Infinity].map(shutdown);
    assert_eq!(limits, [None, Some(Duration::ZERO), Some(Duration::MAX)]);
    let kind = |kind: ChildKind| match kind {
        ChildKind::Worker => false,
        ChildKind::Supervisor => true,
    };
    assert!(kind(ChildKind::Supervisor) && !kind(ChildKind::Worker));

    // Two children of one id: at start, in a check beforehand, and in a list taken over later.
    let record = Recorder::new();
    let twice = || ["child1", "other", "child1"].map(|name| Probe::new(name, &record).spec()).to_vec();
    let duplicate = SpecError::DuplicateId("child1".into());
    assert_eq!(check_specs(&twice(), AutoShutdown::Never), Err(duplicate.clone()));
    let flags = SupervisorSpec { children: twice(), ..rules(Strategy::OneForOne, 1) };
    match Supervisor::start_root(flags.clone(), TreeStore::new()).await {
        Err(StartError::Spec(error)) => assert_eq!(error, duplicate),
        other => panic!("{other:?}"),
    }
    let (sup, _) = start(rules(Strategy::OneForOne, 1)).await;
    match sup.reconfigure(flags, ReconfigureOptions { start_new: true, stop_removed: true }).await {
        Err(AdminError::Spec(error)) => assert_eq!(error, duplicate),
        other => panic!("{other:?}"),
    }
    assert!(record.lines().is_empty(), "nothing was started: {record:?}");
    assert_eq!(counts(&sup).await, [0, 0, 0, 0]);
    assert_eq!(check_specs(&twice()[..2], AutoShutdown::Never), Ok(()));
    sup.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn child_specs_map() {
    let record = Recorder::new();
    for auto_shutdown in [AutoShutdown::Never, AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
        for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
            for significant in [false, true] {
                let what = (auto_shutdown, restart, significant);
                let child = Probe::new("child1", &record).spec().restart(restart).significant(significant);
                let expected = match (significant, restart, auto_shutdown) {
                    (true, Restart::Permanent, _) => Err(SpecError::SignificantPermanent("child1".into())),
                    (true, Restart::Transient | Restart::Temporary, AutoShutdown::Never) => {
                        Err(SpecError::SignificantIgnored("child1".into()))
                    }
                    (false, ..) | (true, Restart::Transient | Restart::Temporary, _) => Ok(()),
                };
                assert_eq!(check_specs(std::slice::from_ref(&child), auto_shutdown), expected, "{what:?}");

                let empty = SupervisorSpec { auto_shutdown, ..rules(Strategy::OneForOne, 1) };
                let full = SupervisorSpec { children: vec![child.clone()], ..empty.clone() };
                match Supervisor::start_root(full.clone(), TreeStore::new()).await {
                    Ok(sup) => {
                        assert_eq!(expected, Ok(()), "{what:?}");
                        assert_eq!(sup.get_spec(&"child1".into()).await.unwrap().significant, significant);
                        sup.shutdown(LONG).await;
                    }
                    Err(StartError::Spec(error)) => assert_eq!(Err(error), expected, "{what:?}"),
                    Err(other) => panic!("{what:?}: {other}"),
                }
                let (sup, _) = start(empty).await;
                match sup.start_child(child).await {
                    Ok(_) => assert_eq!(expected, Ok(()), "{what:?}"),
                    Err(AdminError::Spec(error)) => {
                        assert_eq!(Err(error), expected, "{what:?}");
                        assert_eq!(counts(&sup).await, [0, 0, 0, 0]);
                    }
                    Err(other) => panic!("{what:?}: {other}"),
                }
                sup.shutdown(LONG).await;
            }
        }
    }
}

/// A strategy or an auto-shutdown that does not exist cannot be written down, nor a negative intensity.
#[tokio::test(start_paused = true)]
async fn sup_flags() {
    let strategy = |strategy: Strategy| match strategy {
        Strategy::OneForOne => "one_for_one",
        Strategy::OneForAll => "one_for_all",
        Strategy::RestForOne => "rest_for_one",
    };
    let ends = |auto_shutdown: AutoShutdown| match auto_shutdown {
        AutoShutdown::Never => 0,
        AutoShutdown::AnySignificant => 1,
        AutoShutdown::AllSignificant => 2,
    };
    assert_eq!(ends(AutoShutdown::default()), 0);
    let all = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne];
    for (each, max_restarts) in all.into_iter().zip([0, 1, u32::MAX]) {
        assert_eq!(strategy(each), each.as_str());
        let (sup, tree) = start(rules(each, max_restarts)).await;
        let node = tree.node(&"root".into()).unwrap();
        assert_eq!((node.strategy, node.intensity.unwrap().max), (Some(each), max_restarts));
        sup.shutdown(LONG).await;
    }

    // What can be written and makes no sense is a period of nothing: refused at start, and in rules taken over later.
    let nothing = Intensity { max_restarts: 1, period: Duration::ZERO };
    let flags = SupervisorSpec { intensity: nothing, ..SupervisorSpec::default() };
    let refused = Supervisor::start_root(flags.clone(), TreeStore::new()).await;
    assert!(matches!(refused, Err(StartError::Spec(SpecError::ZeroPeriod))), "{refused:?}");
    let (sup, tree) = start(rules(Strategy::RestForOne, 7)).await;
    let refused = sup.reconfigure(flags, ReconfigureOptions::default()).await;
    assert!(matches!(refused, Err(AdminError::Spec(SpecError::ZeroPeriod))), "{refused:?}");
    let node = tree.node(&"root".into()).unwrap();
    assert_eq!((node.strategy, node.intensity.unwrap().max), (Some(Strategy::RestForOne), 7), "nothing has changed");
    // The same of a dynamic one.
    let slot = SupervisorSlot::new();
    let options = DynamicOptions { intensity: nothing, ..DynamicOptions::default() };
    match sup.start_child(ChildSpec::dynamic("dynamic", "dynamic", &slot, options)).await {
        Err(AdminError::StartFailed(reason)) => assert_eq!(reason.text(), "the intensity period is zero"),
        other => panic!("{other:?}"),
    }
    sup.shutdown(LONG).await;
}
