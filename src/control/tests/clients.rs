use std::time::Duration;

use serde_json::{Value, json};
use supervision::tree::Action;
use supervision::{ChildSpec, DynamicOptions, Redaction, SupervisorSlot};

use super::support::{Client, Gateway, connect_params};
use crate::client::{DeviceIdentity, ProofVersion};
use crate::control::{ControlSettings, Outgoing, drain};
use crate::protocol::ConnectParams;

/// A client that proves to be a device, let in.
async fn device(gateway: &Gateway, identity: &DeviceIdentity, scopes: &[&str]) -> (Client, Value) {
    let mut client = gateway.open().await;
    let mut params = ConnectParams::parse(connect_params("openclaw-tui", "ui", scopes)).unwrap();
    let now = gateway.services.clock.now_ms();
    identity.prove(&mut params, &client.nonce, now, ProofVersion::V3);
    let hello = client.connect(serde_json::to_value(&params).unwrap()).await;
    (client, hello)
}

#[tokio::test]
async fn ticks_come_numbered_from_one_without_gaps() {
    let gateway =
        Gateway::with(ControlSettings { tick_interval: Duration::from_millis(20), ..Default::default() }).await;
    let mut client = gateway.cli(&[]).await;
    for seq in 1..=4 {
        let event = client.frame().await;
        assert_eq!(event["seq"], seq, "{event}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_closed_and_others_are_not() {
    let settings =
        ControlSettings { max_buffered_bytes: 500_000, close_grace: Duration::from_secs(20), ..Default::default() };
    let gateway = Gateway::with(settings).await;
    let mut slow = gateway.cli(&["operator.read"]).await;
    let mut other = gateway.cli(&["operator.read"]).await;
    slow.ask("test.flood", json!({})).await;
    assert_eq!(other.call("health", json!({})).await["ok"], true);
    assert_eq!(slow.close().await, (1008, "slow consumer".to_owned()));
    assert_eq!(other.call("health", json!({})).await["ok"], true);
    gateway.stop().await;
}

#[tokio::test]
async fn a_device_of_this_machine_is_paired_silently_and_listed_without_its_token() {
    let gateway = Gateway::start().await;
    let identity = DeviceIdentity::generate().unwrap();
    let (mut client, hello) = device(&gateway, &identity, &["operator.read", "operator.pairing"]).await;
    let token = hello["payload"]["auth"]["deviceToken"].as_str().unwrap().to_owned();
    assert_eq!(client.next_event("presence").await["payload"]["presence"][1]["reason"], "connect");
    let listed = client.call("device.pair.list", json!({})).await;
    let paired = &listed["payload"]["paired"][0];
    assert_eq!((&paired["deviceId"], &paired["connected"]), (&json!(identity.id()), &json!(true)));
    assert!(!listed.to_string().contains(&token));
    let answer = client.call("device.pair.remove", json!({ "deviceId": identity.id() })).await;
    assert_eq!(answer["payload"]["deviceId"], identity.id());
    assert_eq!(client.close().await, (4001, "client invalidated: device removed".to_owned()));
    gateway.stop().await;
}

#[tokio::test]
async fn the_same_device_gets_the_same_token_again() {
    let gateway = Gateway::start().await;
    let identity = DeviceIdentity::generate().unwrap();
    let token = |hello: &Value| hello["payload"]["auth"]["deviceToken"].as_str().unwrap().to_owned();
    let (_first, hello) = device(&gateway, &identity, &["operator.read"]).await;
    let (_second, again) = device(&gateway, &identity, &["operator.read"]).await;
    assert_eq!(token(&hello), token(&again));
    gateway.services.tree.act(&gateway.path("control/devices"), Action::Restart).await.unwrap();
    let (_third, kept) = device(&gateway, &identity, &["operator.read"]).await;
    assert_eq!(token(&hello), token(&kept));
    gateway.stop().await;
}

#[tokio::test]
async fn events_reach_those_who_may_see_them_before_an_answer_that_waits_for_them() {
    let gateway = Gateway::start().await;
    let mut reader = gateway.cli(&["operator.read"]).await;
    let mut blind = gateway.cli(&["operator.pairing"]).await;
    gateway.services.broadcast.publish(Outgoing::new("chat", json!({ "n": 1 })).about("agent:main:main"));
    gateway.services.broadcast.settle().await;
    gateway.services.broadcast.publish(Outgoing::new("shutdown", json!({ "reason": "test" })));
    assert_eq!(reader.next_event("chat").await["payload"]["n"], 1);
    loop {
        let frame = blind.frame().await;
        assert_ne!(frame["event"], "chat");
        if frame["event"] == "shutdown" {
            break;
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn another_token_sends_those_away_who_came_by_the_old_one() {
    let gateway = Gateway::start().await;
    let identity = DeviceIdentity::generate().unwrap();
    let (_first, hello) = device(&gateway, &identity, &["operator.read"]).await;
    let mut params = connect_params("openclaw-tui", "ui", &["operator.read"]);
    params["auth"] = json!({ "deviceToken": hello["payload"]["auth"]["deviceToken"] });
    let mut by_device = gateway.open().await;
    let mut params = ConnectParams::parse(params).unwrap();
    identity.prove(&mut params, &by_device.nonce, gateway.services.clock.now_ms(), ProofVersion::V3);
    let hello = by_device.connect(serde_json::to_value(&params).unwrap()).await;
    assert_eq!(hello["payload"]["auth"]["method"], "device-token");
    let mut by_token = gateway.cli(&["operator.read"]).await;
    gateway.reconfigure(r#"{ gateway: { auth: { token: "another" } } }"#).await;
    assert_eq!(by_token.close().await, (4001, "gateway auth changed".to_owned()));
    let changed = by_device.next_event("config.changed").await;
    assert!(changed["payload"]["hash"].is_string());
    gateway.stop().await;
}

#[tokio::test]
async fn a_follower_of_the_tree_sees_an_actor_come_and_go() {
    let gateway = Gateway::start().await;
    let mut client = gateway.cli(&["operator.read"]).await;
    let subscribed = client.call("tree.subscribe", json!({})).await;
    let mut seq = subscribed["payload"]["seq"].as_u64().unwrap();
    let other = gateway.cli(&["operator.read"]).await;
    let mut drop_other = Some(other);
    let (mut added, mut removed) = (None, false);
    while !removed {
        let delta = client.next_event("tree.delta").await["payload"].clone();
        if delta.get("ops").is_none() {
            assert_eq!(delta["seq"], seq, "counters have no number of their own");
            continue;
        }
        seq += 1;
        assert_eq!((&delta["seq"], &delta["epoch"]), (&json!(seq), &subscribed["payload"]["epoch"]));
        for op in delta["ops"].as_array().unwrap() {
            if op["op"] == "add" && op["node"]["kind"] == "connection" {
                added = Some(op["node"]["id"].clone());
                drop(drop_other.take());
            }
            removed |= op["op"] == "remove" && Some(&op["id"]) == added.as_ref();
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_tree_can_be_asked_and_acted_on() {
    let gateway = Gateway::start().await;
    let mut client = gateway.cli(&["operator.admin"]).await;
    let got = client.call("tree.get", json!({ "path": "root/control" })).await;
    let names: Vec<&str> =
        got["payload"]["children"].as_array().unwrap().iter().flat_map(|node| node["name"].as_str()).collect();
    assert_eq!(names, ["devices", "broadcast", "connections", "listener"]);
    let acted = client.call("tree.act", json!({ "path": "root/control/broadcast", "action": "restart" })).await;
    assert_eq!(acted["payload"], json!({ "ok": true, "path": "root/control/broadcast", "action": "restart" }));
    let history = client.call("tree.history", json!({ "path": "root/control/broadcast" })).await;
    assert_eq!(history["payload"]["exits"].as_array().unwrap().len(), 1);
    let missing = client.call("tree.get", json!({ "path": "root/none" })).await;
    assert_eq!(missing["error"]["message"], "no actor at root/none");
    gateway.stop().await;
}

/// A session of somebody, as far as the tree is concerned.
fn session(id: &str) -> ChildSpec {
    let (id, text) = (id.to_owned(), id.to_owned());
    let spec = ChildSpec::task(id.clone(), "session", move |ctx| {
        ctx.set_detail("with", text.clone());
        ctx.set_busy(Some(text.clone()));
        std::future::pending()
    });
    spec.label(id).redact(Redaction::Personal)
}

#[tokio::test]
async fn names_of_people_are_for_administrators() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.cli(&["operator.admin"]).await;
    let mut reader = gateway.cli(&["operator.read"]).await;
    reader.call("tree.subscribe", json!({})).await;
    gateway.root().start_child(session("agent:main:somebody")).await.unwrap();
    let added = loop {
        let delta = reader.next_event("tree.delta").await;
        assert!(!delta.to_string().contains("somebody"), "{delta}");
        let ops = delta["payload"]["ops"].as_array().cloned().unwrap_or_default();
        if let Some(op) = ops.into_iter().find(|op| op["op"] == "add" && op["node"]["kind"] == "session") {
            break op["node"].clone();
        }
    };
    let snapshot = reader.call("tree.snapshot", json!({ "kinds": ["session"] })).await;
    assert!(!snapshot.to_string().contains("somebody"), "{snapshot}");
    let node = &snapshot["payload"]["nodes"][0];
    assert_eq!((&node["path"], &node["personal"]), (&added["path"], &json!(true)));
    assert!(node["name"].as_str().unwrap().starts_with("session-"));
    assert_eq!(
        (&node["label"], &node["detail"], &node["busy"]["what"]),
        (&node["name"], &json!({}), &json!("withheld"))
    );
    let got = reader.call("tree.get", json!({ "path": node["path"] })).await;
    assert_eq!(got["payload"]["node"]["id"], node["id"]);
    let guessed = reader.call("tree.get", json!({ "path": "root/agent:main:somebody" })).await;
    assert_eq!(guessed["error"]["message"], "no actor at root/agent:main:somebody");
    let seen = admin.call("tree.get", json!({ "path": "root/agent:main:somebody" })).await;
    assert_eq!(seen["payload"]["node"]["detail"]["with"], "agent:main:somebody");
    assert_eq!(seen["payload"]["node"]["id"], node["id"]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_part_of_the_tree_is_shown_and_followed() {
    let gateway = Gateway::start().await;
    let mut client = gateway.cli(&["operator.admin"]).await;
    let slot = SupervisorSlot::new();
    let many = ChildSpec::dynamic("many", "supervisor", &slot, DynamicOptions::default());
    gateway.root().start_child(many).await.unwrap();
    for n in 0..5 {
        slot.handle().start_child(session(&format!("s{n}"))).await.unwrap();
    }
    let all = client.call("tree.snapshot", json!({ "root": "root/many", "summarise": { "over": 3, "top": 1 } })).await;
    let all = &all["payload"];
    assert_eq!(all["nodes"].as_array().unwrap().len(), 1);
    let summary = &all["summaries"][0];
    assert_eq!((&summary["children"], &summary["states"]), (&json!(5), &json!({ "running": 5 })));
    assert_eq!(summary["top"][0]["name"], "s0");
    let page = client.call("tree.get", json!({ "path": "root/many", "limit": 2 })).await["payload"].clone();
    let rest = client.call("tree.get", json!({ "path": "root/many", "after": page["next"] })).await["payload"].clone();
    let names =
        |page: &Value| page["children"].as_array().unwrap().iter().map(|n| n["name"].clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(&page), names(&rest)),
        (vec![json!("s0"), json!("s1")], vec![json!("s2"), json!("s3"), json!("s4")])
    );
    assert!(rest.get("next").is_none());
    let wrong = client.call("tree.snapshot", json!({ "states": ["happy"] })).await;
    assert_eq!(wrong["error"]["code"], "INVALID_REQUEST");
    // What happens elsewhere is not told; the numbers go on all the same.
    let view = json!({ "root": "root/many/s1", "epoch": all["epoch"], "seq": all["seq"] });
    client.call("tree.subscribe", view).await;
    slot.handle().start_child(session("s5")).await.unwrap();
    slot.handle().terminate_child(&"s1".into()).await.unwrap();
    let mut last = all["seq"].as_u64().unwrap();
    loop {
        let delta = client.next_event("tree.delta").await["payload"].clone();
        assert_eq!(delta.get("reset"), None);
        let Some(ops) = delta["ops"].as_array() else { continue };
        assert!(delta["prevSeq"].as_u64().unwrap() <= last && last < delta["seq"].as_u64().unwrap());
        last = delta["seq"].as_u64().unwrap();
        assert!(ops.iter().all(|op| op["id"] == summary["top"][0]["id"].as_u64().unwrap() + 1), "{ops:?}");
        if ops.iter().any(|op| op["op"] == "remove" || op["fields"]["state"] == "exited") {
            break;
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_drain_says_goodbye_to_everybody_and_refuses_the_next() {
    let gateway = Gateway::start().await;
    let mut client = gateway.cli(&["operator.read"]).await;
    let mut waiting = gateway.open().await;
    let drained = drain(&gateway.services, "restart", Some(Duration::from_secs(2)), Duration::from_secs(20));
    let (left, ()) = tokio::join!(drained, async {
        let event = client.next_event("shutdown").await;
        assert_eq!(event["payload"], json!({ "reason": "restart", "restartExpectedMs": 2000 }));
        assert_eq!(client.close().await, (1012, "service restart".to_owned()));
        assert_eq!(waiting.close().await.0, 1012);
    });
    assert_eq!(left, 0);
    assert!(gateway.knock().await.is_err());
    gateway.stop().await;
}
