//! The real daemon, killed in the middle of its work and started again.

use std::time::Duration;

use actors::testing::fake_models::{FakeFault, FakeModelServer, FakeTurn};
use openclawd::client::Client;
use serde_json::json;
use tempfile::TempDir;

use crate::support::daemon::Daemon;
use crate::support::gateway::{echo, line, lines, said, send, throw, transcript_file};

/// Sessions that are talked to.
const KEYS: usize = 3;

async fn all_ended(client: &Client, runs: &[String]) {
    for run in runs {
        let wait = json!({"runId": run, "timeoutMs": 60_000});
        let answer = client.request("agent.wait", wait).await.unwrap();
        assert_eq!(
            (&answer["status"], &answer["terminalReply"]["text"]),
            (&json!("ok"), &json!(format!("echo: {run}")))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_answers_every_accepted_message_once_and_in_order() {
    let server = FakeModelServer::start().await.unwrap();
    server.set_pace(Duration::from_millis(40));
    let home = TempDir::new().unwrap();
    let mut sent: Vec<Vec<String>> = vec![Vec::new(); KEYS];
    let mut all = Vec::new();
    let mut daemon = Daemon::start(home.path(), echo(&server)).await;
    for round in 0..6 {
        let (client, witness) = daemon.talk().await;
        let mut pending = Vec::new();
        for n in 0..3 {
            for (key, of_key) in sent.iter_mut().enumerate() {
                let run = format!("m-{round}-{key}-{n}");
                pending.push((key, run.clone(), throw(&client, &format!("k{key}"), &run, &run).await));
                of_key.push(run.clone());
                all.push(run);
            }
        }
        let count = all.len();
        let mine = &all[count - 9..];
        if round != 1 {
            for (_, _, answer) in &mut pending {
                answer.next(Duration::from_secs(60)).await.unwrap();
            }
        }
        match round {
            // At once behind the acceptance; while messages are on their way; in the middle of answers; behind the first
            // answer; in the middle of answers, and once more when they are resumed; not at all.
            0 | 1 => {}
            2 | 4 => drop(witness.text_from(&mine[0]).await),
            3 => drop(witness.end_of(&mine[0]).await),
            _ => {
                all_ended(&client, &all).await;
                break;
            }
        }
        daemon.kill().await;
        daemon = Daemon::start(home.path(), echo(&server)).await;
        if round == 4 {
            let requests = server.counts().requests;
            server.wait_until(|counts| counts.requests >= requests.max(1)).await;
            daemon.kill().await;
            daemon = Daemon::start(home.path(), echo(&server)).await;
        }
        let (client, _witness) = daemon.talk().await;
        for (key, run, mut answer) in pending {
            // What was not answered is sent again under the same id, in the same order.
            if round == 1 {
                answer.next(Duration::from_millis(1)).await.ok();
                send(&client, &format!("k{key}"), &run, &run).await;
            }
        }
        all_ended(&client, mine).await;
    }
    daemon.terminate().await;
    let (status, said_last) = daemon.ended().await;
    assert_eq!(status.code(), Some(0), "{said_last}");
    let mut resumed = 0;
    for (key, of_key) in sent.iter().enumerate() {
        let file = lines(&transcript_file(home.path(), &format!("k{key}")));
        let expected: Vec<_> =
            of_key.iter().flat_map(|run| [line("user", run), line("assistant", format!("echo: {run}"))]).collect();
        assert_eq!(said(&file), expected, "k{key}");
        resumed += file.iter().filter(|line| line["customType"] == "openclawd.run-resumed").count();
    }
    eprintln!("{} messages, {resumed} resumed runs, {:?}", all.len(), server.counts());
    assert!(resumed > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_daemon_at_once_and_names_who_held_on() {
    let server = FakeModelServer::start().await.unwrap();
    server.script([FakeTurn::text("half an answer").fault(FakeFault::HangAfter(2))]);
    let home = TempDir::new().unwrap();
    let mut daemon = Daemon::start(home.path(), echo(&server)).await;
    let (client, witness) = daemon.talk().await;
    send(&client, "stuck", "one", "hello").await;
    witness.text_from("one").await;
    daemon.terminate().await;
    daemon.until_said("once more to stop at once").await;
    daemon.terminate().await;
    let (status, said) = daemon.ended().await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("agent:main:stuck was still at work"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_signal_lets_the_daemon_finish() {
    let server = FakeModelServer::start().await.unwrap();
    server.set_pace(Duration::from_millis(50));
    let home = TempDir::new().unwrap();
    let daemon = Daemon::start(home.path(), echo(&server)).await;
    let (client, witness) = daemon.talk().await;
    send(&client, "a", "one", "one two three four five").await;
    witness.text_from("one").await;
    daemon.terminate().await;
    assert_eq!(witness.end_of("one").await["state"], "final");
    assert_eq!(client.closed().await.unwrap().code, 1012);
    let (status, said) = daemon.ended().await;
    assert_eq!(status.code(), Some(0), "{said}");
}
