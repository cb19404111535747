use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::channels::contract::{Connection, OutboundChunk, SendError};
use crate::channels::telegram::allow::AllowList;
use crate::channels::telegram::{Telegram, TelegramSettings, Timing};
use crate::secret::Secret;

fn settings(fake: &FakeTelegram) -> TelegramSettings {
    TelegramSettings {
        token: Secret::new(fake.token()),
        api_root: Some(fake.api_root()),
        allow: AllowList::parse(["7"]),
        timing: Timing { request: Duration::from_secs(5), ..Timing::default() },
    }
}

fn chunk(text: &str) -> OutboundChunk {
    OutboundChunk { to: "7".into(), thread_id: None, text: text.into(), reply_to: Some("3".into()) }
}

async fn send(fake: &FakeTelegram, text: &str) -> Result<(), SendError> {
    let outbound = settings(fake).outbound().unwrap();
    outbound.send(chunk(text)).await.map(drop)
}

#[tokio::test]
async fn markdown_arrives_as_html() {
    let fake = FakeTelegram::start().await;
    send(&fake, "**hi** `a<b`").await.unwrap();
    let sent = fake.sent();
    assert_eq!(sent[0].text, "<b>hi</b> <code>a&lt;b</code>");
    assert_eq!(sent[0].visible, "hi a<b");
    assert_eq!(sent[0].reply_to, Some(3));
}

#[tokio::test]
async fn refused_markup_is_sent_once_more_as_plain_text() {
    let fake = FakeTelegram::start().await;
    fake.fail_next("sendMessage", Fault::Refuse(400, "Bad Request: can't parse entities: unexpected".into()));
    send(&fake, "**hi**").await.unwrap();
    let sent = fake.sent();
    assert_eq!((sent.len(), sent[0].text.as_str(), &sent[0].parse_mode), (1, "**hi**", &None));
    assert_eq!(fake.calls("sendMessage"), 2);
}

#[tokio::test]
async fn each_fault_has_its_meaning_for_the_outbox() {
    let fake = FakeTelegram::start().await;
    for (fault, expected) in [
        (Fault::TooManyRequests(3), "rate limited for 3s"),
        (Fault::Unauthorized, "account refused: 401 Unauthorized"),
        (Fault::BadGateway, "outcome unknown: the server answered 502"),
        (Fault::Refuse(500, "Internal Server Error".into()), "not sent: 500 Internal Server Error"),
        (Fault::Refuse(400, "Bad Request: chat not found".into()), "rejected: 400 Bad Request: chat not found"),
    ] {
        fake.fail_next("sendMessage", fault);
        assert_eq!(send(&fake, "x").await.unwrap_err().to_string(), expected);
    }
    for fault in [Fault::CutBefore, Fault::CutAfter, Fault::Truncate] {
        fake.fail_next("sendMessage", fault);
        assert!(matches!(send(&fake, "x").await, Err(SendError::Unknown(_))));
    }
    fake.block(7);
    assert!(matches!(send(&fake, "x").await, Err(SendError::Rejected(_))));
    assert_eq!(fake.sent().len(), 2, "the cut after and the truncated answer did arrive");
}

#[tokio::test]
async fn a_server_that_is_not_there_proves_that_nothing_was_sent() {
    let fake = FakeTelegram::start().await;
    let settings = settings(&fake);
    drop(fake);
    let outbound = settings.outbound().unwrap();
    let error = outbound.send(chunk("x")).await.unwrap_err();
    assert!(matches!(error, SendError::NotSent(_)), "{error}");
    assert!(!error.to_string().contains("fake-token"), "{error}");
}

#[tokio::test]
async fn no_error_shows_the_token() {
    let fake = FakeTelegram::start().await;
    for fault in [Fault::CutBefore, Fault::Truncate, Fault::BadGateway, Fault::Unauthorized] {
        fake.fail_next("sendMessage", fault);
        let error = send(&fake, "x").await.unwrap_err();
        assert!(!format!("{error:?}").contains("fake-token"));
    }
    let settings = settings(&fake);
    assert!(!format!("{settings:?} {:?}", Telegram::new(settings.clone())).contains("fake-token"));
}

#[tokio::test]
async fn updates_stay_until_a_poll_confirms_them() {
    let fake = FakeTelegram::start().await;
    let id = fake.say(7, "one");
    fake.say(7, "two");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/bot{}/getUpdates", fake.api_root(), fake.token());
    let poll = async |offset: i64| -> Vec<serde_json::Value> {
        let body = json!({"offset": offset, "timeout": 0}).to_string();
        let answer = client.post(&url).body(body).send().await.unwrap().text().await.unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer["result"].as_array().unwrap().clone()
    };
    assert_eq!(poll(0).await.len(), 2);
    assert_eq!(poll(id).await.len(), 2);
    assert_eq!(poll(id + 1).await.len(), 1);
    assert_eq!(fake.unconfirmed(), 1);
    assert_eq!(poll(id + 2).await.len(), 0);
    fake.repeat(id);
    assert_eq!(poll(id).await[0]["message"]["text"], "one");
}

#[tokio::test]
async fn a_long_poll_answers_when_something_comes() {
    let fake = Arc::new(FakeTelegram::start().await);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/bot{}/getUpdates", fake.api_root(), fake.token());
    let answer: Mutex<String> = Mutex::default();
    let poll = async {
        let text = client.post(&url).body(r#"{"timeout":30}"#).send().await.unwrap().text().await.unwrap();
        *answer.lock().unwrap() = text;
    };
    let speak = async {
        fake.wait_calls("getUpdates", 1).await;
        fake.say(7, "late");
    };
    futures_util::join!(poll, speak);
    assert!(answer.lock().unwrap().contains("late"));
}
