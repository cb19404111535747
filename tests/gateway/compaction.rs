//! Histories that are too long for a model.

use actors::agents::compaction::summary::HEADINGS;
use actors::testing::fake_models::{FakeModelServer, FakeRequest, FakeTurn};
use chrono::TimeZone as _;
use serde_json::{Value, json};

use crate::support::gateway::{Gateway, PATIENCE, echo, lines, send, text_of, transcript_file};

/// A summary with all that it must have.
fn summary() -> String {
    HEADINGS.map(|heading| format!("## {heading}\nsum-7")).join("\n")
}

/// A model with a window of 8000 tokens, of which the newest 300 stay.
fn config(server: &FakeModelServer, notes: bool) -> Value {
    let mut config = echo(server);
    config["models"]["providers"]["box"]["models"][0]["contextWindow"] = json!(8000);
    config["models"]["providers"]["box"]["models"][0]["maxTokens"] = json!(500);
    config["agents"]["defaults"]["compaction"] = json!({
        "keepRecentTokens": 300, "recentTurnsPreserve": 1, "memoryFlush": {"enabled": notes, "softThresholdTokens": 500},
    });
    config
}

fn messages(request: &FakeRequest) -> Vec<String> {
    request.body["messages"].as_array().unwrap().iter().map(text_of).collect()
}

fn row(home: &std::path::Path) -> Value {
    let rows = std::fs::read_to_string(home.join("agents/main/sessions/sessions.json")).unwrap();
    serde_json::from_str::<Value>(&rows).unwrap()["agent:main:main"].take()
}

/// The date in so many days where this runs.
fn date(days: i64) -> String {
    let now = actors::clock::Clock::system().now_ms() + days * 86_400_000;
    chrono::Local.timestamp_millis_opt(now).unwrap().format("%Y-%m-%d").to_string()
}

