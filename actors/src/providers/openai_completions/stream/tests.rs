use serde_json::json;

use super::*;

/// Reads `chunks`, then the end of the connection.
fn read(chunks: &[Value]) -> Result<Vec<ModelEvent>, ModelError> {
    let mut map = Chunks::new(None);
    let mut out = VecDeque::new();
    for chunk in chunks {
        let data = chunk.as_str().map_or_else(|| chunk.to_string(), str::to_owned);
        if map.on_event(&SseEvent { event: None, data }, &mut out)? == Step::Finished {
            return Ok(out.into());
        }
    }
    map.on_end(&mut out)?;
    Ok(out.into())
}

fn delta(delta: Value) -> Value {
    json!({ "choices": [{ "index": 0, "delta": delta }] })
}

fn finish(reason: &str) -> Value {
    json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] })
}

fn start(index: usize, id: &str) -> ModelEvent {
    ModelEvent::ToolCallStart { index, id: id.into(), name: "t".into() }
}

fn arguments(index: usize, text: &str) -> ModelEvent {
    ModelEvent::ToolCallDelta { index, arguments: text.into() }
}

#[test]
fn calls_are_told_apart_where_the_index_is_missing_or_reused() {
    let call = |index: Value, id: &str, text: &str| {
        let function = json!({ "name": "t", "arguments": text });
        delta(json!({ "tool_calls": [{ "index": index, "id": id, "function": function }] }))
    };
    for index in [Value::Null, json!(0)] {
        let events =
            read(&[call(index.clone(), "a", "{}"), call(index.clone(), "b", "{}"), finish("tool_calls")]).unwrap();
        let done = ModelEvent::Done(StopReason::ToolUse);
        assert_eq!(events, [start(0, "a"), arguments(0, "{}"), start(1, "b"), arguments(1, "{}"), done], "{index}");
    }
}

#[test]
fn repeated_ids_and_names_continue_a_call() {
    let fragment = |text: &str| {
        let function = json!({ "name": "t", "arguments": text });
        delta(json!({ "tool_calls": [{ "index": 0, "id": "a", "function": function }] }))
    };
    let events = read(&[fragment("{\"n\""), fragment(":1}"), finish("tool_calls")]).unwrap();
    assert_eq!(events[..3], [start(0, "a"), arguments(0, "{\"n\""), arguments(0, ":1}")]);
}

#[test]
fn whole_arguments_and_missing_ids_are_taken() {
    let function = json!({ "name": "t", "arguments": { "n": 1 } });
    let events = read(&[delta(json!({ "tool_calls": [{ "function": function }] })), finish("stop")]).unwrap();
    assert!(matches!(&events[0], ModelEvent::ToolCallStart { index: 0, id, .. } if id.starts_with("call_")));
    assert_eq!(events[1], arguments(0, "{\"n\":1}"));
    assert_eq!(events[2], ModelEvent::Done(StopReason::ToolUse), "a wrong reason is put right");
}

#[test]
fn a_fragment_of_no_call_is_refused() {
    let nameless = json!({ "tool_calls": [{ "index": 3, "function": { "arguments": "{}" } }] });
    assert_eq!(read(&[delta(nameless)]).unwrap_err().class, ErrorClass::ServerError);
}

#[test]
fn reasons_are_mapped() {
    let hello = delta(json!({ "content": "hello" }));
    let done = |reason: &str| read(&[hello.clone(), finish(reason)]).map(|mut events| events.pop().unwrap());
    for (reason, stop) in [("stop", StopReason::Stop), ("length", StopReason::Length), ("novel", StopReason::Stop)] {
        assert_eq!(done(reason).unwrap(), ModelEvent::Done(stop), "{reason}");
    }
    assert_eq!(done("content_filter").unwrap_err().class, ErrorClass::Unclassified);
    assert_eq!(done("error").unwrap_err().class, ErrorClass::ServerError);
}

#[test]
fn the_end_needs_a_reason_or_the_mark() {
    let hello = delta(json!({ "content": [{ "type": "text", "text": "hello" }] }));
    assert_eq!(read(std::slice::from_ref(&hello)).unwrap_err().class, ErrorClass::Timeout);
    let events = read(&[hello, json!("[DONE]")]).unwrap();
    assert_eq!(events, [ModelEvent::TextDelta("hello".into()), ModelEvent::Done(StopReason::Stop)]);
}

#[test]
fn other_choices_and_empty_deltas_say_nothing() {
    let other = json!({ "choices": [{ "index": 1, "delta": { "content": "not this" } }] });
    let empty = json!({ "choices": [{ "index": 0, "delta": { "content": null, "tool_calls": null } }], "usage": null });
    let events = read(&[other, empty, delta(json!({ "content": "this" })), finish("stop")]).unwrap();
    assert_eq!(events.len(), 2);
}
