//! What a start may bring: nothing to run, something to say, a state carried over, an actor of somebody else.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::{Command, Puppet, Recorder};
use supervision::tree::NodeState;
use supervision::{AdminError, Incarnation, Init, StartMode, Started, TemplateSlot};

async fn root_with(children: Vec<ChildSpec>) -> SupervisorHandle {
    let intensity = Intensity { max_restarts: 50, period: Duration::from_secs(5) };
    let spec = SupervisorSpec { children, intensity, ..SupervisorSpec::default() };
    match Supervisor::start_root(spec, TreeStore::new()).await {
        Ok(root) => root,
        Err(error) => panic!("{error}"),
    }
}

async fn state(root: &SupervisorHandle, id: &str) -> Option<NodeState> {
    root.which_child(&id.into()).await.ok().map(|child| child.state)
}

#[tokio::test(start_paused = true)]
async fn a_child_with_nothing_to_run_keeps_its_place_unless_it_is_temporary() {
    let recorder = Recorder::new();
    let (a, b) = (Puppet::new("a", &recorder), Puppet::new("b", &recorder));
    a.ignore_starts(1);
    b.ignore_starts(1);
    let root = root_with(vec![a.spec(), b.spec().restart(Restart::Temporary)]).await;
    assert_eq!(state(&root, "a").await, Some(NodeState::Ignored));
    assert_eq!(state(&root, "b").await, None);
    let started = root.restart_child(&"a".into()).await.unwrap();
    assert!(!started.is_ignored());
    assert_eq!(state(&root, "a").await, Some(NodeState::Running));
}

