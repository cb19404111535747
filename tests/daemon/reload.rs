//! The configuration is edited while the daemon runs.

use actors::testing::fake_models::{FakeModelServer, FakeTurn};

use crate::program::Home;

#[tokio::test]
async fn an_edit_that_is_wrong_leaves_the_last_good_one_in_force_and_is_named_everywhere() {
    let home = Home::new();
    home.config("{ logging: { level: 'info' } }");
    let mut daemon = home.start(&[]).await;
    home.config("{ loging: { level: 'info' } }");
    let line = daemon.logged("config reload skipped").await;
    assert!(line.contains("loging: unknown key") && line.contains("did you mean `logging`?"), "{line}");
    home.occtl(&["status"]).await.exited(0).printed(&["not taken, the last good one stays", "loging: unknown key"]);
    let run = home.occtl(&["tree", "get", "root/core/config"]).await;
    run.exited(0).printed(&["\"refused\"", "loging: unknown key", "\"revision\": \"1\""]);
    home.occtl(&["agent", "--message", "still there"]).await.exited(0).printed(&["still there"]);
    // Not even JSON any more: the gateway is found and goes on all the same.
    home.config("{ logging: ");
    daemon.logged("config reload skipped").await;
    home.occtl(&["status"]).await.exited(0).printed(&["syntax error"]);
    home.config("{ logging: { level: 'info' } }");
    daemon.logged("good again").await;
    let run = home.occtl(&["status"]).await;
    assert!(!run.exited(0).stdout.contains("not taken"), "{run:?}");
    daemon.stop().await.exited(0);
}

#[tokio::test]
async fn a_file_that_vanishes_is_no_return_to_defaults() {
    let home = Home::new();
    home.config("{ logging: { level: 'debug' } }");
    let mut daemon = home.start(&[]).await;
    std::fs::remove_file(home.path("openclaw.json")).unwrap();
    daemon.logged("the configuration file is gone").await;
    home.occtl(&["status"]).await.exited(0).printed(&["the configuration file is gone"]);
    daemon.stop().await.exited(0);
}

#[tokio::test]
async fn a_new_model_is_used_with_the_next_message() {
    let home = Home::new();
    let server = FakeModelServer::start().await.unwrap();
    let mut daemon = home.start(&[]).await;
    home.occtl(&["agent", "--message", "hi"]).await.exited(0).printed(&["demo model"]);
    server.script([FakeTurn::text("a real answer")]);
    home.config(&format!(
        "{{ models: {{ providers: {{ box: {{ baseUrl: '{}', api: 'openai-completions', models: [{{ id: 'm' }}] }} }} }} }}",
        server.base_url()
    ));
    daemon.logged("configuration published").await;
    home.occtl(&["agent", "--message", "hi"]).await.exited(0).printed(&["a real answer"]);
    daemon.stop().await.exited(0);
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_waits_for_it() {
    let home = Home::new();
    let mut daemon = home.start(&[]).await;
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    home.config(&format!("{{ gateway: {{ port: {other} }} }}"));
    let line = daemon.logged("takes effect with the next start only").await;
    assert!(line.contains("gateway.port"), "{line}");
    // The old port is served, and found, until then.
    home.occtl(&["status"]).await.exited(0).printed(&["waits for a restart: gateway.port", &daemon.port.to_string()]);
    daemon.stop().await.exited(0);
    let daemon = home.start_as_configured().await;
    assert_eq!(daemon.port, other);
    home.occtl(&["health"]).await.exited(0);
    daemon.stop().await.exited(0);
}

#[tokio::test]
async fn warnings_are_shown_once() {
    let home = Home::new();
    home.config("{ cron: { enabled: true } }");
    let daemon = home.start(&[]).await;
    let greeting = daemon.greeting.clone();
    let run = daemon.stop().await;
    let mark = "known but not implemented";
    assert_eq!((greeting.matches(mark).count(), run.exited(0).stderr.matches(mark).count()), (0, 1), "{run:?}");
}
