//! What answers and events look like, held against recordings.
//!
//! `shapes/recorded.json` holds the shapes of recorded answers and events, the order of what is said in recorded turns,
//! and the published shapes of results; `shapes/left_out.json` says what of it this gateway leaves out or adds, and
//! why. Here the same things are asked of a live gateway in the same situations. Nothing else may differ.

mod fit;
mod left_out;
mod line;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use actors::testing::fake_models::{FakeModelServer, FakeTurn};
use serde_json::{Value, json};

use crate::support::fixture;
use crate::support::gateway::{Gateway, PATIENCE};
use fit::Fit;
use left_out::{LeftOut, Side};
use line::{Line, Said, once};

const WORDS: &str = "word0 word1 word2 word3 word4 word5";

/// A gateway, a model server for it, a client, and what was found.
struct Scene {
    gateway: Gateway,
    models: FakeModelServer,
    line: Line,
    recorded: Value,
    left_out: LeftOut,
    fitting: usize,
    faults: Vec<String>,
    used: BTreeSet<usize>,
}

impl Scene {
    async fn open() -> Self {
        let models = FakeModelServer::start().await.unwrap();
        let gateway = Gateway::start(json!({
            "agents": {"defaults": {"model": {"primary": "mock/mock-1"}}},
            "models": {"providers": {"mock": {
                "baseUrl": models.base_url(), "apiKey": "k", "api": "openai-completions",
                "models": [{
                    "id": "mock-1", "name": "Mock One", "reasoning": true, "input": ["text"],
                    "contextWindow": 128_000, "maxTokens": 8192,
                    "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
                }],
            }}},
        }))
        .await;
        let line = Line::open(&gateway).await;
        let recorded = serde_json::from_str(&fs::read_to_string(fixture("shapes/recorded.json")).unwrap()).unwrap();
        let left_out = LeftOut::load();
        Self { gateway, models, line, recorded, left_out, fitting: 0, faults: Vec::new(), used: BTreeSet::new() }
    }

    /// Holds a value against a recorded shape.
    fn hold(&mut self, kind: &str, name: &str, live: &Value) {
        let shape = &self.recorded[kind][name];
        assert!(!shape.is_null(), "{kind} {name} was never recorded; live: {live}");
        let fit = Fit::of(name, shape, live, &self.left_out);
        self.fitting += fit.fitting;
        self.used.extend(fit.used);
        for fault in fit.faults {
            if !self.faults.contains(&fault) {
                self.faults.push(fault);
            }
        }
    }

    /// Asks and holds the answer against the recorded one called `name`.
    async fn answer(&mut self, name: &str, method: &'static str, params: Value) -> Value {
        let answer = self.line.answer(method, params).await;
        self.hold("answers", name, &answer);
        answer
    }

    /// Holds what was said since the last time against a recorded turn, in order, and each event's shape.
    fn turn(&mut self, name: &str) {
        let said = self.line.take();
        let recorded = self.recorded["turns"][name].as_array().unwrap().clone();
        let recorded: Vec<&str> = recorded.iter().filter_map(Value::as_str).collect();
        let wanted = self.kept(name, Side::Missing, recorded.iter().map(|line| (*line).to_owned()));
        let live = self.kept(name, Side::Extra, said.iter().map(|said| said.line.clone()));
        if wanted == live {
            self.fitting += said.len();
        } else {
            let (live, wanted) = (live.concat().join("\n  "), wanted.concat().join("\n  "));
            self.faults.push(format!("{name} goes\n  {live}\ninstead of\n  {wanted}"));
        }
        for Said { line, frame } in &said {
            if frame["type"] == "event" {
                let line = line.split(" (run ").next().unwrap_or(line);
                let is_known = !self.recorded["events"][line].is_null();
                if is_known {
                    self.hold("events", line, &frame["payload"]);
                }
            }
        }
    }

    /// What is compared: requests, answers and events, each in their order. How the three lie between each other is not
    /// promised: an answer and the events of its run take different ways to the socket.
    fn kept(&mut self, name: &str, side: Side, lines: impl Iterator<Item = String>) -> [Vec<String>; 3] {
        let mut kept = Vec::new();
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for line in lines {
            let time = times.entry(line.clone()).or_default();
            *time += 1;
            let row = self.left_out.row(name, side, &format!("{line} #{time}"));
            match row.or_else(|| self.left_out.row(name, side, &line)) {
                Some(row) => {
                    self.used.insert(row);
                }
                None => kept.push(line),
            }
        }
        let (requests, rest): (Vec<_>, Vec<_>) = kept.into_iter().partition(|line| line.starts_with("> "));
        let (answers, events): (Vec<_>, Vec<_>) = rest.into_iter().partition(|line| line.starts_with("< "));
        [requests, answers, once(events)]
    }

