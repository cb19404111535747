//! Trees, counts, what is kept and what is not, and children that never come back.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

const STRATEGIES: [Strategy; 3] = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne];

/// A child added to what is there, and started.
fn add(rig: &mut Rig, id: &str, policy: Policy) -> Result<Key, AdminError> {
    rig.machine.admits(&id.into())?;
    let key = rig.machine.insert(id.into(), policy);
    rig.admin(Request::StartNew(key));
    Ok(key)
}

/// What a request was answered.
fn asked(rig: &mut Rig, request: Request) -> Result<Answer, AdminError> {
    rig.replies.clear();
    rig.admin(request);
    rig.replies.pop().expect("an answer at once").1
}

/// Known, alive, supervisors among the known.
fn counted(rig: &Rig) -> [usize; 3] {
    let known = rig.machine.children().count();
    let supervisors = rig.machine.children().filter(|(_, child)| child.policy.supervisor).count();
    let up = rig.machine.children().filter(|(_, child)| matches!(child.phase, Phase::Running { .. })).count();
    [known, up, supervisors]
}

fn names(rig: &Rig) -> Vec<&str> {
    rig.machine.children().map(|(_, child)| child.id.as_str()).collect()
}

/// A supervisor that takes children on demand, all made alike.
fn simple(max_restarts: u32) -> Rig {
    let mut rig = Rig::booted(Strategy::OneForOne, max_restarts, Vec::new());
    rig.machine.rules.family = Family::Template;
    rig
}

#[test]
fn tree() {
    let supervisor = Policy { supervisor: true, ..child(Restart::Permanent) };
    let mut below = Rig::booted(Strategy::OneForOne, 4, Vec::new());
    for id in ["child3", "child4"] {
        add(&mut below, id, child(Restart::Permanent)).unwrap();
    }
    below.exits(1, error());
    assert_eq!(below.log, ["start 0#1", "start 1#1", "start 1#2"]);
    below.failing = vec![0];
    below.exits(0, error());
    let end = below.exit.take().unwrap();
    assert_eq!(end.text(), "intensity");

    // The one that gave up takes all along. Who was stopped comes back with them, unless an operator keeps it down.
    let mut top = Rig::booted(Strategy::OneForAll, 4, vec![supervisor; 4]);
    top.admin(Request::Terminate("c2".into()));
    top.admin(Request::Operator(Box::new(Request::Terminate("c3".into()))));
    top.log.clear();
    top.exits(1, end);
    assert_eq!(top.log, ["stop 0#1", "start 0#2", "start 1#2", "start 2#2"]);
    assert_eq!(counted(&top), [4, 3, 4]);
    assert_eq!(top.machine.restarts_in_period(top.now), 1);
    top.admin(Request::Restart("c3".into()));
    top.exits(0, error());
    assert_eq!(counted(&top), [4, 4, 4], "once started by hand it is one of them again");
}

fn many_children_are_counted(policy: &Policy) {
    let mut rig = simple(2);
    let supervisors = |n| if policy.supervisor { n } else { 0 };
    for n in 0..300 {
        add(&mut rig, &n.to_string(), policy.clone()).unwrap();
        assert_eq!(counted(&rig), [n + 1, n + 1, supervisors(n + 1)]);
    }
    for n in 0..300 {
        rig.exits(n, ExitReason::Killed);
        let left = 299 - usize::try_from(n).unwrap();
        assert_eq!(counted(&rig), [left, left, supervisors(left)]);
    }
    assert!(rig.exit.is_none());
}

#[test]
fn count_children() {
    many_children_are_counted(&child(Restart::Temporary));
}

#[test]
fn count_children_supervisor() {
    many_children_are_counted(&Policy { supervisor: true, ..child(Restart::Temporary) });
}

