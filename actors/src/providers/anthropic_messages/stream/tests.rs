use serde_json::json;

use super::*;

fn read(events: &[Value]) -> Result<Vec<ModelEvent>, ModelError> {
    let mut map = Blocks::new(None);
    let mut out = VecDeque::new();
    for event in events {
        if map.on_event(&SseEvent { event: None, data: event.to_string() }, &mut out)? == Step::Finished {
            return Ok(out.into());
        }
    }
    map.on_end(&mut out)?;
    Ok(out.into())
}

fn text(text: &str) -> Value {
    json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } })
}

fn stop(reason: &str) -> [Value; 2] {
    [json!({ "type": "message_delta", "delta": { "stop_reason": reason } }), json!({ "type": "message_stop" })]
}

#[test]
fn reasons_are_mapped() {
    let done = |reason: &str| {
        let [delta, end] = stop(reason);
        read(&[text("x"), delta, end]).map(|mut events| events.pop().unwrap())
    };
    for (reason, expected) in [
        ("end_turn", StopReason::Stop),
        ("stop_sequence", StopReason::Stop),
        ("max_tokens", StopReason::Length),
        ("tool_use", StopReason::ToolUse),
        ("novel", StopReason::Stop),
    ] {
        assert_eq!(done(reason).unwrap(), ModelEvent::Done(expected), "{reason}");
    }
    assert_eq!(done("refusal").unwrap_err().class, ErrorClass::Unclassified);
}

#[test]
fn unknown_events_blocks_and_deltas_are_passed_over() {
    let [delta, end] = stop("end_turn");
    let events = read(&[
        json!({ "type": "weather", "data": 1 }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "redacted_thinking", "data": "x" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "citations_delta", "citation": {} } }),
        text("x"),
        delta,
        end,
    ]);
    assert_eq!(events.unwrap(), [ModelEvent::TextDelta("x".into()), ModelEvent::Done(StopReason::Stop)]);
}

#[test]
fn counts_that_are_left_out_keep_their_value() {
    let [_, end] = stop("end_turn");
    let events = read(&[
        json!({ "type": "message_start", "message": { "usage": { "input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 1 } } }),
        text("x"),
        json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": 9 } }),
        end,
    ]);
    let events = events.unwrap();
    let counted = events.iter().rev().find(|event| matches!(event, ModelEvent::Usage(_)));
    let Some(ModelEvent::Usage(usage)) = counted else { panic!("{events:?}") };
    assert_eq!((usage.input, usage.cache_read, usage.output, usage.total_tokens), (5, 7, 9, 21));
}

#[test]
fn an_answer_without_its_end_was_cut() {
    assert_eq!(read(&[text("x")]).unwrap_err().class, ErrorClass::Timeout);
}

#[test]
fn pings_are_no_progress() {
    let mut map = Blocks::new(None);
    let mut out = VecDeque::new();
    let mut step = |data: &str| map.on_event(&SseEvent { event: None, data: data.into() }, &mut out).unwrap();
    assert_eq!(step(r#"{"type":"ping"}"#), Step::KeepAlive);
    assert_eq!(step(r#"{"type":"content_block_stop","index":0}"#), Step::Progress);
}
