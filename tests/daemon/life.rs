//! Starting, signing in, being looked at, stopping.

use actors::testing::fake_models::FakeModelServer;

use crate::program::{Home, within};

#[tokio::test]
async fn a_first_start_needs_nothing_and_shows_the_way_in() {
    let home = Home::new();
    let daemon = home.start(&[]).await;
    let token = home.read("openclawd/token").trim().to_owned();
    let dashboard = format!("http://127.0.0.1:{}/openclawd/#token={token}", daemon.port);
    for part in [dashboard.as_str(), "(not there: defaults)", "demo/echo"] {
        assert!(daemon.greeting.contains(part), "{part}: {}", daemon.greeting);
    }
    for (path, mode) in [
        ("openclawd", 0o700),
        ("openclawd/store", 0o700),
        ("logs", 0o700),
        ("openclawd/token", 0o600),
        ("openclawd/gateway.lock", 0o600),
    ] {
        assert_eq!(home.mode(path), mode, "{path}");
    }
    // occtl finds port and token by itself.
    home.occtl(&["status"]).await.exited(0).printed(&[&daemon.port.to_string(), "health    ok", "all well"]);
    home.occtl(&["agent", "--message", "hello"]).await.exited(0).printed(&["You said: hello"]);
    let status = home.occtl(&["agent", "--message", "/status"]).await;
    status.exited(0).printed(&["Session agent:main:main: idle", "Queue: steer"]);
    daemon.stop().await.exited(0).printed(&["SIGTERM: finishing what runs", "stopped"]);
    // The token is not shown where output is kept, from the second start on.
    let daemon = home.start(&[]).await;
    assert!(!daemon.greeting.contains(&token) && daemon.greeting.contains("openclawd/token"), "{}", daemon.greeting);
    home.occtl(&["sessions", "show", "main"]).await.exited(0).printed(&["hello"]);
    daemon.stop().await.exited(0);
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_says_where_to_give_the_right_one() {
    let home = Home::new();
    let daemon = home.start(&[]).await;
    let run = home.occtl(&["--token", "wrong", "health"]).await;
    run.exited(77).complained(&["refused to sign in", "token mismatch", "OPENCLAW_GATEWAY_TOKEN"]);
    let run = home.occtl(&["--token", "wrong", "--json", "health"]).await;
    let told: serde_json::Value = serde_json::from_str(&run.exited(77).stderr).unwrap();
    assert_eq!(told["error"]["kind"], "auth");
    daemon.stop().await.exited(0);
}

#[tokio::test]
async fn probes_follow_the_life_of_the_gateway() {
    let home = Home::new();
    let server = FakeModelServer::start().await.unwrap();
    home.config(&hanging(&server, ""));
    let mut daemon = home.start(&[]).await;
    for (path, status, part) in [
        ("/healthz", 200, r#""status":"live""#),
        ("/readyz", 200, r#""ready":true"#),
        ("/startupz", 200, r#""status":"started""#),
        ("/nothing", 404, "Not Found"),
    ] {
        let (found, body) = daemon.get(path).await;
        assert!(found == status && body.contains(part), "{path}: {found} {body}");
    }
    let run = tokio::join!(home.occtl(&["agent", "--message", "hi", "--run-timeout", "600"]), async {
        within(server.wait_until(|counts| counts.requests == 1)).await;
        daemon.signal("TERM").await;
        daemon.said("SIGTERM").await;
        daemon.logged("stopping").await;
        let (status, body) = daemon.get("/readyz").await;
        assert!(status == 503 && body.contains("draining"), "{status} {body}");
        assert_eq!(daemon.get("/healthz").await.0, 200);
        // Out of patience.
        daemon.signal("TERM").await;
        let port = daemon.port.to_string();
        daemon.ended().await.exited(1).complained(&["agent:main:main was still at work"]);
        // The client looks for the gateway meanwhile; the run is taken up, and stopped like any other.
        let daemon = home.start(&["--port", &port]).await;
        within(server.wait_until(|counts| counts.requests == 2)).await;
        home.occtl(&["gateway", "call", "chat.abort", "--params", r#"{"sessionKey":"main"}"#]).await.exited(0);
        daemon
    });
    run.0.exited(1).complained(&["connection lost"]);
    run.1.stop().await.exited(0);
}

#[tokio::test]
async fn work_that_does_not_end_is_left_when_the_budget_is_spent() {
    let home = Home::new();
    let server = FakeModelServer::start().await.unwrap();
    home.config(&hanging(&server, ""));
    let daemon = home.start(&["--drain-seconds", "1"]).await;
    let params = r#"{"message":"hi","sessionKey":"main","idempotencyKey":"one"}"#;
    home.occtl(&["gateway", "call", "chat.send", "--params", params]).await.exited(0);
    within(server.wait_until(|counts| counts.requests == 1)).await;
    daemon.stop().await.exited(1).complained(&["still at work", "taken up at the next start"]);
}

#[tokio::test]
async fn a_store_that_lost_everything_is_refused_and_left_alone() {
    let home = Home::new();
    let daemon = home.start(&[]).await;
    home.occtl(&["agent", "--message", "kept"]).await.exited(0);
    daemon.stop().await.exited(0);
    std::fs::write(home.path("openclawd/store/db"), [7_u8; 4096]).unwrap();
    home.refused(&[]).await.exited(1).complained(&["the store at", "is damaged", "move the folder away"]);
    // What the operator moves away is replaced; conversations and the list of sessions are files beside it.
    std::fs::rename(home.path("openclawd/store"), home.path("moved")).unwrap();
    let daemon = home.start(&[]).await;
    home.occtl(&["sessions", "show", "main"]).await.exited(0).printed(&["kept"]);
    daemon.stop().await.exited(0);
}

#[tokio::test]
async fn a_killed_gateway_leaves_nothing_in_the_way() {
    let home = Home::new();
    let daemon = home.start(&[]).await;
    home.occtl(&["agent", "--message", "before"]).await.exited(0);
    daemon.signal("KILL").await;
    daemon.ended().await.exited(-1);
    home.occtl(&["health"]).await.exited(69).complained(&["no gateway answers", "is it running?"]);
    let daemon = home.start(&[]).await;
    home.occtl(&["sessions", "show", "main"]).await.exited(0).printed(&["before"]);
    daemon.stop().await.exited(0);
}

/// A model that takes a request and never answers.
pub(crate) fn hanging(server: &FakeModelServer, defaults: &str) -> String {
    format!(
        "{{ models: {{ providers: {{ box: {{ baseUrl: '{}', api: 'openai-completions', models: [{{ id: 'fault-hang' }}] }} }} }},
           agents: {{ defaults: {{ {defaults} model: 'box/fault-hang' }} }} }}",
        server.base_url()
    )
}