#[test]
fn count_restarting_children() {
    let mut rig = simple(20);
    let keys: Vec<Key> =
        ["one", "two", "three"].into_iter().map(|id| add(&mut rig, id, child(Restart::Permanent)).unwrap()).collect();
    for key in &keys {
        rig.exits(*key, error());
    }
    assert_eq!(counted(&rig), [3, 3, 0]);
    rig.manual = true;
    rig.exits(0, error());
    rig.exits(1, error());
    // Their starts fail, again and again.
    for inc in 3..6 {
        for key in [0, 1] {
            assert_eq!(counted(&rig), [3, 1, 0]);
            rig.feed(Input::Started { key, inc, outcome: Err(error()) });
        }
    }
    for key in [0, 1] {
        rig.feed(Input::Started { key, inc: 6, outcome: Ok(Birth::Up) });
        rig.up.insert(key, 6);
    }
    assert_eq!(counted(&rig), [3, 3, 0]);
    rig.manual = false;
    for key in keys.into_iter().rev() {
        assert!(asked(&mut rig, Request::TerminateKey(key)).is_ok());
        let left = usize::try_from(key).unwrap();
        assert_eq!(counted(&rig)[1], left);
    }
}

#[test]
fn do_not_save_child_specs_for_temporary_children() {
    for strategy in STRATEGIES {
        for reason in [None, Some(ExitReason::Killed), Some(ExitReason::Normal), Some(error())] {
            for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
                let mut rig = Rig::booted(strategy, 5, Vec::new());
                let key = add(&mut rig, "child", child(restart)).unwrap();
                match reason.clone() {
                    Some(reason) => rig.exits(key, reason),
                    None => rig.admin(Request::Terminate("child".into())),
                }
                let again = add(&mut rig, "child", child(restart));
                match (restart, &reason) {
                    (Restart::Temporary, _) => assert!(again.is_ok()),
                    (_, None) | (Restart::Transient, Some(ExitReason::Normal)) => {
                        assert!(matches!(again, Err(AdminError::AlreadyPresent)), "{again:?}");
                        assert!(asked(&mut rig, Request::Restart("child".into())).is_ok());
                    }
                    (_, Some(_)) => assert!(matches!(again, Err(AdminError::AlreadyStarted(_))), "{again:?}"),
                }
                assert_eq!(counted(&rig), [1, 1, 0]);
            }
        }
    }
}

#[test]
fn temporary_bystander() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let policies = vec![child(Restart::Permanent), child(Restart::Temporary), child(Restart::Temporary)];
        let mut rig = Rig::booted(strategy, 2, policies);
        rig.exits(0, ExitReason::Normal);
        assert_eq!(rig.log, ["stop 2#1", "stop 1#1", "start 0#2"]);
        assert_eq!(names(&rig), ["c0"]);
        assert_eq!(rig.machine.restarts_in_period(rig.now), 1);
    }
    // One that dies by itself before its turn is forgotten all the same.
    let mut rig = Rig::booted(Strategy::OneForAll, 2, vec![child(Restart::Temporary), child(Restart::Permanent)]);
    rig.manual = true;
    rig.exits(1, error());
    rig.feed(Input::Exited { key: 0, inc: 1, reason: error() });
    assert_eq!(rig.log, ["stop 0#1", "start 1#2"]);
    assert_eq!(names(&rig), ["c1"]);
}

/// OTP's answers about a child that is being restarted.
fn is_between(rig: &mut Rig, id: &str) {
    assert!(matches!(rig.machine.admits(&id.into()), Err(AdminError::AlreadyPresent)));
    assert!(matches!(asked(rig, Request::Restart(id.into())), Err(AdminError::Restarting)));
    assert!(matches!(asked(rig, Request::Delete(id.into())), Err(AdminError::Restarting)));
}

/// Fails the start under way; the machine asks for the next.
fn start_fails(rig: &mut Rig, key: Key) {
    let inc = rig.machine.child(key).unwrap().inc;
    rig.feed(Input::Started { key, inc, outcome: Err(error()) });
    assert!(rig.exit.is_none());
    assert_eq!(rig.machine.child(key).unwrap().inc, inc + 1);
    rig.advance(Duration::from_secs(2));
}

/// The start under way is given up, and no other follows.
fn is_stopped(rig: &mut Rig, key: Key) {
    let inc = rig.machine.child(key).unwrap().inc;
    assert_eq!(rig.log.last(), Some(&format!("stop {key}#{inc}")));
    rig.feed(Input::Started { key, inc, outcome: Err(ExitReason::shutdown("stopped while starting")) });
}

