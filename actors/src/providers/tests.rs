//! What every wire format must do, tried against the fake model server.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::registry::Api;
use super::*;
use crate::message::{AssistantPart, Message, StopReason, TextPart, Usage, UserContent, UserPart};
use crate::secret::Secret;
use crate::testing::fake_models::{FakeFault, FakeModelServer, FakeTurn};

const BOTH: [&str; 2] = ["openai-completions", "anthropic-messages"];
const KEY: &str = "sk-test-0123456789";

fn install_tls() {
    // Another test of this process may have been first.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// The phase under test is short; the other has room for a busy machine.
fn quick(starts: bool) -> Deadlines {
    let first_byte = if starts { Duration::from_secs(15) } else { Duration::from_millis(300) };
    Deadlines { connect: Duration::from_secs(15), first_byte, idle: Duration::from_secs(1), total: None }
}

fn endpoint(base_url: String, deadlines: Deadlines) -> Endpoint {
    install_tls();
    Endpoint {
        provider: "box".into(),
        base_url,
        headers: vec![("x-extra".into(), Secret::new("yes"))],
        auth_header: None,
        default_max_tokens: 777,
        client: HttpClient::lazy(deadlines.connect, true),
        deadlines,
    }
}

fn ask(model: &str, text: &str) -> ModelRequest {
    ModelRequest { model: model.into(), messages: vec![Message::user(text, 0)], ..ModelRequest::default() }
}

async fn events(api: &str, endpoint: &Endpoint, request: &ModelRequest) -> (Vec<ModelEvent>, Option<ModelError>) {
    let wire = Api::parse(api).unwrap().wire();
    let mut stream = wire.stream(endpoint, Some(&Secret::new(KEY)), request);
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => events.push(event),
            Err(error) => {
                assert!(stream.next().await.is_none(), "nothing follows an error");
                return (events, Some(error));
            }
        }
    }
    (events, None)
}

fn message(events: &[ModelEvent]) -> Message {
    let mut answer = AnswerBuilder::default();
    for event in events {
        answer.push(event);
    }
    let from = Answerer { api: "a".into(), provider: "box".into(), model: "m".into() };
    answer.finish(&from, StopReason::Error, None, 0)
}

#[tokio::test]
async fn text_and_reasoning_stream_and_usage_is_counted() {
    let server = FakeModelServer::start().await.unwrap();
    for api in BOTH {
        server.script([FakeTurn::text("Grüße, one two").thinking("let me see")]);
        let (events, error) = events(api, &endpoint(server.base_url(), Deadlines::default()), &ask("m", "hi")).await;
        assert_eq!(error, None);
        assert!(events.iter().filter(|event| matches!(event, ModelEvent::TextDelta(_))).count() > 1, "{events:?}");
        assert_eq!(events.last(), Some(&ModelEvent::Done(StopReason::Stop)));
        let Message::Assistant { content, usage, .. } = message(&events) else { panic!() };
        assert_eq!(content.len(), 2);
        assert!(matches!(&content[0], AssistantPart::Thinking { thinking, .. } if thinking == "let me see"));
        assert_eq!(content[1], AssistantPart::Text { text: "Grüße, one two".into() });
        let Usage { input, output, cache_read, cache_write, total_tokens, .. } = usage;
        let expected = if api == BOTH[0] { (10, 6, 2, 0, 18) } else { (10, 6, 2, 3, 21) };
        assert_eq!((input, output, cache_read, cache_write, total_tokens), expected);
    }
}

#[tokio::test]
async fn parallel_tool_calls_are_told_apart() {
    let server = FakeModelServer::start().await.unwrap();
    for api in BOTH {
        let turn = FakeTurn::text("looking ").and_call("c1", "clock", json!({})).and_call(
            "c2",
            "read",
            json!({ "path": "größe.txt", "n": [1, 2] }),
        );
        server.script([turn]);
        let (events, error) = events(api, &endpoint(server.base_url(), Deadlines::default()), &ask("m", "hi")).await;
        assert_eq!(error, None);
        assert_eq!(events.last(), Some(&ModelEvent::Done(StopReason::ToolUse)));
        let Message::Assistant { content, .. } = message(&events) else { panic!() };
        let call = |id: &str, name: &str, arguments: Value| AssistantPart::ToolCall {
            id: id.into(),
            name: name.into(),
            arguments,
        };
        assert_eq!(
            content[1..],
            [call("c1", "clock", json!({})), call("c2", "read", json!({ "path": "größe.txt", "n": [1, 2] }))]
        );
    }
}

