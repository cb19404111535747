//! What models are shown and what people are shown.

use actors::testing::fake_models::{FakeFault, FakeModelServer, FakeRequest, FakeTurn};
use actors::testing::telegram::FakeTelegram;
use actors::tools::ToolRegistry;
use serde_json::{Value, json};
use supervision::chaos::Fault;

use crate::support::gateway::{Gateway, PATIENCE, echo, lines, said, send, text_of, transcript_file};

/// A gateway that answers one person on a chat platform, in small blocks.
fn in_blocks(server: &FakeModelServer, telegram: &FakeTelegram) -> Value {
    let mut config = echo(server);
    config["channels"] = json!({"telegram": {
        "botToken": telegram.token(), "apiRoot": telegram.api_root(), "allowFrom": ["7"],
    }});
    config["agents"]["defaults"]["blockStreamingDefault"] = json!("on");
    config["agents"]["defaults"]["blockStreamingChunk"] = json!({"minChars": 10, "maxChars": 60});
    config
}

/// The system prompt of a request.
fn system(request: &FakeRequest) -> String {
    text_of(&request.body["messages"][0])
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_md_never_appears_in_the_prompt_of_a_group_channel_cron_or_sub_agent_session() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start(echo(&server)).await;
    let workspace = gateway.home.path().join("workspace");
    std::fs::create_dir_all(&workspace).unwrap();
    for (name, text) in [("AGENTS.md", "manual-7"), ("MEMORY.md", "memory-7"), ("WORKING.md", "working-7")] {
        std::fs::write(workspace.join(name), text).unwrap();
    }
    let (client, witness) = gateway.talk().await;
    for (key, is_private) in [
        ("main", true),
        ("telegram:direct:7", true),
        ("telegram:group:7", false),
        ("telegram:group:7:topic:3", false),
        ("discord:channel:5", false),
        ("cron:daily", false),
        ("cron:daily:run:1", false),
        ("subagent:4f", false),
        ("hook:inbox", false),
        ("global", false),
    ] {
        let run = format!("run-{key}");
        send(&client, key, &run, "hello").await;
        witness.end_of(&run).await;
        let prompt = system(server.requests().last().unwrap());
        assert!(prompt.contains("manual-7"), "{key}: {prompt}");
        assert_eq!(prompt.contains("memory-7"), is_private, "{key}");
        assert_eq!(prompt.contains("working-7"), is_private, "{key}");
    }
    gateway.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_prompt_is_the_same_from_turn_to_turn_and_a_new_workspace_has_its_files() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start(echo(&server)).await;
    let (client, witness) = gateway.talk().await;
    for run in ["one", "two", "three"] {
        send(&client, "main", run, run).await;
        witness.end_of(run).await;
    }
    let prompts: Vec<String> = server.requests().iter().map(system).collect();
    assert!(prompts[0].contains("## Project Context") && prompts[0].contains("### BOOTSTRAP.md"));
    assert!(prompts.iter().all(|prompt| *prompt == prompts[0]));
    let workspace = gateway.home.path().join("workspace");
    assert!(workspace.join("AGENTS.md").exists());
    let (_, home) = gateway.stop(PATIENCE).await;
    let rows = std::fs::read_to_string(home.path().join("agents/main/sessions/sessions.json")).unwrap();
    let rows: Value = serde_json::from_str(&rows).unwrap();
    let report = &rows["agent:main:main"]["systemPromptReport"];
    let shown = prompts[0].chars().count();
    let told = report["systemPrompt"]["chars"].as_u64().unwrap() as usize;
    assert!(told <= shown && shown <= told + 4, "{told} of {shown}");
    assert_eq!(report["injectedWorkspaceFiles"][0]["name"], "AGENTS.md");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_may_be_left_without_an_answer_and_hears_nothing_of_it() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start(echo(&server)).await;
    let (client, witness) = gateway.talk().await;
    server.script([FakeTurn::text(" no_reply\n")]);
    send(&client, "telegram:group:7", "silent", "just talking").await;
    let end = witness.end_of("silent").await;
    assert_eq!((&end["state"], text_of(&end["message"]).as_str()), (&json!("final"), ""));
    let heard = witness.all().into_iter().filter(|event| matches!(event.event.as_str(), "chat" | "agent"));
    for payload in heard.filter_map(|event| event.payload) {
        assert!(!payload.to_string().to_lowercase().contains("no_r"), "{payload}");
    }
    assert_eq!(server.counts().requests, 1);
    gateway.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_answered_even_if_the_model_stays_silent() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start(echo(&server)).await;
    let (client, witness) = gateway.talk().await;
    server.script([
        FakeTurn::call("c1", "clock", json!({})),
        FakeTurn::text("NO_REPLY"),
        FakeTurn::text("It is done."),
        FakeTurn::text("NO_REPLY"),
        FakeTurn::text("no_reply"),
    ]);
    send(&client, "main", "work", "look at the clock").await;
    assert_eq!(text_of(&witness.end_of("work").await["message"]), "It is done.");
    let requests = server.requests();
    let last = requests.last().unwrap();
    assert_eq!((requests.len(), &last.body["tool_choice"]), (3, &json!("none")));
    send(&client, "main", "again", "and?").await;
    assert_eq!(text_of(&witness.end_of("again").await["message"]), "I have nothing to add.");
    let (_, home) = gateway.stop(PATIENCE).await;
    let transcript = said(&lines(&transcript_file(home.path(), "main")));
    assert!(transcript.iter().all(|(_, text)| !text.to_lowercase().contains("no_reply")), "{transcript:?}");
    assert_eq!(transcript.last().unwrap().1, "I have nothing to add.");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_blocks_reaches_the_chat_in_order_and_nothing_twice() {
    let (server, telegram) = (FakeModelServer::start().await.unwrap(), FakeTelegram::start().await);
    let gateway = Gateway::start(in_blocks(&server, &telegram)).await;
    let answer = "The first paragraph.\n\nThe second one.\n\nThe end";
    server.script([
        FakeTurn::text("Let me look at the clock.").and_call("c1", "clock", json!({})),
        FakeTurn::text(answer),
    ]);
    telegram.say(7, "tell me");
    telegram.wait_sent(4).await;
    let (report, home) = gateway.stop(PATIENCE).await;
    assert!(report.stragglers.is_empty(), "{report:?}");
    let sent: Vec<String> = telegram.sent().into_iter().map(|sent| sent.visible).collect();
    assert_eq!(sent, ["Let me look at the clock.", "The first paragraph.", "The second one.", "The end"]);
    let transcript = said(&lines(&transcript_file(home.path(), "main")));
    assert_eq!(transcript.last().unwrap().1, answer, "the transcript has the answer whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_were_sent_before_a_crash_are_not_sent_again() {
    let (server, telegram) = (FakeModelServer::start().await.unwrap(), FakeTelegram::start().await);
    let gateway = Gateway::start_armed(in_blocks(&server, &telegram), ToolRegistry::built_in()).await;
    let answer = "The first paragraph.\n\nThe second one.\n\nThe end";
    server.script([FakeTurn::text(answer).fault(FakeFault::HangAfter(5)), FakeTurn::text(answer)]);
    telegram.say(7, "tell me");
    telegram.wait_sent(1).await;
    let run = gateway.nodes("run").remove(0);
    gateway.chaos().strike(run.path.clone(), Fault::Kill).unwrap();
    telegram.wait_sent(3).await;
    let (_, home) = gateway.stop(PATIENCE).await;
    let sent: Vec<String> = telegram.sent().into_iter().map(|sent| sent.visible).collect();
    assert_eq!(sent, ["The first paragraph.", "The second one.", "The end"]);
    assert_eq!(server.counts().requests, 2);
    assert_eq!(said(&lines(&transcript_file(home.path(), "main"))).last().unwrap().1, answer);
}
