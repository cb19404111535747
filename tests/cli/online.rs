//! Commands that talk to a gateway, here one that follows a script.

use serde_json::{Value, json};

use crate::fake::{Asked, Fake, Step, TOKEN};
use crate::program::{Home, Run};
use crate::snapshot::assert_snapshot;

fn home_of(fake: &Fake) -> Home {
    let home = Home::new();
    home.config(&format!("{{ gateway: {{ port: {}, auth: {{ token: '{TOKEN}' }} }} }}", fake.port));
    home
}

/// Output without the port, which differs from run to run.
fn settled(fake: &Fake, run: &Run) -> String {
    run.stdout.replace(&fake.port.to_string(), "PORT")
}

fn answering(method: &'static str, payload: Value) -> Fake {
    Fake::new(move |asked| if asked.method == method { vec![Step::Answer(payload.clone())] } else { unknown(asked) })
}

fn unknown(asked: &Asked<'_>) -> Vec<Step> {
    let message = format!("unknown method: {}", asked.method);
    vec![Step::Refuse(json!({"code": "INVALID_REQUEST", "message": message}))]
}

fn health(ok: bool) -> Value {
    json!({"ok": ok, "ts": 1, "agents": [{"agentId": "main", "isDefault": true}], "sessions": {"count": 3},
        "channels": {"webchat": {"running": true}}, "failing": if ok { json!([]) } else { json!(["store"]) }})
}

fn tree() -> Value {
    json!({"epoch": 1, "seq": 4, "ts": 60_000, "nodes": [
        {"id": 1, "parent": null, "path": "root", "name": "root", "state": "running", "restarts": 0},
        {"id": 2, "parent": 1, "path": "root/core", "name": "core", "state": "running", "restarts": 0},
        {"id": 3, "parent": 2, "path": "root/core/store", "name": "store", "state": "running", "restarts": 1},
        {"id": 4, "parent": 2, "path": "root/core/channels", "name": "channels", "state": "failed", "restarts": 0,
            "lastExit": {"class": "fatal", "text": "bad token", "at": 30_000}},
    ]})
}

fn delta(run: &Value, text: &str) -> Step {
    let message = json!({"role": "assistant", "content": [{"type": "text", "text": text}]});
    Step::Event("chat", json!({"runId": run, "state": "delta", "deltaText": text, "message": message}))
}

fn ended(run: &Value, text: &str) -> Step {
    let message = json!({"role": "assistant", "content": [{"type": "text", "text": text}]});
    Step::Event("chat", json!({"runId": run, "state": "final", "message": message}))
}

fn agent_result(run: &Value, text: &str) -> Step {
    Step::Answer(json!({"runId": run, "status": "ok", "summary": "completed", "result": {"payloads": [{"text": text}],
        "meta": {"agentMeta": {"provider": "local", "model": "tiny"}}}}))
}

#[test]
fn refused_credentials_exit_with_77() {
    let fake = answering("health", health(true));
    let run = home_of(&fake).occtl(&["health", "--token", "wrong"]);
    assert_eq!(run.code, 77, "{run:?}");
    assert!(run.stderr.contains("gateway token mismatch") && run.stderr.contains("OPENCLAW_GATEWAY_TOKEN"), "{run:?}");
    assert!(!run.stderr.contains("wrong"), "{run:?}");
}

#[test]
fn the_client_signs_in_as_the_cli() {
    let fake = answering("health", health(true));
    home_of(&fake).occtl(&["health"]).succeeded();
    let connect = &fake.heard("connect")[0];
    assert_eq!((&connect["client"]["id"], &connect["client"]["mode"]), (&json!("cli"), &json!("cli")));
    assert_eq!(connect["role"], "operator");
}