/// Five turns of 250 tokens each.
async fn talk(gateway: &Gateway) {
    let (client, witness) = gateway.talk().await;
    for n in 0..5 {
        let run = format!("early-{n}");
        send(&client, "main", &run, &format!("early {n} {}", "x".repeat(500))).await;
        witness.end_of(&run).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_the_model_refuses_is_shortened_and_answered() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start(config(&server, false)).await;
    talk(&gateway).await;
    let (client, witness) = gateway.talk().await;
    let refusal = || FakeTurn::refusal(400, "context_length_exceeded", "maximum context length is 2000 tokens");
    server.script([
        refusal(),
        FakeTurn::text("too short to count"),
        FakeTurn::text(summary()),
        FakeTurn::text("the answer"),
    ]);
    send(&client, "main", "late", "the question").await;
    assert_eq!(text_of(&witness.end_of("late").await["message"]), "the answer");
    let phases: Vec<Value> = witness
        .payloads("agent")
        .into_iter()
        .filter(|payload| payload["stream"] == "compaction")
        .map(|payload| payload["data"].clone())
        .collect();
    assert_eq!(phases, [json!({"phase": "start"}), json!({"phase": "end", "willRetry": true})]);
    let requests = server.requests();
    assert_eq!(requests.len(), 9);
    let retried = messages(requests.last().unwrap());
    assert!(retried[1].contains("sum-7"), "{retried:?}");
    assert_eq!(retried.last().unwrap(), "the question");
    assert!(retried.iter().all(|text| !text.contains("early 0")), "{retried:?}");
    let asked = messages(&requests[7]);
    assert!(asked.last().unwrap().contains("lacked these headings"), "{asked:?}");

    // After a restart the conversation is what it was.
    let (_, home) = gateway.stop(PATIENCE).await;
    let transcript = lines(&transcript_file(home.path(), "main"));
    let entry = transcript.iter().find(|line| line["type"] == "compaction").unwrap();
    assert_eq!(entry["summary"], summary());
    let kept = transcript.iter().find(|line| line["id"] == entry["firstKeptEntryId"]).unwrap();
    assert_eq!(kept["type"], "message");
    assert_eq!(row(home.path())["compactionCount"], 1);
    assert_eq!(transcript.iter().filter(|line| line["type"] == "message").count(), 12, "nothing was taken out");
    let gateway = Gateway::start_in(home, config(&server, false)).await;
    let (client, witness) = gateway.talk().await;
    send(&client, "main", "later", "and then?").await;
    witness.end_of("later").await;
    let shown = messages(server.requests().last().unwrap());
    assert_eq!(shown[1..retried.len()], retried[1..]);
    assert_eq!(shown[retried.len()..], ["the answer", "and then?"]);
    gateway.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_that_is_no_good_changes_nothing_and_the_person_is_told() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start(config(&server, false)).await;
    talk(&gateway).await;
    let (client, witness) = gateway.talk().await;
    let refusal = || FakeTurn::refusal(400, "context_length_exceeded", "maximum context length is 2000 tokens");
    server.script([refusal(), FakeTurn::text("bad"), FakeTurn::text("still bad")]);
    send(&client, "main", "late", "the question").await;
    let end = witness.end_of("late").await;
    assert_eq!(end["state"], "error");
    assert!(end["errorMessage"].as_str().unwrap().contains("/compact"), "{end}");
    send(&client, "main", "later", "still there?").await;
    assert_eq!(text_of(&witness.end_of("later").await["message"]), "echo: still there?");
    let shown = messages(server.requests().last().unwrap());
    assert!(shown.iter().any(|text| text.contains("early 0")), "{shown:?}");
    let (_, home) = gateway.stop(PATIENCE).await;
    assert!(lines(&transcript_file(home.path(), "main")).iter().all(|line| line["type"] != "compaction"));
    assert_eq!(row(home.path())["compactionCount"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_a_full_window_notes_are_taken_and_the_history_is_shortened() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start(config(&server, true)).await;
    talk(&gateway).await;
    let (client, witness) = gateway.talk().await;
    let memory = gateway.home.path().join("workspace/memory");
    // Midnight may pass before the note is written: then the other day is right.
    let note = |day: i64| json!({"path": format!("memory/{}.md", date(day)), "content": "- the person likes tea"});
    server.script([
        FakeTurn::call("n1", "write", note(0)).and_call("n2", "write", note(1)),
        FakeTurn::text("NO_REPLY"),
        FakeTurn::text(summary()),
        FakeTurn::text("the answer"),
    ]);
    // Long enough to come near the window together with what was said before.
    let question = format!("the question {}", "y".repeat(24_000));
    send(&client, "main", "late", &question).await;
    assert_eq!(text_of(&witness.end_of("late").await["message"]), "the answer");
    let files: Vec<_> = std::fs::read_dir(&memory).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    assert_eq!(std::fs::read_to_string(&files[0]).unwrap(), "- the person likes tea\n");
    let requests = server.requests();
    let names: Vec<&str> = requests[5].body["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["function"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["read", "write"]);
    let answered = messages(requests.last().unwrap());
    assert!(answered[1].contains("sum-7") && answered.last().unwrap().starts_with("the question"), "{answered:?}");
    let told = witness.payloads("agent").into_iter().filter(|payload| payload["runId"] == "late");
    assert!(told.into_iter().all(|payload| !payload.to_string().contains("tea")), "notes are nobody's business");
    let (_, home) = gateway.stop(PATIENCE).await;
    let row = row(home.path());
    assert_eq!((&row["compactionCount"], &row["memoryFlushCompactionCount"]), (&json!(1), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_shortens_a_history_by_command_and_is_told_how_that_went() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start(config(&server, true)).await;
    let (client, witness) = gateway.talk().await;
    send(&client, "main", "too-early", "/compact").await;
    assert_eq!(text_of(&witness.end_of("too-early").await["message"]), "There is nothing to shorten yet.");
    talk(&gateway).await;
    server.script([FakeTurn::text(summary())]);
    send(&client, "main", "command", "/compact Keep the names.").await;
    let told = text_of(&witness.end_of("command").await["message"]);
    assert!(told.starts_with("The history is shorter now"), "{told}");
    let requests = server.requests();
    assert!(messages(requests.last().unwrap())[0].contains("Keep the names."));
    send(&client, "main", "later", "and now?").await;
    witness.end_of("later").await;
    let shown = messages(server.requests().last().unwrap());
    assert!(shown[1].contains("sum-7") && !shown.concat().contains("early 0"), "{shown:?}");
    assert!(!shown.concat().contains("/compact"), "a command is no message");
    let (_, home) = gateway.stop(PATIENCE).await;
    assert_eq!(row(home.path())["compactionCount"], 1);
}
