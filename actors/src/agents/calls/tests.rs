use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::tools::{ToolCapabilities, ToolContext, ToolOutput};

struct Plain(Effect);

impl Tool for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn description(&self) -> &'static str {
        ""
    }

    fn parameters(&self) -> Value {
        json!({})
    }

    fn capabilities(&self) -> ToolCapabilities {
        ToolCapabilities::OPEN
    }

    fn effect(&self, _: &Value) -> Effect {
        self.0
    }

    fn call(&self, _: Value, _: ToolContext) -> BoxFuture<'static, ToolResult> {
        async { Ok(ToolOutput::text("")) }.boxed()
    }
}

/// A step of calls named after their effects: `p`, `k`, `o`; `x` is a call of a tool that is not there.
fn step(effects: &[char]) -> (Calls, mpsc::Receiver<Told>) {
    let (told, results) = mpsc::channel(effects.len().max(1));
    let planned = effects.iter().map(|effect| Planned {
        request: ToolRequest { id: String::from("c"), name: effect.to_string(), arguments: json!({}) },
        verdict: None,
    });
    let prepare = |request: &ToolRequest| {
        let effect = match request.name.as_str() {
            "p" => Effect::Pure,
            "k" => Effect::Keyed,
            "o" => Effect::Once,
            _ => return Err(ToolError::Failed(String::from("there is no such tool"))),
        };
        Ok((Arc::new(Plain(effect)) as Arc<dyn Tool>, json!({})))
    };
    (Calls::new(1, planned.collect(), told, prepare), results)
}

fn ok() -> ToolResult {
    Ok(ToolOutput::text("done"))
}

#[test]
fn pure_calls_start_at_once_and_are_told_in_order() {
    let (mut calls, mut results) = step(&['p', 'p', 'x', 'p']);
    assert_eq!(calls.start(0), [0, 1, 3]);
    calls.done(3, ok());
    calls.done(1, ok());
    assert!(!calls.tell());
    assert!(results.try_recv().is_err(), "the first one is not done");
    calls.done(0, ok());
    assert!(calls.tell());
    let order: Vec<usize> = std::iter::from_fn(|| results.try_recv().ok()).map(|(at, _)| at).collect();
    assert_eq!(order, [0, 1, 2, 3]);
}

#[test]
fn a_call_with_an_effect_waits_until_the_result_before_it_is_kept() {
    let (mut calls, _results) = step(&['p', 'o', 'k']);
    assert_eq!(calls.start(0), [0]);
    calls.done(0, ok());
    calls.tell();
    assert!(calls.start(0).is_empty(), "told, not kept");
    calls.settled(0);
    assert_eq!(calls.start(0), [1]);
    assert!(calls.start(0).is_empty(), "its intent is on the way");
    assert!(calls.intended(1));
    assert!(!calls.intended(1), "once");
    assert!(calls.start(0).is_empty(), "it is at work");
    calls.done(1, ok());
    calls.tell();
    calls.settled(1);
    assert_eq!(calls.start(0), [2]);
}

#[test]
fn calls_of_one_id_have_names_of_their_own() {
    let (calls, _results) = step(&['p', 'p', 'p']);
    let keys: Vec<&str> = (0..3).map(|at| calls.get(at).unwrap().key.as_str()).collect();
    assert_eq!(keys, ["c", "c#2", "c#3"]);
    assert_eq!(calls.by_key("c#2"), Some(1));
}

/// What may happen to a step.
#[derive(Debug, Clone)]
enum Event {
    Done(usize),
    Intended(usize),
    Settle,
    Skip,
}

proptest! {
    #[test]
    fn each_call_is_told_once_in_order_and_effects_are_alone(
        effects in proptest::collection::vec(prop_oneof![Just('p'), Just('k'), Just('o'), Just('x')], 0..6),
        events in proptest::collection::vec(prop_oneof![
            4 => (0_usize..6).prop_map(Event::Done),
            4 => (0_usize..6).prop_map(Event::Intended),
            4 => Just(Event::Settle),
            1 => Just(Event::Skip),
        ], 0..60),
    ) {
        let (mut calls, mut results) = step(&effects);
        let (mut told, mut kept, mut started) = (Vec::new(), 0, Vec::new());
        let settle_all = std::iter::repeat_n([Event::Settle].into_iter().chain((0..6).flat_map(|at| [Event::Intended(at), Event::Done(at)])), 8);
        for event in events.into_iter().chain(settle_all.flatten()) {
            calls.tell();
            for at in calls.start(0) {
                prop_assert!(!started.contains(&at), "started twice");
                started.push(at);
            }
            let busy = [calls.intending(), calls.running(true), calls.running(false)].concat();
            let effects_busy = calls.intending().len() + calls.running(true).len();
            prop_assert!(effects_busy == 0 || busy.len() == 1, "an effect beside another call: {:?}", busy);
            match event {
                Event::Done(at) if calls.running(true).contains(&at) || calls.running(false).contains(&at) => {
                    prop_assert!(calls.done(at, ok()));
                    prop_assert!(!calls.done(at, ok()), "done twice");
                }
                Event::Intended(at) => {
                    calls.intended(at);
                }
                Event::Settle => {
                    calls.tell();
                    while let Ok((at, _)) = results.try_recv() {
                        told.push(at);
                    }
                    if kept < told.len() {
                        calls.settled(told[kept]);
                        kept += 1;
                    }
                }
                Event::Skip => {
                    for at in calls.waiting() {
                        calls.done(at, unfinished(Fate::Skipped, "skipped"));
                    }
                }
                Event::Done(_) => {}
            }
        }
        calls.tell();
        while let Ok((at, _)) = results.try_recv() {
            told.push(at);
        }
        prop_assert_eq!(told, (0..effects.len()).collect::<Vec<_>>());
    }
}
