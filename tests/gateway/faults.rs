//! A part fails while others are at work: it comes back, says what happened, and nobody loses anything.

mod classes;
mod field;
mod supervisors;

use actors::testing::telegram::FakeTelegram;
use serde_json::json;
use supervision::ActorPath;
use supervision::chaos::Fault;

use crate::support::gateway::{PATIENCE, line, lines, said, send, text_of, transcript_file};
use field::{Field, SLOW, STREAMS, reconnect};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_panics_resumes_its_run() {
    let field = Field::start().await;
    let path =
        field.gateway.nodes("session").iter().find(|node| node.name == "agent:main:k2").unwrap().path.to_string();
    let before = field.strike(&path);
    // Its next message; answered all the same, behind the run.
    let answer = send(&field.client, "k2", "extra", "extra").await;
    assert_eq!(answer["status"], "started");
    field.back(&path, before).await;
    field.ended_well().await;
    assert_eq!(text_of(&field.witness.end_of("extra").await["message"]), SLOW);
    assert_eq!(field.witness.ends("run-2-0"), 1);
    let Field { gateway, .. } = field;
    let (_, home) = gateway.stop(PATIENCE).await;
    let file = lines(&transcript_file(home.path(), "k2"));
    let expected = [line("user", "run-2-0"), line("assistant", SLOW), line("user", "extra"), line("assistant", SLOW)];
    assert_eq!(said(&file), expected);
    assert!(file.iter().any(|line| line["customType"] == "openclawd.run-resumed"), "{file:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_panics_is_tried_again_and_answers_once() {
    let field = Field::start().await;
    let runs = field.gateway.nodes("run");
    assert_eq!(runs.len(), STREAMS);
    let path = runs.iter().find(|node| node.name == "run:run-3-0").unwrap().path.to_string();
    field.gateway.chaos().inject(ActorPath::parse(&path), Fault::Panic).unwrap();
    field
        .gateway
        .tree_until("the second attempt", |gateway| {
            let node = gateway.node(&path)?;
            (node.detail.get("attempt").map(String::as_str) == Some("2")).then_some(())
        })
        .await;
    field.ended_well().await;
    assert_eq!(field.witness.ends("run-3-0"), 1);
    let session = field.gateway.nodes("session").into_iter().find(|node| node.name == "agent:main:k3").unwrap();
    assert_eq!(session.restarts, 0, "its session goes on");
    field.all_complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_always_panics_is_given_up_and_frees_its_session() {
    let field = Field::start().await;
    let path = format!("{}/run:run-1-0", field.session("k1"));
    // A fault belongs to its path: each attempt meets one.
    for _ in 0..3 {
        field.gateway.chaos().inject(ActorPath::parse(&path), Fault::Panic).unwrap();
    }
    let end = field.witness.end_of("run-1-0").await;
    let text = end["errorMessage"].as_str().unwrap();
    assert!(text.contains("crashed 3 times") && text.contains("injected panic"), "{text}");
    send(&field.client, "k1", "next", "next").await;
    assert_eq!(field.witness.end_of("next").await["state"], "final");
    field.gateway.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_panics_is_lost_alone() {
    let field = Field::start().await;
    let (client, other) = field.gateway.talk().await;
    let path = format!("root/core/control/connections/conn:{}", client.hello().server.conn_id);
    field.gateway.chaos().inject(ActorPath::parse(&path), Fault::Panic).unwrap();
    let pending = client.request("health", json!({})).await;
    assert!(pending.is_err());
    assert_eq!(client.closed().await, None, "cut, not closed");
    drop(other);
    let (client, witness) = reconnect(&field.gateway).await;
    assert_eq!(client.request("health", json!({})).await.unwrap()["ok"], true);
    send(&client, "more", "extra", "extra").await;
    assert_eq!(text_of(&witness.end_of("extra").await["message"]), SLOW);
    field.all_complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_panics_comes_back_under_its_streams() {
    let field = Field::start().await;
    let path = "root/core/providers/box";
    let before = field.strike(path);
    send(&field.client, "more", "extra", "extra").await;
    field.back(path, before).await;
    assert_eq!(text_of(&field.witness.end_of("extra").await["message"]), SLOW);
    field.all_complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_panics_comes_back_under_its_streams() {
    let field = Field::start().await;
    let path = field.only("auth_profile");
    let before = field.strike(&path);
    send(&field.client, "more", "extra", "extra").await;
    field.back(&path, before).await;
    assert_eq!(text_of(&field.witness.end_of("extra").await["message"]), SLOW);
    field.all_complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_panics_keeps_the_clients_and_takes_new_ones() {
    let field = Field::start().await;
    let path = "root/core/control/listener";
    let before = field.strike(path);
    let (client, _witness) = reconnect(&field.gateway).await;
    field.back(path, before).await;
    assert_eq!(client.request("health", json!({})).await.unwrap()["ok"], true);
    field.all_complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_that_panics_loses_no_event() {
    let field = Field::start().await;
    let path = "root/core/control/broadcast";
    for n in 0..3 {
        let before = field.strike(path);
        let run = format!("extra-{n}");
        send(&field.client, "more", &run, &run).await;
        field.back(path, before).await;
    }
    let extra: Vec<String> = (0..3).map(|n| format!("extra-{n}")).collect();
    field.witness.ends_of(&extra).await;
    field.ended_well().await;
    let numbers: Vec<u64> = field.witness.all().iter().filter_map(|event| event.seq).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "a gap: {numbers:?}");
    field.all_complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_panics_is_rebuilt_from_disk_with_all_that_stands_on_it() {
    let field = Field::start().await;
    let path = "root/core/store";
    let before = field.strike(path);
    // It is asked something.
    field.gateway.running.domain.store.settle().await.ok();
    field.back(path, before).await;
    field.all_complete_after_return().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_panics_takes_nothing_with_it_for_good() {
    let field = Field::start().await;
    let path = "root/core/config";
    let before = field.strike(path);
    field.gateway.running.domain.config.reload().await.ok();
    field.back(path, before).await;
    field.all_complete_after_return().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_account_and_its_lane_that_panic_lose_no_message() {
    let telegram = FakeTelegram::start().await;
    let field = Field::start_with(json!({"telegram": {
        "botToken": telegram.token(), "apiRoot": telegram.api_root(), "allowFrom": ["7"],
    }}))
    .await;
    let account = "root/core/channels/telegram:default";
    let lane = field.only("delivery lane");
    telegram.wait_calls("getUpdates", 1).await;
    let before = field.strike(account);
    telegram.say(7, "first");
    field.back(account, before).await;
    telegram.wait_sent(1).await;
    let before = field.strike(&lane);
    telegram.say(7, "second");
    field.back(&lane, before).await;
    telegram.wait_sent(2).await;
    telegram.say(7, "third");
    let sent = telegram.wait_sent(3).await;
    let texts: Vec<&str> = sent.iter().map(|sent| sent.visible.as_str()).collect();
    assert_eq!(texts, [SLOW; 3]);
    field.all_complete().await;
}
