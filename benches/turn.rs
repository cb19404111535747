//! What does the gateway add to a turn?
//!
//! Set-up: the built-in demo model (200 words without pauses), a gateway on loopback with its store on this machine's disk, one client. The same
//! question three ways, in turns, so that all see the same machine. Budget: the whole turn costs two flushes and a few
//! dozen frames; it is to stay within a tenth of a second.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench talks to the terminal, and ends when it can't measure"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use actors::message::Message;
use actors::providers::ModelRequest;
use futures_util::StreamExt as _;
use openclawd::client::{ClientOptions, connect};
use openclawd::daemon::args::Args;
use openclawd::daemon::boot::{self, Options, Running};
use serde_json::json;

/// Rounds of all three.
const ROUNDS: usize = 40;
const QUESTION: &str = "long 200";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let home = tempfile::tempdir().expect("a home");
    let env = BTreeMap::from([
        (String::from("OPENCLAW_STATE_DIR"), home.path().display().to_string()),
        (String::from("OPENCLAW_GATEWAY_PORT"), String::from("0")),
    ]);
    let prepared = boot::prepare(Options::new(Args::default(), env)).expect("prepared");
    let running = boot::boot(prepared).await.expect("running");
    let token = running.token.as_ref().map(|token| token.expose().to_owned());
    let options = ClientOptions::cli(format!("ws://{}/", running.address), token, ["operator.read", "operator.write"]);
    let (client, _events, driver) = connect(&options).await.expect("connected");
    let _driver = driver.detached();
    let mut spent = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        let began = Instant::now();
        stream(&running, false).await;
        spent[0].push(began.elapsed());
        let began = Instant::now();
        stream(&running, true).await;
        spent[1].push(began.elapsed());
        let began = Instant::now();
        let params = json!({"message": QUESTION, "idempotencyKey": format!("bench-{round}"),
            "sessionKey": format!("agent:main:explicit:bench{round}")});
        let mut answers = client.start("agent", params).await.expect("asked");
        for _ in 0..2 {
            answers.next(Duration::from_secs(30)).await.expect("answered");
        }
        spent[2].push(began.elapsed());
    }
    let base = median(&mut spent[0]);
    for (name, times) in
        ["the model's stream alone", "with lease and permit", "the whole turn over the socket"].iter().zip(&mut spent)
    {
        let middle = median(times);
        println!("{name:32} median {middle:>10.2?}  x {:.2}", middle.as_secs_f64() / base.as_secs_f64());
    }
}

async fn stream(running: &Running, leased: bool) {
    let agent = running.domain.config.current().config.agents.default_agent();
    let model = running.domain.providers.catalog().default_model().expect("the demo");
    let lease = if leased {
        Some(running.domain.auth.lease(&agent, &model.provider, None).await.expect("leased"))
    } else {
        None
    };
    let request = ModelRequest { messages: vec![Message::user(QUESTION, 0)], ..ModelRequest::default() };
    let mut answer = running.domain.providers.stream(&model, None, request, None).await.expect("a stream");
    while let Some(event) = answer.next().await {
        event.expect("an event");
    }
    if let Some(lease) = lease {
        running.domain.auth.report(lease, actors::auth_profiles::Outcome::Ok).await;
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}