#[tokio::test]
async fn bytes_split_anywhere_make_no_difference() {
    let server = FakeModelServer::start().await.unwrap();
    for api in BOTH {
        let request = ask("fault-split", "hi");
        let (events, error) = events(api, &endpoint(server.base_url(), Deadlines::default()), &request).await;
        assert_eq!(error, None);
        assert_eq!(message(&events).text(), "Grüße von 🦞, one two three four five six");
    }
}

#[tokio::test]
async fn refusals_are_classified_and_name_no_key() {
    let server = FakeModelServer::start().await.unwrap();
    for api in BOTH {
        for (turn, class, retry_after) in [
            (FakeTurn::status(401), ErrorClass::Auth, None),
            (FakeTurn::status(404), ErrorClass::ModelNotFound, None),
            (FakeTurn::status(429).retry_after(7), ErrorClass::RateLimit, Some(7)),
            (FakeTurn::refusal(429, "insufficient_quota", "pay"), ErrorClass::Billing, None),
            (FakeTurn::status(500), ErrorClass::ServerError, None),
            (FakeTurn::status(529), ErrorClass::Overloaded, None),
            (FakeTurn::refusal(400, "invalid_request_error", "prompt is too long"), ErrorClass::ContextOverflow, None),
            (FakeTurn::refusal(400, "invalid_request_error", KEY), ErrorClass::Format, None),
        ] {
            server.script([turn]);
            let (events, error) = events(api, &endpoint(server.base_url(), Deadlines::default()), &ask("m", "x")).await;
            assert!(events.is_empty());
            let error = error.unwrap();
            assert_eq!((error.class, error.retry_after.map(|after| after.as_secs())), (class, retry_after), "{api}");
            assert!(!format!("{error:?}").contains(KEY), "{error:?}");
        }
    }
}

#[tokio::test]
async fn silence_and_cuts_end_as_timeouts_within_the_deadline() {
    let server = FakeModelServer::start().await.unwrap();
    for api in BOTH {
        for (model, some_events) in
            [("fault-hang", false), ("fault-keepalive", false), ("fault-hang-stream", true), ("fault-cut", true)]
        {
            let (endpoint, request) = (endpoint(server.base_url(), quick(some_events)), ask(model, "x"));
            let call = events(api, &endpoint, &request);
            let (events, error) = tokio::time::timeout(Duration::from_secs(20), call).await.unwrap();
            assert_eq!(error.unwrap().class, ErrorClass::Timeout, "{api} {model}");
            assert_eq!(!events.is_empty(), some_events, "{api} {model}");
        }
    }
}

#[tokio::test]
async fn total_deadline_ends_an_answer_that_always_moves() {
    let server = FakeModelServer::start().await.unwrap();
    for api in BOTH {
        let words = "word ".repeat(2000);
        server.script([FakeTurn::text(words).pace(Duration::from_millis(20))]);
        let deadlines = Deadlines { total: Some(Duration::from_millis(300)), ..Deadlines::default() };
        let (_, error) = events(api, &endpoint(server.base_url(), deadlines), &ask("m", "x")).await;
        assert_eq!(error.unwrap().class, ErrorClass::Timeout, "{api}");
    }
}

#[tokio::test]
async fn broken_events_and_errors_inside_the_stream_are_told() {
    let server = FakeModelServer::start().await.unwrap();
    for api in BOTH {
        let endpoint = endpoint(server.base_url(), Deadlines::default());
        for (model, class) in [
            ("fault-malformed", ErrorClass::ServerError),
            ("fault-error", ErrorClass::Overloaded),
            ("fault-empty", ErrorClass::EmptyResponse),
        ] {
            let (_, error) = events(api, &endpoint, &ask(model, "x")).await;
            assert_eq!(error.map(|error| error.class), Some(class), "{api} {model}");
        }
    }
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let server = FakeModelServer::start().await.unwrap();
    for (calls, api) in BOTH.iter().enumerate() {
        let endpoint = endpoint(server.base_url(), Deadlines::default());
        let mut stream = Api::parse(api).unwrap().wire().stream(&endpoint, None, &ask("fault-hang-stream", "x"));
        assert!(stream.next().await.unwrap().is_ok());
        drop(stream);
        tokio::time::timeout(Duration::from_secs(20), server.wait_until(|seen| seen.left > calls)).await.unwrap();
    }
}

