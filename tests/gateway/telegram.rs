//! From a person's message on Telegram to the answer there.

use std::time::Duration;

use actors::testing::fake_models::{FakeModelServer, FakeTurn};
use actors::testing::telegram::{FakeTelegram, Fault};
use serde_json::{Value, json};
use supervision::tree::NodeState;
use tempfile::TempDir;

use crate::support::daemon::Daemon;
use crate::support::gateway::{Gateway, PATIENCE, echo, line, lines, said, send, text_of, transcript_file};

fn config(server: &FakeModelServer, telegram: &FakeTelegram) -> Value {
    let mut config = echo(server);
    config["channels"] = json!({"telegram": {
        "botToken": telegram.token(), "apiRoot": telegram.api_root(), "allowFrom": ["7", "8"],
    }});
    config
}

fn texts(telegram: &FakeTelegram) -> Vec<(i64, String)> {
    telegram.sent().into_iter().map(|sent| (sent.chat_id, sent.visible)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_answered_once_and_a_stranger_never() {
    let (server, telegram) = (FakeModelServer::start().await.unwrap(), FakeTelegram::start().await);
    let gateway = Gateway::start(config(&server, &telegram)).await;
    telegram.say(666, "let me in");
    let first = telegram.say(7, "hello");
    telegram.wait_sent(1).await;
    telegram.wait_offset(first + 1).await;
    telegram.repeat(first);
    let second = telegram.say(7, "once more");
    telegram.wait_sent(2).await;
    telegram.wait_offset(second + 1).await;
    assert_eq!(texts(&telegram), [(7, String::from("echo: hello")), (7, String::from("echo: once more"))]);
    assert_eq!(server.counts().requests, 2);

    let (client, witness) = gateway.talk().await;
    let status = client.request("channels.status", json!({})).await.unwrap();
    let account = &status["channelAccounts"]["telegram"][0];
    assert_eq!((&account["connected"], &account["healthState"]), (&json!(true), &json!("healthy")), "{status}");
    // The same conversation from the other side.
    let history = client.request("chat.history", json!({"sessionKey": "main"})).await.unwrap();
    let shown: Vec<String> = history["messages"].as_array().unwrap().iter().map(text_of).collect();
    assert_eq!(shown, ["hello", "echo: hello", "once more", "echo: once more"]);
    telegram.say(8, "me too");
    telegram.wait_sent(3).await;
    send(&client, "main", "rpc", "from a client").await;
    assert_eq!(text_of(&witness.end_of("rpc").await["message"]), "echo: from a client");
    gateway.stop(PATIENCE).await;
    assert_eq!(telegram.sent().len(), 3, "a client's answer stays with the clients");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_comes_in_pieces_and_each_once() {
    let (server, telegram) = (FakeModelServer::start().await.unwrap(), FakeTelegram::start().await);
    let long: String = (0..1500).map(|n| format!("word{n} ")).collect();
    server.script([FakeTurn::text(long.clone())]);
    let gateway = Gateway::start(config(&server, &telegram)).await;
    telegram.wait_calls("getUpdates", 1).await;
    // The second piece is refused for a moment.
    telegram.say(7, "tell me all");
    telegram.wait_sent(1).await;
    telegram.fail_next("sendMessage", Fault::TooManyRequests(1));
    let expected: Vec<&str> = long.split_whitespace().collect();
    let pieces = long.len().div_ceil(4096);
    telegram.wait_sent(pieces).await;
    let (report, home) = gateway.stop(PATIENCE).await;
    assert!(report.stragglers.is_empty(), "{report:?}");
    let sent = telegram.sent();
    assert!(sent.iter().all(|sent| sent.visible.encode_utf16().count() <= 4096));
    let got: Vec<&str> = sent.iter().flat_map(|sent| sent.visible.split_whitespace()).collect();
    assert_eq!(got, expected, "{} pieces", sent.len());
    assert_eq!(said(&lines(&transcript_file(home.path(), "main"))).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_said_in_the_tree_and_others_go_on() {
    let (server, telegram) = (FakeModelServer::start().await.unwrap(), FakeTelegram::start().await);
    let mut config = echo(&server);
    config["channels"] = json!({"telegram": {"apiRoot": telegram.api_root(), "allowFrom": ["7"], "accounts": {
        "good": {"botToken": telegram.token()},
        "bad": {"botToken": "1:revoked"},
    }}});
    let gateway = Gateway::start(config).await;
    let failed = gateway
        .tree_until("the account's failure", |gateway| {
            let node = gateway.node("root/core/channels/telegram:bad")?;
            (node.state == NodeState::Failed).then_some(node)
        })
        .await;
    let exit = failed.last_exit.clone().unwrap();
    assert_eq!(exit.text, "Telegram refuses the bot token (401)");
    telegram.say(7, "hello");
    telegram.wait_sent(1).await;
    let (client, _witness) = gateway.talk().await;
    let status = client.request("channels.status", json!({})).await.unwrap();
    let accounts = status["channelAccounts"]["telegram"].as_array().unwrap();
    let bad = accounts.iter().find(|account| account["accountId"] == "bad").unwrap();
    assert_eq!((&bad["running"], &bad["state"]), (&json!(false), &json!("failed")), "{bad}");
    assert!(bad["lastError"].as_str().unwrap().contains("refuses the bot token"), "{bad}");
    gateway.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_survive_a_daemon_that_is_killed() {
    let (server, telegram) = (FakeModelServer::start().await.unwrap(), FakeTelegram::start().await);
    server.set_pace(Duration::from_millis(50));
    let home = TempDir::new().unwrap();
    let daemon = Daemon::start(home.path(), config(&server, &telegram)).await;
    let first = telegram.say(7, "one two three four five");
    server.wait_until(|counts| counts.requests == 1).await;
    daemon.kill().await;
    telegram.repeat(first);
    telegram.say(7, "while you were out");
    let daemon = Daemon::start(home.path(), config(&server, &telegram)).await;
    telegram.wait_sent(2).await;
    let last = telegram.say(8, "and now");
    telegram.wait_sent(3).await;
    telegram.wait_offset(last + 1).await;
    daemon.terminate().await;
    assert_eq!(daemon.ended().await.0.code(), Some(0));
    let expected = ["one two three four five", "while you were out", "and now"];
    let sent: Vec<String> = texts(&telegram).into_iter().map(|(_, text)| text).collect();
    assert_eq!(sent, expected.map(|text| format!("echo: {text}")));
    let said = said(&lines(&transcript_file(home.path(), "main")));
    let wanted: Vec<_> =
        expected.iter().flat_map(|text| [line("user", *text), line("assistant", format!("echo: {text}"))]).collect();
    assert_eq!(said, wanted);
}