#[tokio::test(start_paused = true)]
async fn a_start_says_what_it_was_given_to_say_and_names_its_incarnation() {
    let recorder = Recorder::new();
    let a = Puppet::new("a", &recorder).with_info(Arc::new(7_u32));
    let root = root_with(Vec::new()).await;
    let Started { actor, info } = root.start_child(a.spec()).await.unwrap();
    assert_eq!(info.and_then(|info| info.downcast::<u32>().ok()).as_deref(), Some(&7));
    let actor = actor.unwrap();
    assert_eq!(root.which_actor(actor).await.unwrap().id, "a".into());
    assert!(matches!(root.start_child(a.spec()).await, Err(AdminError::AlreadyStarted(Some(other))) if other == actor));
    root.terminate_actor(actor).await.unwrap();
    root.terminate_actor(actor).await.unwrap();
    let elsewhere = root_with(Vec::new()).await;
    assert!(matches!(elsewhere.terminate_actor(actor).await, Err(AdminError::NotFound)));
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_may_come_to_nothing_or_refuse_to_start() {
    let slot = SupervisorSlot::new();
    let root = root_with(Vec::new()).await;
    let nothing = ChildSpec::supervisor_with("sub", "supervisor", &slot, |_| Ok(Init::Ignore));
    assert!(root.start_child(nothing).await.unwrap().is_ignored());
    root.delete_child(&"sub".into()).await.unwrap();
    let refused = ChildSpec::supervisor_with("sub", "supervisor", &slot, |_| Err("no configuration".into()));
    let error = root.start_child(refused).await.unwrap_err();
    assert!(matches!(&error, AdminError::StartFailed(reason) if reason.text() == "no configuration"), "{error}");
    assert_eq!(state(&root, "sub").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_start_function_may_take_its_time_and_must_give_back_its_own_actor() {
    let recorder = Recorder::new();
    let (own, slot) = (Puppet::new("own", &recorder), Slot::<Command>::new());
    let (puppet, place) = (own.clone(), slot.clone());
    let spec = ChildSpec::custom("own", "puppet", &slot, move |start| {
        let (puppet, place) = (puppet.clone(), place.clone());
        async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            start.spawn(&place, puppet, ()).await
        }
    });
    let root = root_with(vec![spec]).await;
    assert!(slot.address().is_live());

    // A start that gives back another child's actor: the start fails, that child is unharmed, nothing is left over.
    let stolen: Arc<Mutex<Option<Incarnation>>> = Arc::default();
    let (first, second) = (Slot::<Command>::new(), Slot::<Command>::new());
    let (puppet, place, loot) = (Puppet::new("first", &recorder), first.clone(), Arc::clone(&stolen));
    let lender = ChildSpec::custom("first", "puppet", &first, move |start| {
        let (puppet, place, loot) = (puppet.clone(), place.clone(), Arc::clone(&loot));
        async move {
            let incarnation = start.spawn(&place, puppet, ()).await?;
            *loot.lock().unwrap() = Some(incarnation);
            std::future::pending().await
        }
    })
    .init_timeout(Duration::from_secs(60));
    let (lending, loot) = (root.clone(), Arc::clone(&stolen));
    let lent = tokio::join!(lending.start_child(lender), async {
        while loot.lock().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        let loot = Arc::clone(&loot);
        let thief = ChildSpec::custom("thief", "puppet", &second, move |_start| {
            let incarnation = loot.lock().unwrap().take();
            async move { incarnation.ok_or_else(|| "nothing to steal".into()) }
        });
        root.start_child(thief).await
    });
    assert!(matches!(lent.1, Err(AdminError::StartFailed(_))), "{:?}", lent.1);
    assert!(lent.1.unwrap_err().to_string().contains("not started for this child"));
    // The lender's start never ended: what it had spawned is gone with it.
    assert!(matches!(lent.0, Err(AdminError::StartFailed(_))), "{:?}", lent.0);
    recorder.until("drop first#1").await;
    assert_eq!(root.count_children().await.unwrap().specs, 1);
}

#[tokio::test(start_paused = true)]
async fn children_of_a_template_are_known_by_their_actors_and_follow_a_new_template() {
    let recorder = Recorder::new();
    let slot = TemplateSlot::<&'static str>::new();
    let spec = |recorder: &Recorder, suffix: &'static str| {
        let recorder = recorder.clone();
        move |name: &&'static str, _: ChildId| Puppet::new(&format!("{name}{suffix}"), &recorder).spec()
    };
    let supervisor = ChildSpec::template("all", "supervisor", &slot, DynamicOptions::default(), spec(&recorder, ""));
    let _root = root_with(vec![supervisor]).await;
    let template = slot.handle();
    let one = template.start_child("x").await.unwrap().actor.unwrap();
    let two = template.start_child("x").await.unwrap().actor.unwrap();
    let all = template.supervisor();
    assert_eq!(all.count_children().await.unwrap().active, 2);
    let id = all.which_actor(one).await.unwrap().id;
    for refused in [all.delete_child(&id).await, all.terminate_child(&id).await, all.cycle_child(&id).await] {
        assert!(matches!(refused, Err(AdminError::NotSupported)), "{refused:?}");
    }
    all.terminate_actor(one).await.unwrap();
    template.replace(spec(&recorder, "-new")).await.unwrap();
    all.terminate_actor(two).await.unwrap();
    template.start_child("y").await.unwrap();
    recorder.until("start y-new#1").await;
}

#[tokio::test(start_paused = true)]
async fn independent_children_start_together_as_many_as_allowed_and_stop_in_reverse() {
    let recorder = Recorder::new();
    let make = |name: &'static str| {
        let (recorder, slot) = (recorder.clone(), Slot::<Command>::new());
        let place = slot.clone();
        ChildSpec::custom(name, "puppet", &slot, move |start| {
            let (recorder, place) = (recorder.clone(), place.clone());
            async move {
                recorder.note(format!("begin {name}"));
                tokio::time::sleep(Duration::from_secs(1)).await;
                start.spawn(&place, Puppet::new(name, &recorder), ()).await
            }
        })
    };
    let children = ["a", "b", "c", "d"].map(make).to_vec();
    let starts = StartMode::Concurrent { max: 3 };
    let began = tokio::time::Instant::now();
    let root = Supervisor::start_root(SupervisorSpec { children, starts, ..Default::default() }, TreeStore::new())
        .await
        .unwrap();
    assert_eq!(began.elapsed().as_secs(), 2);
    let begun: Vec<_> = recorder.lines().into_iter().filter(|line| line.starts_with("begin")).collect();
    assert_eq!(begun, ["begin a", "begin b", "begin c", "begin d"]);
    recorder.clear();
    root.shutdown(Duration::from_secs(60)).await;
    let stops: Vec<_> = recorder.lines().into_iter().filter(|line| line.starts_with("stop")).collect();
    assert_eq!(stops, ["stop d#1", "stop c#1", "stop b#1", "stop a#1"]);
}