#[tokio::test]
async fn an_unreachable_provider_is_a_timeout_not_a_panic() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/v1", listener.local_addr().unwrap())
    };
    for (base_url, class) in [(closed, ErrorClass::Timeout), ("not an address".into(), ErrorClass::Unknown)] {
        for api in BOTH {
            let (_, error) = events(api, &endpoint(base_url.clone(), quick(false)), &ask("m", "x")).await;
            assert_eq!(error.unwrap().class, class, "{base_url}");
        }
    }
}

fn history() -> Vec<Message> {
    let assistant = |content, api: &str| Message::Assistant {
        content,
        api: api.into(),
        provider: "box".into(),
        model: "m".into(),
        usage: Usage::default(),
        stop_reason: StopReason::ToolUse,
        error_message: None,
        timestamp: 0,
    };
    let thinking = |signature: Option<&str>| AssistantPart::Thinking {
        thinking: "hm".into(),
        thinking_signature: signature.map(str::to_owned),
    };
    let call = |id: &str| AssistantPart::ToolCall { id: id.into(), name: "clock".into(), arguments: json!({}) };
    let image = UserPart::Image { data: "AAAA".into(), mime_type: "image/png".into() };
    let parts = UserContent::Parts(vec![UserPart::Text { text: "see".into() }, image]);
    vec![
        Message::user("one", 0),
        Message::User { content: parts, timestamp: 0, idempotency_key: None },
        assistant(vec![thinking(Some("sig")), thinking(None), call("a|1"), call("b")], "anthropic-messages"),
        Message::ToolResult {
            tool_call_id: "b".into(),
            tool_name: "clock".into(),
            content: vec![TextPart { text: "noon".into() }],
            details: Some(json!({ "secret": "never sent" })),
            is_error: false,
            timestamp: 0,
        },
        Message::user("steered", 0),
    ]
}

async fn sent(api: &str, request: &ModelRequest) -> crate::testing::fake_models::FakeRequest {
    let server = FakeModelServer::start().await.unwrap();
    let (_, error) = events(api, &endpoint(server.base_url(), Deadlines::default()), request).await;
    assert_eq!(error, None);
    server.requests().remove(0)
}

fn full_request() -> ModelRequest {
    ModelRequest {
        model: "m".into(),
        system: Some("be brief".into()),
        messages: history(),
        tools: vec![ToolSpec {
            name: "clock".into(),
            description: "time".into(),
            parameters: json!({ "type": "object", "properties": {} }),
        }],
        max_tokens: Some(99),
        ..ModelRequest::default()
    }
}

#[tokio::test]
async fn chat_completions_request_has_the_formats_shape() {
    let request = sent(BOTH[0], &full_request()).await;
    assert_eq!(request.path, "/v1/chat/completions");
    assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(request.header("x-extra"), Some("yes"));
    let body = &request.body;
    assert_eq!(body["stream"], true);
    assert_eq!(body["stream_options"]["include_usage"], true);
    assert_eq!(body["max_tokens"], 99);
    assert_eq!(body["tools"][0]["function"]["name"], "clock");
    let call = |id: &str| json!({ "id": id, "type": "function", "function": { "name": "clock", "arguments": "{}" } });
    let missing = body["messages"][4]["content"].as_str().unwrap();
    assert!(missing.contains("No result"));
    assert_eq!(
        body["messages"],
        json!([
            { "role": "system", "content": "be brief" },
            { "role": "user", "content": "one" },
            { "role": "user", "content": [
                { "type": "text", "text": "see" },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } },
            ] },
            { "role": "assistant", "content": null, "tool_calls": [call("a_1"), call("b")] },
            { "role": "tool", "tool_call_id": "a_1", "content": missing },
            { "role": "tool", "tool_call_id": "b", "content": "noon" },
            { "role": "user", "content": "steered" },
        ])
    );
}

