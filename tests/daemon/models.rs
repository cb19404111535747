//! Model servers that are down, hang or refuse, and adding one that works.

use actors::testing::fake_models::{FakeModelServer, FakeTurn};

use crate::life::hanging;
use crate::program::Home;

fn config(base_url: &str) -> String {
    format!(
        "{{ models: {{ providers: {{ box: {{ baseUrl: '{base_url}', api: 'openai-completions', models: [{{ id: 'm' }}] }} }} }} }}"
    )
}

#[tokio::test]
async fn a_model_server_that_is_down_is_waited_for_and_said_to_be() {
    let home = Home::new();
    let gone = FakeModelServer::start().await.unwrap().base_url();
    home.config(&config(&gone));
    let daemon = home.start(&[]).await;
    let run = home.occtl(&["agent", "--message", "hi", "--run-timeout", "2"]).await;
    run.exited(1).complained(&["the model did not answer (timeout), asking again", "no answer in 2 s"]);
    // The gateway itself is well.
    home.occtl(&["health"]).await.exited(0);
    daemon.stop().await.exited(0);
}

#[tokio::test]
async fn a_model_server_that_hangs_ends_with_the_time_a_run_may_take() {
    let home = Home::new();
    let server = FakeModelServer::start().await.unwrap();
    home.config(&hanging(&server, "timeoutSeconds: 1,"));
    let daemon = home.start(&[]).await;
    let run = home.occtl(&["agent", "--message", "hi"]).await;
    run.exited(1).complained(&["the run took longer than 1 s", "agents.defaults.timeoutSeconds"]);
    // The session is free for the next one.
    home.occtl(&["tree", "--path", "root/core/sessions"]).await.exited(0).printed(&["waiting=0"]);
    daemon.stop().await.exited(0);
}

#[tokio::test]
async fn a_corrected_address_is_used_at_once_whatever_the_old_one_did() {
    let home = Home::new();
    let (tired, fresh) = (FakeModelServer::start().await.unwrap(), FakeModelServer::start().await.unwrap());
    tired.script([FakeTurn::status(429).retry_after(3600)]);
    home.config(&config(&tired.base_url()));
    let mut daemon = home.start(&[]).await;
    home.occtl(&["agent", "--message", "one"]).await.exited(1).complained(&["box/m"]);
    home.occtl(&["agent", "--message", "two"]).await.exited(1).complained(&["resting"]);
    fresh.script([FakeTurn::text("well rested")]);
    home.config(&config(&fresh.base_url()));
    daemon.logged("configuration published").await;
    home.occtl(&["agent", "--message", "three"]).await.exited(0).printed(&["well rested"]);
    daemon.stop().await.exited(0);
}

/// The arguments that add a model of the provider `box`.
fn add<'a>(base_url: &'a str, api: &'a str) -> Vec<&'a str> {
    vec!["models", "add", "--provider", "box", "--base-url", base_url, "--api", api, "--model", "m", "--key-stdin"]
}

#[tokio::test]
async fn an_added_model_is_proved_and_a_refused_key_can_be_corrected() {
    let home = Home::new();
    let server = FakeModelServer::start().await.unwrap();
    let daemon = home.start(&[]).await;
    let url = server.base_url();
    server.script([FakeTurn::refusal(401, "invalid_api_key", "invalid api key")]);
    let run = home.occtl_with_input(&add(&url, "openai-completions"), "sk-bad\n").await;
    run.exited(1).complained(&["refused the API key", "the same command again corrects it"]);
    let run = home.occtl_with_input(&add(&url, "openai-completions"), "sk-good\n").await;
    run.exited(0).printed(&["ok box/m answers"]);
    let sent = server.requests();
    assert_eq!(sent.last().unwrap().header("authorization"), Some("Bearer sk-good"));
    home.occtl(&["models", "list"]).await.exited(0).printed(&["box/m"]);
    assert_eq!(home.mode("openclaw.json"), 0o600);
    daemon.stop().await.exited(0);
}

#[tokio::test]
async fn an_edit_that_the_gateway_refuses_is_taken_back() {
    let home = Home::new();
    let daemon = home.start(&[]).await;
    let run = home.occtl_with_input(&add("http://127.0.0.1:9/v1", "nonsense"), "sk\n").await;
    run.exited(1).complained(&["the file is as it was", "models.providers.box.api", "openai-completions"]);
    assert!(!home.path("openclaw.json").exists());
    daemon.stop().await.exited(0);
}
