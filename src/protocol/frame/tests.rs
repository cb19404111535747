use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn malformed_frames_get_the_known_words() {
    for (text, expected_id, expected) in [
        (r#"{"type":"req","id":"z1"}"#, "z1", "must have required property 'method'"),
        (r#"{"type":"nope"}"#, "invalid", "must have required property 'id'; at /type: must be equal to constant"),
        (r#"{"hello":1}"#, "invalid", "must have required property 'type'; at root: unexpected property 'hello'"),
        (r#"{"type":"req","id":"a","method":"m","x":1}"#, "a", "at root: unexpected property 'x'"),
        (r#"{"type":"req","id":7,"method":"m"}"#, "invalid", "at /id: must be string"),
        ("[1]", "invalid", "must be object"),
    ] {
        let FrameFault::Malformed { id, complaint } = Request::parse(text).unwrap_err() else {
            panic!("{text} is JSON");
        };
        assert_eq!((id.as_str(), complaint.as_str()), (expected_id, expected), "{text}");
    }
    assert_eq!(Request::parse("garbage{"), Err(FrameFault::NotJson));
}

#[test]
fn missing_params_are_an_empty_object() {
    let request = Request::parse(r#"{"type":"req","id":"1","method":"health"}"#).unwrap();
    assert_eq!(request.params, json!({}));
}

#[test]
fn a_long_traceparent_is_refused_and_a_strange_one_is_not() {
    let with = |trace: &str| json!({"type": "req", "id": "1", "method": "m", "traceparent": trace}).to_string();
    assert!(Request::parse(&with("whatever")).is_ok());
    assert!(Request::parse(&with(&"x".repeat(129))).is_err());
}

#[test]
fn a_failed_final_answer_may_carry_payload_and_error() {
    let text = r#"{"type":"res","id":"1","ok":false,"payload":{"status":"error"},"error":{"code":"UNAVAILABLE","message":"no"}}"#;
    let frame = ServerFrame::parse(text).unwrap();
    let ServerFrame::Response(response) = &frame else { panic!("a response") };
    assert!(response.payload.is_some() && response.error.is_some());
    assert_eq!(serde_json::from_str::<Value>(&frame.to_text()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
}

#[test]
fn a_direct_event_has_no_number() {
    let text = ServerFrame::from(Event::direct("connect.challenge", json!({"nonce": "n"}))).to_text();
    assert_eq!(text, r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"n"}}"#);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,6}", inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn parsing_any_text_never_panics(text in ".{0,200}") {
        let _parsed = Request::parse(&text);
        let _parsed = ServerFrame::parse(&text);
    }

    #[test]
    fn parsing_any_json_never_panics(value in any_json(), id in any_json(), method in any_json()) {
        let frame = json!({"type": "req", "id": id, "method": method, "params": value});
        let _parsed = Request::parse(&frame.to_string());
        let _parsed = ServerFrame::parse(&frame.to_string());
    }

    #[test]
    fn requests_survive_the_wire(id in ".{1,20}", method in "[a-z.]{1,30}", params in any_json(), trace in proptest::option::of("[0-9a-f-]{0,100}")) {
        let mut request = Request::new(id, method, params);
        request.traceparent = trace;
        prop_assert_eq!(Request::parse(&request.to_text()), Ok(request));
    }

    #[test]
    fn responses_survive_the_wire(id in ".*", ok: bool, payload in any_json(), message in ".*") {
        // A null payload reads back as none: absence and null mean the same in this protocol.
        let payload = Some(payload).filter(|value| !value.is_null());
        let error = (!ok).then(|| ErrorShape::unavailable(message));
        let frame = ServerFrame::Response(Response { id, ok, payload, error });
        prop_assert_eq!(ServerFrame::parse(&frame.to_text()).unwrap(), frame);
    }
}
