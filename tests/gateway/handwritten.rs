//! A conversation that was written elsewhere, with every kind of line the format has: it opens, the model is shown what
//! it should be, it goes on, and nothing of what is not ours is changed.

use std::path::Path;

use actors::testing::fake_models::FakeModelServer;
use serde_json::{Value, json};

use crate::support::gateway::{Gateway, PATIENCE, echo, lines, send, text_of, transcript_file};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/handwritten");

fn home_with_it() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("agents/main/sessions");
    std::fs::create_dir_all(&folder).unwrap();
    for file in std::fs::read_dir(FIXTURES).unwrap().map(|entry| entry.unwrap().path()) {
        std::fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
    }
    home
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(Path::new(FIXTURES).join(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_file_written_by_hand_opens_and_continues() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start_in(home_with_it(), echo(&server)).await;
    let (client, witness) = gateway.talk().await;
    let history = client.request("chat.history", json!({"sessionKey": "main"})).await.unwrap();
    let shown: Vec<String> = history["messages"].as_array().unwrap().iter().map(text_of).collect();
    assert!(shown.contains(&String::from("The tomatoes are ripe.")), "{shown:?}");
    assert!(!shown.iter().any(|text| text.contains("branch that was left")), "{shown:?}");

    send(&client, "main", "next", "and now?").await;
    assert!(text_of(&witness.end_of("next").await["message"]).contains("and now?"));
    let request = server.requests().pop().unwrap().body["messages"].to_string();
    let expected = [
        "They plan a garden.",
        "the first words that are kept",
        "I look at the photo.",
        "a photo of tomatoes",
        "The tomatoes are ripe.",
        "What the branch came to.",
        "It will rain tomorrow.",
        "and now?",
    ];
    let mut rest = request.as_str();
    for part in expected {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part:?} is missing or out of order: {request}"));
        rest = &rest[at + part.len()..];
    }
    for part in ["before the summary", "branch that was left", "no model sees this", "later_version", "\"ripe\""] {
        assert!(!request.contains(part), "{part:?}: {request}");
    }
    assert_eq!(gateway.running.domain.store.check().await.unwrap().findings, []);

    let (_, home) = gateway.stop(PATIENCE).await;
    let file = transcript_file(home.path(), "main");
    let text = std::fs::read_to_string(&file).unwrap();
    let before = fixture("0b6f3c1e-7f0a-4c1d-9d57-5a1e3c8f2b11.jsonl");
    assert!(text.starts_with(&before), "a line that was there was changed");
    // What is new is one chain behind the last line.
    let all = lines(&file);
    let added = &all[before.lines().count() - 1..];
    let roles: Vec<&str> = added.iter().filter_map(|line| line["message"]["role"].as_str()).collect();
    assert_eq!(roles, ["user", "assistant"]);
    let mut leaf = json!("e16");
    for line in added {
        assert_eq!(line["parentId"], leaf);
        leaf = line["id"].clone();
    }
    rows_are_kept(home.path());
}

fn rows_are_kept(home: &Path) {
    let written = std::fs::read_to_string(home.join("agents/main/sessions/sessions.json")).unwrap();
    let (written, before): (Value, Value) =
        (serde_json::from_str(&written).unwrap(), serde_json::from_str(&fixture("sessions.json")).unwrap());
    let (now, then) = (&written["agent:main:main"], &before["agent:main:main"]);
    for field in
        ["sessionId", "label", "thinkingLevel", "pinnedAt", "deliveryContext", "skillsSnapshot", "compactionCount"]
    {
        assert_eq!(now[field], then[field], "{field}");
    }
    assert!(now["updatedAt"].as_i64() > then["updatedAt"].as_i64());
    assert_eq!(written["agent:main:explicit:other"]["ownNote"], "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_the_rows_while_the_gateway_is_down_is_taken_over() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start_in(home_with_it(), echo(&server)).await;
    let (client, witness) = gateway.talk().await;
    send(&client, "main", "first", "hello").await;
    witness.end_of("first").await;
    let (_, home) = gateway.stop(PATIENCE).await;
    let path = home.path().join("agents/main/sessions/sessions.json");
    let edited = std::fs::read_to_string(&path).unwrap().replace("\"garden\"", "\"orchard\"");
    std::fs::write(&path, edited).unwrap();
    let gateway = Gateway::start_in(home, echo(&server)).await;
    let (client, _witness) = gateway.talk().await;
    let listed = client.request("sessions.list", json!({})).await.unwrap().to_string();
    assert!(listed.contains("orchard") && !listed.contains("\"garden\""), "{listed}");
    gateway.stop(PATIENCE).await;
}
