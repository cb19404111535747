use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;

use super::support::{Gateway, connect_params};
use crate::control::{ControlSettings, Phase};

#[tokio::test]
async fn a_command_line_with_the_token_is_told_all_it_needs() {
    let gateway = Gateway::start().await;
    let mut client = gateway.open().await;
    let answer = client.connect(connect_params("cli", "cli", &["operator.read", "operator.admin"])).await;
    let hello = &answer["payload"];
    assert_eq!((&answer["ok"], &hello["type"], &hello["protocol"]), (&json!(true), &json!("hello-ok"), &json!(4)));
    assert_eq!(hello["auth"]["scopes"], json!(["operator.read", "operator.admin"]));
    assert_eq!(hello["auth"]["method"], "token");
    assert_eq!(hello["policy"]["maxPayload"], 26_214_400);
    assert_eq!(hello["snapshot"]["authMode"], "token");
    assert_eq!(hello["snapshot"]["sessionDefaults"]["mainSessionKey"], "agent:main:main");
    assert_eq!(hello["snapshot"]["presence"][0]["mode"], "gateway");
    let methods: Vec<&str> = hello["features"]["methods"].as_array().unwrap().iter().flat_map(Value::as_str).collect();
    for method in ["health", "tree.subscribe", "config.get", "device.pair.list"] {
        assert!(methods.contains(&method), "{method}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn those_who_may_not_read_see_neither_presence_nor_paths() {
    let gateway = Gateway::start().await;
    let mut client = gateway.open().await;
    let answer = client.connect(connect_params("cli", "probe", &["operator.read"])).await;
    let hello = &answer["payload"];
    assert_eq!((&hello["auth"]["scopes"], &hello["snapshot"]["presence"]), (&json!([]), &json!([])));
    assert_eq!((&hello["snapshot"]["configPath"], &hello["snapshot"]["authMode"]), (&Value::Null, &Value::Null));
    gateway.stop().await;
}

#[tokio::test]
async fn a_wrong_token_is_answered_and_closed() {
    let gateway = Gateway::start().await;
    let mut client = gateway.open().await;
    let mut params = connect_params("cli", "cli", &["operator.read"]);
    params["auth"]["token"] = json!("wrong");
    let answer = client.connect(params).await;
    assert_eq!(answer["error"]["details"]["code"], "AUTH_TOKEN_MISMATCH");
    let (code, reason) = client.close().await;
    assert_eq!((code, reason.starts_with("unauthorized: gateway token mismatch")), (1008, true));
    gateway.stop().await;
}

#[tokio::test]
async fn first_frames_that_are_no_connect_close_the_socket() {
    let gateway = Gateway::start().await;
    let mut client = gateway.open().await;
    let answer = client.call("health", json!({})).await;
    let text = "invalid handshake: first request must be connect";
    assert_eq!((&answer["ok"], &answer["error"]["message"]), (&json!(false), &json!(text)));
    assert_eq!(client.close().await, (1008, text.to_owned()));
    for (frame, close) in
        [(r#"{"type":"nope"}"#, (1008, "invalid request frame".to_owned())), ("garbage{", (1000, String::new()))]
    {
        let mut client = gateway.open().await;
        client.send(frame).await;
        assert_eq!(client.close().await, close);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_flood_before_authentication_is_closed_with_1009() {
    let gateway = Gateway::start().await;
    let mut client = gateway.open().await;
    client.throw("x".repeat(300_000)).await;
    assert_eq!(client.close().await, (1009, "preauth payload too large".to_owned()));
    gateway.stop().await;
}

#[tokio::test]
async fn after_authentication_big_frames_are_welcome() {
    let gateway = Gateway::start().await;
    let mut client = gateway.cli(&["operator.read"]).await;
    let answer = client.call("test.echo", json!({ "text": "x".repeat(1_000_000) })).await;
    assert_eq!(answer["payload"]["text"].as_str().unwrap().len(), 1_000_000);
    gateway.stop().await;
}

#[tokio::test]
async fn who_says_nothing_is_closed_without_a_word() {
    let settings = ControlSettings { handshake_timeout: Duration::from_millis(50), ..Default::default() };
    let gateway = Gateway::with(settings).await;
    let mut client = gateway.open().await;
    assert_eq!(client.close().await, (1000, String::new()));
    gateway.stop().await;
}

#[tokio::test]
async fn frames_sent_with_connect_are_answered_after_it_up_to_a_limit() {
    let gateway = Gateway::start().await;
    let mut client = gateway.open().await;
    let connect = client.ask("connect", connect_params("cli", "cli", &["operator.read"])).await;
    let health = client.ask("health", json!({})).await;
    assert_eq!(client.frame().await["id"], connect);
    assert_eq!(client.answer(&health).await["ok"], true);

    let mut client = gateway.open().await;
    let mut wrong = connect_params("cli", "cli", &["operator.read"]);
    // A wrong guess is held back long enough for sixteen frames.
    wrong["auth"]["token"] = json!("wrong");
    client.ask("connect", wrong).await;
    for _ in 0..16 {
        client.throw(r#"{"type":"req","id":"x","method":"health"}"#).await;
    }
    assert_eq!(client.close().await, (1008, "too many pending handshake frames".to_owned()));
    gateway.stop().await;
}

#[tokio::test]
async fn unauthenticated_sockets_of_one_address_are_few() {
    let gateway = Gateway::with(ControlSettings { max_preauth_per_ip: 2, ..Default::default() }).await;
    let first = gateway.open().await;
    let _second = gateway.cli(&["operator.read"]).await;
    let _third = gateway.open().await;
    let Err(Error::Http(response)) = gateway.knock().await.map(|_| ()) else { panic!("a third was let in") };
    assert_eq!(response.status().as_u16(), 503);
    drop(first);
    // The place is free once the socket is gone; the client cannot see when that is.
    for _ in 0..500 {
        if gateway.knock().await.is_ok() {
            return gateway.stop().await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the place never came back");
}

#[tokio::test]
async fn a_gateway_that_starts_says_come_back() {
    let gateway = Gateway::start().await;
    gateway.services.readiness.enter(Phase::Starting);
    let mut client = gateway.open().await;
    let answer = client.connect(connect_params("cli", "cli", &[])).await;
    assert_eq!((&answer["error"]["code"], &answer["error"]["retryAfterMs"]), (&json!("UNAVAILABLE"), &json!(500)));
    assert_eq!(client.close().await, (1013, "gateway starting".to_owned()));
    gateway.stop().await;
}
