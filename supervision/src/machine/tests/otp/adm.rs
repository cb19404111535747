//! What can be asked, and the answers.

use super::*;

/// The answers to a start, a restart and a deletion.
fn refusals(rig: &mut Rig, id: &str) -> [&'static str; 3] {
    [
        word(rig.add(id, child(Restart::Permanent))),
        word(rig.ask(Request::Restart(id.into()))),
        word(rig.ask(Request::Delete(id.into()))),
    ]
}

const UP: [&str; 3] = ["already_started", "running", "running"];
const COMING: [&str; 3] = ["already_present", "restarting", "restarting"];

#[test]
fn child_adm() {
    let mut rig = Rig::booted(Strategy::OneForOne, 2, Vec::new());
    assert_eq!(word(rig.add("child1", child(Restart::Permanent))), "started");
    assert_eq!(refusals(&mut rig, "child1"), UP);
    // Stopped: asking once more changes nothing.
    for _ in 0..2 {
        assert_eq!(word(rig.ask(Request::Terminate("child1".into()))), "done");
        assert_eq!(rig.phase(0), Some(Phase::Down(Down::Exited)));
    }
    assert_eq!(word(rig.add("child1", child(Restart::Permanent))), "already_present");
    assert_eq!(word(rig.ask(Request::Restart("child1".into()))), "started");
    assert_eq!(rig.incarnations(), [(0, 2)]);
    for request in [Request::Terminate, Request::Restart, Request::Delete] {
        assert_eq!(word(rig.ask(request("child2".into()))), "not_found");
    }
    // Deleted, and its id is free.
    rig.ask(Request::Terminate("child1".into()));
    assert_eq!(word(rig.ask(Request::Delete("child1".into()))), "done");
    for request in [Request::Terminate, Request::Restart, Request::Delete] {
        assert_eq!(word(rig.ask(request("child1".into()))), "not_found");
    }
    assert_eq!(rig.known(), 0);
    assert_eq!(word(rig.add("child1", child(Restart::Permanent))), "started");
    assert_eq!(rig.log, ["start 0#1", "stop 0#1", "start 0#2", "stop 0#2", "start 1#1"]);
    // A temporary child is forgotten when it is stopped.
    rig.add("brief", child(Restart::Temporary));
    assert_eq!(word(rig.ask(Request::Terminate("brief".into()))), "done");
    assert_eq!(word(rig.ask(Request::Restart("brief".into()))), "not_found");
    on_the_way_up_and_down();
    while_due();
    while_the_supervisor_ends();
}

fn on_the_way_up_and_down() {
    let mut rig = Rig::booted(Strategy::OneForAll, 2, Vec::new());
    rig.manual = true;
    assert_eq!(word(rig.add("a", child(Restart::Permanent))), "later");
    assert_eq!(refusals(&mut rig, "a"), UP);
    rig.feed(Input::Started { key: 0, inc: 1, outcome: Ok(Birth::Up) });
    rig.manual = false;
    rig.up.insert(0, 1);
    rig.add("b", child(Restart::Permanent));
    // One is being restarted, its sibling is next.
    rig.manual = true;
    rig.exits(0, error());
    rig.ends(1, 1, ExitReason::shutdown("shutdown"));
    assert_eq!((rig.phase(0), rig.phase(1)), (Some(Phase::Starting), Some(Phase::Queued)));
    assert_eq!((refusals(&mut rig, "a"), refusals(&mut rig, "b")), (COMING, COMING));
    // Stopping them cancels that.
    assert_eq!(word(rig.ask(Request::Terminate("b".into()))), "done");
    assert_eq!(word(rig.ask(Request::Terminate("a".into()))), "later");
    assert_eq!(refusals(&mut rig, "a"), UP, "it is still going down");
    rig.replies.clear();
    rig.ends(0, 2, ExitReason::shutdown("shutdown"));
    assert_eq!(word(rig.replies.pop().map(|(_, answer)| answer)), "done");
    for key in [0, 1] {
        assert_eq!(rig.phase(key), Some(Phase::Down(Down::Exited)));
    }
    assert_eq!(rig.log.last().map(String::as_str), Some("stop 0#2"), "nothing comes back");
}

fn while_due() {
    let policy = Policy { counts: true, ..isolated(backoff(3, Exhausted::GiveUp)) };
    let mut rig = Rig::booted(Strategy::OneForOne, 2, vec![policy]);
    rig.exits(0, error());
    assert_eq!(refusals(&mut rig, "c0"), COMING);
    assert_eq!(word(rig.ask(Request::Terminate("c0".into()))), "done");
    assert!(rig.timers.is_empty());
    assert_eq!(word(rig.ask(Request::Delete("c0".into()))), "done");
}

fn while_the_supervisor_ends() {
    let mut rig = Rig::booted(Strategy::OneForOne, 2, vec![child(Restart::Permanent)]);
    rig.manual = true;
    rig.feed(Input::Shutdown);
    assert_eq!(refusals(&mut rig, "c0"), ["shutting_down"; 3]);
    assert_eq!(word(rig.ask(Request::Terminate("c0".into()))), "shutting_down");
}

#[test]
fn child_adm_simple() {
    let mut rig = Rig::of(Family::Template, 5);
    rig.add("1", child(Restart::Permanent));
    rig.add("2", child(Restart::Permanent));
    for request in [Request::Terminate, Request::Restart, Request::Delete] {
        assert_eq!(word(rig.ask(request("2".into()))), "not_supported");
        assert_eq!(word(rig.ask(request("child1".into()))), "not_supported");
    }
    // Stopped by what it is, it leaves nothing behind though it is permanent.
    assert_eq!(word(rig.ask(Request::TerminateKey(0))), "done");
    assert_eq!((rig.known(), rig.phase(0), rig.incarnations()), (1, None, vec![(1, 1)]));
    // Whoever sees the tree may use its names there.
    assert_eq!(word(rig.ask(Request::Operator(Box::new(Request::Terminate("2".into()))))), "done");
    assert_eq!(rig.known(), 0);
    // Nor does one that ends for good by itself.
    rig.add("3", child(Restart::Transient));
    rig.exits(2, error());
    assert_eq!(rig.incarnations(), [(2, 2)]);
    rig.exits(2, ExitReason::Normal);
    assert_eq!(rig.known(), 0);
}

/// What a start had to say goes with the answer to whoever asked: there is exactly one answer to a start by hand, and
/// none to a restart nobody asked for.
#[test]
fn extra_return() {
    let mut rig = Rig::booted(Strategy::OneForOne, 2, Vec::new());
    assert_eq!(word(rig.add("child1", child(Restart::Permanent))), "started");
    rig.ask(Request::Terminate("child1".into()));
    match rig.ask(Request::Restart("child1".into())) {
        Some(Ok(Answer::Started { key, birth })) => assert_eq!((key, birth), (0, Birth::Up)),
        other => panic!("{other:?}"),
    }
    rig.replies.clear();
    rig.exits(0, error());
    assert_eq!(rig.incarnations(), [(0, 3)]);
    assert!(rig.replies.is_empty());
}
