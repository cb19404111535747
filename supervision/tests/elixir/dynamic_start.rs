//! Dynamic supervisors: how they and their children start.

use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::Recorder;
use supervision::tree::NodeState;
use supervision::{AdminError, AutoShutdown, ExitClass, TemplateSlot};

use crate::is_full;
use crate::support::{Birth, LONG, Probe, at_most, counts, dynamic, rules, start, start_below, states, until_state};

#[tokio::test(start_paused = true)]
async fn can_be_supervised_directly() {
    let d = dynamic(at_most(1)).await;
    assert!(d.sup.which_children().await.unwrap().is_empty());
    assert_eq!(d.tree.node(&"root/dynamic".into()).unwrap().state, NodeState::Running);
    d.root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn multiple_supervisors_can_be_supervised_and_identified_with_simple_child_spec() {
    let slots = [SupervisorSlot::new(), SupervisorSlot::new(), SupervisorSlot::new()];
    let one = |id: &str, slot| ChildSpec::dynamic(id, "dynamic", slot, DynamicOptions::default());
    let children = vec![one("a", &slots[0]), one("b", &slots[1])];
    let (root, _) = start(SupervisorSpec { children, ..rules(Strategy::OneForOne, 1) }).await;
    let started = root.start_child(one("c", &slots[2])).await.unwrap();
    for slot in &slots {
        assert!(slot.handle().which_children().await.unwrap().is_empty());
    }
    match root.start_child(one("c", &SupervisorSlot::new())).await {
        Err(AdminError::AlreadyStarted(actor)) => assert_eq!(actor, started.actor),
        other => panic!("{other:?}"),
    }
    root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn set_default_options() {
    let options = DynamicOptions::default();
    assert_eq!(options.max_children, None);
    assert_eq!((options.intensity.max_restarts, options.intensity.period), (100, Duration::from_secs(10)));
    assert_eq!(options.auto_shutdown, AutoShutdown::Never);
    let d = dynamic(options).await;
    assert_eq!(d.tree.node(&"root/dynamic".into()).unwrap().strategy, Some(Strategy::OneForOne));
    d.root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn start_link_with_non_ok_init() {
    let (root, tree) = start(rules(Strategy::OneForOne, 1)).await;
    let senseless = Intensity { max_restarts: 1, period: Duration::ZERO };
    let options = DynamicOptions { intensity: senseless, ..DynamicOptions::default() };
    let refused = root.start_child(ChildSpec::dynamic("d", "dynamic", &SupervisorSlot::new(), options)).await;
    match refused {
        Err(AdminError::StartFailed(reason)) => assert_eq!(reason.class(), ExitClass::InitFailed),
        other => panic!("{other:?}"),
    }
    assert!(tree.node(&"root/d".into()).is_none());
    root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn supports_new_child_spec() {
    let (d, record) = (dynamic(at_most(1)).await, Recorder::new());
    let child = Probe::new("child", &record);
    let started = d.sup.start_child(child.spec()).await.unwrap();
    assert!(started.actor.is_some() && child.is_alive());
    assert_eq!(states(&d.sup).await, [("child".to_owned(), NodeState::Running)]);
    d.root.shutdown(LONG).await;
    assert_eq!(record.lines(), ["start child#1", "stop child#1", "drop child#1"]);
}

/// A template whose children note what all of them are given and what each was started with.
async fn with_extra(record: &Recorder) -> (SupervisorHandle, TreeStore, supervision::TemplateHandle<u32>) {
    let slot = TemplateSlot::<u32>::new();
    let (extra, record) = ("given to all", record.clone());
    let make = move |own: &u32, id: ChildId| {
        let (line, record) = (format!("{extra}, {own}"), record.clone());
        ChildSpec::task(id, "task", move |ctx: TaskCtx| {
            record.note(line.clone());
            let first = ctx.incarnation() == 1;
            async move {
                if first {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    return Err("broken".into());
                }
                ctx.cancel().cancelled().await;
                Ok(())
            }
        })
    };
    let (root, tree) = start_below(ChildSpec::template("simple", "simple", &slot, at_most(10), make)).await;
    (root, tree, slot.handle())
}

#[tokio::test(start_paused = true)]
async fn supports_extra_arguments() {
    let record = Recorder::new();
    let (root, _, children) = with_extra(&record).await;
    children.start_child(1).await.unwrap();
    children.start_child(2).await.unwrap();
    assert_eq!(record.lines(), ["given to all, 1", "given to all, 2"]);
    root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn restarting_a_child_with_extra_arguments_successfully_restarts_child() {
    let record = Recorder::new();
    let (root, _, children) = with_extra(&record).await;
    children.start_child(7).await.unwrap();
    record.until_that(|lines| lines.len() == 2).await;
    assert_eq!(record.lines(), ["given to all, 7", "given to all, 7"]);
    let list = children.supervisor().which_children().await.unwrap();
    assert_eq!(list.iter().map(|child| child.incarnation).collect::<Vec<_>>(), [2]);
    root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn with_invalid_child_spec() {
    let (d, record) = (dynamic(at_most(1)).await, Recorder::new());
    let spec = || Probe::new("child", &record).spec();
    for senseless in [spec().significant(true), spec().backoff(BackoffPolicy { factor: 0.5, ..crate::late() })] {
        assert!(matches!(d.sup.start_child(senseless).await, Err(AdminError::Spec(_))));
    }
    assert_eq!(counts(&d.sup).await, [0, 0, 0, 0]);
    assert!(record.lines().is_empty());
    d.root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn with_different_returns() {
    let (d, record) = (dynamic(at_most(1)).await, Recorder::new());
    let probe = |name: &str, birth| {
        let probe = Probe::new(name, &record);
        probe.next_starts(&[birth]);
        probe
    };
    let telling = probe("telling", Birth::Up);
    telling.tells("extra");
    let info = d.sup.start_child(telling.spec()).await.unwrap().info.unwrap();
    assert_eq!(info.downcast_ref::<&str>(), Some(&"extra"));
    let plain = d.sup.start_child(probe("plain", Birth::Up).spec()).await.unwrap();
    assert!(plain.actor.is_some() && plain.info.is_none());
    assert!(d.sup.start_child(probe("idle", Birth::Ignore).spec()).await.unwrap().is_ignored());
    match d.sup.start_child(probe("failing", Birth::Fail).spec()).await {
        Err(AdminError::StartFailed(reason)) => assert_eq!(reason.text(), "start refused"),
        other => panic!("{other:?}"),
    }
    assert_eq!(counts(&d.sup).await, [2, 2, 0, 2]);
    d.root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn with_throw_error_exit() {
    let (d, record) = (dynamic(at_most(1)).await, Recorder::new());
    let panicking = Probe::new("panicking", &record);
    panicking.next_starts(&[Birth::Panic]);
    match d.sup.start_child(panicking.spec()).await {
        Err(AdminError::StartFailed(reason)) => {
            assert_eq!(reason.text(), "start panicked");
            assert!(reason.location().unwrap().contains("support.rs:"));
        }
        other => panic!("{other:?}"),
    }
    let leaving = ChildSpec::custom("leaving", "custom", &Slot::<()>::new(), |_| async {
        Err(Exit::Shutdown("oops".to_owned()).into())
    });
    match d.sup.start_child(leaving).await {
        Err(AdminError::StartFailed(reason)) => assert_eq!(reason.text(), "oops"),
        other => panic!("{other:?}"),
    }
    assert_eq!(counts(&d.sup).await, [0, 0, 0, 0]);
    d.root.shutdown(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn with_max_children() {
    let record = Recorder::new();
    let d = dynamic(DynamicOptions { max_children: Some(0), ..at_most(1) }).await;
    assert!(is_full(&d.sup.start_child(Probe::new("child", &record).spec()).await));
    assert!(record.lines().is_empty());
    until_state(&d.tree, "root/dynamic", NodeState::Running).await;
    d.root.shutdown(LONG).await;
}