#[test]
fn hanging_restart_loop() {
    let mut rig = Rig::booted(Strategy::OneForOne, 8, vec![child(Restart::Permanent)]);
    rig.manual = true;
    rig.exits(0, error());
    for _ in 0..20 {
        is_between(&mut rig, "c0");
        assert_eq!(counted(&rig), [1, 0, 0]);
        start_fails(&mut rig, 0);
    }
    rig.admin(Request::Terminate("c0".into()));
    is_stopped(&mut rig, 0);
    assert_eq!(rig.phase(0), Some(Phase::Down(Down::Exited)));

    rig.manual = false;
    assert!(asked(&mut rig, Request::Restart("c0".into())).is_ok());
    rig.manual = true;
    rig.exits(0, error());
    start_fails(&mut rig, 0);
    rig.feed(Input::Shutdown);
    is_stopped(&mut rig, 0);
    assert!(rig.exit.is_some());
}

#[test]
fn hanging_restart_loop_rest_for_one() {
    let mut rig = Rig::booted(Strategy::RestForOne, 8, vec![child(Restart::Permanent); 3]);
    rig.manual = true;
    rig.exits(1, error());
    rig.up.remove(&2);
    rig.feed(Input::Exited { key: 2, inc: 1, reason: ExitReason::shutdown("shutdown") });
    for _ in 0..20 {
        is_between(&mut rig, "c1");
        is_between(&mut rig, "c2");
        assert_eq!(counted(&rig), [3, 1, 0]);
        start_fails(&mut rig, 1);
    }
    rig.log.clear();
    rig.admin(Request::Terminate("c1".into()));
    // There is nothing left for the one after it to wait for.
    assert_eq!(rig.log, ["stop 1#22", "start 2#2"]);
    rig.feed(Input::Started { key: 1, inc: 22, outcome: Err(ExitReason::shutdown("stopped while starting")) });
    assert_eq!(rig.phase(1), Some(Phase::Down(Down::Exited)));
    assert!(matches!(rig.phase(0), Some(Phase::Running { .. })));
    rig.feed(Input::Shutdown);
    is_stopped(&mut rig, 2);
    rig.feed(Input::Exited { key: 0, inc: 1, reason: ExitReason::shutdown("shutdown") });
    assert!(rig.exit.is_some());
}

#[test]
fn hanging_restart_loop_simple() {
    let mut rig = simple(8);
    let key = add(&mut rig, "1", child(Restart::Permanent)).unwrap();
    rig.manual = true;
    rig.exits(key, error());
    for _ in 0..20 {
        for request in [Request::Restart("1".into()), Request::Delete("1".into()), Request::Terminate("1".into())] {
            assert!(matches!(asked(&mut rig, request), Err(AdminError::NotSupported)));
        }
        assert_eq!(counted(&rig), [1, 0, 0]);
        start_fails(&mut rig, key);
    }
    rig.admin(Request::TerminateKey(key));
    is_stopped(&mut rig, key);
    assert_eq!(counted(&rig), [0, 0, 0]);
    assert!(rig.exit.is_none());
}

#[test]
fn order_of_children() {
    let mut rig = Rig::booted(Strategy::RestForOne, 2, vec![child(Restart::Permanent); 5]);
    rig.exits(2, error());
    assert_eq!(rig.log, ["stop 4#1", "stop 3#1", "start 2#2", "start 3#2", "start 4#2"]);
    // Stopped, forgotten and added again it is the last; stopped and started again it keeps its place.
    rig.admin(Request::Terminate("c1".into()));
    rig.admin(Request::Delete("c1".into()));
    rig.admin(Request::Terminate("c3".into()));
    add(&mut rig, "c1", child(Restart::Permanent)).unwrap();
    rig.admin(Request::Restart("c3".into()));
    assert_eq!(names(&rig), ["c0", "c2", "c3", "c4", "c1"]);
    rig.log.clear();
    rig.feed(Input::Shutdown);
    assert_eq!(rig.log, ["stop 5#1", "stop 4#2", "stop 3#3", "stop 2#2", "stop 0#1", "exit shutdown"]);
}

