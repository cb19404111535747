//! Going down: what runs is finished or written down, and nothing is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use actors::testing::fake_models::{FakeFault, FakeModelServer, FakeTurn};
use serde_json::{Value, json};

use crate::support::gateway::{Gateway, PATIENCE, echo, line, lines, said, send, throw, transcript_file};

fn wide(server: &FakeModelServer) -> Value {
    let mut config = echo(server);
    config["agents"]["defaults"]["maxConcurrent"] = json!(32);
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_streams_are_finished_and_what_waits_is_answered_after_the_next_start() {
    let server = FakeModelServer::start().await.unwrap();
    server.set_pace(Duration::from_millis(50));
    let gateway = Gateway::start(wide(&server)).await;
    let (client, witness) = gateway.talk().await;
    let streaming: Vec<String> = (0..20).map(|n| format!("running-{n}")).collect();
    let waiting: Vec<String> = (0..20).map(|n| format!("waiting-{n}")).collect();
    for (n, run) in streaming.iter().enumerate() {
        send(&client, &format!("k{n}"), run, &format!("{run} {} ten", "word ".repeat(30).trim_end())).await;
    }
    for (n, run) in waiting.iter().enumerate() {
        send(&client, &format!("k{n}"), run, run).await;
    }
    for run in &streaming {
        witness.text_from(run).await;
    }
    let (stopped, closed) = futures_util::join!(gateway.stop(PATIENCE), client.closed());
    let (report, home) = stopped;
    assert_eq!((report.exit_code(), &report.stragglers), (0, &Vec::new()));
    assert_eq!(closed.unwrap().code, 1012);
    let ends = witness.ends_of(&streaming).await;
    assert!(ends.values().all(|(state, text)| state == "final" && text.ends_with(" ten")), "{ends:?}");
    assert!(witness.payloads("shutdown").len() == 1, "clients were told");
    eprintln!("{} of 40 were asked before the stop", server.counts().requests);

    let gateway = Gateway::start_in(home, wide(&server)).await;
    let (client, _witness) = gateway.talk().await;
    for run in streaming.iter().chain(&waiting) {
        let answer = client.request("agent.wait", json!({"runId": run, "timeoutMs": 60_000})).await.unwrap();
        assert_eq!(answer["status"], "ok", "{run}");
    }
    let (_, home) = gateway.stop(PATIENCE).await;
    assert_eq!(server.counts().requests, 40, "nothing was asked twice");
    for n in 0..20 {
        let said = said(&lines(&transcript_file(home.path(), &format!("k{n}"))));
        let users: Vec<&str> = said.iter().filter(|(role, _)| role == "user").map(|(_, text)| text.as_str()).collect();
        assert!(users.len() == 2 && users[0].starts_with("running") && users[1].starts_with("waiting"), "{said:?}");
        let expected: Vec<_> =
            users.iter().flat_map(|text| [line("user", *text), line("assistant", format!("echo: {text}"))]).collect();
        assert_eq!(said, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_at_work_when_the_budget_is_spent_is_named_and_resumed_at_the_next_start() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start(wide(&server)).await;
    let (client, witness) = gateway.talk().await;
    server.script((0..3).map(|_| FakeTurn::text("half an answer").fault(FakeFault::HangAfter(2))));
    let runs = ["r0", "r1", "r2"];
    for (n, run) in runs.iter().enumerate() {
        send(&client, &format!("k{n}"), run, run).await;
        witness.text_from(run).await;
    }
    let (report, home) = gateway.stop(Duration::from_millis(200)).await;
    assert_eq!(report.exit_code(), 1);
    let named: BTreeSet<&str> = report.stragglers.iter().map(|path| path.rsplit('/').next().unwrap()).collect();
    assert_eq!(named, BTreeSet::from(["agent:main:k0", "agent:main:k1", "agent:main:k2"]), "{report:?}");
    assert!(runs.iter().all(|run| witness.ends(run) == 0), "an interrupted run has not ended");

    let gateway = Gateway::start_in(home, wide(&server)).await;
    let (client, _witness) = gateway.talk().await;
    for run in runs {
        let answer = client.request("agent.wait", json!({"runId": run, "timeoutMs": 60_000})).await.unwrap();
        assert_eq!(answer["terminalReply"]["text"], format!("echo: {run}"), "{answer}");
    }
    assert_eq!(gateway.node("root/core/upkeep/reconciler").unwrap().detail["recovered"], "3");
    let (_, home) = gateway.stop(PATIENCE).await;
    for (n, run) in runs.iter().enumerate() {
        let file = lines(&transcript_file(home.path(), &format!("k{n}")));
        assert_eq!(said(&file), [line("user", *run), line("assistant", format!("echo: {run}"))]);
        assert!(file.iter().any(|line| line["customType"] == "openclawd.run-resumed"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_on_its_way_down_takes_no_message_and_says_so() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start(wide(&server)).await;
    let (client, witness) = gateway.talk().await;
    server.script([FakeTurn::text("half an answer").fault(FakeFault::HangAfter(2))]);
    send(&client, "a", "hangs", "hello").await;
    witness.text_from("hangs").await;
    send(&client, "a", "waits", "my turn").await;
    let sessions = gateway.running.domain.sessions.clone();
    let stop = gateway.stop(PATIENCE);
    let late = async {
        // The stop waits for the run; it ends when it is aborted.
        while !sessions.is_closed() {
            tokio::task::yield_now().await;
        }
        let refused = throw(&client, "a", "late", "me too").await.next(PATIENCE).await.unwrap_err();
        let shape = refused.shape().unwrap().clone();
        assert!(shape.message.contains("stopping") && shape.retryable == Some(true), "{shape:?}");
        client.request("chat.abort", json!({"sessionKey": "a", "runId": "hangs"})).await.unwrap();
    };
    let ((report, home), ()) = futures_util::join!(stop, late);
    assert_eq!(report.exit_code(), 0, "{report:?}");
    assert_eq!(said(&lines(&transcript_file(home.path(), "a"))).len(), 2, "what waits is not begun");
    assert_eq!(witness.ends("waits"), 0);

    let gateway = Gateway::start_in(home, wide(&server)).await;
    let (client, _witness) = gateway.talk().await;
    let answer = client.request("agent.wait", json!({"runId": "waits", "timeoutMs": 60_000})).await.unwrap();
    assert_eq!(answer["terminalReply"]["text"], "echo: my turn");
    let never = client.request("agent.wait", json!({"runId": "late", "timeoutMs": 1})).await.unwrap();
    assert_eq!(never["status"], "timeout");
    gateway.stop(PATIENCE).await;
}
