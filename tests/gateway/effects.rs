//! Effects on the world: each call has one result, and what may have happened is never repeated silently.

use std::sync::Arc;

use actors::testing::fake_models::{FakeModelServer, FakeTurn};
use actors::tools::{Effect, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput, ToolRegistry};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use openclawd::client::Client;
use serde_json::{Value, json};
use supervision::ActorPath;
use supervision::chaos::Fault;
use supervision::tree::NodeState;
use tempfile::TempDir;
use tokio::sync::{Semaphore, watch};

use crate::support::gateway::{Gateway, PATIENCE, echo, lines, send, text_of, transcript_file};
use crate::support::witness::Witness;

/// A tool that notes when it is called, and under which key, and is done when the test lets it.
struct Noted {
    name: &'static str,
    effect: Effect,
    calls: Arc<watch::Sender<Vec<String>>>,
    gate: Arc<Semaphore>,
}

impl Tool for Noted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn description(&self) -> &'static str {
        "takes effect, then waits"
    }

    fn parameters(&self) -> Value {
        json!({"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": false})
    }

    fn capabilities(&self) -> ToolCapabilities {
        ToolCapabilities::OPEN
    }

    fn effect(&self, _: &Value) -> Effect {
        self.effect
    }

    fn call(&self, arguments: Value, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        let (calls, gate) = (Arc::clone(&self.calls), Arc::clone(&self.gate));
        async move {
            let key = format!("{} {}", arguments["n"], context.idempotency_key());
            calls.send_modify(|calls| calls.push(key));
            gate.acquire().await.unwrap().forget();
            Ok(ToolOutput::text(format!("did {}", arguments["n"])))
        }
        .boxed()
    }
}

/// A gateway whose model calls a tool of each class of effect.
struct Field {
    gateway: Gateway,
    client: Client,
    witness: Witness,
    server: FakeModelServer,
    calls: Arc<watch::Sender<Vec<String>>>,
    gate: Arc<Semaphore>,
}

impl Field {
    async fn start() -> Self {
        let server = FakeModelServer::start().await.unwrap();
        let (calls, gate) = (Arc::new(watch::Sender::new(Vec::new())), Arc::new(Semaphore::new(0)));
        let noted = |name, effect| {
            Arc::new(Noted { name, effect, calls: Arc::clone(&calls), gate: Arc::clone(&gate) }) as Arc<dyn Tool>
        };
        let tools = ToolRegistry::built_in()
            .with(noted("look", Effect::Pure))
            .with(noted("tell", Effect::Keyed))
            .with(noted("shoot", Effect::Once));
        let gateway = Gateway::start_armed(echo(&server), tools).await;
        let (client, witness) = gateway.talk().await;
        Self { gateway, client, witness, server, calls, gate }
    }

    fn calls(&self) -> Vec<String> {
        self.calls.borrow().clone()
    }

    /// Waits until the tools were called like this.
    async fn called(&self, like: impl FnMut(&Vec<String>) -> bool) {
        let mut calls = self.calls.subscribe();
        tokio::time::timeout(PATIENCE, calls.wait_for(like)).await.unwrap().unwrap();
    }

    /// Waits until the tool call of this id is at work.
    async fn at_work(&self, call: &str) -> ActorPath {
        let find = |gateway: &Gateway| {
            let mut calls = gateway.nodes("tool").into_iter();
            calls.find(|node| node.path.to_string().contains(call) && node.state == NodeState::Running)
        };
        let path = self.gateway.tree_until("the call", find).await.path.clone();
        self.called(|calls| calls.iter().any(|key| key.contains(call))).await;
        path
    }

    fn path_of(&self, kind: &str) -> ActorPath {
        self.gateway.nodes(kind).into_iter().next().unwrap().path.clone()
    }

    /// The results in the transcript: id, text, outcome.
    async fn results(self, session: &str) -> Vec<(String, String, String)> {
        let (report, home) = self.gateway.stop(PATIENCE).await;
        assert!(report.stragglers.is_empty(), "{report:?}");
        results(&home, session)
    }
}