#[test]
fn health_tells_what_fails_and_exits_with_1() {
    let fake = answering("health", health(false));
    let run = home_of(&fake).occtl(&["health"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert_snapshot("health-failing", &settled(&fake, &run));
    let run = home_of(&fake).occtl(&["health", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&run.stdout).unwrap(), health(false));
}

#[test]
fn status_is_one_screen() {
    let fake = Fake::new(|asked| match asked.method {
        "health" => vec![Step::Answer(health(true))],
        "tree.snapshot" => vec![Step::Answer(tree())],
        _ => unknown(asked),
    });
    let run = home_of(&fake).occtl(&["status"]);
    run.succeeded();
    assert_snapshot("status", &settled(&fake, &run));
}

#[test]
fn the_tree_is_drawn_or_given_as_json() {
    let fake = answering("tree.snapshot", tree());
    let home = home_of(&fake);
    let run = home.occtl(&["tree"]);
    run.succeeded();
    assert_snapshot("tree", &run.stdout);
    let run = home.occtl(&["tree", "--json", "--path", "root/core", "--depth", "0"]);
    let told: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(told["nodes"].as_array().unwrap().len(), 1);
    let run = home.occtl(&["tree", "--path", "root/nowhere"]);
    assert_eq!(run.code, 1, "{run:?}");
}

#[test]
fn an_action_is_asked_for_by_its_wire_name_and_a_refusal_is_told() {
    let fake = Fake::new(|asked| match (asked.method, asked.params["path"].as_str()) {
        ("tree.act", Some("root/core/store")) => {
            vec![Step::Answer(json!({"ok": true, "path": asked.params["path"], "action": asked.params["action"]}))]
        }
        _ => vec![Step::Refuse(json!({"code": "FORBIDDEN", "message": "missing scope: operator.admin"}))],
    });
    let home = home_of(&fake);
    home.occtl(&["tree", "act", "root/core/store", "reset-backoff"]).succeeded();
    assert_eq!(fake.heard("tree.act")[0], json!({"path": "root/core/store", "action": "resetBackoff"}));
    let run = home.occtl(&["tree", "act", "root", "stop"]);
    assert_eq!((run.code, run.stderr.as_str()), (1, "occtl: tree.act: missing scope: operator.admin\n"));
}

#[test]
fn a_watched_tree_follows_the_changes_over_a_lost_connection() {
    let fake = Fake::new(|asked| match (asked.method, asked.connection) {
        ("tree.subscribe", _) => vec![Step::Answer(json!({"subscribed": true, "epoch": 1, "seq": 4}))],
        ("tree.snapshot", 1) => {
            let fields = json!({"state": "running", "lastExit": null});
            let ops = json!([{"op": "patch", "id": 4, "fields": fields}]);
            vec![Step::Answer(tree()), Step::Event("tree.delta", json!({"epoch": 1, "seq": 5, "ops": ops})), Step::Cut]
        }
        ("tree.snapshot", _) => vec![Step::Answer(tree())],
        _ => unknown(asked),
    });
    let lines = home_of(&fake).first_lines(&["tree", "--watch", "--json"], 3);
    let events: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["tree.snapshot", "tree.delta", "tree.snapshot"]);
}

#[test]
fn an_answer_is_streamed_and_completed() {
    let fake = Fake::new(|asked| {
        let run = &asked.params["idempotencyKey"];
        let tool = json!({"runId": run, "stream": "tool", "data": {"phase": "start", "name": "clock"}});
        vec![
            Step::Answer(json!({"runId": run, "status": "accepted", "sessionKey": "agent:main:main"})),
            delta(&json!("another run"), "not ours"),
            delta(run, "It is"),
            Step::Event("agent", tool),
            delta(run, "It is no\u{1b}on"),
            agent_result(run, "It is no\u{1b}on."),
        ]
    });
    let run = home_of(&fake).occtl(&["agent", "-m", "what time is it?", "--session", "s"]);
    run.succeeded();
    assert_eq!(run.stdout, "It is noon.\n");
    assert_eq!(fake.heard("agent")[0]["sessionKey"], "s");
}

#[test]
fn a_turn_survives_a_lost_connection_and_is_never_asked_for_under_another_id() {
    let fake = Fake::new(|asked| {
        let run = &asked.params["idempotencyKey"];
        match (asked.method, asked.connection) {
            ("agent", 1) => {
                vec![Step::Answer(json!({"runId": run, "status": "accepted"})), delta(run, "One, "), Step::Cut]
            }
            ("agent", _) => vec![Step::Answer(json!({"runId": run, "status": "in_flight"}))],
            ("agent.wait", _) => {
                let run = &asked.params["runId"];
                let reply = json!({"disposition": "visible", "text": "One, two, three."});
                vec![
                    delta(run, "One, two"),
                    Step::Answer(json!({"runId": run, "status": "ok", "terminalReply": reply})),
                ]
            }
            _ => unknown(asked),
        }
    });
    let run = home_of(&fake).occtl(&["agent", "-m", "count"]);
    run.succeeded();
    assert_eq!(run.stdout, "One, two, three.\n");
    let asked = fake.heard("agent");
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0], asked[1]);
}

#[test]
fn a_failed_turn_exits_with_1_and_the_reason() {
    let fake = Fake::new(|asked| {
        let run = &asked.params["idempotencyKey"];
        vec![
            Step::Answer(json!({"runId": run, "status": "accepted"})),
            Step::Refuse(json!({"code": "UNAVAILABLE", "message": "no credit left"})),
        ]
    });
    let run = home_of(&fake).occtl(&["agent", "-m", "hi"]);
    assert_eq!((run.code, run.stderr.as_str()), (1, "occtl: agent: no credit left\n"));
}