    async fn close(self) {
        self.gateway.stop(PATIENCE).await;
        eprintln!("{} places fit, {} are left out on purpose", self.fitting, self.used.len());
        assert!(self.faults.is_empty(), "{}", self.faults.join("\n"));
        for (number, row) in self.left_out.0.iter().enumerate() {
            assert!(row.why.len() >= 10, "say why: {row:?}");
            assert!(self.used.contains(&number), "nothing differs there any more, the row can go: {row:?}");
        }
    }
}

fn send(key: &str, message: &str, run: &str) -> Value {
    json!({"sessionKey": key, "message": message, "idempotencyKey": run})
}

fn paced(pace: u64) -> FakeTurn {
    FakeTurn::text(WORDS).pace(Duration::from_millis(pace))
}

async fn turns(scene: &mut Scene) {
    scene.models.script([paced(90)]);
    scene.answer("chat.send", "chat.send", send("agent:main:short", "hello", "run-1")).await;
    scene.line.until_line("chat final").await;
    scene.answer("chat.send again after the end", "chat.send", send("agent:main:short", "hello", "run-1")).await;
    let history = json!({"sessionKey": "agent:main:short", "limit": 5});
    scene.answer("chat.history after a turn", "chat.history", history).await;
    scene.turn("a turn");

    scene.models.script([FakeTurn::call("call_1", "clock", json!({})).thinking("I should look."), paced(90)]);
    scene.answer("chat.send", "chat.send", send("agent:main:tool", "what time is it", "run-2")).await;
    scene.line.until_line("chat final").await;
    let history = json!({"sessionKey": "agent:main:tool", "limit": 20});
    scene.answer("chat.history with a tool", "chat.history", history).await;
    scene.turn("a turn with a tool");

    scene.models.script([FakeTurn::refusal(400, "invalid_request_error", "no")]);
    scene.answer("chat.send", "chat.send", send("agent:main:bad", "hello", "run-4")).await;
    scene.line.until_line("chat error").await;
    scene.line.until_quiet(Duration::from_millis(300)).await;
    scene.turn("a failure");
    scene.answer("chat.send again after a failure", "chat.send", send("agent:main:bad", "hello", "run-4")).await;
    scene.line.take();
}

async fn aborts(scene: &mut Scene) {
    let long = FakeTurn::text(WORDS.repeat(40)).pace(Duration::from_millis(50));
    scene.models.script([long.clone()]);
    scene.answer("chat.send", "chat.send", send("agent:main:long", "a lot", "run-3")).await;
    scene.line.until_line("chat delta").await;
    let abort = json!({"sessionKey": "agent:main:long", "runId": "run-3"});
    scene.answer("chat.abort", "chat.abort", abort).await;
    scene.line.until_quiet(Duration::from_millis(300)).await;
    scene.line.answer("chat.history", json!({"sessionKey": "main", "limit": 3})).await;
    scene.turn("an abort");
    scene.answer("chat.send again after an abort", "chat.send", send("agent:main:long", "a lot", "run-3")).await;

    scene.line.take();
    scene.models.script([long.clone()]);
    scene.answer("chat.send", "chat.send", send("agent:main:q", "one", "run-6")).await;
    scene.line.until_line("chat delta").await;
    scene.answer("chat.send", "chat.send", send("agent:main:q", "two", "run-7")).await;
    scene.line.until_line("chat delta").await;
    scene.answer("chat.send of /stop", "chat.send", send("agent:main:q", "/stop", "run-8")).await;
    scene.line.until_quiet(Duration::from_millis(300)).await;
    scene.turn("a stop with one waiting");

    scene.models.script([long]);
    scene.line.answer("chat.send", send("agent:main:dup", "a", "run-9")).await;
    scene.answer("chat.send again with other words", "chat.send", send("agent:main:dup", "b", "run-9")).await;
    scene.answer("chat.send again meanwhile", "chat.send", send("agent:main:dup", "a", "run-9")).await;
    scene.line.answer("chat.abort", json!({"sessionKey": "agent:main:dup"})).await;
    scene.line.until_quiet(Duration::from_millis(300)).await;
    scene.line.take();
}