fn results(home: &TempDir, session: &str) -> Vec<(String, String, String)> {
    let lines = lines(&transcript_file(home.path(), session));
    let messages = lines.iter().map(|line| &line["message"]);
    let results = messages.filter(|message| message["role"] == "toolResult");
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |message: &Value| (word(&message["toolCallId"]), text_of(message), word(&message["details"]["outcome"]));
    results.map(of).collect()
}

fn call(id: &str, tool: &str, n: u32) -> FakeTurn {
    FakeTurn::call(id, tool, json!({"n": n}))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_unknown_outcome_is_told_and_not_repeated() {
    for (round, (kind, fault)) in
        [("run", Fault::Panic), ("run", Fault::Kill), ("session", Fault::Panic), ("tool", Fault::Kill)]
            .into_iter()
            .enumerate()
    {
        let field = Field::start().await;
        field
            .server
            .script([call("c1", "shoot", 1).and_call("c2", "shoot", json!({"n": 2})), FakeTurn::text("so I looked")]);
        send(&field.client, "a", "one", "go").await;
        field.at_work("c1").await;
        field.gateway.chaos().strike(field.path_of(kind), fault).unwrap();
        if kind == "tool" {
            // The run goes on: the second call is made.
            field.at_work("c2").await;
            field.gate.add_permits(1);
        }
        let end = field.witness.end_of("one").await;
        assert_eq!((&end["state"], text_of(&end["message"]).as_str()), (&json!("final"), "so I looked"), "{kind}");
        assert_eq!(field.witness.ends("one"), 1);
        let calls = field.calls();
        assert_eq!(calls.iter().filter(|call| call.starts_with("1 ")).count(), 1, "round {round}: {calls:?}");
        if kind == "run" {
            let session = field.path_of("session");
            let told = field.gateway.node(&session.to_string()).unwrap();
            let detail = told.detail.iter().find(|(key, _)| **key == "unknown effects");
            assert_eq!(detail.map(|(_, value)| value.to_string()), Some(String::from("1")), "{:?}", told.detail);
        }
        let results = field.results("a").await;
        assert_eq!(results.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>(), ["c1", "c2"], "{kind}");
        assert_eq!(results[0].2, "unknown", "{kind}: {results:?}");
        assert!(results[0].1.contains("not known"), "{results:?}");
        if kind == "tool" {
            assert_eq!(results[1], (String::from("c2"), String::from("did 2"), String::new()));
        } else {
            assert_eq!(results[1].2, "not_started", "{kind}: {results:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyed_call_is_repeated_with_the_same_key() {
    for kind in ["run", "session"] {
        let field = Field::start().await;
        field.server.script([call("c1", "tell", 1).and_call("c2", "shoot", json!({"n": 2})), FakeTurn::text("told")]);
        send(&field.client, "a", "one", "go").await;
        field.at_work("c1").await;
        field.gateway.chaos().strike(field.path_of(kind), Fault::Panic).unwrap();
        field.called(|calls| calls.len() == 2).await;
        field.gate.add_permits(1);
        let end = field.witness.end_of("one").await;
        assert_eq!(text_of(&end["message"]), "told");
        let calls = field.calls();
        assert_eq!(calls.len(), 2, "{calls:?}");
        assert_eq!(calls[0], calls[1], "{kind}");
        let results = field.results("a").await;
        assert_eq!(results[0], (String::from("c1"), String::from("did 1"), String::new()), "{kind}");
        assert_eq!((results[1].0.as_str(), results[1].2.as_str(), results.len()), ("c2", "not_started", 2), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_with_effects_go_one_after_the_other_and_pure_ones_at_once() {
    let field = Field::start().await;
    field.server.script([
        call("p1", "look", 1).and_call("p2", "look", json!({"n": 2})),
        call("c1", "look", 3).and_call("c2", "shoot", json!({"n": 4})).and_call("c2", "shoot", json!({"n": 5})),
        FakeTurn::text("done"),
    ]);
    send(&field.client, "a", "one", "go").await;
    field.at_work("p1").await;
    field.at_work("p2").await;
    field.gate.add_permits(2);
    field.at_work("c1").await;
    for n in 3..=5_usize {
        let seen = field.calls();
        assert_eq!(seen.len(), n, "one at a time: {seen:?}");
        field.gate.add_permits(1);
        field.called(|calls| calls.len() == 5.min(n + 1)).await;
    }
    field.witness.end_of("one").await;
    let results = field.results("a").await;
    let told: Vec<_> = results.iter().map(|(id, text, _)| (id.as_str(), text.as_str())).collect();
    assert_eq!(told, [("p1", "did 1"), ("p2", "did 2"), ("c1", "did 3"), ("c2", "did 4"), ("c2", "did 5")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_meanwhile_goes_before_calls_that_were_not_started() {
    let field = Field::start().await;
    field.server.script([
        call("c1", "shoot", 1).and_call("c2", "shoot", json!({"n": 2})).and_call("c3", "look", json!({"n": 3})),
        FakeTurn::text("as you say"),
    ]);
    send(&field.client, "a", "one", "go").await;
    field.at_work("c1").await;
    send(&field.client, "a", "two", "stop after this one").await;
    field.gate.add_permits(3);
    field.witness.end_of("one").await;
    assert_eq!(field.calls().len(), 1, "{:?}", field.calls());
    let results = field.results("a").await;
    let told: Vec<_> = results.iter().map(|(id, _, outcome)| (id.as_str(), outcome.as_str())).collect();
    assert_eq!(told, [("c1", ""), ("c2", "skipped"), ("c3", "skipped")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_leaves_one_result_for_each_call() {
    let field = Field::start().await;
    field.server.script([call("c1", "shoot", 1).and_call("c2", "look", json!({"n": 2}))]);
    send(&field.client, "a", "one", "go").await;
    field.at_work("c1").await;
    let aborted = field.client.request("chat.abort", json!({"sessionKey": "a"})).await.unwrap();
    assert_eq!(aborted["runIds"], json!(["one"]));
    let results = field.results("a").await;
    let told: Vec<_> = results.iter().map(|(id, _, outcome)| (id.as_str(), outcome.as_str())).collect();
    assert_eq!(told, [("c1", "unknown"), ("c2", "aborted")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_written_where_the_agent_works_and_nowhere_else() {
    let server = FakeModelServer::start().await.unwrap();
    let gateway = Gateway::start(echo(&server)).await;
    let (client, witness) = gateway.talk().await;
    server.script([
        FakeTurn::call("w1", "write", json!({"path": "notes/today.md", "content": "Grüße\n"}))
            .and_call("w2", "write", json!({"path": "../openclaw.json", "content": "{}"}))
            .and_call("r1", "read", json!({"path": "notes/today.md"}))
            .and_call("x1", "write", json!({"path": "a"}))
            .and_call("e1", "exec", json!({"command": "touch proof"})),
        FakeTurn::text("written"),
    ]);
    send(&client, "a", "one", "write it down").await;
    assert_eq!(text_of(&witness.end_of("one").await["message"]), "written");
    let (_, home) = gateway.stop(PATIENCE).await;
    let written = std::fs::read_to_string(home.path().join("workspace/notes/today.md")).unwrap();
    assert_eq!(written, "Grüße\n");
    assert!(!home.path().join("workspace/proof").exists());
    let results = results(&home, "a");
    let starts = [
        ("w1", "Wrote notes/today.md: new, 8 bytes."),
        ("w2", "../openclaw.json is outside of the workspace"),
        ("r1", "Grüße\n"),
        ("x1", "bad arguments: content is missing"),
        ("e1", "needs approval"),
    ];
    assert_eq!(results.len(), starts.len());
    for ((id, text, _), (expected, start)) in results.iter().zip(starts) {
        assert_eq!(id, expected);
        assert!(text.starts_with(start), "{id}: {text}");
    }
}