#[test]
fn which_children() {
    let mut rig = Rig::booted(Strategy::OneForOne, 2, Vec::new());
    assert_eq!(names(&rig), Vec::<&str>::new());
    for id in ["child1", "child2"] {
        add(&mut rig, id, child(Restart::Permanent)).unwrap();
        assert!(rig.machine.key_of(&id.into()).is_some());
    }
    assert_eq!(names(&rig), ["child1", "child2"]);
    rig.admin(Request::Terminate("child1".into()));
    assert_eq!(names(&rig), ["child1", "child2"]);
    assert_eq!(rig.phase(0), Some(Phase::Down(Down::Exited)));
    rig.admin(Request::Delete("child1".into()));
    assert_eq!(names(&rig), ["child2"]);
    assert_eq!(rig.machine.key_of(&"child1".into()), None);
    assert!(matches!(asked(&mut rig, Request::Terminate("childx".into())), Err(AdminError::NotFound)));
}

#[test]
fn which_children_simple_one_for_one() {
    let mut rig = simple(2);
    let first = add(&mut rig, "1", child(Restart::Temporary)).unwrap();
    add(&mut rig, "2", child(Restart::Temporary)).unwrap();
    assert_eq!(names(&rig), ["1", "2"]);
    assert!(asked(&mut rig, Request::TerminateKey(first)).is_ok());
    assert_eq!(names(&rig), ["2"]);
    assert!(matches!(asked(&mut rig, Request::Restart("2".into())), Err(AdminError::NotSupported)));
}

/// How long this thread has been on a processor so far, or what the clock says where nobody knows.
fn busy(begin: std::time::Instant) -> Duration {
    let known = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = known.and_then(|text| text.split_whitespace().next()?.parse().ok());
    nanos.map_or_else(|| begin.elapsed(), Duration::from_nanos)
}

/// One decision must not cost more because there are more children: as many lives among many as among few are compared.
fn one_costs_the_same_among_many(family: Family, restart: Restart, stop: impl Fn(Key) -> Request) {
    const FEW: u64 = 250;
    const TIMES: u64 = 32;
    let begin = std::time::Instant::now();
    let lives = |children: u64| {
        let mut rng = StdRng::seed_from_u64(7);
        let mut machine = Rig::booted(Strategy::OneForOne, 2, Vec::new()).machine;
        machine.rules.family = family;
        let ids: Vec<ChildId> = (0..children).map(|n| ChildId::from(n.to_string())).collect();
        let mut out = Vec::new();
        let mut step = |machine: &mut Machine, input| {
            out.clear();
            machine.step(Instant::now(), &mut rng, input, &mut out);
        };
        let before = busy(begin);
        for (key, id) in (0..).zip(ids) {
            assert_eq!(machine.insert(id, child(restart)), key);
            step(&mut machine, Input::Admin { ticket: key, request: Request::StartNew(key) });
            step(&mut machine, Input::Started { key, inc: 1, outcome: Ok(Birth::Up) });
        }
        for key in 0..children {
            step(&mut machine, Input::Admin { ticket: key, request: stop(key) });
            step(&mut machine, Input::Exited { key, inc: 1, reason: ExitReason::shutdown("shutdown") });
        }
        let after = busy(begin);
        assert!(machine.alive.is_empty());
        (after - before).as_secs_f64()
    };
    let mut seen = Vec::new();
    for _ in 0..3 {
        let few: f64 = (0..TIMES).map(|_| lives(FEW)).sum();
        let dearer = lives(FEW * TIMES) / few;
        if dearer <= 3.0 {
            return;
        }
        seen.push(dearer);
    }
    panic!("{TIMES} times as many children cost each one as many times as much: {seen:.1?}");
}

#[test]
fn simple_one_for_one_scale_many_temporary_children() {
    one_costs_the_same_among_many(Family::Template, Restart::Temporary, Request::TerminateKey);
}

#[test]
fn scale_start_stop_many_children() {
    one_costs_the_same_among_many(Family::Static, Restart::Permanent, |key| Request::Terminate(key.to_string().into()));
}