async fn agent_runs(scene: &mut Scene) {
    scene.models.script([FakeTurn::call("call_1", "clock", json!({})).thinking("I should look."), paced(90)]);
    let params = json!({"message": "what time is it", "sessionKey": "agent:main:rpc1", "idempotencyKey": "run-5"});
    let run = scene.line.ask("agent", params.clone()).await;
    let accepted = scene.line.answer_of(run).await;
    scene.hold("answers", "agent", &accepted);
    let wait = scene.line.ask("agent.wait", json!({"runId": "run-5", "timeoutMs": 50_000})).await;
    let waited = scene.line.answer_of(wait).await;
    scene.hold("answers", "agent.wait", &waited);
    let ended = scene.line.said.iter().filter(|said| said.line == "< agent").nth(1).map(|said| said.frame.clone());
    let mut ended = match ended {
        Some(frame) => frame,
        None => scene.line.until_line("< agent").await,
    };
    for field in ["id", "type"] {
        ended.as_object_mut().unwrap().remove(field);
    }
    scene.hold("answers", "agent at the end", &ended);
    scene.answer("agent again after the end", "agent", params).await;
    scene.answer("agent.wait for nothing", "agent.wait", json!({"runId": "no-such-run", "timeoutMs": 50})).await;
    scene.turn("a run of agent");

    scene.models.script([FakeTurn::refusal(400, "invalid_request_error", "no")]);
    let params = json!({"message": "hi", "sessionKey": "agent:main:rpc2", "idempotencyKey": "run-10"});
    let run = scene.line.ask("agent", params).await;
    scene.line.answer_of(run).await;
    let failed = scene.line.answer_of(run).await;
    scene.hold("answers", "agent at the end of a failure", &failed);
    scene.answer("agent.wait after a failure", "agent.wait", json!({"runId": "run-10", "timeoutMs": 5000})).await;
    scene.line.take();
}

async fn reads(scene: &mut Scene) {
    for (name, method, params) in [
        ("health", "health", json!({})),
        ("status", "status", json!({})),
        ("system-presence", "system-presence", json!({})),
        ("agents.list", "agents.list", json!({})),
        ("config.get", "config.get", json!({})),
        (
            "models.list",
            "models.list",
            json!({"view": "configured", "sessionKey": "agent:main:main", "agentId": "main"}),
        ),
        ("channels.status", "channels.status", json!({"probe": false, "timeoutMs": 8000})),
        ("logs.tail", "logs.tail", json!({"limit": 5, "maxBytes": 4000})),
        ("chat.history of nothing", "chat.history", json!({"sessionKey": "main", "limit": 50})),
        ("sessions.subscribe", "sessions.subscribe", json!({})),
        ("sessions.subscribe with a list", "sessions.subscribe", json!({"limit": 60, "ownerFirst": true})),
        ("sessions.messages.subscribe", "sessions.messages.subscribe", json!({"key": "agent:main:short"})),
        ("sessions.list", "sessions.list", json!({"limit": 10})),
        ("chat.startup", "chat.startup", json!({"sessionKey": "agent:main:short", "limit": 80, "maxBytes": 262_144})),
        ("sessions.reset", "sessions.reset", json!({"key": "agent:main:short"})),
    ] {
        let answer = scene.answer(name, method, params).await;
        if method != "sessions.list" {
            continue;
        }
        let rows = answer["payload"]["sessions"].as_array().unwrap().len();
        assert!(rows >= 5, "the sessions of this test are listed");
    }
    scene.line.take();
}

async fn published(scene: &mut Scene) {
    let published: Vec<String> = scene.recorded["schemas"].as_object().unwrap().keys().cloned().collect();
    let session = json!({"sessionKey": "agent:main:main"});
    for (method, params) in [
        ("agents.list", json!({})),
        ("channels.status", json!({})),
        ("logs.tail", json!({})),
        ("mentions.list", json!({})),
        ("plugins.catalog.browse", json!({})),
        ("portal.list", json!({})),
        ("progressCard.get", session.clone()),
        ("projects.list", json!({})),
        ("session.discussion.info", session.clone()),
        ("session.members.listEvidence", session.clone()),
        ("sessions.branches.list", session.clone()),
        ("sessions.catalog.list", json!({})),
        ("sessions.companion.state", session),
        ("sessions.observer.visibility", json!({"visible": true})),
        ("skills.search", json!({})),
        ("talk.catalog", json!({})),
        ("users.listModelAccounts", json!({})),
        ("worktrees.branches", json!({"repoRoot": "/"})),
        ("worktrees.list", json!({})),
    ] {
        assert!(published.iter().any(|known| known == method), "{method}");
        let answer = scene.line.answer(method, params).await;
        assert_eq!(answer["ok"], true, "{method}: {answer}");
        scene.hold("schemas", method, &answer["payload"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_and_events_look_as_recorded() {
    let mut scene = Scene::open().await;
    turns(&mut scene).await;
    aborts(&mut scene).await;
    agent_runs(&mut scene).await;
    reads(&mut scene).await;
    published(&mut scene).await;
    scene.close().await;
}
