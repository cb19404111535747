use serde_json::{Value, json};

use super::support::{Gateway, unique};
use crate::control::ControlSettings;

#[tokio::test]
async fn malformed_frames_are_answered_and_garbage_is_ignored() {
    let gateway = Gateway::start().await;
    let mut client = gateway.cli(&["operator.read"]).await;
    client.send(r#"{"type":"req","id":"z1"}"#).await;
    let answer = client.answer("z1").await;
    assert_eq!(answer["error"]["message"], "invalid request frame: must have required property 'method'");
    client.send(r#"{"type":"nope"}"#).await;
    assert_eq!(client.answer("invalid").await["error"]["code"], "INVALID_REQUEST");
    client.send("garbage{").await;
    assert_eq!(client.call("health", json!({})).await["ok"], true);
    gateway.stop().await;
}

#[tokio::test]
async fn methods_are_judged_by_scope_role_and_existence() {
    let gateway = Gateway::start().await;
    let mut reader = gateway.cli(&["operator.read"]).await;
    let mut admin = gateway.cli(&["operator.admin"]).await;
    let refused = reader.call("no.such.method", json!({})).await;
    assert_eq!(refused["error"]["details"]["missingScope"], "operator.admin");
    let unknown = admin.call("no.such.method", json!({})).await;
    assert_eq!(unknown["error"]["message"], "unknown method: no.such.method");
    let refused = reader.call("tree.act", json!({})).await;
    assert_eq!(refused["error"]["code"], "FORBIDDEN");
    let invalid = reader.call("agents.list", json!({ "bogus": 1 })).await;
    assert_eq!(invalid["error"]["message"], "invalid agents.list params: at root: unexpected property 'bogus'");
    for _ in 0..11 {
        let refused = reader.call("node.event", json!({})).await;
        assert_eq!(refused["error"]["message"], "unauthorized role: operator");
    }
    assert_eq!(reader.close().await, (1008, "repeated unauthorized calls".to_owned()));
    gateway.stop().await;
}

#[tokio::test]
async fn health_is_for_everybody_even_without_scopes() {
    let gateway = Gateway::start().await;
    let mut client = gateway.open().await;
    client.connect(super::support::connect_params("cli", "probe", &[])).await;
    let health = client.call("health", json!({})).await;
    assert_eq!((&health["ok"], &health["payload"]["ok"]), (&json!(true), &json!(true)));
    assert_eq!(client.call("status", json!({})).await["error"]["code"], "FORBIDDEN");
    gateway.stop().await;
}

#[tokio::test]
async fn ordered_requests_wait_for_each_other_and_others_do_not() {
    let gateway = Gateway::start().await;
    let mut client = gateway.cli(&["operator.read"]).await;
    let gate = unique("gate");
    let first = client.ask("test.wait", json!({ "gate": gate })).await;
    let second = client.ask("test.ordered", json!({})).await;
    let third = client.ask("test.ordered", json!({})).await;
    assert_eq!(client.call("test.echo", json!({ "n": 4 })).await["payload"]["n"], 4);
    let release = client.ask("test.release", json!({ "gate": gate })).await;
    let mut order = Vec::new();
    while order.len() < 3 {
        let id = client.frame().await["id"].clone();
        if id.is_string() && id != release {
            order.push(id);
        }
    }
    assert_eq!(order, [first, second, third].map(Value::from));
    gateway.stop().await;
}

#[tokio::test]
async fn a_panicking_handler_is_an_answer_and_nothing_else_ends() {
    let gateway = Gateway::start().await;
    let mut client = gateway.cli(&["operator.read"]).await;
    let gate = unique("gate");
    let waiting = client.ask("test.wait", json!({ "gate": gate })).await;
    let answer = client.call("test.panic", json!({})).await;
    assert_eq!(
        (&answer["error"]["code"], &answer["error"]["message"]),
        (&json!("UNAVAILABLE"), &json!("test.panic failed: on purpose"))
    );
    client.ask("test.release", json!({ "gate": gate })).await;
    assert_eq!(client.answer(&waiting).await["ok"], true);
    gateway.stop().await;
}

#[tokio::test]
async fn two_stage_methods_answer_twice_with_one_id() {
    let gateway = Gateway::start().await;
    let mut client = gateway.cli(&["operator.read"]).await;
    let id = client.ask("test.twice", json!({})).await;
    assert_eq!(client.answer(&id).await["payload"]["status"], "accepted");
    let last = client.answer(&id).await;
    assert_eq!((&last["ok"], &last["payload"]["status"]), (&json!(false), &json!("error")));
    assert_eq!(last["error"]["message"], "the second answer");
    let id = client.ask("test.twice.panic", json!({})).await;
    assert_eq!(client.answer(&id).await["ok"], true);
    assert_eq!(client.answer(&id).await["error"]["message"], "test.twice.panic failed: later");
    gateway.stop().await;
}

#[tokio::test]
async fn too_many_requests_at_once_are_refused_as_busy() {
    let gateway = Gateway::with(ControlSettings { max_waiting_requests: 2, ..Default::default() }).await;
    let mut client = gateway.cli(&["operator.read"]).await;
    let gate = unique("gate");
    let first = client.ask("test.wait", json!({ "gate": gate })).await;
    let second = client.ask("test.ordered", json!({})).await;
    let busy = client.call("test.release", json!({ "gate": gate })).await;
    assert_eq!((&busy["error"]["code"], &busy["error"]["retryable"]), (&json!("UNAVAILABLE"), &json!(true)));
    let mut other = gateway.cli(&["operator.read"]).await;
    other.call("test.release", json!({ "gate": gate })).await;
    assert_eq!(client.answer(&first).await["ok"], true);
    assert_eq!(client.answer(&second).await["ok"], true);
    gateway.stop().await;
}

#[tokio::test]
async fn control_plane_writes_have_a_budget() {
    let gateway = Gateway::start().await;
    let mut client = gateway.cli(&["operator.admin"]).await;
    for _ in 0..30 {
        assert_eq!(client.call("test.write", json!({})).await["ok"], true);
    }
    let spent = client.call("test.write", json!({})).await;
    assert_eq!(spent["error"]["details"]["limit"], "30 per 60s");
    gateway.stop().await;
}

#[tokio::test]
async fn reads_answer_in_their_shapes() {
    let gateway = Gateway::start().await;
    let mut client = gateway.cli(&["operator.admin"]).await;
    for (method, params, key) in [
        ("status", json!({}), "runtimeVersion"),
        ("agents.list", json!({}), "agents"),
        ("models.list", json!({ "includeDetails": true }), "models"),
        ("channels.status", json!({ "probe": false }), "channelAccounts"),
        ("config.get", json!({}), "configRevisionHash"),
        ("logs.tail", json!({}), "lines"),
        ("device.pair.list", json!({}), "paired"),
        ("tree.snapshot", json!({}), "nodes"),
        ("mentions.list", json!({}), "items"),
        ("board.get", json!({ "sessionKey": "agent:main:main" }), "widgets"),
    ] {
        let answer = client.call(method, params).await;
        assert!(answer["payload"].get(key).is_some(), "{method}: {answer}");
    }
    let presence = client.call("system-presence", json!({})).await;
    assert_eq!(presence["payload"][0]["reason"], "self");
    let config = client.call("config.get", json!({})).await.to_string();
    assert!(!config.contains(super::support::TOKEN));
    gateway.stop().await;
}

#[tokio::test]
async fn every_read_for_nothing_answers_something() {
    let gateway = Gateway::start().await;
    let mut client = gateway.cli(&["operator.admin"]).await;
    for method in crate::control::rpc::shell::METHODS {
        let mut params = json!({});
        for key in method.params.unwrap().required {
            params[*key] = match *key {
                "visible" => json!(true),
                "sessionKeys" => json!([]),
                _ => json!("agent:main:main"),
            };
        }
        let answer = client.call(method.name, params).await;
        assert_eq!(answer["ok"], true, "{answer}");
    }
    gateway.stop().await;
}