#[tokio::test]
async fn reasoning_is_given_back_only_within_the_same_turn_of_the_same_model() {
    let mut request = full_request();
    request.messages.truncate(4);
    let body = sent(BOTH[0], &request).await.body;
    assert_eq!(body["messages"][3]["reasoning_content"], "hmhm");
    request.model = "other".into();
    let body = sent(BOTH[0], &request).await.body;
    assert_eq!(body["messages"][3]["reasoning_content"], Value::Null);
}

#[tokio::test]
async fn messages_request_has_the_formats_shape() {
    let request = sent(BOTH[1], &full_request()).await;
    assert_eq!(request.path, "/v1/messages");
    assert_eq!(request.header("x-api-key"), Some(KEY));
    assert_eq!(request.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(request.header("authorization"), None);
    let body = &request.body;
    assert_eq!((&body["max_tokens"], &body["stream"]), (&json!(99), &json!(true)));
    let cache = json!({ "type": "ephemeral" });
    assert_eq!(body["system"], json!([{ "type": "text", "text": "be brief", "cache_control": cache }]));
    assert_eq!(body["tools"][0]["input_schema"]["type"], "object");
    let missing = body["messages"][2]["content"][0]["content"].as_str().unwrap();
    let call = |id: &str| json!({ "type": "tool_use", "id": id, "name": "clock", "input": {} });
    let result = |id: &str, text: &str, is_error: bool| json!({ "type": "tool_result", "tool_use_id": id, "content": text, "is_error": is_error });
    assert_eq!(
        body["messages"],
        json!([
            { "role": "user", "content": [
                { "type": "text", "text": "one" },
                { "type": "text", "text": "see" },
                { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "AAAA" } },
            ] },
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "hm", "signature": "sig" }, call("a_1"), call("b"),
            ] },
            { "role": "user", "content": [
                result("a_1", missing, true),
                result("b", "noon", false),
                { "type": "text", "text": "steered", "cache_control": cache },
            ] },
        ])
    );
}

#[tokio::test]
async fn messages_request_starts_with_a_user_and_leaves_unsigned_reasoning_out() {
    let mut request = full_request();
    request.max_tokens = None;
    request.messages.drain(..2);
    if let Message::Assistant { content, api, .. } = &mut request.messages[0] {
        content.truncate(2);
        *api = "openai-completions".into();
    }
    let body = sent(BOTH[1], &request).await.body;
    assert_eq!(body["max_tokens"], 777);
    assert_eq!(body["messages"][0]["role"], "user");
    assert_eq!(
        body["messages"][1],
        json!({
            "role": "assistant", "content": [{ "type": "text", "text": "(reasoning left out)" }],
        })
    );
}

#[tokio::test]
async fn credential_headers_follow_the_configuration() {
    let server = FakeModelServer::start().await.unwrap();
    for (api, auth_header, bearer, own) in [
        (BOTH[0], Some(false), false, false),
        (BOTH[1], Some(true), true, false),
        (BOTH[1], Some(false), false, false),
        (BOTH[1], None, false, true),
    ] {
        let endpoint = Endpoint { auth_header, ..endpoint(server.base_url(), Deadlines::default()) };
        let (_, error) = events(api, &endpoint, &ask("m", "x")).await;
        assert_eq!(error, None);
        let request = server.requests().pop().unwrap();
        assert_eq!(request.header("authorization").is_some(), bearer, "{api} {auth_header:?}");
        assert_eq!(request.header("x-api-key").is_some(), own, "{api} {auth_header:?}");
    }
}

#[tokio::test]
async fn a_scripted_fault_of_the_fake_is_told_apart_from_an_answer() {
    let server = FakeModelServer::start().await.unwrap();
    server.script([FakeTurn::text("x").fault(FakeFault::HangBeforeHeaders), FakeTurn::text("after")]);
    let hung = endpoint(server.base_url(), quick(false));
    let (_, error) = events(BOTH[0], &hung, &ask("m", "x")).await;
    assert!(error.is_some());
    let well = endpoint(server.base_url(), quick(true));
    let (events, error) = events(BOTH[0], &well, &ask("m", "x")).await;
    assert_eq!((message(&events).text(), error), ("after".to_owned(), None));
}