#[test]
fn a_chat_takes_lines_and_prints_answers() {
    let fake = Fake::new(|asked| {
        let run = &asked.params["idempotencyKey"];
        let said = asked.params["message"].as_str().unwrap_or_default();
        vec![
            Step::Answer(json!({"runId": run, "status": "started"})),
            delta(run, "You said"),
            ended(run, &format!("You said {said}")),
        ]
    });
    let home = home_of(&fake);
    let run = home.occtl_with_input(&["chat"], "one\n\n/session other\ntwo\n/quit\nthree\n");
    run.succeeded();
    assert_eq!(run.stdout, "You said one\nYou said two\n");
    let keys: Vec<Value> = fake.heard("chat.send").iter().map(|params| params["sessionKey"].clone()).collect();
    assert_eq!(keys, ["main", "other"]);
    let run = home.occtl_with_input(&["chat", "--json"], "one\n");
    let told: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&told["state"], &told["text"]), (&json!("final"), &json!("You said one")));
}

#[test]
fn a_chat_gets_the_answer_that_was_given_while_it_was_away() {
    let fake = Fake::new(|asked| {
        let run = &asked.params["idempotencyKey"];
        match (asked.method, asked.connection) {
            ("chat.send", 1) => vec![delta(run, "Half "), Step::Cut],
            ("chat.send", _) => vec![Step::Answer(json!({"runId": run, "status": "ok"}))],
            _ => unknown(asked),
        }
    });
    let home = home_of(&fake);
    // Without history the turn fails as a turn: the chat itself goes on.
    let run = home.occtl_with_input(&["chat"], "hello\n");
    run.succeeded();
    assert_eq!(run.stdout, "Half unknown method: chat.history [failed]\n");
    let sent = fake.heard("chat.send");
    assert_eq!((sent.len(), &sent[0]), (2, &sent[1]));
}

#[test]
fn sessions_and_models_are_tables() {
    let fake = Fake::new(|asked| match asked.method {
        "sessions.list" => vec![Step::Answer(json!({"ts": 600_000, "totalCount": 2, "sessions": [
            {"key": "agent:main:main", "updatedAt": 590_000, "modelProvider": "demo", "model": "echo", "totalTokens": 1200},
            {"key": "agent:main:telegram:direct:7", "updatedAt": 0, "label": "Ann\u{7}"}]}))],
        "models.list" => vec![Step::Answer(json!({"models": [
            {"provider": "demo", "id": "echo", "name": "Echo", "contextWindow": 8192},
            {"provider": "far", "id": "big", "name": "Big", "available": false}]}))],
        _ => unknown(asked),
    });
    let home = home_of(&fake);
    let sessions = home.occtl(&["sessions", "list", "--agent", "main"]);
    sessions.succeeded();
    assert_snapshot("sessions", &sessions.stdout);
    assert_eq!(fake.heard("sessions.list")[0], json!({"limit": 50, "agentId": "main"}));
    let models = home.occtl(&["models", "list"]);
    assert_snapshot("models", &models.stdout);
}

#[test]
fn any_method_can_be_called() {
    let fake = Fake::new(|asked| vec![Step::Answer(json!({"method": asked.method, "params": asked.params}))]);
    let run = home_of(&fake).occtl(&["gateway", "call", "x.y", "--params", r#"{"a":[1]}"#]);
    run.succeeded();
    assert_eq!(serde_json::from_str::<Value>(&run.stdout).unwrap(), json!({"method": "x.y", "params": {"a": [1]}}));
}

#[test]
fn an_added_model_is_proved_with_one_call() {
    let fake = Fake::new(|asked| {
        let run = &asked.params["idempotencyKey"];
        match asked.method {
            "models.list" => vec![Step::Answer(json!({"models": [{"provider": "local", "id": "tiny"}]}))],
            "agent" => vec![Step::Answer(json!({"runId": run, "status": "accepted"})), agent_result(run, "OK")],
            _ => unknown(asked),
        }
    });
    let home = home_of(&fake);
    let add = |model: &str| {
        let args = ["models", "add", "--provider", "local", "--base-url", "http://127.0.0.1:9/v1"];
        let rest = ["--api", "openai-completions", "--model", model, "--key-env", "LOCAL_KEY"];
        home.occtl(&[&args[..], &rest[..]].concat())
    };
    let run = add("tiny");
    run.succeeded();
    assert!(run.stdout.ends_with("ok local/tiny answers\n"), "{run:?}");
    let asked = &fake.heard("agent")[0];
    assert_eq!((&asked["provider"], &asked["model"]), (&json!("local"), &json!("tiny")));
    assert!(home.read(".openclaw/openclaw.json").contains(r#""apiKey": "${LOCAL_KEY}""#));
}

#[test]
fn the_log_is_printed_line_by_line() {
    let record = r#"{"time":"T","level":"warn","subsystem":"a::b","msg":"child\u001b[2J restarted","child":"x","n":2}"#;
    let page = json!({"file": "/x.log", "cursor": 20, "size": 20, "lines": ["one", record]});
    let fake = answering("logs.tail", page);
    let run = home_of(&fake).occtl(&["logs", "-n", "2"]);
    run.succeeded();
    assert_eq!(run.stdout, "one\nT warn  child[2J restarted child=x n=2 (a::b)\n");
}
