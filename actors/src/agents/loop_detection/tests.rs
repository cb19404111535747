use serde_json::json;

use super::*;

fn made(name: &str, argument: usize) -> Made {
    let kind = match name {
        "process" => Kind::Poll,
        "nothing" => Kind::Unknown,
        _ => Kind::Other,
    };
    Made::new(name, &json!({"n": argument}), kind)
}

/// Plays calls until one is not carried out or so many were; how many were carried out, the first that was told, and
/// why it ended.
fn play(on: bool, calls: usize, call: impl Fn(usize) -> (Made, String)) -> (usize, Option<(usize, String)>, Verdict) {
    let mut loops = LoopDetection::new(Some(on));
    let mut told = None;
    for n in 0..calls {
        let (made, outcome) = call(n);
        let verdict = loops.before(std::slice::from_ref(&made));
        if verdict != Verdict::Go {
            return (n, told, verdict);
        }
        if let Some(note) = loops.after(made, &outcome) {
            told.get_or_insert((n + 1, note));
        }
    }
    (calls, told, Verdict::Go)
}

fn why(verdict: &Verdict) -> &str {
    let (Verdict::Block(text) | Verdict::End(text)) = verdict else { return "" };
    text.split(['(', ')']).nth(1).unwrap()
}

#[test]
fn each_loop_is_told_and_then_broken() {
    type Call = fn(usize) -> (Made, String);
    let table: [(&str, Call, Option<usize>, Option<usize>); 6] = [
        ("unknown_tool_repeat", |n| (made("nothing", n), String::from("none")), None, Some(10)),
        ("known_poll_no_progress", |_| (made("process", 0), String::from("busy")), Some(10), Some(20)),
        ("ping_pong", |n| (made(["read", "ls"][n % 2], 0), format!("r{}", n % 2)), Some(10), Some(20)),
        ("generic_repeat", |_| (made("read", 0), String::from("same")), Some(10), Some(20)),
        ("argument_churn", |n| (made("read", n), String::from("nothing found")), Some(10), None),
        ("generic_repeat", |n| (made("read", 0), format!("new {n}")), Some(10), None),
    ];
    for (name, call, told, broken) in table {
        let (count, first, verdict) = play(true, 29, call);
        assert_eq!(first.as_ref().map(|(at, _)| *at), told, "{name}");
        assert!(first.is_none_or(|(_, note)| note.starts_with(&format!("[{name}: 10 times"))));
        match broken {
            Some(broken) => {
                assert_eq!((count, why(&verdict)), (broken, name));
                assert!(matches!(verdict, Verdict::Block(_)));
            }
            None => assert_eq!((count, verdict), (29, Verdict::Go), "{name}"),
        }
        let (count, first, _) = play(false, 29, call);
        assert_eq!((count, first), (29, None), "{name}: off");
    }
}

#[test]
fn many_calls_with_the_same_few_outcomes_are_broken() {
    let (count, _, verdict) = play(true, 60, |n| (made(["read", "ls", "find"][n % 3], n), format!("r{}", n % 2)));
    assert_eq!((count, why(&verdict)), (30, "global_circuit_breaker"));
}

#[test]
fn work_with_news_is_left_alone() {
    let (count, told, _) = play(true, 200, |n| (made(["read", "edit"][n % 2], n), format!("other {n}")));
    assert_eq!((count, told), (200, None));
    let (count, told, _) = play(true, 200, |n| (made("process", 0), format!("{n} % done")));
    assert_eq!((count, told), (200, None));
}

#[test]
fn a_second_loop_ends_the_run() {
    let mut loops = LoopDetection::new(Some(true));
    let call = made("read", 0);
    for _ in 0..20 {
        assert_eq!(loops.before(std::slice::from_ref(&call)), Verdict::Go);
        loops.after(call.clone(), "same");
    }
    assert!(matches!(loops.before(std::slice::from_ref(&call)), Verdict::Block(_)));
    assert_eq!(loops.before(&[made("ls", 1)]), Verdict::Go, "something else goes");
    assert!(matches!(loops.before(&[made("ls", 1), call]), Verdict::End(_)));
}

#[test]
fn times_are_no_news() {
    let (count, _, verdict) = play(true, 29, |n| {
        (
            made("read", 0),
            json!({"state": "same", "updatedAt": n, "note": format!("2026-01-01T00:00:{:02}Z", n)}).to_string(),
        )
    });
    assert_eq!((count, why(&verdict)), (20, "generic_repeat"));
    let (count, ..) = play(true, 29, |n| (made("read", 0), format!("it is 2026-01-01T00:00:{:02}.000Z", n)));
    assert_eq!(count, 20);
}

#[test]
fn a_loop_behind_a_shortened_history_ends_the_run_unless_that_is_off() {
    for (setting, ends) in [(None, true), (Some(true), true), (Some(false), false)] {
        let mut loops = LoopDetection::new(setting);
        loops.compacted();
        for _ in 0..3 {
            assert_eq!(loops.before(&[made("read", 0)]), Verdict::Go);
            loops.after(made("read", 0), "same");
        }
        let verdict = loops.before(&[made("ls", 0)]);
        assert_eq!(matches!(verdict, Verdict::End(_)), ends, "{setting:?}: {verdict:?}");
    }
    let mut loops = LoopDetection::new(None);
    loops.compacted();
    for n in 0..20 {
        assert_eq!(loops.before(&[made("read", 0)]), Verdict::Go);
        loops.after(made("read", 0), if n == 1 { "other" } else { "same" });
    }
}
