//! Model servers that keep a caller waiting: each run comes to its end within the configured bound, and its session is
//! free for the next message. Five hundred runs in all; a stream that is slow and alive is never cut.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actors::testing::fake_models::{FakeFault, FakeMind, FakeModelServer, FakeRequest, FakeTurn};
use futures_util::future::join_all;
use openclawd::client::Client;
use serde_json::{Value, json};

use crate::support::gateway::{Gateway, PATIENCE, provider};

/// What `agents.defaults.timeoutSeconds` says here.
const BOUND: Duration = Duration::from_secs(2);
/// What a busy machine may need on top of it.
const SLACK: Duration = Duration::from_secs(8);
/// Pace of what only keeps a connection open.
const DRIP: Duration = Duration::from_millis(20);

/// Answers every call of the model `pit` in one way, and any other call with an echo.
#[derive(Debug)]
struct Pit(FakeTurn);

impl FakeMind for Pit {
    fn answer(&self, _number: u64, request: &FakeRequest) -> FakeTurn {
        if request.model() == "pit" { self.0.clone() } else { FakeTurn::text("free again") }
    }

    fn ended(&self, _number: u64) {}
}

/// A pit for each run and, as they have credentials and breakers of their own, a model that answers.
fn config(server: &FakeModelServer, api: &str, runs: usize) -> Value {
    let mut pit = provider(server, &["pit"]);
    pit["api"] = json!(api);
    let mut providers: BTreeMap<String, Value> = (0..runs).map(|n| (format!("pit{n}"), pit.clone())).collect();
    providers.insert(String::from("well"), provider(server, &["well"]));
    json!({
        "models": {"providers": providers},
        "agents": {"defaults": {
            "model": {"primary": "well/well"}, "timeoutSeconds": BOUND.as_secs(), "maxConcurrent": runs,
        }},
    })
}

async fn ask(client: &Client, session: &str, run: &str, (provider, model): (&str, &str)) {
    let params = json!({
        "sessionKey": session, "message": "hello", "idempotencyKey": run, "provider": provider, "model": model,
    });
    client.request("agent", params).await.unwrap();
}

async fn wait_for(client: &Client, run: &str) -> Value {
    let wait = json!({"runId": run, "timeoutMs": 60_000});
    client.request_within("agent.wait", wait, PATIENCE).await.unwrap()
}

/// One run in a pit, and one behind it in the same session.
async fn fall_and_rise(client: &Client, n: usize) -> Duration {
    let session = format!("s{n}");
    let (fallen, risen) = (format!("{session}-fallen"), format!("{session}-risen"));
    let begun = Instant::now();
    ask(client, &session, &fallen, (&format!("pit{n}"), "pit")).await;
    let end = wait_for(client, &fallen).await;
    let took = begun.elapsed();
    assert_eq!(end["status"], "error", "{session}: {end}");
    ask(client, &session, &risen, ("well", "well")).await;
    let end = wait_for(client, &risen).await;
    assert_eq!((&end["status"], &end["terminalReply"]["text"]), (&json!("ok"), &json!("free again")), "{session}");
    took
}

/// `runs` runs at once, each in a session of its own, and all of them reach the pit.
async fn pit(api: &str, fault: FakeFault, runs: usize) {
    let server = FakeModelServer::start().await.unwrap();
    server.set_mind(Arc::new(Pit(FakeTurn::text("one two three four five").fault(fault.clone()))));
    let gateway = Gateway::start(config(&server, api, runs)).await;
    let (client, _witness) = gateway.talk().await;
    let took = join_all((0..runs).map(|n| fall_and_rise(&client, n))).await;
    let slowest = took.iter().max().unwrap();
    assert!(*slowest <= BOUND + SLACK, "{api} {fault:?}: {slowest:?}");
    assert!(server.counts().requests >= 2 * runs, "{api} {fault:?}: {:?}", server.counts());
    let report = gateway.stop(PATIENCE).await.0;
    assert!(report.stragglers.is_empty(), "{report:?}");
    server.settled().await.unwrap();
}

const COMPLETIONS: &str = "openai-completions";
const MESSAGES: &str = "anthropic-messages";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_holds_no_session() {
    pit(COMPLETIONS, FakeFault::HangBeforeHeaders, 50).await;
    pit(MESSAGES, FakeFault::HangBeforeHeaders, 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_and_pings_are_no_progress() {
    pit(COMPLETIONS, FakeFault::OnlyKeepAlive(DRIP), 50).await;
    pit(MESSAGES, FakeFault::OnlyPings(DRIP), 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_in_its_answer_holds_no_session() {
    pit(COMPLETIONS, FakeFault::HangAfter(3), 50).await;
    pit(MESSAGES, FakeFault::HangAfter(4), 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_holds_no_session() {
    pit(COMPLETIONS, FakeFault::Noise, 50).await;
    pit(MESSAGES, FakeFault::NoHttp, 50).await;
    pit(COMPLETIONS, FakeFault::MalformedAfter(2), 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_megabytes_in_one_line_hold_no_session() {
    pit(COMPLETIONS, FakeFault::LongLine(10 << 20), 25).await;
    pit(MESSAGES, FakeFault::LongLine(10 << 20), 25).await;
}

/// A token every 20 s for ten minutes, on a clock that moves when everybody waits.
#[tokio::test(start_paused = true)]
async fn a_slow_stream_that_is_alive_is_never_cut() {
    let server = FakeModelServer::start().await.unwrap();
    let words: Vec<String> = (0..30).map(|n| format!("word{n}")).collect();
    let slow = FakeTurn::text(words.join(" ")).pace(Duration::from_secs(20));
    server.set_mind(Arc::new(Pit(slow)));
    for api in [COMPLETIONS, MESSAGES] {
        let mut config = config(&server, api, 25);
        // As it is when nobody says anything: 48 hours.
        config["agents"]["defaults"].as_object_mut().unwrap().remove("timeoutSeconds");
        let gateway = Gateway::start(config).await;
        let (client, _witness) = gateway.talk().await;
        let begun = tokio::time::Instant::now();
        let ends = join_all((0..25).map(|n| {
            let client = &client;
            async move {
                let run = format!("slow-{n}");
                ask(client, &format!("s{n}"), &run, (&format!("pit{n}"), "pit")).await;
                let wait = json!({"runId": run, "timeoutMs": 3_600_000});
                client.request_within("agent.wait", wait, Duration::from_secs(3_600)).await.unwrap()
            }
        }))
        .await;
        for end in ends {
            assert_eq!(
                (&end["status"], &end["terminalReply"]["text"]),
                (&json!("ok"), &json!(words.join(" "))),
                "{api}"
            );
        }
        assert!(begun.elapsed() >= Duration::from_secs(600), "{api}: {:?}", begun.elapsed());
        gateway.stop(PATIENCE).await;
    }
}
