use std::time::Duration;

use serde_json::json;
use supervision::chaos::Fault;
use supervision::tree::Action;

use super::support::Gateway;

#[tokio::test]
async fn a_listener_that_is_restarted_keeps_port_and_sockets() {
    let gateway = Gateway::start().await;
    let mut client = gateway.cli(&["operator.read"]).await;
    gateway.services.tree.act(&gateway.path("control/listener"), Action::Restart).await.unwrap();
    assert_eq!(client.call("health", json!({})).await["ok"], true);
    let mut next = gateway.cli(&["operator.read"]).await;
    assert_eq!(next.call("health", json!({})).await["ok"], true);
    gateway.stop().await;
}

#[tokio::test]
async fn a_fan_out_that_is_restarted_keeps_clients_and_their_presence() {
    let gateway = Gateway::start().await;
    let mut client = gateway.open().await;
    client.connect(super::support::connect_params("test", "test", &[])).await;
    let mut reader = gateway.cli(&["operator.read"]).await;
    gateway.services.tree.act(&gateway.path("control/broadcast"), Action::Restart).await.unwrap();
    let presence = reader.call("system-presence", json!({})).await;
    assert_eq!(presence["payload"].as_array().unwrap().len(), 2, "{presence}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_connection_stopped_by_hand_says_goodbye() {
    let gateway = Gateway::start().await;
    let mut client = gateway.cli(&["operator.admin"]).await;
    let mut other = gateway.cli(&["operator.read"]).await;
    let own = other.call("tree.get", json!({ "path": "root/control/connections" })).await;
    let connections = own["payload"]["children"].as_array().unwrap();
    let theirs = connections.iter().max_by_key(|node| node["id"].as_u64()).unwrap()["path"].clone();
    let acted = client.call("tree.act", json!({ "path": theirs, "action": "stop" })).await;
    assert_eq!(acted["ok"], true);
    assert_eq!(other.close().await, (1012, "service restart".to_owned()));
    assert_eq!(client.call("health", json!({})).await["ok"], true);
    gateway.stop().await;
}

#[tokio::test]
async fn a_listener_that_panics_keeps_port_and_sockets() {
    let gateway = Gateway::start().await;
    let mut client = gateway.cli(&["operator.read"]).await;
    gateway.chaos().inject(gateway.path("control/listener"), Fault::Panic).unwrap();
    // Its next message is this connection, which is lost with it; the one after is served again.
    gateway.knock().await.map(|_| ()).ok();
    let mut next = loop {
        if gateway.knock().await.is_ok() {
            break gateway.cli(&["operator.read"]).await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(next.call("health", json!({})).await["ok"], true);
    assert_eq!(client.call("health", json!({})).await["ok"], true);
    gateway.stop().await;
}

#[tokio::test]
async fn a_connection_that_panics_takes_its_own_socket_only() {
    let gateway = Gateway::start().await;
    let mut other = gateway.cli(&["operator.read"]).await;
    let mut client = gateway.cli(&["operator.read"]).await;
    let below = other.call("tree.get", json!({ "path": "root/control/connections" })).await;
    let nodes = below["payload"]["children"].as_array().unwrap();
    let path = nodes.iter().max_by_key(|node| node["id"].as_u64()).unwrap()["path"].as_str().unwrap();
    gateway.chaos().inject(supervision::ActorPath::parse(path), Fault::Panic).unwrap();
    client.throw(r#"{"type":"req","id":"last","method":"health"}"#).await;
    assert!(client.is_cut_off().await);
    assert_eq!(other.call("health", json!({})).await["ok"], true);
    gateway.stop().await;
}
