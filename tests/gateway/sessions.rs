//! Order, exactness and repair of conversations, seen by clients and on disk.

use std::collections::BTreeMap;
use std::time::Duration;

use actors::testing::fake_models::{FakeFault, FakeModelServer, FakeTurn};
use openclawd::client::ClientError;
use serde_json::{Value, json};

use crate::support::gateway::{
    Gateway, PATIENCE, SCOPES, echo, line, lines, provider, said, send, text_of, throw, transcript_file,
};
use crate::support::witness::{Witness, is_end};

/// A turn that says this and then nothing more.
fn stuck(text: &str) -> FakeTurn {
    FakeTurn::text(format!("{text} never")).fault(FakeFault::HangAfter(1 + text.split_inclusive(' ').count()))
}

/// Starts and ends of runs as `(session, run, is_start)`, in the order they were told.
fn spans(witness: &Witness) -> Vec<(String, String, bool)> {
    let told = witness.all().into_iter().filter_map(|event| {
        let payload = event.payload?;
        let starts = event.event == "agent" && payload["stream"] == "lifecycle" && payload["data"]["phase"] == "start";
        let ends = event.event == "chat" && is_end(&payload);
        let name = |field: &str| payload[field].as_str().unwrap().to_owned();
        (starts || ends).then(|| (name("sessionKey"), name("runId"), starts))
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_one_session_run_in_the_order_of_their_acceptance_and_sessions_at_once() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start(echo(&server)).await;
    let (_watcher, witness) = gateway.talk().await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(gateway.talk().await);
    }
    // Each session gets five messages of each of two clients, all thrown before an answer is waited for.
    let mut pending = Vec::new();
    for round in 0..5 {
        for key in 0..20 {
            for half in 0..2 {
                let name = format!("c{}-k{key}-{round}", (key + half) % 4);
                let client = &clients[(key + half) % 4].0;
                pending.push((name.clone(), throw(client, &format!("k{key}"), &name, &name).await));
            }
        }
    }
    let runs: Vec<String> = pending.iter().map(|(name, _)| name.clone()).collect();
    for (name, mut answer) in pending {
        let answer = answer.next(PATIENCE).await.unwrap();
        assert_eq!((answer["status"].as_str(), answer["runId"].as_str()), (Some("started"), Some(name.as_str())));
    }
    let ends = witness.ends_of(&runs).await;
    assert_eq!(ends.len(), 200);
    for (run, end) in &ends {
        assert_eq!(*end, (String::from("final"), format!("echo: {run}")));
    }
    // Never two at once in a session, several at once over all.
    let mut open = BTreeMap::<String, String>::new();
    let mut started = BTreeMap::<String, Vec<String>>::new();
    let mut most = 0;
    for (session, run, is_start) in spans(&witness) {
        if is_start {
            assert_eq!(open.insert(session.clone(), run.clone()), None, "two runs at once in {session}");
            started.entry(session).or_default().push(run);
        } else {
            assert_eq!(open.remove(&session), Some(run));
        }
        most = most.max(open.len());
    }
    assert!(most > 1, "sessions waited for each other");
    eprintln!("at most {most} runs at once; {} model calls", server.counts().requests);
    assert_eq!(server.counts().requests, 200, "each message was sent to the model once");

    let key = "k7";
    let history = clients[0].0.request("chat.history", json!({"sessionKey": key})).await.unwrap();
    let (report, home) = gateway.stop(PATIENCE).await;
    assert!(report.stragglers.is_empty(), "{report:?}");
    for key in 0..20 {
        let key = format!("k{key}");
        let said = said(&lines(&transcript_file(home.path(), &key)));
        let order: Vec<String> = said.iter().filter(|(role, _)| role == "user").map(|(_, text)| text.clone()).collect();
        assert_eq!(order, started[&format!("agent:main:{key}")], "the transcript has the order of the runs");
        let expected: Vec<_> =
            order.iter().flat_map(|text| [line("user", text), line("assistant", format!("echo: {text}"))]).collect();
        assert_eq!(said, expected, "each message directly before its answer");
        for client in 0..4 {
            let of_client: Vec<_> = order.iter().filter(|text| text.starts_with(&format!("c{client}-"))).collect();
            assert!(of_client.is_sorted(), "{of_client:?}");
        }
        assert_eq!(order.len(), 10);
    }
    let shown: Vec<_> = history["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (m["role"].as_str().unwrap().to_owned(), text_of(m)))
        .collect();
    assert_eq!(shown, said(&lines(&transcript_file(home.path(), key))), "history is the transcript");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_message_is_answered_and_not_run_again() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start(echo(&server)).await;
    let (client, witness) = gateway.talk().await;
    server.script([stuck("I am")]);
    assert_eq!(send(&client, "a", "one", "hello").await["status"], "started");
    witness.text_from("one").await;
    assert_eq!(send(&client, "a", "one", "hello").await["status"], "in_flight");
    client.request("chat.abort", json!({"sessionKey": "a", "runId": "one"})).await.unwrap();
    let again = send(&client, "a", "one", "hello").await;
    assert_eq!((&again["status"], &again["summary"]), (&json!("timeout"), &json!("aborted")));

    assert_eq!(send(&client, "a", "two", "you").await["status"], "started");
    witness.end_of("two").await;
    assert_eq!(send(&client, "a", "two", "you").await["status"], "ok");
    let clash = |error: ClientError| {
        let shape = error.shape().unwrap().clone();
        assert_eq!(shape.details.unwrap()["reason"], "chat-request-conflict", "{}", shape.message);
    };
    for (session, text) in [("a", "somebody else"), ("b", "you")] {
        clash(throw(&client, session, "two", text).await.next(PATIENCE).await.unwrap_err());
    }
    assert_eq!(server.counts().requests, 2);

    let (_, home) = gateway.stop(PATIENCE).await;
    let gateway = Gateway::start_in(home, echo(&server)).await;
    let (client, _witness) = gateway.talk().await;
    assert_eq!(send(&client, "a", "one", "hello").await["status"], "timeout");
    assert_eq!(send(&client, "a", "two", "you").await["status"], "ok");
    clash(throw(&client, "a", "two", "somebody else").await.next(PATIENCE).await.unwrap_err());
    assert_eq!(server.counts().requests, 2, "nothing was run again");
    gateway.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_run_keeps_what_was_said_and_the_answer_comes_behind_the_events() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start(echo(&server)).await;
    let mut talk = gateway.client(SCOPES).await;
    server.script([stuck("half an answer")]);
    send(&talk.client, "a", "first", "hello").await;
    let mut shown = false;
    while !shown {
        let event = tokio::time::timeout(PATIENCE, talk.events.next()).await.unwrap().unwrap();
        shown = event.payload.is_some_and(|payload| text_of(&payload["message"]).contains("half an"));
    }
    for id in ["second", "third"] {
        send(&talk.client, "a", id, id).await;
    }
    let answer = talk.client.request("chat.abort", json!({"sessionKey": "a"})).await.unwrap();
    assert_eq!((&answer["aborted"], answer["runIds"].as_array().unwrap().len()), (&json!(true), 3), "{answer}");
    let chats: Vec<Value> =
        talk.come().iter().filter(|event| event["event"] == "chat").map(|event| event["payload"].clone()).collect();
    for run in ["first", "second", "third"] {
        let aborted = chats.iter().filter(|chat| chat["runId"] == run && chat["state"] == "aborted");
        assert_eq!(aborted.count(), 1, "{run} is told before the answer: {chats:?}");
    }
    let nothing = talk.client.request("chat.abort", json!({"sessionKey": "a"})).await.unwrap();
    assert_eq!(nothing, json!({"ok": true, "aborted": false, "runIds": []}));

    let (client, witness) = gateway.talk().await;
    send(&client, "a", "fourth", "again").await;
    assert_eq!(witness.end_of("fourth").await["state"], "final");
    assert_eq!(server.counts().requests, 2, "what waited was not run");
    let wait = json!({"runId": "third", "timeoutMs": 60_000});
    assert_eq!(client.request("agent.wait", wait).await.unwrap()["status"], "timeout");

    let (_, home) = gateway.stop(PATIENCE).await;
    let said = said(&lines(&transcript_file(home.path(), "a")));
    assert_eq!(said[0], line("user", "hello"));
    assert_eq!(said[1].1.trim_end(), "half an answer");
    assert_eq!(said[2..], [line("user", "again"), line("assistant", "echo: again")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_model_is_aborted_by_a_message_and_the_session_goes_on() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start(echo(&server)).await;
    let (client, witness) = gateway.talk().await;
    server.script([FakeTurn::text("x").fault(FakeFault::HangBeforeHeaders)]);
    send(&client, "a", "hangs", "hello").await;
    server.wait_until(|counts| counts.requests == 1).await;
    let stopped = send(&client, "a", "stop-it", "/stop").await;
    assert_eq!(stopped, json!({"ok": true, "aborted": true, "runIds": ["hangs"]}));
    server.wait_until(|counts| counts.left == 1).await;
    send(&client, "a", "next", "go on").await;
    assert_eq!(text_of(&witness.end_of("next").await["message"]), "echo: go on");
    assert_eq!(witness.ends("hangs"), 1);
    gateway.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_conversation_archives_the_old_one() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start(echo(&server)).await;
    let (client, witness) = gateway.talk().await;
    for (id, text) in [("1", "old words"), ("2", "/new"), ("3", "new words"), ("4", "/reset with a greeting")] {
        send(&client, "a", id, text).await;
        // A new conversation would abort the one that is under way.
        witness.end_of(id).await;
    }
    let runs: Vec<String> = (1..=4).map(|n| n.to_string()).collect();
    let ends = witness.ends_of(&runs).await;
    assert!(ends["2"].1.contains("New conversation"), "{ends:?}");
    assert_eq!(ends["4"].1, "echo: with a greeting");
    let reset = client.request("sessions.reset", json!({"key": "a"})).await.unwrap();
    assert_eq!(reset["ok"], true);
    let history = client.request("chat.history", json!({"sessionKey": "a"})).await.unwrap();
    assert_eq!(history["messages"], json!([]));
    send(&client, "a", "5", "last words").await;
    witness.end_of("5").await;

    let (_, home) = gateway.stop(PATIENCE).await;
    let file = transcript_file(home.path(), "a");
    assert_eq!(said(&lines(&file)), [line("user", "last words"), line("assistant", "echo: last words")]);
    let folder = file.parent().unwrap();
    let archives = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let archives = archives.filter(|path| path.to_string_lossy().contains(".jsonl.reset."));
    let mut kept: Vec<Vec<String>> =
        archives.map(|path| said(&lines(&path)).into_iter().map(|(_, text)| text).collect()).collect();
    kept.sort();
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert!(kept[0][0].starts_with("New conversation") && kept[0][1] == "new words", "{kept:?}");
    assert_eq!(kept[1..], [vec!["old words", "echo: old words"], vec!["with a greeting", "echo: with a greeting"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_call_is_shown_and_kept() {
    let gateway = Gateway::start(json!({})).await;
    let (client, witness) = gateway.talk().await;
    send(&client, "a", "clock", "what time is it?").await;
    let end = witness.end_of("clock").await;
    assert!(text_of(&end["message"]).contains("The tool `clock` says"), "{end}");
    let tools: Vec<Value> =
        witness.payloads("agent").into_iter().filter(|payload| payload["stream"] == "tool").collect();
    let phases: Vec<_> = tools
        .iter()
        .map(|tool| (tool["data"]["phase"].as_str().unwrap(), tool["data"]["name"].as_str().unwrap()))
        .collect();
    assert_eq!(phases, [("start", "clock"), ("result", "clock")]);
    let (_, home) = gateway.stop(PATIENCE).await;
    let said = said(&lines(&transcript_file(home.path(), "a")));
    let roles: Vec<&str> = said.iter().map(|(role, _)| role.as_str()).collect();
    assert_eq!(roles, ["user", "assistant", "toolResult", "assistant"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_refuses_is_replaced_by_the_next_one() {
    let server = FakeModelServer::start().await.unwrap();
    for status in ["429", "401", "404"] {
        let bad = format!("fault-{status}");
        let gateway = Gateway::start(json!({
            "models": {"providers": {"bad": provider(&server, &[&bad]), "good": provider(&server, &["echo"])}},
            "agents": {"defaults": {"model": {"primary": format!("bad/{bad}"), "fallbacks": ["good/echo"]}}},
        }))
        .await;
        let (client, witness) = gateway.talk().await;
        send(&client, "a", "one", "hello").await;
        let end = witness.end_of("one").await;
        assert_eq!(
            (&end["state"], text_of(&end["message"])),
            (&json!("final"), String::from("echo: hello")),
            "{status}"
        );
        let mut steps = witness.payloads("agent").into_iter().map(|payload| payload["data"].clone());
        let step = steps.find(|data| data["phase"] == "fallback_step").unwrap();
        assert_eq!(
            (&step["fallbackStepFromModel"], &step["fallbackStepToModel"]),
            (&json!(format!("bad/{bad}")), &json!("good/echo"))
        );
        gateway.stop(PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_told_in_words_without_the_key() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start(json!({
        "models": {"providers": {"bad": {
            "baseUrl": server.base_url(), "apiKey": "sk-very-secret", "api": "openai-completions",
            "models": [{"id": "fault-401", "name": "x"}],
        }}},
        "agents": {"defaults": {"model": {"primary": "bad/fault-401"}}},
    }))
    .await;
    let (client, witness) = gateway.talk().await;
    for id in ["one", "two"] {
        send(&client, "a", id, "hello").await;
        let end = witness.end_of(id).await;
        let text = end["errorMessage"].as_str().unwrap();
        eprintln!("{text}");
        assert_eq!(end["state"], "error");
        assert!(text.contains("bad/fault-401") && !text.contains("sk-very"), "{text}");
    }
    let mut answers =
        client.start("agent", json!({"message": "x", "sessionKey": "a", "idempotencyKey": "three"})).await.unwrap();
    assert_eq!(answers.next(PATIENCE).await.unwrap()["status"], "accepted");
    let error = answers.next(PATIENCE).await.unwrap_err();
    assert!(error.to_string().contains("bad/fault-401"), "{error}");
    gateway.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_session_says_so_and_keeps_what_it_took() {
    let server = FakeModelServer::start().await.unwrap();
    let mut config = echo(&server);
    config["messages"] = json!({"queue": {"mode": "followup", "cap": 200, "drop": "new"}});
    let gateway = Gateway::start(config).await;
    let (client, witness) = gateway.talk().await;
    server.script([stuck("one")]);
    send(&client, "a", "first", "hello").await;
    witness.text_from("first").await;
    let (mut taken, mut refused) = (Vec::new(), 0);
    for n in 0..270 {
        let id = format!("w{n}");
        match throw(&client, "a", &id, &id).await.next(PATIENCE).await {
            Ok(answer) => {
                assert_eq!(answer["status"], "started");
                taken.push(id);
            }
            Err(error) => {
                let shape = error.shape().unwrap();
                assert_eq!(shape.message, "200 messages wait in this session already");
                assert_eq!(shape.retryable, Some(true));
                refused += 1;
            }
        }
    }
    assert_eq!((taken.len(), refused), (200, 70));
    let other = send(&client, "b", "elsewhere", "hello").await;
    assert_eq!(other["status"], "started", "other sessions take messages");
    client.request("chat.abort", json!({"sessionKey": "a", "runId": "first"})).await.unwrap();
    let ends = witness.ends_of(&taken).await;
    assert!(ends.iter().all(|(run, end)| *end == (String::from("final"), format!("echo: {run}"))));
    gateway.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_run_is_known_long_after_it() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start(echo(&server)).await;
    let (client, witness) = gateway.talk().await;
    let runs: Vec<String> = (0..50).map(|n| format!("r{n}")).collect();
    for run in &runs {
        send(&client, "a", run, run).await;
    }
    witness.ends_of(&runs).await;
    let wait = async |client: &openclawd::client::Client, run: &str, ms: u64| {
        client.request("agent.wait", json!({"runId": run, "timeoutMs": ms})).await.unwrap()
    };
    for run in ["r0", "r49"] {
        let answer = wait(&client, run, 60_000).await;
        assert_eq!(
            (&answer["status"], &answer["terminalReply"]["text"]),
            (&json!("ok"), &json!(format!("echo: {run}")))
        );
    }
    assert_eq!(wait(&client, "never-heard-of", 50).await["status"], "timeout");
    let (_, home) = gateway.stop(PATIENCE).await;
    let gateway = Gateway::start_in(home, echo(&server)).await;
    let (client, _witness) = gateway.talk().await;
    for run in ["r0", "r49"] {
        assert_eq!(wait(&client, run, 60_000).await["status"], "ok");
        assert_eq!(send(&client, "a", run, run).await["status"], "ok");
    }
    gateway.stop(Duration::from_secs(30)).await;
}
